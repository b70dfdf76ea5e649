"""The middlewares of chat agents: rows A59, M01, M07 to M14 of `agents-scenarios.md`, and beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import (
    BuildError,
    Message,
    ModelOptions,
    OverloadedError,
    RetryPolicy,
    assistant_message,
    system_message,
    tool,
    tool_call,
    tool_message,
    user_message,
)
from eino.adk import AgentAction, ChatModelAgent, ModelTurn, Runner, message_id
from eino.adk.middlewares import (
    ClearedRound,
    PatchToolCalls,
    ReduceToolResults,
    Summarize,
    SummaryEvent,
    estimate_tokens,
    is_summary,
)
from eino.adk.middlewares.summarization import SummaryError, with_user_messages
from eino.components.failover_model import FailoverContext
from eino.components.model import NO_MODEL_OPTIONS
from eino.compose.tools_node import ToolInput, ToolOutput
from eino.schema import ImageMedia, ImagePart, ResponseMeta, TokenUsage, ToolInfo, tool_result
from eino.schema.stream import StreamReader
from eino_fixtures import FunctionChatModel, ScriptedChatModel, fake_tool


class Files:
    """Files in memory; `broken` ones cannot be written."""

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[str, str] = {}
        self.broken = broken

    async def write(self, path: str, content: str) -> None:
        if self.broken:
            raise OSError("disk full")
        self.kept[path] = content


def turn_of(*messages: Message, tools: Sequence[ToolInfo] = (), model: Any = None) -> ModelTurn:
    return ModelTurn(
        agent_name="a",
        messages=messages,
        tools=tuple(tools),
        model=model or ScriptedChatModel([]),
        iteration=1,
        options=NO_MODEL_OPTIONS,
    )


def calls(*pairs: tuple[str, str]) -> Message:
    return assistant_message("", [tool_call(name, {}, id=call_id) for call_id, name in pairs])


def answer(call_id: str, text: str = "x" * 400, name: str = "t") -> Message:
    return tool_message(text, call_id, tool_name=name)


TWO = calls(("call_1", "tool_a"), ("call_2", "tool_b"))
DEFAULT = "Tool call tool_b with id call_2 was canceled - another message came in before it could be completed."


# Missing answers


@pytest.mark.parametrize(
    ("messages", "length", "at", "call_id"),
    [
        pytest.param([user_message("u"), TWO, answer("call_1")], 4, 2, "call_2", id="one of two"),
        pytest.param([user_message("u"), calls(("call_1", "a")), assistant_message("x")], 4, 2, "call_1", id="answer"),
        pytest.param([user_message("u"), calls(("call_1", "a")), user_message("x")], 4, 2, "call_1", id="user"),
    ],
)
async def test_m01_missing_answers_are_put_in(messages: list[Message], length: int, at: int, call_id: str) -> None:
    """M01: right behind the assistant's message, in front of the answers that there are."""
    patched = (await PatchToolCalls().before_model(turn_of(*messages))).messages
    assert len(patched) == length
    assert (patched[at].role, patched[at].tool_call_id) == ("tool", call_id)
    assert message_id(patched[at])
    if call_id == "call_2":
        assert patched[at].content == DEFAULT
        assert patched[at].tool_name == "tool_b"


async def test_m01_the_text_can_be_set_and_whole_conversations_stay() -> None:
    """The same turn comes back where nothing is missing."""
    own = PatchToolCalls(lambda call: f"123 {call.name} {call.id}")
    patched = (await own.before_model(turn_of(user_message("u"), TWO, answer("call_1")))).messages
    assert patched[2].content == "123 tool_b call_2"
    whole = turn_of(user_message("u"), TWO, answer("call_2"), answer("call_1"))
    assert await own.before_model(whole) is whole
    late: Any = turn_of(TWO, answer("call_1"), user_message("u"), answer("call_2"))
    assert len((await own.before_model(late)).messages) == 5  # only answers directly behind the calls count
    not_a_function: Any = "text"
    with pytest.raises(BuildError, match="function of the tool call"):
        PatchToolCalls(not_a_function)


