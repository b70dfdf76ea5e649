"""`FieldMapping`: which part of a node's output becomes which part of another node's input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from eino.compose.signature import callable_name, read_signature
from eino.errors import BuildError

__all__ = ["FieldMapping", "FieldPath", "checked_path", "from_field", "map_fields", "path_text", "to_field"]

FieldPath: TypeAlias = tuple[str, ...]
"""Names from the outside in: fields of classes, keys of mappings. Empty for the whole value."""


class FieldMapping(msgspec.Struct, frozen=True):
    """One mapping; make it with `from_field`, `to_field` or `map_fields`, and give it to `add_input`.

    Raises:
        BuildError: If a path is malformed, or nothing but a whole output would become a whole input.
    """

    from_path: FieldPath = ()
    """Where in the predecessor's output the value lies; empty for the whole output."""
    to_path: FieldPath = ()
    """Where in the node's input it goes; empty for the whole input."""
    extract: Callable[[Any], Any] | None = None
    """Computes the value from the whole output, or from each chunk of a stream."""
    from_key: str = ""
    """Key of the predecessor; `add_input` fills it in."""

    def __post_init__(self) -> None:
        if self.from_path:
            checked_path(self.from_path, "the source of a field mapping")
        if self.to_path:
            checked_path(self.to_path, "the target of a field mapping")
        if self.extract is not None:
            _check_extract(self)
        elif not self.from_path and not self.to_path:
            raise BuildError(
                "a field mapping from the whole output to the whole input says nothing: leave it out, as in "
                "add_input(key), or give extract="
            )

    def __str__(self) -> str:
        parts = [f"{path_text(self.from_path)}(field)" if self.from_path else "", self.from_key or "the output"]
        source = " of ".join(filter(None, parts))
        return f"[from {source}{f' to {path_text(self.to_path)}(field)' if self.to_path else ''}]"


def from_field(path: str | FieldPath) -> FieldMapping:
    """Return a mapping of one part of the output to the whole input.

    Args:
        path: A field or key, or a tuple of them that leads inwards.

    Raises:
        BuildError: If the path is malformed.
    """
    return FieldMapping(from_path=checked_path(path, "from_field"))


def to_field(path: str | FieldPath, *, extract: Callable[[Any], Any] | None = None) -> FieldMapping:
    """Return a mapping of the whole output, or of what `extract` makes of it, to one part of the input.

    Args:
        path: A field or key, or a tuple of them; with `extract` also `""`, for the whole input.
        extract: Plain function of the whole output; in stream runs of each chunk. What it takes and returns is
            checked when the workflow is compiled, as far as it is annotated.

    Raises:
        BuildError: If the path is malformed, or `extract` is not a plain function.
    """
    if path in ("", ()) and extract is not None:
        return FieldMapping(extract=extract)
    return FieldMapping(to_path=checked_path(path, "to_field"), extract=extract)


def map_fields(source: str | FieldPath, target: str | FieldPath) -> FieldMapping:
    """Return a mapping of one part of the output to one part of the input.

    Raises:
        BuildError: If a path is malformed.
    """
    return FieldMapping(from_path=checked_path(source, "map_fields"), to_path=checked_path(target, "map_fields"))


def checked_path(path: object, role: str) -> FieldPath:
    """Return a name or a tuple of names as a path.

    Raises:
        BuildError: If it is neither, or a name is empty.
    """
    names = (path,) if isinstance(path, str) else path
    if isinstance(names, tuple) and names:
        for name in names:
            if not isinstance(name, str) or not name:
                break
        else:
            return names
    raise BuildError(
        f"{role}: {path!r} is no path: give a name, or a tuple of names that leads inwards, such as ('a', 'b')"
    )


def path_text(path: FieldPath) -> str:
    """Return a path as messages show it."""
    return ".".join(path)


def _check_extract(mapping: FieldMapping) -> None:
    extract = mapping.extract
    if not callable(extract):
        raise BuildError(f"extract={extract!r} of a field mapping must be a function of the whole output")
    if mapping.from_path:
        raise BuildError(
            f"the field mapping from {path_text(mapping.from_path)!r} has extract={callable_name(extract)} too: an "
            "extractor gets the whole output, so read the field there"
        )
    signature = read_signature(extract, role="the extractor of a field mapping", strict=False)
    if signature.is_coroutine or signature.gives_stream:
        raise BuildError(
            f"extract={callable_name(extract)} of a field mapping must be a plain function that returns the value; "
            "what waits or streams is a node of its own"
        )
