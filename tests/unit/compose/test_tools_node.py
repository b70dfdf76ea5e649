"""Running the tool calls of a message: results, order, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from eino.components import tool
from eino.compose import Chain
from eino.compose.tools_node import ToolInput, ToolsNode
from eino.errors import (
    BuildError,
    ControlSignal,
    RateLimitError,
    RunCancelledError,
    RunError,
    ToolArgumentsError,
    ToolError,
)
from eino.schema import (
    ImagePart,
    Message,
    ToolInfo,
    ToolResult,
    assistant_message,
    tool_call,
    tool_result,
    user_message,
)
from eino.schema.parts import ImageMedia, TextPart
from eino_fixtures import fake_tool


@tool
async def add(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right


@tool
def divide(number: int, by: int) -> float:
    """Divide."""
    return number / by


def calls(*given: tuple[str, Any]) -> Message:
    """An assistant's message that calls tools, with the ids `c0`, `c1`, ..."""
    return assistant_message("", [tool_call(name, args, id=f"c{n}") for n, (name, args) in enumerate(given)])


async def test_each_call_gets_a_message_in_the_order_of_the_calls() -> None:
    node = ToolsNode([add, divide])

    results = await node.invoke(calls(("divide", {"number": 9, "by": 2}), ("add", {"left": 1, "right": 2})))

    assert results == [
        Message(role="tool", content="4.5", tool_call_id="c0", tool_name="divide"),
        Message(role="tool", content="3", tool_call_id="c1", tool_name="add"),
    ]


async def test_the_order_is_that_of_the_calls_not_of_the_ends() -> None:
    second_done = anyio.Event()

    async def answer(arguments: dict[str, Any]) -> str:
        if arguments["name"] == "first":
            await second_done.wait()
        else:
            second_done.set()
        return str(arguments["name"])

    node = ToolsNode([fake_tool("ask", returns=answer)])

    results = await node.invoke(calls(("ask", {"name": "first"}), ("ask", {"name": "second"})))

    assert [message.content for message in results] == ["first", "second"]


async def test_in_sequence_a_call_begins_when_the_one_before_has_ended() -> None:
    seen: list[str] = []

    async def answer(arguments: dict[str, Any]) -> str:
        seen.append(f"{arguments['n']} begins")
        await anyio.lowlevel.checkpoint()
        seen.append(f"{arguments['n']} ends")
        return "ok"

    ask = fake_tool("ask", returns=answer)
    message = calls(("ask", {"n": 1}), ("ask", {"n": 2}))

    await ToolsNode([ask], sequential=True).invoke(message)
    assert seen == ["1 begins", "1 ends", "2 begins", "2 ends"]

    seen.clear()
    await ToolsNode([ask]).invoke(message)
    assert sorted(seen[:2]) == ["1 begins", "2 begins"]


async def test_a_result_in_parts_goes_into_the_user_parts() -> None:
    picture = tool_result("a map", ImagePart(image=ImageMedia(url="https://example.org/map.png")))
    node = ToolsNode([fake_tool("draw", returns=picture)])

    [message] = await node.invoke(calls(("draw", {})))

    assert message.content == ""
    assert message.user_parts == picture.to_user_parts()
    assert (message.role, message.tool_call_id, message.tool_name) == ("tool", "c0", "draw")


async def test_calls_without_an_id_are_told_apart_by_their_place() -> None:
    node = ToolsNode([fake_tool("echo", returns=lambda arguments: arguments)])
    message = assistant_message("", [tool_call("echo", {"n": 1}), tool_call("echo", {"n": 2})])

    results = await node.invoke(message)

    assert [each.content for each in results] == ['{"n": 1}', '{"n": 2}']
    assert {each.tool_call_id for each in results} == {""}


TWINS = assistant_message("", [tool_call("add", {}, id="x"), tool_call("divide", {}, id="x")])


@pytest.mark.parametrize(
    ("message", "text"),
    [
        pytest.param(user_message("hi"), "expected message role is Assistant, got user", id="not the assistant's"),
        pytest.param(Message(role="", content=""), "expected message role is Assistant, got none", id="no role"),
        pytest.param(
            assistant_message("the answer"), "no tool call found in input message 'the answer'", id="no calls"
        ),
        pytest.param(None, "expected an assistant's Message with tool calls, got None", id="none"),
        pytest.param([], r"expected an assistant's Message with tool calls, got \[\], a list", id="a list"),
        pytest.param(TWINS, r"tool calls 0 \('add'\) and 1 \('divide'\) have the same id 'x'", id="an id twice"),
        pytest.param(
            calls(("sub", {})), r"tool 'sub' not found in toolsNode indexes; the tools are \['add'", id="unknown"
        ),
    ],
)
async def test_a_message_that_cannot_be_run_is_refused(message: Any, text: str) -> None:
    node = ToolsNode([add, divide])

    with pytest.raises(ToolError, match=text):
        await node.invoke(message)
    with pytest.raises(ToolError, match=text):
        await anext(aiter(node.stream(message)))