async def test_patching_in_an_agent() -> None:
    """A conversation that broke off goes on."""
    model = ScriptedChatModel(["fine"])
    agent = ChatModelAgent(name="a", model=model, middlewares=[PatchToolCalls()])
    async with Runner(agent).run([user_message("u"), TWO, user_message("never mind")]) as events:
        assert (await events.answer()).content == "fine"
    assert [each.role for each in model.calls[0].messages] == ["user", "assistant", "tool", "tool", "user"]


# Big results


async def wrapped(reduce: ReduceToolResults, result: Any, *, name: str = "t", call_id: str = "12345") -> ToolOutput:
    async def inner(call: ToolInput) -> ToolOutput:
        return StreamReader.from_async(result) if hasattr(result, "__aiter__") else result

    call = ToolInput(
        name=name, arguments="{}", streaming=True, tool=fake_tool(name), tool_call=tool_call(name, {}, id=call_id)
    )
    return await reduce.wrap_tool(call, inner)


async def test_m07_a_big_result_is_cut() -> None:
    """M07: both ends stay, the whole of it is in a file."""
    text = "".join(chr(97 + n % 26) for n in range(199))
    files = Files()
    cut = await wrapped(ReduceToolResults(files, max_length=70), text)
    assert cut == (
        "<persisted-output>\n"
        "Output too large (199). Full output saved to: /tmp/trunc/12345\n"
        f"Preview (first 35):\n{text[:35]}\n\n"
        f"Preview (last 35):\n{text[-35:]}\n\n"
        "Use read_file to view\n"
        "</persisted-output>"
    )
    assert files.kept == {"/tmp/trunc/12345": text}
    other = await wrapped(ReduceToolResults(files, max_length=70, read_tool="cat", root="/var/x/"), text)
    assert "Use cat to view" in str(other)
    assert "/var/x/trunc/12345" in files.kept


async def test_what_is_not_cut() -> None:
    """Short results, exactly the limit, named tools, results in parts, and all without files and limit."""
    reduce = ReduceToolResults(Files(), max_length=5, keep_whole=["whole"])
    assert await wrapped(reduce, "12345") == "12345"
    assert await wrapped(reduce, "123456", name="whole") == "123456"
    parts = tool_result("a long text")
    assert await wrapped(reduce, parts) is parts
    assert await wrapped(ReduceToolResults(), "x" * 100_000) == "x" * 100_000
    assert "Failed to save" in str(await wrapped(ReduceToolResults(max_length=3), "1234"))
    assert "disk full" in str(await wrapped(ReduceToolResults(Files(broken=True), max_length=3), "1234"))


async def test_names_of_files_lead_nowhere_else() -> None:
    """Ids come from models."""
    files = Files()
    await wrapped(ReduceToolResults(files, max_length=1), "abc", call_id="../../etc/passwd")
    await wrapped(ReduceToolResults(files, max_length=1), "abc", call_id="")
    assert list(files.kept) == ["/tmp/trunc/_.._etc_passwd", "/tmp/trunc/unnamed"]


async def chunks(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


async def read(result: ToolOutput) -> tuple[list[Any], str]:
    """Return the pieces of a stream, and its error."""
    found: list[Any] = []
    assert isinstance(result, StreamReader)
    async with result:
        try:
            async for piece in result:
                found.append(piece)  # noqa: PERF401 - what came before an error counts
        except ValueError as error:
            return found, str(error)
    return found, ""


async def test_m08_streams_are_cut_while_they_come() -> None:
    """M08: up to the limit they pass; an error behind it gives back what was held."""

    async def through(files: Files | None, *items: Any) -> tuple[list[Any], str]:
        return await read(await wrapped(ReduceToolResults(files, max_length=10), chunks(*items)))

    big = "x" * 20
    assert await through(Files(), "short") == (["short"], "")
    assert await through(Files(), "ok", ValueError("broken")) == (["ok"], "broken")
    assert await through(Files(), "12345", "67890") == (["12345", "67890"], "")

    files = Files()
    (only,), error = await through(files, big, "tail")
    assert error == ""
    assert only == (
        "x" * 10 + "\nOutput truncated after 10 characters were streamed. Full output saved to: /tmp/trunc/12345"
    )
    assert files.kept == {"/tmp/trunc/12345": big + "tail"}

    for broken in (None, Files(broken=True)):
        (only,), error = await through(broken, big)
        assert "Failed to save full output: " in only
        assert error == ""

    held = await through(Files(), "abc", "defghijklmnop", "tail", ValueError("late"))
    assert held == (["abc", "defghijklmnoptail"], "late")
    parts = tool_result("text")
    assert await through(Files(), parts, "ab") == ([parts, "ab"], "")


@pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])
async def test_an_agent_sees_and_tells_the_cut_result(streaming: bool) -> None:
    """In the event and in the conversation."""

    @tool
    async def spell(count: int) -> AsyncIterator[str]:
        """Spell."""
        for _ in range(count):
            yield "abcde"

    model = ScriptedChatModel([[tool_call("spell", {"count": 10}, id="1")], "ok"])
    files = Files()
    agent = ChatModelAgent(name="a", model=model, tools=[spell], middlewares=[ReduceToolResults(files, max_length=12)])
    async with Runner(agent, streaming=streaming).query("hi") as events:
        told = [await event.message.get() async for event in events if event.message is not None]
    assert "/tmp/trunc/1" in told[1].content
    assert model.calls[1].messages[-1].content == told[1].content
    assert files.kept["/tmp/trunc/1"] == "abcde" * 10


