"""`Trace`: what a run did, as a text that can be kept and compared.

    trace = Trace()
    await agent.invoke(question, callbacks=[trace])
    assert await trace.text() == snapshot(...)

The fixture `trace` of the pytest plugin also keeps the text in a file: `await trace.check()`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eino._run import GRAPH_LEVEL, current
from eino._tasks import now
from eino.callbacks import Handler, RunInfo
from eino.compose.plan import Plan
from eino.errors import EinoError
from eino.schema import concat
from eino.schema.stream import StreamReader
from eino_harness._trace_text import Span, digest, lines_of, mermaid_of

__all__ = ["Trace", "TraceChangedError", "file_of"]


class TraceChangedError(EinoError, AssertionError):
    """A run did something else than the trace that was kept of it says."""


class Trace(Handler):
    """Hears a run, and gives what it did as a text: one line for each graph, node and tool call, nested.

    A line has the kind and name, a digest of the input and of the output, the number of chunks where the output
    streamed, and the error. It is the same for the same run whatever ran first of what ran at once. Give the trace to
    the run among its `callbacks`; several runs follow each other. A trace reads the streams that it hears to their
    end, also those that the run left unread.
    """

    def __init__(
        self, *, times: bool = False, values: bool = False, path: Path | None = None, update: bool = False
    ) -> None:
        """Start an empty trace.

        Args:
            times: Show when each began and ended, in seconds on the loop's clock since the first start. Only sensible
                in virtual time.
            values: Show values, shortened, in place of their digests.
            path: File that `check` compares with.
            update: Let `check` write the file instead.
        """
        self._times = times
        self._show: Callable[[Any], str] = _shortened if values else digest
        self._path = path
        self._update = update
        self._spans: dict[int, Span] = {}
        self._roots: list[Span] = []
        self._readers: list[tuple[Span, str, StreamReader[Any]]] = []
        self._events = 0
        self._zero_s: float | None = None

    async def text(self) -> str:
        """Return the trace as text, one line a span."""
        await self._read_streams()
        return "\n".join(lines_of(None, self._roots, times=self._times))

    async def mermaid(self) -> str:
        """Return the trace as a Mermaid flowchart."""
        await self._read_streams()
        return mermaid_of(self._roots)

    async def check(self, path: str | Path | None = None) -> None:
        """Compare the trace with the one that is kept in a file, or write the file (`pytest --trace-update`).

        Raises:
            TraceChangedError: If they differ, with the difference and a diagram of what the run did now; also if
                there is no file yet.
            ValueError: If no file was named, here or when the trace was made.
        """
        kept = Path(path) if path is not None else self._path
        if kept is None:
            raise ValueError("there is no file to compare with: give check(path), or use the fixture `trace`")
        text = await self.text() + "\n"
        if self._update:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text, encoding="utf-8")
            return
        if not kept.exists():
            raise TraceChangedError(f"no trace was kept at {kept}: run `pytest --trace-update` and look at the file")
        expected = kept.read_text(encoding="utf-8")
        if expected != text:
            lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), str(kept), "this run", lineterm="")
            raise TraceChangedError(
                "the run did something else than the trace that was kept of it:\n"
                + "\n".join(lines)
                + f"\n\nThis run:\n\n{await self.mermaid()}\n\nIf this is right, run `pytest --trace-update`."
            )

    def close(self) -> None:
        """Let go of streams that were not read."""
        while self._readers:
            self._readers.pop()[2].close()

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - the handler's word
        """Note a start with a value."""
        self._started(info).input = self._show(input)

    def on_start_stream_input(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        """Note a start with a stream."""
        self._readers.append((self._started(info), "input", reader.map(_same)))

    def on_end(self, info: RunInfo, output: Any) -> None:
        """Note an end with a value."""
        self._ended(info).output = self._show(output)

    def on_end_stream_output(self, info: RunInfo, reader: StreamReader[Any]) -> None:
        """Note an end with a stream."""
        self._readers.append((self._ended(info), "output", reader.map(_same)))

    def on_error(self, info: RunInfo, error: BaseException) -> None:
        """Note a failure, an interrupt or a cancellation."""
        name = type(error).__qualname__
        cause = error.__cause__
        self._ended(info).error = f"raised {name}" + (f" from {type(cause).__qualname__}" if cause is not None else "")

    def _started(self, info: RunInfo) -> Span:
        span = Span(info.name, info.component, self._next(), self._now(), _node(), _sources())
        self._spans[info.seq] = span
        parent = self._spans.get(info.parent_seq)
        (self._roots if parent is None else parent.children).append(span)
        return span

    def _ended(self, info: RunInfo) -> Span:
        span = self._spans[info.seq]
        span.ended, span.end_s = self._next(), self._now()
        return span

    def _next(self) -> int:
        self._events += 1
        return self._events

    def _now(self) -> float:
        if self._zero_s is None:
            self._zero_s = now()
        return round(now() - self._zero_s, 6)

    async def _read_streams(self) -> None:
        """Read what streamed: what it joins to, and in how many pieces."""
        while self._readers:
            span, side, reader = self._readers.pop(0)
            pieces: list[Any] = []
            broke = ""
            async with reader:
                try:
                    async for piece in reader:
                        pieces.append(piece)  # noqa: PERF401 - what came before an error counts
                except Exception as error:
                    broke = f"broke off with {type(error).__qualname__}"
            setattr(span, side, self._show(_joined(pieces)))
            if side == "output":
                span.chunks = len(pieces)
                span.error = span.error or broke


def _node() -> int:
    """Return the index of the node that starts, in the graph around it; -1 if it is none."""
    frame = current.get()
    if frame is None or frame.place:
        return GRAPH_LEVEL
    if frame.node == GRAPH_LEVEL:
        return frame.parent.node if frame.is_node and frame.parent is not None else GRAPH_LEVEL
    return frame.node


def _sources() -> tuple[frozenset[int], ...] | None:
    """Return, for a graph that starts, the nodes that let each of its nodes run; passthroughs, which are no spans, are
    looked through.
    """
    frame = current.get()
    if frame is None or frame.node != GRAPH_LEVEL or not isinstance(frame.graph, Plan):
        return None
    plan = frame.graph
    unseen = {index for index, stage in enumerate(plan.stages) if stage.spec.body is None}
    return tuple(_through(plan, unseen, index) for index in range(len(plan.keys)))


def _through(plan: Plan, unseen: set[int], target: int) -> frozenset[int]:
    found: set[int] = set()
    looked: set[int] = set()
    left = list(plan.control_before[target])
    while left:
        source = left.pop()
        if source in unseen and source not in looked:
            looked.add(source)
            left += plan.control_before[source]
        elif source >= 0 and source not in unseen:
            found.add(source)
    return frozenset(found)


def file_of(request: Any) -> Path:
    """Return the file of a pytest test's trace; the event loop that the test runs on makes no difference."""
    callspec = getattr(request.node, "callspec", None)
    params = {} if callspec is None else callspec.params
    others = [str(value) for name, value in params.items() if name != "anyio_backend"]
    name = re.sub(r"[^\w.-]+", "_", "_".join([request.node.originalname, *others]))
    path = Path(str(request.path))
    return path.parent / "traces" / path.stem / f"{name}.txt"


def _same(value: Any) -> Any:
    return value


def _joined(pieces: list[Any]) -> Any:
    """Return what the pieces join to; the pieces themselves where there is no rule for them."""
    try:
        return concat(pieces) if pieces else None
    except Exception:
        return pieces


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
