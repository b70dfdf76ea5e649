"""Broken JSON of a model is repaired before the tool sees it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino import ToolsNode, assistant_message, tool, tool_call
from eino.errors import ToolError
from eino.ext.tools.repair import MAX_CHARS, repair_arguments, repaired


@tool
def add(left: int, right: int) -> int:
    """Add."""
    return left + right


@pytest.mark.parametrize(
    "text",
    [
        '{"left": 1, "right": 2}',
        "{'left': 1, 'right': 2,}",
        '{"left": 1, "right": 2',
        '```json\n{"left": 1, "right": 2}\n```',
        "{left: 1, right: 2} // done",
    ],
)
async def test_the_tool_gets_what_was_meant(text: str) -> None:
    node = ToolsNode([add], middlewares=[repair_arguments])

    [result] = await node.invoke(assistant_message("", [tool_call("add", text, id="c1")]))
    assert result.content == "3"


async def test_what_cannot_be_repaired_is_told_by_the_tool() -> None:
    node = ToolsNode([add], middlewares=[repair_arguments])

    with pytest.raises(ToolError, match="tool 'add'"):
        await node.invoke(assistant_message("", [tool_call("add", "no idea", id="c1")]))


@pytest.mark.parametrize("text", ["", "  ", "[1, 2]", "hello", "null", "{" * 5000, "{'a': 1" + " " * MAX_CHARS])
def test_what_holds_no_object_stays(text: str) -> None:
    assert repaired(text) is text


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.integers())))
def test_valid_objects_are_left_alone(value: dict[str, object]) -> None:
    text = json.dumps(value)

    assert repaired(text) is text