# Old results


def rounds(count: int) -> list[Message]:
    found: list[Message] = [system_message("s"), user_message("u")]
    for n in range(count):
        found += [calls((f"c{n}", "t")), answer(f"c{n}")]
    return found


async def test_a59_old_results_are_cleared() -> None:
    """A59, "default clear": all but the last round; once, and only when the conversation is too long."""
    files = Files()
    reduce = ReduceToolResults(files, clear_above_tokens=50)
    turn = turn_of(*rounds(3))
    cleared = (await reduce.before_model(turn)).messages

    assert [len(each.content) > 300 for each in cleared if each.role == "tool"] == [False, False, True]
    assert "Full output saved to: /tmp/clear/c0" in cleared[3].content
    assert files.kept == {"/tmp/clear/c0": "x" * 400, "/tmp/clear/c1": "x" * 400}
    assert [each.role for each in cleared] == [each.role for each in turn.messages]

    again = turn_of(*cleared)
    assert await reduce.before_model(again) is again
    short = turn_of(*rounds(3))
    assert await ReduceToolResults(files, clear_above_tokens=100_000).before_model(short) is short
    assert await ReduceToolResults(files, clear_above_tokens=None).before_model(short) is short
    assert [m.content for m in await ReduceToolResults(clear_above_tokens=1).cleared(tuple(rounds(2)))][3] == (
        "[Old tool result content cleared]"
    )


async def test_what_is_never_cleared_and_how_many_rounds_stay() -> None:
    """Named tools; the last rounds, also none of them."""
    messages = (*rounds(2), calls(("k", "keep")), answer("k", name="keep"))
    kept = await ReduceToolResults(clear_above_tokens=1, keep_rounds=0, never_clear=["keep"]).cleared(messages)
    assert [len(each.content) > 300 for each in kept if each.role == "tool"] == [False, False, True]
    assert await ReduceToolResults(clear_above_tokens=1, keep_rounds=3).cleared(messages) is messages


@pytest.mark.parametrize(("at_least", "files_written"), [(1_000, 0), (10, 2)], ids=["too little", "enough"])
async def test_m10_all_or_nothing(at_least: int, files_written: int) -> None:
    """M10: if too little is won nothing changes and no file is written."""
    files = Files()
    turn = turn_of(*rounds(3))
    cleared = await ReduceToolResults(files, clear_above_tokens=50, clear_at_least_tokens=at_least).before_model(turn)
    assert len(files.kept) == files_written
    assert (cleared is turn) == (files_written == 0)


