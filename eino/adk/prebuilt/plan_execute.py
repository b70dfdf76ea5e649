"""`plan_execute`: one agent makes a plan, one does its first step, one makes a new plan or gives the answer.

    agents = plan_execute(
        planner=planner_agent(model), executor=executor_agent(model, tools=[...]), replanner=replanner_agent(model)
    )

They share session values: `UserInput` (the messages), `Plan` (JSON text), `ExecutedStep` (the result of the last step)
and `ExecutedSteps` (all steps with their results).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from eino.adk.agent import Agent, AgentInput
from eino.adk.chat.agent import ChatModelAgent
from eino.adk.chat.turn import send_event
from eino.adk.events import AgentEvent, break_loop_action
from eino.adk.middleware import Middleware
from eino.adk.session import session_value, set_session_value
from eino.adk.workflow import LoopAgent, SequentialAgent
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.components.structured_output import object_schema
from eino.components.tools import Tool
from eino.errors import BuildError, InvalidResponseError, MessageParseError, RunError
from eino.schema import concat_messages
from eino.schema.codec import register
from eino.schema.message import Message, assistant_message, system_message, user_message
from eino.schema.parser import JSONMessageParser
from eino.schema.stream import StreamReader
from eino.schema.tool import ToolInfo

__all__ = [
    "EXECUTED_STEP",
    "EXECUTED_STEPS",
    "PLAN",
    "USER_INPUT",
    "ExecutedStep",
    "Plan",
    "PlanLike",
    "executor_agent",
    "plan_execute",
    "planner_agent",
    "replanner_agent",
]

USER_INPUT: Final = "UserInput"
PLAN: Final = "Plan"
EXECUTED_STEP: Final = "ExecutedStep"
EXECUTED_STEPS: Final = "ExecutedSteps"

_PLAN_TOOL: Final = "plan"
_RESPOND_TOOL: Final = "respond"
_CALLED: Final = "_eino_plan_tool"
"""Key in `Message.extra`: the tool whose arguments are the text of the message."""


class PlanLike(Protocol):
    """A plan of a type of the program's own: a pydantic model, a dataclass, ..., with this method."""

    def first_step(self) -> str:
        """Return what is to be done next."""
        ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that lead to the answer."""

    steps: list[str]
    """What is to be done, in this order. Each step stands for itself and says all that is needed to do it."""

    def first_step(self) -> str:
        """Return what is to be done next; empty if nothing is."""
        return self.steps[0] if self.steps else ""


@register("eino.adk.ExecutedStep")
class ExecutedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was done."""

    step: str
    result: str


_PLANNER: Final = (
    "You make plans. Break the objective into steps that stand for themselves, in the order in which they must be "
    "done. Each step says all that is needed to do it. Leave out what is not needed; the result of the last step is "
    "the answer. Give the plan with the tool `plan`."
)
_EXECUTOR: Final = (
    "You carry out one step of a plan at a time, with your tools. Do what the step says, no more, and answer with what "
    "came of it."
)
_REPLANNER: Final = (
    "You watch over a plan. Look at what was done and with what result. If the objective is reached, give the answer "
    "with the tool `respond`. Otherwise give the steps that are left with the tool `plan`; leave out what is done."
)


def plan_execute(
    *,
    planner: Agent,
    executor: Agent,
    replanner: Agent,
    max_iterations: int = 10,
    description: str = "Makes a plan, and does it step by step.",
) -> Agent:
    """Return the agent that plans, and then executes and plans anew until there is an answer.

    Args:
        planner: Makes the first plan; see `planner_agent`.
        executor: Does the first step of the plan; see `executor_agent`.
        replanner: Makes the next plan, or answers and breaks the loop; see `replanner_agent`.
        max_iterations: Most steps that are done.
        description: Says to other agents what the whole is good for.

    Raises:
        BuildError: If one is no agent, or `max_iterations` is not above 0.
    """
    if not isinstance(max_iterations, int) or max_iterations < 1:
        raise BuildError(f"plan_execute(max_iterations={max_iterations!r}): it must be 1 or more")
    loop = LoopAgent(name="execute_replan", agents=[executor, replanner], max_iterations=max_iterations)
    return SequentialAgent(name="plan_execute_replan", description=description, agents=[planner, loop])


