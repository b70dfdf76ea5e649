"""Results of tool calls piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino.components import tool
from eino.compose.tools_node import ToolInput, ToolsNode
from eino.errors import ToolError
from eino.schema import (
    ImagePart,
    Message,
    ToolInfo,
    ToolResult,
    assistant_message,
    concat,
    pipe,
    tool_call,
    tool_result,
)
from eino.schema.parts import ImageMedia, TextPart
from eino_fixtures import ByChar, fake_tool


def calls(*names: str) -> Message:
    """An assistant's message that calls tools, with the ids `c0`, `c1`, ..."""
    return assistant_message("", [tool_call(name, {}, id=f"c{number}") for number, name in enumerate(names)])


class Pieces:
    """A tool that streams what it is made with; an exception is raised, an event is awaited."""

    def __init__(self, name: str, *pieces: object) -> None:
        self.info = ToolInfo(name=name)
        self._pieces = pieces
        self.closed = 0

    async def run(self, arguments: str) -> str | ToolResult:
        raise AssertionError("a tool that can stream streams in a stream run")

    async def stream(self, arguments: str) -> AsyncIterator[Any]:
        try:
            for piece in self._pieces:
                if isinstance(piece, BaseException):
                    raise piece
                if isinstance(piece, anyio.Event):
                    await piece.wait()
                else:
                    yield piece
        finally:
            self.closed += 1


async def rows_of(node: ToolsNode, message: Message) -> list[list[Message | None]]:
    return [row async for row in node.stream(message)]


def texts(rows: list[list[Message | None]]) -> list[list[str | None]]:
    return [[cell if cell is None else cell.content for cell in row] for row in rows]


async def test_each_row_has_one_cell_and_the_columns_join_to_what_invoke_returns() -> None:
    node = ToolsNode([fake_tool("spell", returns="abc", chunks=ByChar()), fake_tool("whole", returns="xyz")])
    message = calls("spell", "whole")

    rows = await rows_of(node, message)

    assert sorted(map(str, texts(rows))) == ["['a', None]", "['b', None]", "['c', None]", "[None, 'xyz']"]
    assert concat(rows) == await node.invoke(message)
    assert {(cell.tool_call_id, cell.tool_name, cell.role) for row in rows for cell in row if cell is not None} == {
        ("c0", "spell", "tool"),
        ("c1", "whole", "tool"),
    }


async def test_a_single_call_streams() -> None:
    node = ToolsNode([fake_tool("spell", returns="abc", chunks=ByChar())])

    assert texts(await rows_of(node, calls("spell"))) == [["a"], ["b"], ["c"]]


async def test_in_sequence_the_streams_come_one_behind_the_other() -> None:
    node = ToolsNode(
        [fake_tool("spell", returns="ab", chunks=ByChar()), fake_tool("whole", returns="x")], sequential=True
    )

    assert texts(await rows_of(node, calls("spell", "whole", "spell"))) == [
        ["a", None, None],
        ["b", None, None],
        [None, "x", None],
        [None, None, "a"],
        [None, None, "b"],
    ]


async def test_pieces_come_when_they_are_there_whatever_the_other_calls_do() -> None:
    go_on = anyio.Event()
    node = ToolsNode([Pieces("slow", go_on, "late"), Pieces("fast", "a", "b")])
    got: list[list[str | None]] = []

    async for row in node.stream(calls("slow", "fast")):
        got += texts([row])
        if len(got) == 2:
            go_on.set()

    assert got == [[None, "a"], [None, "b"], ["late", None]]


@pytest.mark.parametrize("names", [("none",), ("none", "none")], ids=["alone", "beside another"])
async def test_a_stream_without_pieces_is_an_empty_text(names: tuple[str, ...]) -> None:
    node = ToolsNode([fake_tool("none", returns="", chunks=ByChar()), Pieces("nothing")])

    rows = await rows_of(node, calls(*names, "nothing"))

    assert [cell.content for cell in concat(rows) if cell is not None] == [""] * (len(names) + 1)


@pytest.mark.parametrize("names", [("bad",), ("bad", "fine")], ids=["alone", "beside another"])
async def test_an_error_comes_behind_the_pieces_of_all_calls(names: tuple[str, ...]) -> None:
    go_on = anyio.Event()
    node = ToolsNode([Pieces("bad", "a", ValueError("broken")), Pieces("fine", go_on, "x", "y")])
    rows = []

    with pytest.raises(ToolError, match=r"^failed to stream tool call c0: ValueError: broken$"):
        async for row in node.stream(calls(*names)):
            rows.append(row)
            go_on.set()

    expected = [["a", None], [None, "x"], [None, "y"]]
    assert texts(rows) == (expected if len(names) == 2 else [["a"]])


