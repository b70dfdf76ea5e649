"""Plan and execute: rows A58 and P04 to P07 of `agents-scenarios.md`, and beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel

from eino import (
    BuildError,
    MemoryStore,
    Message,
    OverloadedError,
    RetryPolicy,
    interrupt,
    tool,
    tool_call,
    user_message,
)
from eino.adk import (
    AgentEvent,
    AgentInput,
    ChatModelAgent,
    Middleware,
    Runner,
    agent,
    break_loop_action,
    message_event,
    session_values,
)
from eino.adk.prebuilt import ExecutedStep, executor_agent, plan_execute, planner_agent, replanner_agent
from eino.schema import assistant_message
from eino_fixtures import ScriptedChatModel

STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["values", "streams"])


def plan(*steps: str, id: str = "p") -> Any:  # noqa: A002 - as in tool_call
    return [tool_call("plan", {"steps": list(steps)}, id=id)]


def respond(text: str) -> Any:
    return [tool_call("respond", {"response": text}, id="r")]


class Values(Middleware):
    """Keeps the session values that there are when its agent ends."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    async def after_agent(self, messages: tuple[Message, ...]) -> None:
        self.seen = session_values()


async def events_of(who: Any, *, streaming: bool = False, **options: Any) -> list[AgentEvent]:
    async with Runner(who, streaming=streaming).run([user_message("the objective")], **options) as events:
        found = [event async for event in events]
    for event in found:
        if event.message is not None:
            await event.message.settle()
    return found


async def texts(found: list[AgentEvent]) -> list[str]:
    return [f"{each.agent_name}: {(await each.message.get()).content}" for each in found if each.message is not None]


SESSION = {
    "UserInput": (user_message("the objective"),),
    "Plan": '{"steps":["Step 1","Step 2","Step 3"]}',
    "ExecutedStep": "Execution result",
}


@STREAMING
async def test_a58_plan_execute_replan(streaming: bool) -> None:
    """A58: planner once, executor and replanner twice; the second replanner ends the loop."""
    plans = ScriptedChatModel([plan("one", "two", "three")])
    works = ScriptedChatModel(["did one", "did two"])
    again = ScriptedChatModel([plan("two"), respond("all done")])
    values = Values()
    agents = plan_execute(
        planner=planner_agent(plans),
        executor=executor_agent(works),
        replanner=replanner_agent(again, middlewares=[values]),
    )
    found = await events_of(agents, streaming=streaming)

    assert await texts(found) == [
        'planner: {"steps":["one","two","three"]}',
        "executor: did one",
        'replanner: {"steps":["two"]}',
        "executor: did two",
        'replanner: {"response":"all done"}',
    ]
    assert found[-1].action is not None
    assert found[-1].action.break_loop is not None
    assert found[-1].action.break_loop.done
    assert found[-1].action.break_loop.current_iterations == 1
    assert [len(model.calls) for model in (plans, works, again)] == [1, 2, 2]

    asked = works.calls[1].messages[1].content
    assert "# Objective\nthe objective" in asked
    assert '{"steps":["two"]}' in asked
    assert "Step: one\nResult: did one" in asked
    assert asked.endswith("# Your step\ntwo")
    assert "Step: two\nResult: did two" in again.calls[1].messages[1].content
    done = [ExecutedStep(step="one", result="did one"), ExecutedStep(step="two", result="did two")]
    assert values.seen["ExecutedSteps"] == done
    options = again.calls[0].options
    assert [info.name for info in options.offered_tools] == ["plan", "respond"]
    assert options.tool_choice == "forced"


@STREAMING
async def test_the_plan_is_streamed_as_it_is_written(streaming: bool) -> None:
    """The chunks are the pieces of the arguments; text in front of the call is left out, so is a second call."""

    chunks = [
        assistant_message("let me think"),
        assistant_message("", [tool_call("plan", '{"steps":', id="1", index=0)]),
        assistant_message("", [tool_call("", '["a"]}', index=0)]),
        assistant_message("", [tool_call("plan", '{"steps":["b"]}', id="2", index=1)]),
    ]
    found = await events_of(planner_agent(ScriptedChatModel([chunks])), streaming=streaming)
    assert await texts(found) == ['planner: {"steps":["a"]}']
    if streaming:
        assert found[0].message is not None
        assert [chunk.content for chunk in found[0].message.partial] == ['{"steps":', '["a"]}']


async def test_p04_replanner_with_a_plan() -> None:
    """P04: one event; the plan is new, the first step of the old one is done."""
    look: list[dict[str, Any]] = []

    @agent(description="Looks at the session afterwards.")
    async def outer(given: AgentInput) -> AsyncIterator[AgentEvent]:
        async for event in replanner.run(given):
            yield event
        look.append(session_values())

    replanner = replanner_agent(ScriptedChatModel([plan("new 1", "new 2")]))
    found = await events_of(outer, session_values=SESSION)
    assert len(found) == 1
    assert look[0]["Plan"] == '{"steps":["new 1","new 2"]}'
    assert look[0]["ExecutedSteps"] == [ExecutedStep(step="Step 1", result="Execution result")]


