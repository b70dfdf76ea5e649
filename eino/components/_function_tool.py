"""Tools made of functions: arguments in, result out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, closing
from copy import copy
from functools import cached_property, update_wrapper
from inspect import isawaitable, iscoroutine
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast

import msgspec

from eino._run.context import NoRunError, current_context
from eino._tasks.threads import in_thread
from eino.components._arguments import ByName, Whole
from eino.components._docstring import describe
from eino.components._signature import FunctionKind, ToolSignature
from eino.components._tool_settings import BY_NAME, Settings, checked_name
from eino.components.naming import camel_case
from eino.errors import BuildError, ControlSignal, EinoError, ToolError
from eino.schema._concat import concat_tool_results
from eino.schema.params import params_schema
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult, tool_result

__all__ = ["FunctionTool", "StreamingFunctionTool"]

P = ParamSpec("P")
R = TypeVar("R")


class FunctionTool(Generic[P, R]):
    """A tool made of a function. Calling it calls the function; `run` takes the arguments as a model writes them.

    Safe to share between tasks, as far as its function is.
    """

    _options: Mapping[str, Any]

    def __init__(self, function: Callable[P, R], settings: Settings, signature: ToolSignature) -> None:
        update_wrapper(self, function, updated=())
        self._function = function
        self._settings = settings
        self._signature = signature
        self._options = {}
        self._name = checked_name(function, settings)
        if settings.arguments is BY_NAME:
            self._reader: ByName | Whole = ByName(self._name, function, signature)
        else:
            self._reader = Whole(self._name, settings.arguments, signature)

    @cached_property
    def info(self) -> ToolInfo:
        """What a model reads about the tool.

        Raises:
            BuildError: If a parameter's type has no JSON schema.
        """
        settings = self._settings
        if settings.info is not None:
            return settings.info
        description = describe(self._function)[0] if settings.description is None else settings.description
        schema = self._reader.schema if settings.parameters is None else params_schema(settings.parameters)
        return ToolInfo(name=self._name, description=description, json_schema=schema, extra=dict(settings.extra))

    @property
    def name(self) -> str:
        """The name that a model calls the tool by."""
        return self._name

    @property
    def type_name(self) -> str:
        """The name that callbacks show as the type: the tool's name in camel case."""
        return camel_case(self._name)

    def with_options(self, **options: object) -> Self:
        """Return a copy that passes `options` to the parameters marked with `ToolOption`; later values win.

        Raises:
            BuildError: If the tool has no such option.
        """
        for name in options:
            if name not in self._signature.options:
                known = ", ".join(sorted(self._signature.options)) or "none"
                raise BuildError(f"tool {self._name!r} has no option {name!r}; its options are: {known}")
        changed = copy(self)  # with the reader: building the types that check the arguments takes near a millisecond
        changed._options = {**self._options, **options}
        return changed

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, with Python values."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the function's result: a string or `ToolResult` as it is, anything else as JSON.

        Raises:
            ToolArgumentsError: If the arguments are no JSON or do not fit; the text says how to repair them.
            ToolError: If the function raises (its error is the `__cause__`), or its result has no JSON form. Errors
                of eino itself pass as they are.
        """
        values = self._values(arguments)
        try:
            if self._signature.kind is FunctionKind.COROUTINE:
                return self._output(await cast("Callable[..., Awaitable[object]]", self._function)(**values))
            return self._output(await self._call(values))
        except (ControlSignal, EinoError):
            raise
        except Exception as error:
            raise self._failed(error) from error

    def _values(self, arguments: str) -> dict[str, Any]:
        values = self._reader.read(arguments)
        if self._options:
            values = {**values, **self._options}
        if self._signature.context is not None:
            values[self._signature.context] = self._context()
        return values

    def _context(self) -> object:
        try:
            return current_context()
        except NoRunError:
            if self._signature.context_is_optional:
                return None
            raise

    async def _call(self, values: Mapping[str, Any]) -> object:
        """Return what a plain function gives."""
        function = cast("Callable[..., Any]", self._function)
        result = await in_thread(lambda: function(**values)) if self._settings.threaded else function(**values)
        if isawaitable(result):
            if iscoroutine(result):
                result.close()
            raise ToolError(f"tool {self._name!r}: the plain function returned an awaitable; declare it `async def`")
        return result

    def _output(self, value: object) -> str | ToolResult:
        if isinstance(value, (str, ToolResult)):
            return value
        try:
            return _ENCODER.encode(value).decode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ToolError(
                f"tool {self._name!r} returned {value!r:.100}, a {type(value).__name__}, with no JSON form: {error};"
                " return a string, a ToolResult, or data"
            ) from error

    def _failed(self, error: Exception) -> ToolError:
        return ToolError(f"tool {self._name!r} failed: {str(error) or type(error).__name__}")


class StreamingFunctionTool(FunctionTool[P, R]):
    """A tool made of a generator or of a function that returns a stream: it gives its result piece by piece."""

    async def run(self, arguments: str) -> str | ToolResult:
        """Return all pieces of the result as one; see `FunctionTool.run`.

        Raises:
            ToolArgumentsError: If the arguments are no JSON or do not fit; the text says how to repair them.
            ToolError: If the function raises, or a piece has no JSON form.
            ConcatError: If the pieces do not fit together.
        """
        async with aclosing(self._pieces(arguments)) as pieces:
            return _joined([piece async for piece in pieces])

    def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
        """Return the pieces of the result, each a string or `ToolResult` as it is, or JSON.

        Raises:
            ToolArgumentsError: At the first pull, if the arguments are no JSON or do not fit.
            ToolError: While iterating, if the function raises, or a piece has no JSON form.
        """
        return self._pieces(arguments)

    async def _pieces(self, arguments: str) -> AsyncGenerator[str | ToolResult, None]:
        values = self._values(arguments)
        try:
            source = cast("Callable[..., Any]", self._function)(**values)
            if self._signature.kind is FunctionKind.AWAITED_STREAM:
                source = await source
            if self._signature.kind is FunctionKind.GENERATOR:
                with closing(source):
                    for piece in source:
                        yield self._output(piece)
                return
            async with _closing(source):
                async for piece in source:
                    yield self._output(piece)
        except (ControlSignal, EinoError):
            raise
        except Exception as error:
            raise self._failed(error) from error


def _model_data(value: Any) -> Any:
    """Return the data of a pydantic model, for msgspec, which knows all other types that JSON can hold."""
    if hasattr(type(value), "__pydantic_validator__") and hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is no JSON data")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_model_data)


def _joined(pieces: list[str | ToolResult]) -> str | ToolResult:
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) == len(pieces):
        return "".join(texts)
    return concat_tool_results([tool_result(piece) if isinstance(piece, str) else piece for piece in pieces])


class _closing:  # noqa: N801 - used like `contextlib.aclosing`
    """Closes an async source if it can be closed: generators and readers can, other iterables need not."""

    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source = source

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