def planner_agent(
    model: ChatModel,
    *,
    name: str = "planner",
    instruction: str = _PLANNER,
    plan_type: type[PlanLike] = Plan,
    output_format: Mapping[str, Any] | None = None,
    **settings: Any,
) -> ChatModelAgent[str]:
    """Return the agent that makes the first plan. Its message is the plan, as JSON.

    Args:
        model: Makes the plan, by a call of the tool `plan`.
        name: Name of the agent.
        instruction: What the model is told.
        plan_type: Type of the plan.
        output_format: What the provider's API takes to answer in JSON of the type (`ModelOptions.response_format`);
            then there is no tool.
        settings: Further settings of the `ChatModelAgent`, such as `retry`.
    """
    plans = _Plans(plan_type)

    async def generate_input(instruction: str, given: AgentInput) -> list[Message]:
        set_session_value(USER_INPUT, tuple(given.messages))
        return [system_message(instruction), *given.messages]

    by_tool = output_format is None
    options = _forced([plans.tool]) if by_tool else ModelOptions(response_format=output_format)
    own: dict[str, Any] = {"name": name, "instruction": instruction, "generate_input": generate_input}
    return _agent(model, _Planner(plans, by_tool=by_tool), options, settings, **own)


def executor_agent(
    model: ChatModel,
    tools: Iterable[Tool] = (),
    *,
    name: str = "executor",
    instruction: str = _EXECUTOR,
    plan_type: type[PlanLike] = Plan,
    max_iterations: int = 20,
    **settings: Any,
) -> ChatModelAgent[str]:
    """Return the agent that does the first step of the plan.

    Args:
        model: Does it.
        tools: What it may call.
        name: Name of the agent.
        instruction: What the model is told.
        plan_type: Type of the plan.
        max_iterations: Most answers of the model for one step.
        settings: Further settings of the `ChatModelAgent`, such as `retry`.
    """
    plans = _Plans(plan_type)

    async def generate_input(instruction: str, _: AgentInput) -> list[Message]:
        return [system_message(instruction), user_message(_executor_text(plans))]

    return ChatModelAgent(
        name=name,
        model=model,
        instruction=instruction,
        tools=tools,
        generate_input=generate_input,
        max_iterations=max_iterations,
        output_key=EXECUTED_STEP,
        **settings,
    )


def replanner_agent(
    model: ChatModel,
    *,
    name: str = "replanner",
    instruction: str = _REPLANNER,
    plan_type: type[PlanLike] = Plan,
    **settings: Any,
) -> ChatModelAgent[str]:
    """Return the agent that makes the next plan, or gives the answer and breaks the loop.

    Its message is the plan or the answer (`{"response": ...}`), as JSON.

    Args:
        model: Decides, by a call of the tool `plan` or `respond`.
        name: Name of the agent.
        instruction: What the model is told.
        plan_type: Type of the plan.
        settings: Further settings of the `ChatModelAgent`, such as `retry`.
    """
    plans = _Plans(plan_type)

    async def generate_input(instruction: str, _: AgentInput) -> list[Message]:
        return [system_message(instruction), user_message(_replanner_text(plans))]

    options = _forced([plans.tool, _RESPOND])
    own: dict[str, Any] = {"name": name, "instruction": instruction, "generate_input": generate_input}
    return _agent(model, _Replanner(plans), options, settings, **own)


def _agent(
    model: ChatModel,
    hook: Middleware,
    options: ModelOptions,
    settings: dict[str, Any],
    **own: Any,
) -> ChatModelAgent[str]:
    """Return an agent whose own hook and options come before those of `settings`."""
    return ChatModelAgent(
        model=model,
        model_options=settings.pop("model_options", NO_MODEL_OPTIONS).merge(options),
        middlewares=[hook, *settings.pop("middlewares", ())],
        **own,
        **settings,
    )


def _forced(tools: Sequence[ToolInfo]) -> ModelOptions:
    return ModelOptions(tools=tools, tool_choice="forced", allowed_tools=[tool.name for tool in tools])


_RESPOND: Final = ToolInfo(
    name=_RESPOND_TOOL,
    description="Give the answer to the user: the objective is reached.",
    json_schema={
        "type": "object",
        "properties": {"response": {"type": "string", "description": "The whole answer."}},
        "required": ["response"],
        "additionalProperties": False,
    },
)


class _Plans:
    """Reads plans, and describes the tool that gives them."""

    def __init__(self, of: type[PlanLike]) -> None:
        if not callable(getattr(of, "first_step", None)):
            raise BuildError(f"plan_type={of!r}: a plan needs a method first_step() that returns a text")
        schema, key = object_schema(of)
        if key:
            raise BuildError(f"plan_type={of!r}: a plan is a type with named fields, such as a dataclass")
        self._parser: JSONMessageParser[PlanLike] = JSONMessageParser(of)
        self.tool = ToolInfo(name=_PLAN_TOOL, description="Give the plan.", json_schema=schema)

    def read(self, text: str) -> PlanLike:
        try:
            return self._parser.parse(assistant_message(text))
        except MessageParseError as error:
            raise MessageParseError(f"unmarshal plan error: {error}") from error

    def first_step(self) -> str:
        """Return what is to be done now."""
        return self.read(_needed(PLAN, "a planner")).first_step()


