"""A trace as text and as a diagram: always the same for the same run, whatever ran first of what ran at once. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

__all__ = ["Span", "digest", "in_order", "lines_of", "mermaid_of"]


@dataclass(eq=False)
class Span:
    """One invocation: of a graph, a node or a tool."""

    name: str
    component: str
    began: int
    """Number of the start among all starts and ends of the trace."""
    start_s: float
    node: int = -1
    """Index of the node in the graph that it ran in; -1 if it was none."""
    sources: tuple[frozenset[int], ...] | None = None
    """For a graph: for each of its nodes, those that let it run."""
    ended: int | None = None
    """Number of the end among all starts and ends; None if it has not ended."""
    end_s: float | None = None
    input: str = ""
    output: str = ""
    chunks: int | None = None
    """How many pieces the output had; None if it did not stream."""
    error: str = ""
    children: list[Span] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What spans that ran at once are sorted by."""
        return (self.name, self.input, self.output, self.error)


def digest(value: Any) -> str:
    """Return eight hexadecimal digits that stand for `value`; equal values have equal ones, in every process."""
    try:
        data = msgspec.json.encode(value, enc_hook=_plain, order="deterministic")
    except (ValueError, TypeError, OverflowError, RecursionError):  # no valid Unicode, a huge number, a loop
        data = repr(value).encode(errors="backslashreplace")
    return hashlib.sha256(data).hexdigest()[:8]


def _plain(value: Any) -> Any:
    """Return what stands for a value that JSON has no form for."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, (set, frozenset)):
        return sorted(map(digest, value))
    if isinstance(value, BaseException):
        return [type(value).__qualname__, str(value)]
    return f"<{type(value).__qualname__}>"


def in_order(parent: Span | None, spans: Sequence[Span]) -> list[tuple[Span, list[Span]]]:
    """Return spans in an order that is the same for every schedule, each with those that it ran behind.

    In a graph one span is behind another if an edge leads there and it began later; the calls of a tools node are all
    beside each other. Anywhere else a span is behind those that had ended when it began.
    """
    behind = {span: _behind(parent, span, spans) for span in spans}
    waiting = {span: len(before) for span, before in behind.items()}
    ready = [(span.key, span.began, span) for span, count in waiting.items() if count == 0]
    heapify(ready)
    ordered: list[tuple[Span, list[Span]]] = []
    while ready:
        *_, span = heappop(ready)
        ordered.append((span, behind[span]))
        for later, before in behind.items():
            if span in before:
                waiting[later] -= 1
                if waiting[later] == 0:
                    heappush(ready, (later.key, later.began, later))
    return ordered


def _behind(parent: Span | None, span: Span, spans: Sequence[Span]) -> list[Span]:
    ended = [each for each in spans if each.ended is not None and each.ended < span.began]
    if parent is None or parent.sources is None:
        if parent is not None and parent.component == "ToolsNode":
            return []
        return [max(ended, key=lambda each: each.began)] if ended else []
    sources = parent.sources[span.node]
    last: dict[int, Span] = {}
    for each in ended:
        if each.node in sources and (each.node not in last or last[each.node].began < each.began):
            last[each.node] = each
    return list(last.values())


def lines_of(parent: Span | None, spans: Sequence[Span], *, times: bool, depth: int = 0) -> list[str]:
    """Return one line for each span, children indented below."""
    lines: list[str] = []
    for span, _ in in_order(parent, spans):
        lines.append("  " * depth + _line(span, times=times))
        lines += lines_of(span, span.children, times=times, depth=depth + 1)
    return lines


def _line(span: Span, *, times: bool) -> str:
    parts = [f"{span.component} {span.name}".rstrip()]
    if span.input:
        parts.append(f"in={span.input}")
    if span.output:
        parts.append(f"out={span.output}")
    if span.chunks is not None:
        parts.append(f"chunks={span.chunks}")
    if span.error:
        parts.append(span.error)
    elif span.ended is None:
        parts.append("did not end")
    if times and span.end_s is not None:
        parts.append(f"{span.start_s:g}s..{span.end_s:g}s")
    return " ".join(parts)


def mermaid_of(spans: Sequence[Span]) -> str:
    """Return a Mermaid flowchart of who ran behind whom, nested runs as subgraphs."""
    numbers: dict[Span, int] = {}
    lines = ["flowchart TD", *_drawn(None, spans, numbers, 1)]
    return "\n".join(lines)


def _drawn(parent: Span | None, spans: Sequence[Span], numbers: dict[Span, int], depth: int) -> list[str]:
    indent = "    " * depth
    lines: list[str] = []
    for span, before in in_order(parent, spans):
        numbers[span] = len(numbers) + 1
        label = f"{span.component} {span.name}".rstrip() + (f"<br/>{span.error}" if span.error else "")
        box = f's{numbers[span]}["{label.replace(chr(34), "#quot;")}"]'
        if span.children:
            lines += [f"{indent}subgraph {box}", *_drawn(span, span.children, numbers, depth + 1), f"{indent}end"]
        else:
            lines.append(f"{indent}{box}")
        lines += [f"{indent}s{numbers[each]} --> s{numbers[span]}" for each in before]
    return lines