async def test_m11_rounds_may_be_rewritten() -> None:
    """M11: into a reminder, into nothing, or into a reminder and what is left of the round; the last round stays."""
    history = (system_message("s"), user_message("u"), TWO, answer("call_1"), answer("call_2"), *rounds(1)[2:])
    reminder = user_message("reminder")
    seen: list[ClearedRound] = []

    async def clear(rewrite: Any) -> tuple[Message, ...]:
        reduce = ReduceToolResults(
            clear_above_tokens=1_000, count_tokens=lambda messages, tools: 1_000, rewrite=rewrite
        )
        return await reduce.cleared(history)

    async def to_reminder(each: ClearedRound) -> list[Message]:
        seen.append(each)
        return [reminder]

    one = await clear(to_reminder)
    assert [each.role for each in one] == ["system", "user", "user", "assistant", "tool"]
    assert seen == [ClearedRound(TWO, (answer("call_1"), answer("call_2")))]
    assert len(await clear(lambda each: [])) == 4

    rest = await clear(lambda each: [reminder, calls(("call_2", "tool_b")), answer("call_2")])
    assert [each.role for each in rest] == ["system", "user", "user", "assistant", "tool", "assistant", "tool"]
    reduce = ReduceToolResults(clear_above_tokens=1_000, count_tokens=lambda messages, tools: 1_000)
    assert await reduce.cleared(rest) is rest  # what was rewritten is not touched again


async def test_what_models_reported_is_forgotten_with_the_results() -> None:
    """It is the length of before."""
    meta = ResponseMeta(usage=TokenUsage(total_tokens=200_000))
    messages = (*rounds(1), calls(("z", "t")).replace(response_meta=meta), answer("z", "ok"))
    cleared = await ReduceToolResults().cleared(messages)
    assert cleared is not messages
    assert estimate_tokens(cleared) < 200


@pytest.mark.parametrize(
    "settings",
    [{"max_length": 0}, {"keep_rounds": -1}, {"clear_at_least_tokens": -1}, {"clear_above_tokens": 0}],
    ids=str,
)
def test_limits_of_reduction_are_checked(settings: dict[str, Any]) -> None:
    """Where it is built, with the value."""
    with pytest.raises(BuildError, match=str(next(iter(settings.values())))):
        ReduceToolResults(**settings)


# Summaries

LONG = (system_message("system prompt"), user_message("a" * 100), assistant_message("b" * 100))
NOW = RetryPolicy(max_attempts=4, base_s=0.0, retry_on=lambda _: True)


def test_m14_counting_and_the_users_own_words() -> None:
    """M14: reported tokens and an estimate of what came later; the block is filled, summaries are left out."""
    reported = assistant_message("x").replace(response_meta=ResponseMeta(usage=TokenUsage(total_tokens=100)))
    later = user_message("later context")
    assert estimate_tokens([user_message("q" * 999), reported, later]) == 100 + estimate_tokens([later]) == 104
    image = user_message(["see", ImagePart(image=ImageMedia(url="https://x/y.png"))])
    assert estimate_tokens([image]) == 2_001
    info = ToolInfo(name="t", description="d" * 4, json_schema={"type": "object"})
    assert estimate_tokens([], [info]) > estimate_tokens([], [ToolInfo(name="t")])

    text = "a\n<all_user_messages>old</all_user_messages>\nb\n<all_user_messages>x</all_user_messages>\nc"
    earlier = user_message("earlier", extra={"_eino_summary": True})
    said = [earlier, user_message("msg1"), assistant_message("answer"), user_message(["msg2"])]
    filled = with_user_messages(text, said, 1_000)
    assert filled == (
        "a\n<all_user_messages>old</all_user_messages>\nb\n<all_user_messages>\n- msg1\n- msg2\n</all_user_messages>\nc"
    )
    assert with_user_messages("no block", said, 1_000) == "no block"


def test_the_users_messages_have_a_limit() -> None:
    """The newest stay; one that is too long by itself is cut, a single one is whole."""
    block = "<all_user_messages></all_user_messages>"
    said = [user_message(f"{n} " + "x" * 38) for n in range(5)]
    filled = with_user_messages(block, said, 20)
    assert "- 3 x" in filled
    assert "- 2 x" not in filled
    assert "(3 earlier ones are left out)" in filled
    cut = with_user_messages(block, [user_message("first"), user_message("y" * 200_000)], 30_000)
    assert "[...]" in cut
    assert cut.count("y") == 2_000
    assert "- first" in cut
    assert with_user_messages(block, [user_message("y" * 200_000)], 10).count("y") == 200_000


