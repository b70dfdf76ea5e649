"""Tools that answer with a text when they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eino.components import StreamingTool, Tool, tool, tool_error_handler
from eino.errors import ControlSignal, RunCancelledError, ToolError
from eino.schema import ToolInfo, ToolResult, tool_result


@tool
async def fail(kind: str) -> str:
    """Fail."""
    raise ERRORS[kind]


@tool
async def stream(kind: str, pieces: int) -> AsyncIterator[str]:
    """Stream, then fail."""
    for number in range(pieces):
        yield str(number)
    if kind:
        raise ERRORS[kind]


class Interrupt(ControlSignal):
    """An interrupt as the outermost graph raises it."""


class Signal(BaseException):
    """An interrupt or a cancellation on its way."""


ERRORS: dict[str, BaseException] = {
    "value": ValueError("broken"),
    "interrupt": Interrupt("ask"),
    "cancelled": RunCancelledError("stopped"),
    "signal": Signal(),
}


def answer(error: Exception) -> str:
    return f"sorry: {error}"


async def test_an_error_becomes_the_answer() -> None:
    handled = tool_error_handler(fail, answer)

    assert await handled.run('{"kind": "value"}') == "sorry: tool 'fail' failed: broken"
    assert (await handled.run("{}")) == (
        "sorry: tool 'fail': the arguments do not fit; correct them and call the tool again:\n"
        '- kind: missing; expected {"type": "string"}'
    )
    assert handled.info is fail.info
    assert isinstance(handled, Tool)
    assert not isinstance(handled, StreamingTool)
    assert repr(handled) == "tool_error_handler(FunctionTool('fail'))"


async def test_the_answer_may_have_parts() -> None:
    handled = tool_error_handler(fail, lambda error: tool_result(str(type(error).__name__)))

    assert await handled.run('{"kind": "value"}') == tool_result("ToolError")


@pytest.mark.parametrize("kind", ["interrupt", "cancelled", "signal"])
async def test_interrupts_and_cancellation_pass(kind: str) -> None:
    """`FunctionTool` wraps what its function raises; a tool that runs a graph raises these as they are."""

    class Raising:
        info = ToolInfo(name="raising")

        async def run(self, arguments: str) -> str | ToolResult:
            raise ERRORS[kind]

        async def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
            raise ERRORS[kind]
            yield ""

    handled = tool_error_handler(Raising(), answer)
    assert isinstance(handled, StreamingTool)

    with pytest.raises(type(ERRORS[kind])):
        await handled.run("{}")
    with pytest.raises(type(ERRORS[kind])):
        await anext(handled.stream("{}"))


async def test_control_signals_pass_a_tool_made_of_a_function() -> None:
    with pytest.raises(Interrupt):
        await fail.run('{"kind": "interrupt"}')
    with pytest.raises(Interrupt):
        await stream.run('{"kind": "interrupt", "pieces": 1}')


async def test_a_stream_answers_an_error_before_the_first_piece_only() -> None:
    handled = tool_error_handler(stream, answer)
    assert isinstance(handled, StreamingTool)
    pieces: list[object] = []

    assert [piece async for piece in handled.stream('{"kind": "", "pieces": 2}')] == ["0", "1"]
    assert [piece async for piece in handled.stream('{"kind": "value", "pieces": 0}')] == [
        "sorry: tool 'stream' failed: broken"
    ]
    with pytest.raises(ToolError, match="broken"):
        async for piece in handled.stream('{"kind": "value", "pieces": 1}'):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    assert pieces == ["0"]
    assert await handled.run('{"kind": "value", "pieces": 1}') == "sorry: tool 'stream' failed: broken"


async def test_a_stream_that_cannot_be_closed_is_fine() -> None:
    class Once:
        info = ToolInfo(name="once")

        def __init__(self) -> None:
            self._left = ["a"]

        async def run(self, arguments: str) -> str | ToolResult:
            return "a"

        def stream(self, arguments: str) -> AsyncIterator[str | ToolResult]:
            return self

        def __aiter__(self) -> AsyncIterator[str | ToolResult]:
            return self

        async def __anext__(self) -> str | ToolResult:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    handled = tool_error_handler(Once(), answer)
    assert isinstance(handled, StreamingTool)

    assert [piece async for piece in handled.stream("{}")] == ["a"]


async def test_a_stream_that_ends_early_closes_the_tools() -> None:
    closed = []

    @tool
    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "a"
        finally:
            closed.append(True)

    handled = tool_error_handler(endless, answer)
    assert isinstance(handled, StreamingTool)
    pieces = handled.stream("{}")

    assert await anext(pieces) == "a"
    await pieces.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True]
