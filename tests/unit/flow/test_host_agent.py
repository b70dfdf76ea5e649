"""The host of specialists, row F02 of `agents-scenarios.md` among it."""

from __future__ import annotations

from typing import Any

import pytest

from eino import (
    BuildError,
    Message,
    RunError,
    assistant_message,
    concat_messages,
    tool,
    tool_call,
    user_message,
)
from eino.flow import HostMultiAgent, ReactAgent, Specialist, first_chunk
from eino.flow.host import HOST_PROMPT, SUMMARY_PROMPT
from eino_fixtures import ScriptedChatModel

HI = user_message("hi")


def to(name: str, id: str = "1") -> Any:  # noqa: A002 - the field's word
    return tool_call(name, {"reason": f"for {name}"}, id=id)


async def second(messages: list[Message]) -> Message:
    return assistant_message(f"second saw {len(messages)}")


def agent_of(host: list[Any], first: list[Any] | None = None, **options: Any) -> HostMultiAgent:
    return HostMultiAgent(
        host=ScriptedChatModel(host),
        specialists=[
            Specialist(
                name="first", description="a model", agent=ScriptedChatModel(first or []), system_prompt="Rhyme."
            ),
            Specialist(name="second", description="a function", agent=second),
        ],
        **options,
    )


async def answers(agent: HostMultiAgent, *, on_stream: bool) -> list[Message]:
    """Return the chunks of the answer, one for a value run."""
    if not on_stream:
        return [await agent.generate([HI])]
    async with agent.stream([HI]) as reader:
        return [chunk async for chunk in reader]


@pytest.mark.parametrize("on_stream", [False, True])
async def test_the_host_may_answer_itself(on_stream: bool) -> None:
    """F02: nobody is handed off to, and nobody hears of it."""
    told: list[Any] = []
    agent = agent_of(["me"], on_hand_off=lambda name, arguments: told.append((name, arguments)))

    assert concat_messages(await answers(agent, on_stream=on_stream)).content == "me"
    assert told == []
    assert repr(agent) == "HostMultiAgent('host', specialists=['first', 'second'])"


async def test_the_host_knows_the_specialists() -> None:
    """By one tool for each, and a prompt in front of the conversation."""
    host = ScriptedChatModel(["me"])
    specialist = Specialist(name="first", description="a model", agent=second)

    await HostMultiAgent(host=host, specialists=[specialist]).generate([HI])
    (call,) = host.calls
    assert [message.content for message in call.messages] == [HOST_PROMPT, "hi"]
    assert [(info.name, info.description) for info in call.tools] == [("first", "a model")]
    assert call.tools[0].parameters is not None
    assert call.tools[0].parameters["required"] == ["reason"]


@pytest.mark.parametrize("on_stream", [False, True])
async def test_one_specialist_answers_in_its_own_chunks(on_stream: bool) -> None:
    """F02: hand-off to a model, then to a function; the raw arguments are told once."""
    told: list[Any] = []

    async def tell(name: str, arguments: str) -> None:
        told.append((name, arguments))

    agent = agent_of([[to("first")], [to("second")]], ["one two"], on_hand_off=tell)

    chunks = await answers(agent, on_stream=on_stream)
    assert [chunk.content for chunk in chunks] == (["one", " two"] if on_stream else ["one two"])
    assert (await answers(agent, on_stream=on_stream))[0].content == "second saw 1"
    assert told == [("first", '{"reason":"for first"}'), ("second", '{"reason":"for second"}')]


async def test_a_specialist_sees_the_conversation_behind_its_prompt() -> None:
    """Not the host's prompt, and not the host's call."""
    specialist = ScriptedChatModel(["ok"])
    agent = HostMultiAgent(
        host=ScriptedChatModel([[to("first")]]),
        specialists=[Specialist(name="first", description="a model", agent=specialist, system_prompt="Rhyme.")],
    )

    await agent.generate([user_message("a"), HI])
    assert [message.content for message in specialist.calls[0].messages] == ["Rhyme.", "a", "hi"]