async def test_a59_a_summary_takes_the_place_of_the_conversation() -> None:
    """A59, "preserves system messages" and "replaces user messages section"."""
    model = ScriptedChatModel(["what happened <all_user_messages>?</all_user_messages>"])
    turn = turn_of(*LONG, model=model)
    done = (await Summarize(max_tokens=10, transcript_path="/log").before_model(turn)).messages

    assert len(done) == 2
    assert done[0] is LONG[0]
    assert done[1].role == "user"
    assert is_summary(done[1])
    assert message_id(done[1])
    assert f"<all_user_messages>\n- {'a' * 100}\n</all_user_messages>" in done[1].content
    assert "/log" in done[1].content
    asked = model.calls[0].messages
    assert [each.role for each in asked] == ["system", "user", "assistant", "user"]
    assert asked[0].content != "system prompt"
    assert model.calls[0].options.offered_tools == ()


async def test_when_a_summary_is_made() -> None:
    """Above the number of tokens or of messages, whichever is set; a limit that is not set does not count."""
    turn = turn_of(*LONG)
    assert await Summarize(max_tokens=10_000).before_model(turn) is turn
    assert await Summarize(max_messages=3).before_model(turn) is turn
    assert await Summarize().before_model(turn) is turn
    own = Summarize(ScriptedChatModel(["short"]), max_messages=2)
    assert len((await own.before_model(turn)).messages) == 2
    with pytest.raises(BuildError, match="max_tokens=0"):
        Summarize(max_tokens=0)
    with pytest.raises(BuildError, match="no model"):
        await Summarize(max_tokens=1).summarize(LONG)


async def test_the_end_may_be_made_by_a_function() -> None:
    """It gets the conversation and the answer as it is."""

    async def finalize(messages: Sequence[Message], summary: Message) -> list[Message]:
        return [messages[0], user_message(f"<{summary.content}>")]

    done = await Summarize(ScriptedChatModel(["sum"]), max_tokens=1, finalize=finalize).summarize(LONG)
    assert [each.content for each in done] == ["system prompt", "<sum>"]


async def test_m13_tries_and_stand_ins() -> None:
    """M13: retries are used up with a clear error; a stand-in sees what failed; an empty summary is a failure."""
    failing = FunctionChatModel(lambda messages, options: ValueError("primary error"))
    with pytest.raises(SummaryError, match="failed to generate summary"):
        await Summarize(failing, max_tokens=1, retry=NOW).summarize(LONG)
    assert len(failing.calls) == 4

    asked: list[FailoverContext] = []
    second = ScriptedChatModel([ValueError("failover error 1"), "from two"])

    def choose(context: FailoverContext) -> Any:
        asked.append(context)
        return second

    summarize = Summarize(failing, max_tokens=1, retry=None, fallbacks=choose)
    assert "from two" in (await summarize.summarize(LONG))[1].content
    assert [str(each.last_error) for each in asked] == ["primary error", "failover error 1"]
    assert [each.attempt for each in asked] == [1, 2]
    assert [each.role for each in asked[0].messages] == ["system", "user", "assistant", "user"]

    with pytest.raises(SummaryError, match="all 2 models failed"):
        await Summarize(failing, max_tokens=1, retry=None, fallbacks=[failing]).summarize(LONG)
    with pytest.raises(SummaryError, match="empty summary"):
        await Summarize(ScriptedChatModel(["  "]), max_tokens=1, retry=None).summarize(LONG)


async def test_events_tell_of_a_summary() -> None:
    """If asked for: before, each try, after. The agent goes on with the summary."""
    model = ScriptedChatModel([OverloadedError("busy"), "sum", "the answer"])
    summarize = Summarize(max_messages=1, retry=NOW, emit_events=True, model_options=ModelOptions(max_tokens=5))
    agent = ChatModelAgent(name="a", model=model, middlewares=[summarize])
    async with Runner(agent).run([user_message("one"), user_message("two")]) as events:
        found = [event async for event in events]
    told = [event.action.custom for event in found if isinstance(event.action, AgentAction)]
    assert all(isinstance(each, SummaryEvent) for each in told)
    assert [(each.kind, each.attempt) for each in told] == [
        ("before_summarize", 0), ("generate_summary", 1), ("generate_summary", 2), ("after_summarize", 0),
    ]  # fmt: skip
    assert "busy" in told[1].error
    assert told[2].response.content == "sum"
    assert len(told[3].messages) == 1
    assert model.calls[0].options.max_tokens == 5
    assert len(model.calls[2].messages) == 1
    assert found[-1].message is not None
