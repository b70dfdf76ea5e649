"""Reads what a function takes and gives: value or stream, types, run context, options. Done once, when it is added."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin
from weakref import WeakKeyDictionary

from eino._run.context import RunContext
from eino.compose.checks import normalise
from eino.errors import BuildError
from eino.schema.stream import StreamReader

__all__ = [
    "Signature",
    "UnresolvedAnnotationWarning",
    "callable_name",
    "class_hints",
    "parameter_types",
    "read_signature",
    "return_type",
]

STREAM_TYPES = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
    StreamReader,
)
_SYNC_STREAM_TYPES = (collections.abc.Iterator, collections.abc.Generator)


class UnresolvedAnnotationWarning(UserWarning):
    """An annotation names something that cannot be found; it counts as `Any`."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives, as far as a graph cares."""

    takes_stream: bool
    """Whether its first parameter is a stream."""
    gives_stream: bool
    """Whether it is a generator, or says that it returns a stream."""
    is_coroutine: bool
    """Whether calling it gives something to await (an `async def` that is no generator)."""
    is_sync_generator: bool
    """Whether it is a plain generator function: a stream that never waits."""
    input_type: Any
    """Annotation of the first parameter, the element type if it is a stream; `Any` when there is none."""
    output_type: Any
    """Annotation of what it returns, the element type if it is a stream; `Any` when there is none."""
    context_parameter: str | None
    """Name of the parameter that is annotated as `RunContext`."""
    context_position: int | None
    """Its position, if it cannot be given by keyword."""
    options: frozenset[str]
    """Names of the keyword-only parameters: what call options may set."""
    takes_any_option: bool
    """Whether it has `**kwargs`."""
    second_type: Any = Any
    """Annotation of the second positional parameter, the run context aside; `Any` when there is none."""


def read_signature(
    function: Callable[..., Any], *, values: int = 1, role: str = "a lambda", strict: bool = True
) -> Signature:
    """Return the signature of `function`, read through `partial`, `__wrapped__` and `__call__`.

    Args:
        function: Anything that can be called.
        values: How many positional values it must take, the run context aside.
        role: What it is used as, for error texts.
        strict: Whether to refuse further parameters.

    Raises:
        BuildError: If it cannot be called with that many values.
    """
    known = _known(function)
    found = known.get((values, strict)) if known is not None else None
    if found is None:
        found = _read(function, values, role, strict)
        if known is not None:
            known[values, strict] = found
    return found


_signatures: WeakKeyDictionary[Any, dict[tuple[int, bool], Signature]] = WeakKeyDictionary()


def _known(function: Callable[..., Any]) -> dict[tuple[int, bool], Signature] | None:
    """Return what was read of a plain function before. Reading annotations costs more than the rest of a node."""
    if not isinstance(function, types.FunctionType) or hasattr(function, "__wrapped__"):
        return None
    return _signatures.setdefault(function, {})


