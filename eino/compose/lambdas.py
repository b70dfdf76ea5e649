"""`Lambda`: any function as a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from eino.compose.body import Body, Shape, ShapeKind
from eino.compose.checks import type_text
from eino.compose.signature import Signature, callable_name, read_signature
from eino.errors import BuildError

__all__ = ["Lambda", "to_list"]

I = TypeVar("I")  # noqa: E741 - input and output, as everywhere in eino
O = TypeVar("O")  # noqa: E741


class Lambda(Generic[I, O]):
    """A function, or up to four, as a node of a graph.

    The shape of a single function follows its signature: an `async def` or plain `def` is `invoke`; a generator, or
    a function annotated to return a stream, is `stream`; an `AsyncIterator` or `StreamReader` as first parameter
    makes it `collect` or `transform`. A parameter annotated as `RunContext` gets the context of the run;
    keyword-only parameters are options, which a call may set: `options={"node": {"name": value}}`.

    A plain `def` runs inline, in the event loop's thread: give `threaded=True` when it blocks.
    """

    def __init__(
        self,
        function: Callable[..., Any] | None = None,
        *,
        invoke: Callable[..., Any] | None = None,
        stream: Callable[..., Any] | None = None,
        collect: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        type: str = "",  # noqa: A002 - the word of RunInfo
        threaded: bool = False,
        bound: bool = True,
        self_instrumented: bool = False,
    ) -> None:
        """Make a node of one function, or of several that do the same in different shapes.

        Args:
            function: A function whose shape is read from its signature.
            invoke: Takes a value and returns one.
            stream: Takes a value and gives a stream.
            collect: Takes a stream and returns a value.
            transform: Takes a stream and gives one.
            type: What `RunInfo.type` shows.
            threaded: Run plain functions in a worker thread.
            bound: Run streams in the frame of the node. False spares that cost per chunk, for transforms that use
                neither the run context nor other runnables; their errors carry the path of whoever reads them.
            self_instrumented: The function fires its own callbacks (`eino.callbacks.around`).

        Raises:
            BuildError: If no function is given, one is not callable, its shape is not the one named, or the types
                of several differ.
        """
        named: dict[ShapeKind, Callable[..., Any]] = {}
        if invoke is not None:
            named["invoke"] = invoke
        if stream is not None:
            named["stream"] = stream
        if collect is not None:
            named["collect"] = collect
        if transform is not None:
            named["transform"] = transform
        if function is not None:
            if named:
                raise BuildError(
                    f"Lambda got {callable_name(function)} and {', '.join(f'{kind}=' for kind in named)}: "
                    "give either one function, or functions by shape"
                )
            signature = _signature(function)
            kind = _kind(signature)
            signatures = {kind: signature}
            shapes = {kind: Shape.of(function, signature, threaded=threaded and _may_thread(signature))}
        elif named:
            signatures = {kind: _fitting(kind, each) for kind, each in named.items()}
            shapes = {
                kind: Shape.of(each, signatures[kind], threaded=threaded and _may_thread(signatures[kind]))
                for kind, each in named.items()
            }
        else:
            raise BuildError(
                "needs to have at least one of four lambda types: invoke/stream/collect/transform, got none"
            )
        input_type, output_type = _one_type(signatures)
        self.body = Body(
            shapes=shapes,
            input_type=input_type,
            output_type=output_type,
            component="Lambda",
            type=type,
            instance=self,
            self_instrumented=self_instrumented,
            bound=bound,
            option_kinds=(Lambda,),
        )

    def __repr__(self) -> str:
        kinds = ", ".join(self.body.shapes)
        name = callable_name(next(iter(self.body.shapes.values())).call)
        return f"<Lambda {name}: {type_text(self.body.input_type)} -> {type_text(self.body.output_type)} ({kinds})>"


def to_list() -> Lambda[Any, list[Any]]:
    """Return a lambda that puts what it gets into a list of one; each chunk of a stream becomes such a list."""

    def one(value: Any) -> list[Any]:
        return [value]

    async def each(stream: Any) -> Any:
        async for value in stream:
            yield [value]

    return Lambda(invoke=one, transform=each)


def _signature(function: Any) -> Signature:
    if not callable(function):
        raise BuildError(f"Lambda({function!r}): a function is needed, got {type(function).__qualname__}")
    return read_signature(function)


def _kind(signature: Signature) -> ShapeKind:
    if signature.takes_stream:
        return "transform" if signature.gives_stream else "collect"
    return "stream" if signature.gives_stream else "invoke"


def _fitting(kind: ShapeKind, function: Any) -> Signature:
    """Read the signature of a function given by shape. An annotation may be missing, but must not contradict."""
    signature = _signature(function)
    wants_stream = kind in ("collect", "transform")
    if signature.takes_stream and not wants_stream:
        raise BuildError(f"Lambda({kind}={callable_name(function)}) takes a stream: give it as collect= or transform=")
    if signature.gives_stream and kind in ("invoke", "collect"):
        raise BuildError(f"Lambda({kind}={callable_name(function)}) gives a stream: give it as stream= or transform=")
    return signature


def _may_thread(signature: Signature) -> bool:
    return not signature.is_coroutine and (signature.is_sync_generator or not signature.gives_stream)


def _one_type(signatures: dict[ShapeKind, Signature]) -> tuple[Any, Any]:
    """Return the input and output type that all functions agree on; what is not annotated does not count."""
    if len(signatures) == 1:
        (only,) = signatures.values()
        return only.input_type, only.output_type
    found: list[Any] = []
    for side in ("input_type", "output_type"):
        known = {kind: getattr(each, side) for kind, each in signatures.items() if getattr(each, side) is not Any}
        types = list(dict.fromkeys(known.values()))
        if len(types) > 1:
            shown = ", ".join(f"{kind}: {type_text(each)}" for kind, each in known.items())
            raise BuildError(f"the functions of a Lambda must agree on their {side.replace('_', ' ')}, got {shown}")
        found.append(types[0] if types else Any)
    return found[0], found[1]
