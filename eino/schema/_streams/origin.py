"""Where a stream was opened, noted cheaply and read only when somebody forgot to close it."""

from __future__ import annotations

import sys
import warnings
from itertools import islice
from types import CodeType, FrameType

__all__ = ["Origin", "opened_here", "warn_unclosed"]

Origin = tuple[CodeType, int]
"""A code object and the offset of an instruction: the line is looked up when it is needed."""

_STREAMS = "eino.schema."
_BETWEEN = ("eino.", "asyncio.", "trio.", "anyio.", "contextlib", "outcome")
"""Modules that stand between the user's code and a stream."""
_LOOPS = ("asyncio.base_events", "asyncio.events", "asyncio.runners", "trio._core", "anyio._backends", "outcome")
"""Modules that run tasks: behind them stands who started the loop, not who opened a stream."""
_INSTRUCTION_BYTES = 2


def opened_here() -> Origin:
    """Return the place of the nearest caller outside the framework; if all are inside, outside the streams."""
    frame: FrameType | None = sys._getframe(2)
    found = frame
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_BETWEEN):
            return frame.f_code, frame.f_lasti
        if module.startswith(_LOOPS):
            break
        if found is not None and found.f_globals.get("__name__", "").startswith(_STREAMS):
            found = frame
        frame = frame.f_back
    assert found is not None  # noqa: S101 - a call has a caller
    return found.f_code, found.f_lasti


def warn_unclosed(origin: Origin) -> None:
    """Emit a `ResourceWarning` that names the file and the line where the stream was opened."""
    code, offset = origin
    position = next(islice(code.co_positions(), offset // _INSTRUCTION_BYTES, None), (None,))
    line = position[0] or code.co_firstlineno
    warnings.warn_explicit(
        f"a stream that was opened at {code.co_filename}:{line} was dropped before its end and never closed; "
        "use `async with reader:`, `await reader.aclose()`, or read it to its end",
        ResourceWarning,
        code.co_filename,
        line,
    )
