"""Reads a function that is to become a tool: parameters, injected context, options, and whether it streams."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from eino._run.context import RunContext
from eino.errors import BuildError
from eino.schema._adapters import parameters_of
from eino.schema.stream import StreamReader

__all__ = ["STREAMING_KINDS", "FunctionKind", "ToolOption", "ToolSignature", "innermost", "read_signature"]

_STREAMS = (
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncIterator,
    StreamReader,
)


class ToolOption:
    """Marks a tool's parameter as set by the program, not by the model: `user_id: Annotated[str, ToolOption()] = ""`.

    The model never sees it. `tool.with_options(user_id="u1")` gives a copy of the tool that passes the value.
    """


class FunctionKind(Enum):
    """How a function gives its result."""

    PLAIN = "a plain function"
    COROUTINE = "a coroutine function"
    GENERATOR = "a plain generator"
    STREAM = "an async generator, or a function that returns a stream"
    AWAITED_STREAM = "a coroutine function that returns a stream"


STREAMING_KINDS = (FunctionKind.GENERATOR, FunctionKind.STREAM, FunctionKind.AWAITED_STREAM)
"""Functions that give their result piece by piece."""


class ToolSignature(msgspec.Struct, frozen=True, kw_only=True):
    """What a function takes and how it gives its result."""

    kind: FunctionKind
    hints: Mapping[str, Any]
    """Resolved annotations of all parameters that have one."""
    arguments: tuple[str, ...]
    """Names of the parameters that the model gives."""
    options: frozenset[str]
    """Names of the parameters that are marked with `ToolOption`."""
    bound: frozenset[str]
    """Names of the parameters that a `partial` has set."""
    context: str | None
    """Name of the parameter that gets the `RunContext`."""
    context_is_optional: bool
    """Whether it gets None outside of a run."""
    takes_any: bool
    """Whether there is a `**` parameter."""

    @property
    def hidden(self) -> frozenset[str]:
        """Names of the parameters that the model never sees."""
        context = () if self.context is None else (self.context,)
        return self.options | self.bound | frozenset(context)


def read_signature(function: Callable[..., Any]) -> ToolSignature:
    """Return the signature of `function`, read through `partial`, methods, `__wrapped__` and `__call__`.

    Raises:
        BuildError: If an annotation cannot be resolved, or a parameter cannot be given as a JSON property.
    """
    parameters = parameters_of(function)
    inner = innermost(function)
    hints = _hints(inner)
    contexts = [name for name in parameters if _is_context(hints.get(name))]
    options = frozenset(name for name in parameters if _is_option(hints.get(name)))
    bound = frozenset(function.keywords) if isinstance(function, functools.partial) else frozenset[str]()
    signature = ToolSignature(
        kind=_kind(inner, hints.get("return")),
        hints={name: hint for name, hint in hints.items() if name in parameters},
        arguments=tuple(
            name
            for name, each in parameters.items()
            if name not in options | bound and name not in contexts and each.kind is not each.VAR_KEYWORD
        ),
        options=options,
        bound=bound,
        context=contexts[0] if contexts else None,
        context_is_optional=bool(contexts) and type(None) in get_args(_plain(hints[contexts[0]])),
        takes_any=any(each.kind is each.VAR_KEYWORD for each in parameters.values()),
    )
    _check(function, parameters, signature)
    return signature


def innermost(function: Any) -> Any:
    """Return the function that will run: through partials, methods, decorators and callable objects."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not inspect.isroutine(function) and isinstance(
            call := inspect.getattr_static(type(function), "__call__", None), types.FunctionType
        ):
            return call
        else:
            return function


def _check(function: object, parameters: Mapping[str, inspect.Parameter], signature: ToolSignature) -> None:
    for position, (name, each) in enumerate(parameters.items()):
        if position == 0 and name in ("self", "cls") and name not in signature.hints:
            raise BuildError(
                f"{function!r} takes {name!r}, which no model can give: make the tool of a bound method,"
                " as_tool(instance.method)"
            )
        if each.kind is each.POSITIONAL_ONLY:
            raise BuildError(f"parameter {name!r} of {function!r} is positional-only; JSON arguments have names")
        if name in signature.options and each.default is each.empty:
            raise BuildError(f"option {name!r} of {function!r} needs a default, for when nobody sets it")


def _hints(function: Any) -> dict[str, Any]:
    """Return the resolved annotations; names are also looked for where the tool is being made."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        pass
    try:
        known = getattr(function, "__globals__", {})
        names = {name: value for name, value in _callers_names().items() if name not in known}
        return get_type_hints(function, localns=names, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise BuildError(
            f"an annotation of {function!r} cannot be resolved: {error}; import the name at module level, outside of"
            " `if TYPE_CHECKING`: a tool's parameters are described from its annotations"
        ) from error


def _callers_names() -> dict[str, Any]:
    """Return the local names of the functions that are being called, the innermost first."""
    names: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def _plain(hint: Any) -> Any:
    return _plain(get_args(hint)[0]) if get_origin(hint) is Annotated else hint


def _is_context(hint: Any) -> bool:
    plain = _plain(hint)
    if get_origin(plain) in (Union, types.UnionType):
        return any(_is_context(each) for each in get_args(plain))
    return plain is RunContext or get_origin(plain) is RunContext


def _is_option(hint: Any) -> bool:
    return any(isinstance(item, ToolOption) or item is ToolOption for item in getattr(hint, "__metadata__", ()))


def _kind(function: Any, returns: Any) -> FunctionKind:
    if inspect.isasyncgenfunction(function):
        return FunctionKind.STREAM
    if inspect.isgeneratorfunction(function):
        return FunctionKind.GENERATOR
    gives_stream = (get_origin(_plain(returns)) or _plain(returns)) in _STREAMS
    if inspect.iscoroutinefunction(function):
        return FunctionKind.AWAITED_STREAM if gives_stream else FunctionKind.COROUTINE
    return FunctionKind.STREAM if gives_stream else FunctionKind.PLAIN