async def test_an_unknown_tool_is_found_out_before_any_tool_runs() -> None:
    ask = fake_tool("ask")

    with pytest.raises(ToolError, match="tool 'made_up' not found"):
        await ToolsNode([ask]).invoke(calls(("ask", {}), ("made_up", {})))
    assert ask.calls == []


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_a_function_may_answer_for_unknown_tools(is_async: bool) -> None:
    async def later(name: str, arguments: str) -> str:
        return f"no {name} with {arguments}"

    def at_once(name: str, arguments: str) -> str:
        return f"no {name} with {arguments}"

    node = ToolsNode([add], on_unknown_tool=later if is_async else at_once)

    results = await node.invoke(calls(("made_up", "{1}"), ("add", {"left": 1, "right": 1})))

    assert [(each.content, each.tool_name) for each in results] == [("no made_up with {1}", "made_up"), ("2", "add")]


async def test_all_calls_run_although_one_fails_and_the_first_error_in_order_is_raised() -> None:
    last_failed = anyio.Event()

    async def fail_first(_: object) -> str:
        await last_failed.wait()
        raise ValueError("first")

    async def fail_last(_: object) -> str:
        last_failed.set()
        raise ValueError("last")

    fine = fake_tool("fine")
    tools = [fake_tool("one", returns=fail_first), fine, fake_tool("two", returns=fail_last)]

    with pytest.raises(ToolError) as caught:
        await ToolsNode(tools).invoke(calls(("one", {}), ("fine", {}), ("two", {})))

    assert str(caught.value) == "failed to invoke tool[name:one id:c0]: ValueError: first"
    assert caught.value.__notes__ == [
        "another tool call of the same message failed as well: failed to invoke tool[name:two id:c2]: ValueError: last"
    ]
    assert isinstance(caught.value.__cause__, ValueError)
    assert [run.outcome for run in fine.calls] == ["completed"]


async def test_in_sequence_all_calls_run_although_one_fails() -> None:
    fine = fake_tool("fine")
    node = ToolsNode([divide, fine], sequential=True)

    with pytest.raises(ToolError, match=r"failed to invoke tool\[name:divide id:c0\]: .*division by zero"):
        await node.invoke(calls(("divide", {"number": 1, "by": 0}), ("fine", {})))
    assert len(fine.calls) == 1


async def test_in_a_graph_the_error_has_the_path_of_the_node() -> None:
    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode([divide]), key="tools").compile()

    with pytest.raises(RunError) as caught:
        await chain.invoke(calls(("divide", {"number": 1, "by": 0})))

    assert caught.value.node_path == ("tools",)
    assert str(caught.value).startswith("[NodeRunError] failed to invoke tool[name:divide id:c0]: tool 'divide' failed")
    root = caught.value
    while root.__cause__ is not None:
        root = root.__cause__  # type: ignore[assignment]  # the chain ends at what the function raised
    assert isinstance(root, ZeroDivisionError)


async def test_malformed_arguments_are_an_error_that_says_how_to_repair_them() -> None:
    with pytest.raises(
        ToolError, match=r"tool\[name:add id:c0\]: tool 'add': the arguments are not valid JSON"
    ) as caught:
        await ToolsNode([add]).invoke(calls(("add", '{"left": 1')))
    assert isinstance(caught.value.__cause__, ToolArgumentsError)


async def test_what_a_graph_inside_a_tool_raises_keeps_its_path_and_names_the_call() -> None:
    def fail(text: str) -> str:
        raise ValueError(text)

    inner = Chain[str, str]().append_lambda(fail, key="inner").compile()

    @tool
    async def ask(text: str) -> str:
        """Ask the inner graph."""
        return await inner.invoke(text)

    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode([ask]), key="tools").compile()

    with pytest.raises(RunError) as caught:
        await chain.invoke(calls(("ask", {"text": "boom"})))

    assert caught.value.node_path == ("tools", "inner")
    assert caught.value.message == "failed to invoke tool[name:ask id:c0]: ValueError: boom"
    assert isinstance(caught.value.__cause__, ValueError)

    with pytest.raises(RunError) as caught:
        [row async for row in chain.stream(calls(("ask", {"text": "boom"})))]

    assert caught.value.node_path == ("tools", "inner")
    assert caught.value.message == "failed to stream tool call c0: ValueError: boom"