@pytest.mark.parametrize("looks_for_calls", [None, first_chunk])
async def test_text_in_front_of_a_hand_off(looks_for_calls: Any) -> None:
    """F02: the whole answer is read, unless the caller says that the first chunk decides."""
    agent = agent_of([assistant_message("let me see", [to("second")])], has_tool_calls=looks_for_calls)
    chunks = await answers(agent, on_stream=True)
    expected = "second saw 1" if looks_for_calls is None else "let me see"
    assert concat_messages(chunks).content == expected


async def test_the_first_chunk_may_decide_for_a_hand_off() -> None:
    """A model that names its calls at once is not waited for longer than needed."""
    chunks = await answers(agent_of([[to("second")]], has_tool_calls=first_chunk), on_stream=True)
    assert concat_messages(chunks).content == "second saw 1"


@pytest.mark.parametrize("on_stream", [False, True])
async def test_several_answers_come_in_the_order_of_the_calls(on_stream: bool) -> None:
    """F02: each followed by a newline; one specialist called twice answers once, and both calls are told."""
    told: list[str] = []
    calls = [to("second", "1"), to("first", "2"), to("second", "3")]
    agent = agent_of([calls], ["one two"], on_hand_off=lambda name, _: told.append(name))

    assert concat_messages(await answers(agent, on_stream=on_stream)).content == "second saw 1\none two\n"
    assert told == ["second", "first", "second"]


@pytest.mark.parametrize("on_stream", [False, True])
async def test_a_summarizer_joins_several_answers(on_stream: bool) -> None:
    """F02: its first message is the default prompt, its answer is the output."""
    summarizer = ScriptedChatModel(["both of them"])
    agent = agent_of([[to("first", "1"), to("second", "2")]], ["one"], summarizer=summarizer)

    assert concat_messages(await answers(agent, on_stream=on_stream)).content == "both of them"
    (call,) = summarizer.calls
    assert [message.content for message in call.messages] == [
        SUMMARY_PROMPT,
        "hi",
        "first answered:\none\n\nsecond answered:\nsecond saw 1",
    ]


@pytest.mark.parametrize("on_stream", [False, True])
async def test_a_single_answer_passes_the_summarizer_by(on_stream: bool) -> None:
    """There is nothing to join."""
    agent = agent_of([[to("first")]], ["one two"], summarizer=ScriptedChatModel([]))
    assert concat_messages(await answers(agent, on_stream=on_stream)).content == "one two"


async def test_an_agent_can_be_a_specialist() -> None:
    """Agents of `eino.flow`, graphs and runnables answer as any other."""

    @tool
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    react = ReactAgent(model=ScriptedChatModel([[tool_call("add", {"a": 1, "b": 1}, id="1")], "two"]), tools=[add])
    agent = HostMultiAgent(
        host=ScriptedChatModel([[to("adder")]]),
        specialists=[Specialist(name="adder", description="adds", agent=react)],
        system_prompt="",
    )
    assert (await agent.generate([HI])).content == "two"


async def test_a_specialist_that_is_not_there() -> None:
    """Is named, with those that are."""
    with pytest.raises(RunError, match=r"'third', which is no specialist; the specialists are \['first', 'second'\]"):
        await agent_of([[to("third")]]).generate([HI])


@pytest.mark.parametrize(
    ("specialists", "message"),
    [
        ([], "at least one"),
        (["x"], "give Specialist"),
        ([Specialist(name="", description="d", agent=second)], "no name"),
        ([Specialist(name="n", description="", agent=second)], "no description"),
        ([Specialist(name="n", description="d", agent=second)] * 2, "two specialists are called 'n'"),
        ([Specialist(name="route", description="d", agent=second)], "are taken"),
    ],
)
def test_specialists_that_cannot_be_chosen(specialists: list[Any], message: str) -> None:
    """Are refused when the agent is built."""
    with pytest.raises(BuildError, match=message):
        HostMultiAgent(host=ScriptedChatModel([]), specialists=specialists)