async def test_of_several_errors_the_first_in_the_order_of_the_calls_is_raised() -> None:
    second_failed = anyio.Event()

    class Second(Pieces):
        async def stream(self, arguments: str) -> AsyncIterator[Any]:
            second_failed.set()
            raise ValueError("second")
            yield ""

    node = ToolsNode([Pieces("one", second_failed, ValueError("first")), Second("two")])

    with pytest.raises(ToolError) as caught:
        await rows_of(node, calls("one", "two"))

    assert str(caught.value) == "failed to stream tool call c0: ValueError: first"
    assert caught.value.__notes__ == [
        "another tool call of the same message failed as well: failed to stream tool call c1: ValueError: second"
    ]


async def test_a_stream_that_breaks_off_goes_on_with_the_answer() -> None:
    def sorry(call: ToolInput, error: Exception) -> str:
        return f" [{error}]"

    node = ToolsNode([Pieces("bad", "half", ValueError("broken")), Pieces("worse", ValueError("dead"))], on_error=sorry)

    assert texts(await rows_of(node, calls("bad"))) == [["half"], [" [broken]"]]
    assert texts(await rows_of(node, calls("worse"))) == [[" [dead]"]]
    first, second = concat(await rows_of(node, calls("bad", "worse")))
    assert (first, second) == (
        Message(role="tool", content="half [broken]", tool_call_id="c0", tool_name="bad"),
        Message(role="tool", content=" [dead]", tool_call_id="c1", tool_name="worse"),
    )


async def test_an_answer_in_parts_behind_a_text_is_an_error_of_the_call() -> None:
    node = ToolsNode([Pieces("bad", "half", ValueError("broken"))], on_error=lambda call, error: tool_result("sorry"))

    with pytest.raises(ToolError, match="failed to stream tool call c0: tool 'bad' streams a ToolResult behind a text"):
        await rows_of(node, calls("bad"))


PICTURE = ImagePart(image=ImageMedia(url="https://example.org/map.png"))


async def test_pieces_may_be_parts_and_texts_behind_parts_become_parts() -> None:
    @tool
    async def draw() -> AsyncIterator[Any]:
        """Draw."""
        yield tool_result("a ")
        yield "map: "
        yield tool_result(PICTURE)

    node = ToolsNode([draw])

    rows = await rows_of(node, calls("draw"))

    assert [len(row[0].user_parts) for row in rows if row[0] is not None] == [1, 1, 1]
    assert concat(rows) == await node.invoke(calls("draw"))
    [message] = await node.invoke(calls("draw"))
    assert message.user_parts == (TextPart("a map: "), PICTURE)


async def test_parts_behind_a_text_are_refused_because_models_would_not_read_the_text() -> None:
    node = ToolsNode([Pieces("draw", "a map: ", tool_result(PICTURE))])

    with pytest.raises(ToolError, match=r"tool 'draw' streams a ToolResult behind a text.*tool_result\(text\)"):
        await rows_of(node, calls("draw"))


async def test_a_piece_that_is_no_result_is_refused() -> None:
    with pytest.raises(ToolError, match=r"the result of tool 'odd' is 1, a int: tools and middlewares return"):
        await rows_of(ToolsNode([Pieces("odd", 1)]), calls("odd"))


async def test_a_tool_may_give_a_reader_or_another_iterable() -> None:
    class Reader(Pieces):
        async def stream(self, arguments: str) -> Any:  # type: ignore[override]  # awaited, as many write it
            reader, writer = pipe(2)
            await writer.send("a")
            await writer.send("b")
            writer.close()
            return reader

    class Iterable:
        def __aiter__(self) -> AsyncIterator[str]:
            return self._items()

        async def _items(self) -> AsyncIterator[str]:
            yield "x"

    class Other(Pieces):
        def stream(self, arguments: str) -> Any:
            return Iterable()

    node = ToolsNode([Reader("reader"), Other("other")], sequential=True)

    assert texts(await rows_of(node, calls("reader", "other"))) == [["a", None], ["b", None], [None, "x"]]


PIECE = st.text(max_size=3) | st.text(max_size=3).map(tool_result)


@given(st.lists(st.lists(PIECE, max_size=4), min_size=1, max_size=4), st.booleans())
def test_the_columns_join_to_what_invoke_returns(results: list[list[Any]], sequential: bool) -> None:
    """Law: a stream run and a value run of the same tools come to the same, however the results are cut."""
    for pieces in results:
        if any(isinstance(piece, ToolResult) for piece in pieces) and isinstance(pieces[0], str):
            pieces[0] = tool_result(pieces[0])

    def streaming(number: int, pieces: list[Any]) -> Any:
        @tool(name=f"t{number}")
        async def stream() -> AsyncIterator[Any]:
            """Stream."""
            for piece in pieces:
                yield piece

        return stream

    node = ToolsNode([streaming(*each) for each in enumerate(results)], sequential=sequential)
    message = calls(*[f"t{number}" for number in range(len(results))])

    async def both() -> tuple[Any, Any]:
        return concat(await rows_of(node, message)), await node.invoke(message)

    streamed, whole = anyio.run(both)

    assert [plain(message) for message in streamed] == [plain(message) for message in whole]


def plain(message: Message) -> tuple[str, str]:
    """The text of a message; where nothing was said, a message and a result without parts look the same."""
    return message.content, "".join(part.text for part in message.user_parts if isinstance(part, TextPart))
