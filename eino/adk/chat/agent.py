"""`ChatModelAgent`: a model that uses tools until it has an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from eino._run.retry import RetryPolicy
from eino.adk.agent import Agent, AgentInput, checked_name
from eino.adk.builtin import Builtin
from eino.adk.chat.graph import chat_graph
from eino.adk.chat.hooks import Hooks
from eino.adk.chat.output import Output
from eino.adk.chat.settings import ChatAgentOptions, ModelFailover, ModelRetry, stack_of
from eino.adk.chat.tools_node import answering, send_result, telling
from eino.adk.chat.turn import Turn
from eino.adk.lanes import Lane
from eino.adk.middleware import AgentSetup, Middleware
from eino.adk.run_state import AgentRun
from eino.adk.transfer import TRANSFER_TOOL, exit_tool, transfer_instruction, transfer_tool
from eino.adk.tree import TreeNode
from eino.adk.tree_agent import children_of
from eino.components._model_wrapper import resolved
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.components.tools import Tool
from eino.compose._tool_policy import error_policy
from eino.compose.tools_node import OnError, OnUnknownTool, ToolAliases, ToolsNode
from eino.errors import BuildError
from eino.schema.message import Message, system_message
from eino.schema.tool import ToolInfo

__all__ = ["ChatModelAgent", "GenerateInput"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    T = TypeVarWithDefault("T", default=str)
else:
    T = TypeVar("T")

GenerateInput: TypeAlias = Callable[[str, AgentInput], Sequence[Message] | Awaitable[Sequence[Message]]]
"""`generate_input(instruction, input)`: the messages that the model sees first; may be async."""

_Kit: TypeAlias = tuple[tuple[ToolInfo, ...], ModelOptions, ToolsNode, ToolsNode, frozenset[str]]
"""What a turn needs of its tools: descriptions, options that offer them, what runs several or one, the direct ones."""

_DEFAULT_ITERATIONS: Final = 20


class ChatModelAgent(Builtin, Generic[T]):
    """A chat model that may call tools, again and again, until it answers.

        agent = ChatModelAgent(name="helper", instruction="You help.", model=model, tools=[get_weather])

    Each answer of the model and each result of a tool is an event. The agent does not change: any number of runs, and
    of trees of agents, may share it.
    """

    kind = "ChatModel"

    def __init__(
        self,
        *,
        name: str,
        model: ChatModel,
        description: str = "",
        instruction: str = "",
        template: bool = False,
        tools: Iterable[Tool] = (),
        sub_agents: Sequence[Agent] = (),
        exit: Tool | bool = False,  # noqa: A002 - what it does
        max_iterations: int = _DEFAULT_ITERATIONS,
        return_directly: Collection[str] = (),
        output_key: str = "",
        output_type: type[T] | None = None,
        output_format: Mapping[str, Any] | None = None,
        output_name: str = "",
        output_repairs: int = 1,
        model_options: ModelOptions = NO_MODEL_OPTIONS,
        retry: ModelRetry | RetryPolicy | None = None,
        failover: ModelFailover | Sequence[ChatModel] | None = None,
        middlewares: Sequence[Middleware] = (),
        tool_error_policy: OnError = "raise",
        on_unknown_tool: OnUnknownTool | None = None,
        tool_aliases: Mapping[str, ToolAliases] | None = None,
        sequential_tools: bool = False,
        generate_input: GenerateInput | None = None,
        emit_internal_events: bool = False,
    ) -> None:
        """Build the agent.

        Args:
            name: Names it in events and addresses.
            model: What answers.
            description: Says to other agents what it is good for.
            instruction: The system message; none if empty.
            template: Whether session values are put into the instruction: `"{city}"` becomes the value of `city`.
            tools: What the model may call.
            sub_agents: Agents that it may hand over to; see `with_sub_agents`. In a tree, the model is told of the
                agents that it may hand over to, and gets a tool for it.
            exit: Whether the model gets a tool that ends the run of all agents; or that tool.
            max_iterations: Most answers of the model in one turn.
            return_directly: Names of tools whose result is the answer; of several in one message the last counts.
            output_key: Session value that gets the text of the answer; none if empty.
            output_type: Type of the answer: a pydantic model, a dataclass, ... The answer is JSON then; `output_of`
                reads it. The model answers with a tool, or with text if `output_format` is given.
            output_format: What the provider's API takes to answer in JSON of the type (`ModelOptions.response_format`).
            output_name: What the answer is called towards the model; the name of the type unless given.
            output_repairs: How often the model is told that its answer is not of the type.
            model_options: Options of each call of the model.
            retry: When the model is asked once more; a policy for errors alone.
            failover: What answers in its place; a list of models for failures of services.
            middlewares: Hooks, in their order; see `Middleware`.
            tool_error_policy: What becomes of a tool that fails: `"raise"` ends the run, `"return_to_model"` tells the
                model, a function of the call and the error gives the result.
            on_unknown_tool: Answers calls of tools that there are not.
            tool_aliases: Other names for tools and their arguments, by name of the tool.
            sequential_tools: Whether the calls of one message run one after another.
            generate_input: Makes the messages that the model sees first, in the place of instruction and input.
            emit_internal_events: Whether agents inside tools send their events to the reader as well.

        Raises:
            BuildError: If the model cannot take the tools, or a setting is wrong.
        """
        if not isinstance(max_iterations, int) or max_iterations < 1:
            raise BuildError(f"agent {name!r}: max_iterations={max_iterations!r} must be 1 or more")
        if output_type is None and (output_format is not None or output_name):
            raise BuildError(f"agent {name!r}: output_format= and output_name= need output_type=")
        super().__init__(checked_name(name), description)
        self.instruction = instruction
        given = tuple(tools)
        if exit:
            leave = exit_tool() if exit is True else exit
            given, return_directly = (*given, leave), [*return_directly, leave.info.name]
        own = ToolsNode(given).tools  # checks them
        self._output: Output[T] | None = None
        if output_type is not None:
            self._output = Output(
                output_type,
                output_format=output_format,
                name=output_name,
                repairs=output_repairs,
                tools=tuple(tool.info.name for tool in own),
            )
            model_options = model_options.merge(self._output.options)
            if self._output.tool is not None:
                given = (*given, self._output.tool)
        self._model = model
        self._model_options = model_options
        self._retry = ModelRetry(policy=retry) if isinstance(retry, RetryPolicy) else retry
        self._failover = failover if failover is None or isinstance(failover, ModelFailover) else _failover(failover)
        self._stack = stack_of(model, self._retry, self._failover)
        self._hooks = Hooks(middlewares)
        self._is_plain = self._retry is None and failover is None and not self._hooks.wrap_model
        self._template = template
        self._max_iterations = max_iterations
        self._output_key = output_key
        self._generate_input = generate_input
        self._emit_internal_events = emit_internal_events
        policy = error_policy(tool_error_policy)
        self._answers_errors = policy is not None
        self._node_options: dict[str, Any] = {
            "sequential": sequential_tools,
            "on_unknown_tool": answering(on_unknown_tool) if on_unknown_tool is not None else None,
            "aliases": tool_aliases,
            "on_error": "raise" if policy is None else telling(policy),
        }
        self._aliases = dict(tool_aliases or {})
        self._tools = given
        self._direct = _directly(return_directly, given, name)
        self._kit = self._kit_of(given, self._direct)
        self._kit_to_transfer: _Kit | None = None
        if sub_agents:
            self.tree = TreeNode(self, children_of(name, sub_agents))
        self._runnable = chat_graph(name, max_iterations=max_iterations, output=self._output, output_key=output_key)

    def __repr__(self) -> str:
        return f"ChatModelAgent({self.name!r}, tools={[tool.info.name for tool in self._tools]!r})"

    def output_of(self, answer: Message) -> T:
        """Return the value that an answer of the agent holds, for agents with an `output_type`.

        Raises:
            BuildError: If the agent has no `output_type`.
            MessageParseError: If the message is no answer of this agent.
        """
        if self._output is None:
            raise BuildError(f"agent {self.name!r} has no output_type=: its answers are text")
        return self._output.value(answer)

    def _drive(self, input: AgentInput, run: AgentRun) -> Awaitable[Lane]:  # noqa: A002 - the field's word
        turn = self._turn(run)
        if run.transfer_targets or self._hooks.before_agent or self._generate_input is not None:
            return self._prepared(turn, input, run)
        return self._begun(turn, self._messages(self.instruction, input, run), run)

    async def _prepared(self, turn: Turn, input: AgentInput, run: AgentRun) -> Lane:  # noqa: A002 - the field's word
        instruction = await self._set_up(turn, run.transfer_targets)
        if self._generate_input is None:
            messages = self._messages(instruction, input, run)
        else:
            text = self._text(instruction, run)
            messages = list(await resolved(self._generate_input(text, input)))
        return await self._begun(turn, messages, run)

    def _begun(self, turn: Turn, messages: list[Message], run: AgentRun) -> Awaitable[Lane]:
        run.emit_internal_events = self._emit_internal_events
        options = _NOTHING if run.options is None else self._call_options(turn, run.options)
        run.chat = turn
        return self._runnable.invoke(messages, **options)

    def _turn(self, run: AgentRun) -> Turn:
        turn = Turn()
        turn.name, turn.path, turn.run, turn.streaming = run.agent_name, run.run_path, run, run.streaming
        turn.model, turn.hooks, turn.max_iterations = self._model, self._hooks, self._max_iterations
        turn.stack, turn.plain = self._stack(), self._is_plain and not turn.streaming
        turn.options, turn.after_tools, turn.answers_errors = self._model_options, None, self._answers_errors
        turn.infos, turn.offered, turn.tools, turn.one_tool, turn.direct = self._kit
        turn.values, turn.edit_history = _NOTHING, None
        return turn

    def _with_transfer(self, setup: AgentSetup, turn: Turn, targets: tuple[tuple[str, str], ...]) -> AgentSetup:
        """Offer the tool that hands over, and tell the model to whom."""
        setup = setup.replace(
            instruction=f"{setup.instruction}\n\n{transfer_instruction(targets)}".strip(),
            tools=(*setup.tools, transfer_tool()),
            return_directly=setup.return_directly | {TRANSFER_TOOL},
        )
        if self._kit_to_transfer is None:
            self._kit_to_transfer = self._kit_of(setup.tools, setup.return_directly)
        turn.infos, turn.offered, turn.tools, turn.one_tool, turn.direct = self._kit_to_transfer
        return setup

    async def _set_up(self, turn: Turn, targets: tuple[tuple[str, str], ...]) -> str:
        """Say to whom the agent may hand over, and ask the middlewares what the turn begins with; the instruction."""
        before = setup = AgentSetup(
            agent_name=self.name, instruction=self.instruction, tools=self._tools, return_directly=self._direct
        )
        if targets:
            before = setup = self._with_transfer(setup, turn, targets)
        for hook in self._hooks.before_agent:
            setup = await hook(setup, AgentSetup)
        turn.values = setup.values
        if setup.tools is not before.tools or setup.return_directly is not before.return_directly:
            direct = _directly(setup.return_directly, setup.tools, turn.name)
            turn.infos, turn.offered, turn.tools, turn.one_tool, turn.direct = self._kit_of(tuple(setup.tools), direct)
        return setup.instruction

    def _kit_of(self, tools: tuple[Tool, ...], direct: frozenset[str]) -> _Kit:
        """Return what a turn needs of its tools."""
        hooks = self._hooks
        node = ToolsNode(tools, middlewares=hooks.tool_middlewares(send_result), **self._node_options)
        one = ToolsNode(tools, middlewares=hooks.quiet_tool_middlewares(send_result), **self._node_options)
        if tools and not hasattr(self._model, "with_tools"):
            raise BuildError(
                f"agent {self.name!r}: {self._model!r:.200} cannot call tools, it has no with_tools(tools) method; "
                "give a ToolCallingChatModel, or no tools"
            )
        infos = tuple(tool.info for tool in tools)
        offered = self._model_options.merge(ModelOptions(tools=infos)) if infos else self._model_options
        called = {alias for name in direct if name in self._aliases for alias in self._aliases[name].names}
        return infos, offered, node, one, direct | called

    def _text(self, instruction: str, run: AgentRun) -> str:
        return _filled(instruction, run.values, self.name) if self._template else instruction

    def _messages(self, instruction: str, input: AgentInput, run: AgentRun) -> list[Message]:  # noqa: A002
        text = self._text(instruction, run)
        return [system_message(text), *input.messages] if text else list(input.messages)

    def _call_options(self, turn: Turn, options: object) -> dict[str, Any]:
        if not isinstance(options, ChatAgentOptions):
            raise BuildError(f"the options of agent {self.name!r} are ChatAgentOptions(...), got {options!r:.200}")
        turn.after_tools, turn.edit_history = options.after_tools, options.edit_history
        given = {"model": options.model, "tools": options.tools}
        return {"options": {node: each for node, each in given.items() if each is not None}}


_NOTHING: Final[Mapping[str, Any]] = {}


def _failover(models: object) -> ModelFailover:
    if not isinstance(models, Sequence):
        raise BuildError(f"failover={models!r}: give a list of chat models, or ModelFailover(...)")
    return ModelFailover(fallbacks=models)


def _directly(names: Collection[str], tools: Sequence[Tool], agent: str) -> frozenset[str]:
    known = [tool.info.name for tool in tools]
    for name in [names] if isinstance(names, str) else names:
        if isinstance(names, str) or name not in known:
            raise BuildError(
                f"agent {agent!r}: return_directly={names!r}: give a set of names of tools; the tools are {known}"
            )
    return frozenset(names)


def _filled(instruction: str, values: Mapping[str, Any], agent: str) -> str:
    try:
        return instruction.format_map(dict(values))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise BuildError(
            f"the instruction of agent {agent!r} cannot be filled in: {type(error).__name__}: {error}; the session "
            f"values are {sorted(values)}. Write braces that are meant as such twice: '{{{{' and '}}}}'"
        ) from error
