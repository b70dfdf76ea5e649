"""`Branch`: chooses which nodes run next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from eino.compose.body import Shape
from eino.compose.names import START
from eino.compose.signature import callable_name, read_signature
from eino.errors import BuildError, RunError

__all__ = ["Branch"]


class Branch:
    """A condition on what a node gives, and the nodes that it may choose.

    The condition takes the value and returns the key of the next node, or several keys as a set, list or tuple (an
    empty one chooses nothing). If its first parameter is annotated as a stream it gets the stream, and may decide on
    the first chunk. It may be a plain or an async function and may declare a `RunContext`.
    """

    def __init__(self, condition: Callable[..., Any], ends: Iterable[str]) -> None:
        """Make a branch.

        Args:
            condition: Chooses among `ends`.
            ends: Keys of the nodes that it may choose, `END` included if it is one of them.

        Raises:
            BuildError: If the condition cannot be called with one value, or `ends` is empty or names the start.
        """
        if not callable(condition):
            raise BuildError(f"Branch({condition!r}): a condition is a function, got {type(condition).__qualname__}")
        if isinstance(ends, str):
            raise BuildError(f"Branch(ends={ends!r}): give the keys as a set or list, such as {{{ends!r}}}")
        keys = sorted(ends) if isinstance(ends, (set, frozenset)) else list(ends)
        for key in keys:
            if not isinstance(key, str) or not key:
                raise BuildError(f"Branch(ends=...): a key is a non-empty string, got {key!r}")
        if not keys:
            raise BuildError("Branch(ends=...) is empty: name the nodes that the condition may choose")
        if START in keys:
            raise BuildError(f"Branch(ends=...) names {START!r}: nothing can lead back to the start of a graph")
        signature = read_signature(condition, role="a branch condition")
        if signature.gives_stream:
            raise BuildError(f"the branch condition {callable_name(condition)} gives a stream: it must return keys")
        self.ends: tuple[str, ...] = tuple(dict.fromkeys(keys))
        self.takes_stream = signature.takes_stream
        self.input_type = signature.input_type
        self.shape = Shape.of(condition, signature)
        self.name = callable_name(condition)

    def __repr__(self) -> str:
        return f"<Branch {self.name} -> {', '.join(self.ends)}>"

    def chosen(self, answer: object) -> tuple[str, ...]:
        """Return the keys that the condition's answer names, in the order of `ends`.

        Raises:
            RunError: If it names something else.
        """
        if isinstance(answer, str):
            keys: tuple[object, ...] = (answer,)
        elif isinstance(answer, (set, frozenset, list, tuple)):
            keys = tuple(answer)
        elif isinstance(answer, dict):
            keys = tuple(key for key, wanted in answer.items() if wanted)
        else:
            raise RunError(
                f"the branch condition {self.name} must return a key or a set of keys of {list(self.ends)}, "
                f"got {answer!r}"
            )
        for key in keys:
            if key not in self.ends:
                raise RunError(
                    f"branch invocation returns unintended end node: {key} (from {self.name}; "
                    f"its ends are {list(self.ends)}: add it there, or return one of them)"
                )
        return tuple(end for end in self.ends if end in keys)