def _read(function: Callable[..., Any], values: int, role: str, strict: bool) -> Signature:
    inner = _innermost(function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins tell nothing
        return Signature(False, False, False, False, Any, _class_output(function), None, None, frozenset(), False)
    hints = _hints(inner, function)
    context = next((each for each in parameters if _is_context(hints.get(each.name, each.annotation))), None)
    if strict:
        _check_arity(function, parameters, context, values, role)
    named = [each for each in parameters if each is not context and each.kind in _POSITIONAL[:2]]
    input_type, second_type = [hints.get(each.name, Any) for each in named[:2]] + [Any] * (2 - len(named[:2]))
    takes_stream, input_type = _element(input_type, STREAM_TYPES)
    output_type = function if inspect.isclass(function) else hints.get("return", Any)
    sync_generator, generator, coroutine = _way_of_running(function)
    gives_stream, output_type = _element(
        output_type, (*STREAM_TYPES, *_SYNC_STREAM_TYPES) if generator else STREAM_TYPES
    )
    return Signature(
        takes_stream=takes_stream,
        gives_stream=gives_stream or generator,
        is_coroutine=coroutine,
        is_sync_generator=sync_generator,
        input_type=normalise(input_type),
        output_type=normalise(output_type),
        context_parameter=context.name if context is not None else None,
        context_position=parameters.index(context)
        if context is not None and context.kind is context.POSITIONAL_ONLY
        else None,
        options=frozenset(each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each is not context),
        takes_any_option=any(each.kind is each.VAR_KEYWORD for each in parameters),
        second_type=normalise(second_type),
    )


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _way_of_running(function: Any) -> tuple[bool, bool, bool]:
    """Return whether it is a plain generator, any generator, a coroutine function.

    A decorator may turn one kind into another; one that only passes calls on leaves it to the function inside.
    """
    for each in _layers(function):
        sync_generator = inspect.isgeneratorfunction(each)
        generator = sync_generator or inspect.isasyncgenfunction(each)
        coroutine = inspect.iscoroutinefunction(each)
        if generator or coroutine:
            return sync_generator, generator, coroutine
    return False, False, False


def parameter_types(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of the parameters that have one, by name."""
    hints = _hints(_innermost(function), function)
    return {name: normalise(hint) for name, hint in hints.items() if name != "return"}


def return_type(function: Callable[..., Any]) -> Any:
    """Return the annotation of what `function` returns, or `Any`."""
    return normalise(_hints(_innermost(function), function).get("return", Any))


def class_hints(cls: type) -> dict[str, Any]:
    """Return the annotations in a class and its bases, resolved like those of functions."""
    try:
        return typing.get_type_hints(cls)
    except Exception:
        hints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            names = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
            raw = inspect.get_annotations(base)
            hints |= {name: _resolve(name, value, names, cls) for name, value in raw.items()}
        return hints


def callable_name(function: object) -> str:
    """Return a name that a reader of an error finds again in the code."""
    inner = _innermost(function) if callable(function) else function
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None)
    return f"{module}.{name}" if module and module != "builtins" else name


def _innermost(function: Any) -> Any:
    """Return the function that will run: through partials, decorators and callable objects."""
    *_, inner = _layers(function)
    return inner


def _layers(function: Any) -> Iterator[Any]:
    """Yield `function` and what it calls: through partials, decorators and callable objects."""
    while True:
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isclass(function):
            return
        elif hasattr(function, "__wrapped__"):
            if not inspect.isroutine(function):
                yield type(function).__call__
            function = function.__wrapped__
        elif not inspect.isroutine(function) and isinstance(type(function).__call__, types.FunctionType):
            function = type(function).__call__
        else:
            return


def _class_output(function: Any) -> Any:
    return function if inspect.isclass(function) else Any


def _hints(inner: Any, function: Any) -> dict[str, Any]:
    """Return the resolved annotations; one that cannot be resolved is `Any`, with a warning that names it."""
    target = inner.__init__ if inspect.isclass(inner) else inner
    raw = getattr(target, "__annotations__", None)
    if not raw:
        return {}
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:
        return {name: _resolve(name, value, target, function) for name, value in raw.items()}


def _resolve(name: str, value: Any, target: Any, function: Any) -> Any:
    """Resolve one annotation, looking also at the local names of the functions that are building the graph.

    A name that is nowhere counts as `Any`, so that `AsyncIterator[Unknown]` is still a stream.
    """
    known, found, problem = _Locals(), value, ""
    while isinstance(found, str):
        try:
            found = eval(found, getattr(target, "__globals__", {}), known)  # noqa: S307 - the program's own annotation
        except NameError as error:
            problem = str(error)
            if error.name is None or error.name in known:
                found = Any
            else:
                known[error.name] = Any
        except Exception as error:
            problem, found = str(error), Any
    if problem:
        warnings.warn(
            f"the annotation {value!r} of {name!r} in {callable_name(function)} cannot be resolved ({problem}); "
            "it counts as Any: define the name at module level, or import it outside `if TYPE_CHECKING`",
            UnresolvedAnnotationWarning,
            stacklevel=2,
        )
    return found


class _Locals(dict[str, Any]):
    """Finds a name among the local variables of the callers, innermost first."""

    def __missing__(self, name: str) -> Any:
        frame = sys._getframe(1)
        while frame is not None:
            if name in frame.f_locals and frame.f_code.co_filename != __file__:
                return frame.f_locals[name]
            frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
        raise KeyError(name)


def _is_context(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[", maxsplit=1)[0].rpartition(".")[2] == "RunContext"
    plain = normalise(annotation)
    return plain is RunContext or get_origin(plain) is RunContext


def _element(annotation: Any, streams: tuple[Any, ...]) -> tuple[bool, Any]:
    """Return whether an annotation is a stream, and its element type (else the annotation itself)."""
    plain = normalise(annotation)
    if isinstance(annotation, str):
        return False, Any
    origin = get_origin(plain) or plain
    if origin in streams:
        arguments = get_args(plain)
        return True, arguments[0] if arguments else Any
    return False, annotation


def _check_arity(
    function: Any, parameters: list[inspect.Parameter], context: inspect.Parameter | None, values: int, role: str
) -> None:
    """Refuse a function that cannot be called with `values` positional values."""
    positional = [each for each in parameters if each is not context and each.kind in _POSITIONAL]
    required = [each for each in positional if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    variable = any(each.kind is each.VAR_POSITIONAL for each in positional)
    missing = [
        each.name
        for each in parameters
        if each.kind is each.KEYWORD_ONLY and each.default is each.empty and each is not context
    ]
    word = "value" if values == 1 else "values"
    if len(required) > values or (len(positional) < values and not variable):
        names = ", ".join(each.name for each in positional) or "none"
        raise BuildError(
            f"{callable_name(function)} as {role} must take {values} positional {word}, "
            f"but its parameters are: {names}; "
            "put further ones behind `*` as options, or bind them with functools.partial"
        )
    if missing:
        raise BuildError(
            f"{callable_name(function)} as {role} has options without a default: {', '.join(missing)}; "
            "give them one, because a call need not set them"
        )