async def test_p05_replanner_with_an_answer() -> None:
    """P05: the answer, then the wish to break the loop, which no loop has heard yet."""
    found = await events_of(replanner_agent(ScriptedChatModel([respond("the answer")])), session_values=SESSION)
    assert await texts(found) == ['replanner: {"response":"the answer"}']
    assert len(found) == 2
    assert found[1].action is not None
    assert found[1].action.break_loop is not None
    assert not found[1].action.break_loop.done


@STREAMING
async def test_p07_the_tool_of_an_executor_asks(streaming: bool) -> None:
    """P07: the run stops in the tool and goes on there; the planner is not asked again."""

    @tool
    async def act() -> str:
        """Act."""
        return f"Approved action executed: {interrupt('may I?')}"

    plans = ScriptedChatModel([plan("act")])
    works = ScriptedChatModel([[tool_call("act", {}, id="1")], "it was approved"])

    @agent(name="replanner", description="Answers.")
    async def replanner(given: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message("done"), action=break_loop_action())

    agents = plan_execute(planner=planner_agent(plans), executor=executor_agent(works, [act]), replanner=replanner)
    runner = Runner(agents, checkpoint_store=MemoryStore(), streaming=streaming)
    async with runner.query("go", checkpoint_id="1") as events:
        first = [event async for event in events]
    assert first[-1].action is not None
    stop = first[-1].action.interrupted
    assert stop is not None
    assert stop.contexts[0].is_root_cause

    async with runner.resume("1", {stop.contexts[0].id: "approved"}) as events:
        found = [event async for event in events]
    assert await texts(found) == [
        "executor: Approved action executed: approved",
        "executor: it was approved",
        "replanner: done",
    ]
    assert found[-1].action is not None
    assert found[-1].action.break_loop is not None
    assert found[-1].action.break_loop.done
    assert not any(event.error for event in found)
    assert len(plans.calls) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param("no call", "no tool call", id="no call"),
        pytest.param([tool_call("other", {}, id="1")], "unexpected tool call", id="other tool"),
        pytest.param([tool_call("plan", {"steps": 3}, id="1")], "unmarshal plan error", id="no plan"),
        pytest.param([tool_call("plan", "{", id="1")], "unmarshal plan error", id="no JSON"),
    ],
)
@STREAMING
async def test_models_that_do_not_plan(streaming: bool, reply: Any, message: str) -> None:
    """A clear error event."""
    found = await events_of(planner_agent(ScriptedChatModel([reply])), streaming=streaming)
    assert message in str(found[-1].error)


async def test_settings_reach_the_agents() -> None:
    """Retries, options and middlewares of the program's own; a plan that cannot be read may be asked for again."""
    model = ScriptedChatModel([OverloadedError("busy"), plan("one")])
    found = await events_of(planner_agent(model, retry=RetryPolicy(base_s=0.0), instruction="Plan it."))
    assert await texts(found) == ['planner: {"steps":["one"]}']
    assert model.calls[1].messages[0].content == "Plan it."
    assert isinstance(planner_agent(model), ChatModelAgent)


async def test_plans_of_ones_own() -> None:
    """Any type with fields and `first_step`; also as the text of an answer, without a tool."""

    class Tasks(BaseModel):
        tasks: list[dict[str, str]]

        def first_step(self) -> str:
            return self.tasks[0]["title"]

    text = '{"tasks":[{"title":"first"}]}'
    model = ScriptedChatModel([text, "done"])
    agents = plan_execute(
        planner=planner_agent(model, plan_type=Tasks, output_format={"type": "json_object"}),
        executor=executor_agent(model, plan_type=Tasks),
        replanner=replanner_agent(ScriptedChatModel([respond("ok")]), plan_type=Tasks),
    )
    assert (await texts(await events_of(agents)))[0] == f"planner: {text}"
    assert model.calls[0].options.response_format == {"type": "json_object"}
    assert model.calls[1].messages[1].content.endswith("# Your step\nfirst")

    bad = await events_of(planner_agent(ScriptedChatModel(["?"]), output_format={"type": "json_object"}))
    assert "unmarshal plan error" in str(bad[-1].error)


async def test_an_executor_needs_a_plan() -> None:
    """The error says who must have its turn first."""
    found = await events_of(executor_agent(ScriptedChatModel([])))
    assert "'UserInput'" in str(found[-1].error)
    assert "a planner" in str(found[-1].error)


def test_what_cannot_be_a_plan() -> None:
    """Told where it is built."""
    no_steps: Any = int
    with pytest.raises(BuildError, match="first_step"):
        planner_agent(ScriptedChatModel([]), plan_type=no_steps)

    class Steps(list[str]):
        def first_step(self) -> str:
            return self[0]

    with pytest.raises(BuildError):
        planner_agent(ScriptedChatModel([]), plan_type=Steps)
    with pytest.raises(BuildError, match="max_iterations=0"):
        one = planner_agent(ScriptedChatModel([]))
        plan_execute(planner=one, executor=one, replanner=one, max_iterations=0)