async def test_an_error_that_is_met_twice_names_the_call_once() -> None:
    error = RunError("shared")
    node = ToolsNode([fake_tool("ask", returns=error)])

    for _ in range(2):
        with pytest.raises(RunError):
            await node.invoke(calls(("ask", {})))
    assert error.message == "failed to invoke tool[name:ask id:c0]: shared"


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        pytest.param(RateLimitError("later"), True, id="a component says so"),
        pytest.param(ConnectionError("reset"), True, id="a broken connection"),
        pytest.param(ValueError("wrong"), False, id="a mistake"),
    ],
)
async def test_an_error_of_a_tool_is_as_retryable_as_its_cause(error: Exception, retryable: bool) -> None:
    @tool
    async def ask() -> str:
        """Ask."""
        raise error

    with pytest.raises(ToolError) as caught:
        await ToolsNode([ask]).invoke(calls(("ask", {})))

    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("errors", "retryable"),
    [
        pytest.param([ToolError("itself")], False, id="its own cause"),
        pytest.param([ToolError("one"), ToolError("two")], False, id="two that cause each other"),
        pytest.param([ToolError("one"), TimeoutError("late")], True, id="two of which one may pass"),
    ],
)
async def test_errors_of_a_tool_that_cause_each_other_are_judged_once(errors: list[Exception], retryable: bool) -> None:
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % len(errors)]

    with pytest.raises(ToolError) as caught:
        await ToolsNode([fake_tool("ask", returns=errors[0])]).invoke(calls(("ask", {})))

    assert caught.value.retryable is retryable
    assert caught.value.__cause__ is errors[0]


async def test_errors_may_be_returned_to_the_model() -> None:
    node = ToolsNode([add, divide], on_error="return_to_model")

    results = await node.invoke(
        calls(("divide", {"number": 1, "by": 0}), ("add", {"left": 1, "right": 2}), ("made_up", {}))
    )

    assert [each.content for each in results] == [
        "Error: tool 'divide' failed: division by zero",
        "3",
        "Error: tool 'made_up' not found in toolsNode indexes; the tools are ['add', 'divide']",
    ]
    assert [each.tool_call_id for each in results] == ["c0", "c1", "c2"]


async def test_the_model_does_not_read_where_in_the_graph_it_failed() -> None:
    node = ToolsNode([fake_tool("ask", returns=RunError("no luck", node_path=("secret",)))], on_error="return_to_model")

    [result] = await node.invoke(calls(("ask", {})))

    assert result.content == "Error: no luck"


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_a_function_may_answer_for_failing_calls(is_async: bool) -> None:
    async def later(call: ToolInput, error: Exception) -> ToolResult:
        return tool_result(f"{call.name}/{call.call_id}: {type(error).__name__}")

    def at_once(call: ToolInput, error: Exception) -> ToolResult:
        return tool_result(f"{call.name}/{call.call_id}: {type(error).__name__}")

    node = ToolsNode([fake_tool("ask", returns=KeyError("x"))], on_error=later if is_async else at_once)

    [result] = await node.invoke(calls(("ask", {})))

    assert result.user_parts == (TextPart("ask/c0: KeyError"),)


async def test_a_function_that_answers_may_decline() -> None:
    def only_value_errors(call: ToolInput, error: Exception) -> str:
        if isinstance(error, ValueError):
            return "repaired"
        raise error

    node = ToolsNode(
        [fake_tool("a", returns=ValueError()), fake_tool("b", returns=KeyError("x"))], on_error=only_value_errors
    )

    [result] = await node.invoke(calls(("a", {})))
    assert result.content == "repaired"
    with pytest.raises(ToolError, match=r"failed to invoke tool\[name:b id:c0\]: KeyError: 'x'"):
        await node.invoke(calls(("b", {})))


class Stop(ControlSignal):
    """An interrupt as the outermost graph raises it."""


class Interrupt(BaseException):
    """An interrupt on its way."""