def _needed(key: str, who: str) -> Any:
    value = session_value(key)
    if value is None:
        raise RunError(f"there is no session value {key!r}: {who} must have its turn first, see plan_execute(...)")
    return value


class _Planner(Middleware):
    """Keeps the plan."""

    def __init__(self, plans: _Plans, *, by_tool: bool = True) -> None:
        self._plans = plans
        self._by_tool = by_tool

    async def wrap_model(self, model: ChatModel) -> ChatModel:
        return _ArgumentsModel(model, self._plans, (_PLAN_TOOL,)) if self._by_tool else model

    async def after_agent(self, messages: tuple[Message, ...]) -> None:
        text = messages[-1].content
        self._plans.read(text)
        set_session_value(PLAN, text)


class _Replanner(Middleware):
    """Keeps what was done and the new plan, or breaks the loop."""

    def __init__(self, plans: _Plans) -> None:
        self._plans = plans

    async def wrap_model(self, model: ChatModel) -> ChatModel:
        return _ArgumentsModel(model, self._plans, (_PLAN_TOOL, _RESPOND_TOOL))

    async def after_agent(self, messages: tuple[Message, ...]) -> None:
        answer = messages[-1]
        set_session_value(EXECUTED_STEPS, _executed(self._plans))
        if answer.extra.get(_CALLED) == _RESPOND_TOOL:
            send_event(AgentEvent(action=break_loop_action()))
        else:
            set_session_value(PLAN, answer.content)


def _executed(plans: _Plans) -> list[ExecutedStep]:
    """Return all steps that were done, the last one included, which is not among the kept ones yet."""
    done = ExecutedStep(step=plans.first_step(), result=str(_needed(EXECUTED_STEP, "an executor")))
    return [*session_value(EXECUTED_STEPS, ()), done]


class _ArgumentsModel:
    """A model whose text is the arguments of the tool that it calls."""

    def __init__(self, model: ChatModel, plans: _Plans, tools: tuple[str, ...]) -> None:
        self._model = model
        self._plans = plans
        self._tools = tools

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        answer = await self._model.generate(messages, options)
        text = self._text_of(answer)
        self._check(text)
        return answer.replace(content=text.content, tool_calls=(), extra=text.extra)

    async def stream(
        self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
    ) -> AsyncIterator[Message]:
        chunks: list[Message] = []
        async with StreamReader.from_async(self._texts(messages, options)) as reader:
            async for chunk in reader:
                chunks.append(chunk)
                yield chunk
        self._check(concat_messages(chunks) if chunks else assistant_message(""))

    async def _texts(self, messages: Sequence[Message], options: ModelOptions) -> AsyncGenerator[Message]:
        index: int | None = None
        begun = False
        async with StreamReader.from_async(self._model.stream(messages, options)) as reader:
            async for chunk in reader:
                for call in chunk.tool_calls:
                    if begun and call.index != index:
                        continue  # the first call counts
                    if begun:
                        extra = chunk.extra
                    else:
                        begun, index, extra = True, call.index, {**chunk.extra, _CALLED: self._known(call.name)}
                    yield chunk.replace(content=call.arguments, tool_calls=(), reasoning_content="", extra=extra)

    def _text_of(self, answer: Message) -> Message:
        if not answer.tool_calls:
            return assistant_message("")
        call = answer.tool_calls[0]
        return assistant_message(call.arguments, extra={**answer.extra, _CALLED: self._known(call.name)})

    def _known(self, name: str) -> str:
        if name not in self._tools:
            raise InvalidResponseError(f"unexpected tool call: the model called {name!r}, it may call {self._tools}")
        return name

    def _check(self, message: Message) -> None:
        called = message.extra.get(_CALLED)
        if called is None:
            raise InvalidResponseError(f"no tool call: the model must call one of {self._tools}")
        if called == _PLAN_TOOL:
            self._plans.read(message.content)


def _executor_text(plans: _Plans) -> str:
    return (
        f"# Objective\n{_objective()}\n\n# Plan\n{_needed(PLAN, 'a planner')}\n\n"
        f"# Steps that are done\n{_listed(session_value(EXECUTED_STEPS, ()))}\n\n# Your step\n{plans.first_step()}"
    )


def _replanner_text(plans: _Plans) -> str:
    return (
        f"# Objective\n{_objective()}\n\n# Plan so far\n{_needed(PLAN, 'a planner')}\n\n"
        f"# Steps that are done\n{_listed(_executed(plans))}"
    )


def _objective() -> str:
    messages: Sequence[Message] = _needed(USER_INPUT, "a planner")
    return "\n".join(message.content for message in messages if message.role == "user")


def _listed(steps: Iterable[ExecutedStep]) -> str:
    return "".join(f"Step: {each.step}\nResult: {each.result}\n\n" for each in steps).strip() or "none"