@pytest.mark.parametrize("signal", [Stop("ask"), RunCancelledError("stopped"), Interrupt("wait")], ids=repr)
@pytest.mark.parametrize("sequential", [False, True], ids=["beside", "in turn"])
async def test_what_steers_the_run_passes_every_policy_when_the_other_calls_have_ended(
    signal: BaseException, sequential: bool
) -> None:
    async def stop(_: object) -> str:
        raise signal

    fine = fake_tool("fine")
    node = ToolsNode([fake_tool("stop", returns=stop), fine], sequential=sequential, on_error="return_to_model")

    with pytest.raises(type(signal)) as caught:
        await node.invoke(calls(("stop", {}), ("fine", {})))
    assert caught.value is signal
    with pytest.raises(type(signal)) as caught:
        [row async for row in node.stream(calls(("stop", {}), ("fine", {})))]
    assert caught.value is signal
    assert [run.outcome for run in fine.calls] == ["completed", "completed"]


async def test_an_answering_function_may_interrupt() -> None:
    def ask_somebody(call: ToolInput, error: Exception) -> str:
        raise Stop(str(error))

    with pytest.raises(Stop, match="no"):
        await ToolsNode([fake_tool("a", returns=ValueError("no"))], on_error=ask_somebody).invoke(calls(("a", {})))


async def test_a_failure_is_raised_before_an_interrupt_of_another_call() -> None:
    async def stop(_: object) -> str:
        raise Interrupt

    node = ToolsNode([fake_tool("stop", returns=stop), fake_tool("bad", returns=ValueError("broken"))])

    with pytest.raises(ToolError, match=r"tool\[name:bad id:c1\]: ValueError: broken$") as caught:
        await node.invoke(calls(("stop", {}), ("bad", {})))
    assert not hasattr(caught.value, "__notes__")


class Odd:
    """A tool with a result that is none."""

    info = ToolInfo(name="odd")

    async def run(self, arguments: str) -> Any:
        return {"a": 1}


class Hasty(Odd):
    """A tool whose `run` is no coroutine function."""

    def run(self, arguments: str) -> Any:
        return "done"


class Stale(Odd):
    """A tool whose `stream` gives no stream."""

    def stream(self, arguments: str) -> Any:
        return "done"


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        pytest.param(
            Odd(), r"the result of tool 'odd' is \{'a': 1\}, a dict: tools and middlewares return", id="result"
        ),
        pytest.param(Hasty(), r"`run` of tool 'odd' returned 'done' at once: make it `async def`", id="plain run"),
    ],
)
async def test_a_tool_that_breaks_the_protocol_is_told_what_to_do(odd: Any, text: str) -> None:
    with pytest.raises(ToolError, match=text):
        await ToolsNode([odd]).invoke(calls(("odd", {})))


async def test_a_stream_that_is_none_is_told_what_to_do() -> None:
    stale: Any = Stale()
    with pytest.raises(ToolError, match=r"`stream` of tool 'odd' gave 'done': make it an async generator"):
        [row async for row in ToolsNode([stale]).stream(calls(("odd", {})))]


@tool(name="add")
def other_add() -> str:
    """Another tool with that name."""
    return ""


async def pieces() -> AsyncIterator[str]:
    yield "no tool"


class Nameless:
    info = ToolInfo()

    async def run(self, arguments: str) -> str:
        return ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(
            {"tools": [add, divide, other_add]},
            r"two tools are named 'add': tool 0, FunctionTool\('add'\), and tool 2, FunctionTool\('add'\); give",
            id="a name twice",
        ),
        pytest.param({"tools": [pieces]}, r"tool 0, <function pieces .*, is no tool: .*@tool", id="a function"),
        pytest.param({"tools": [add.info]}, r"tool 0, ToolInfo\(.*, is no tool: .*`async def run", id="a description"),
        pytest.param({"tools": [Odd]}, r"tool 0, <class .*Odd'>, is no tool", id="a class"),
        pytest.param({"tools": [Nameless()]}, r"tool 0, .* has no name; a model calls tools by name", id="no name"),
        pytest.param({"tools": add}, r"tools=FunctionTool\('add'\): give a list of tools", id="no list"),
        pytest.param({"tools": [], "on_error": "ignore"}, "on_error='ignore': give 'raise', 'return", id="policy"),
        pytest.param({"tools": [], "on_unknown_tool": 1}, "on_unknown_tool=1 must be a function", id="unknown"),
        pytest.param({"tools": [], "map_arguments": "x"}, "map_arguments='x' must be a function", id="arguments"),
    ],
)
def test_a_node_that_cannot_work_is_refused_when_it_is_made(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        ToolsNode(**arguments)


def test_a_node_shows_its_tools() -> None:
    node = ToolsNode([add, divide])

    assert repr(node) == "ToolsNode(['add', 'divide'])"
    assert node.tools == (add, divide)
