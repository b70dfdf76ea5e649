"""Does a chat model keep the contract of `ChatModel` and `ToolCallingChatModel`?"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

from eino.components.model import ChatModel, ModelOptions, ToolCallingChatModel
from eino.errors import ConcatError
from eino.schema import concat_messages
from eino.schema.message import Message, tool_message, user_message
from eino.schema.tool import ToolInfo
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle
from eino_harness.conformance._suite import (
    Conformance,
    ConformanceError,
    at_once,
    require,
    require_cancellation,
    require_component_error,
)

__all__ = ["ChatModelConformance"]


class ChatModelConformance(Conformance, suite=True):
    """Checks a chat model.

        class TestMyModel(ChatModelConformance):
            def make(self):
                return MyModel(model="m", api_key=SECRET)

            def make_failing(self):
                return MyModel(model="m", api_key="wrong")

            secrets = (SECRET,)

    Abilities that can be left out with a reason: `"tools"`, `"errors"`, `"usage"`, `"finish_reason"`.
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "tools": (
            "test_binding_tools_leaves_the_model_as_it_is",
            "test_tool_calls_are_whole",
            "test_streamed_tool_calls_join",
            "test_tool_results_are_understood",
        ),
        "errors": ("test_failures_are_component_errors", "test_a_failing_stream_raises_while_it_is_read"),
        "usage": ("test_usage_adds_up",),
        "finish_reason": ("test_the_finish_reason_is_told",),
    }

    messages: ClassVar[Sequence[Message]] = (user_message("Say hello in one word."),)
    """A conversation that the model answers with a text."""
    tool: ClassVar[ToolInfo] = ToolInfo(
        name="get_weather",
        description="Current weather in a city.",
        json_schema={
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    )
    tool_messages: ClassVar[Sequence[Message]] = (user_message("How is the weather in Paris? Use the tool."),)
    """A conversation that the model answers with a call of `tool`."""
    secrets: ClassVar[Sequence[str]] = ()
    """Keys that the model was made with: no `repr` may show them."""

    def make(self) -> Any:
        """Return a new chat model: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    def make_failing(self) -> Any:
        """Return a chat model whose service refuses every request, such as one with a wrong key."""
        raise NotImplementedError(
            f"{type(self).__name__} must define make_failing(), or leave it out: without = {{'errors': 'the reason'}}"
        )

    async def test_it_has_the_methods_of_a_chat_model(self) -> None:
        """It is a `ChatModel`: `generate` is a coroutine function, `stream` returns an async iterator at once."""
        async with self.component() as model:
            require(isinstance(model, ChatModel), f"{type(model).__name__} must have `generate` and `stream`")
            await _close(_opened(model.stream(list(self.messages))))

    async def test_generate_gives_a_whole_answer(self) -> None:
        """`generate` returns one message of the assistant, without streaming indexes."""
        async with self.component() as model:
            answer = await model.generate(list(self.messages))
        _require_answer(answer)
        require(answer.content, "the answer to `messages` must have a text")
        require(all(call.index is None for call in answer.tool_calls), "whole tool calls must have no index")

    async def test_stream_gives_chunks_that_join(self) -> None:
        """`stream` gives messages of the assistant that join into an answer."""
        async with self.component() as model:
            chunks = await _read(model.stream(list(self.messages)))
        require(chunks, "a stream must have at least one chunk")
        for chunk in chunks:
            _require_answer(chunk)
        require(_joined(chunks).content, "the streamed answer to `messages` must have a text")

    async def test_messages_are_not_changed(self) -> None:
        """The caller's messages, and the list that they are in, stay as they are."""
        async with self.component() as model:
            messages = list(self.messages)
            await model.generate(messages)
            await _read(model.stream(messages))
        require(messages == list(self.messages), f"the messages were changed to {messages!r:.300}")

    async def test_options_are_taken(self) -> None:
        """Options of a call are taken by both methods, switched-off ones (`None`) too."""
        options = ModelOptions(temperature=0.0, max_tokens=64, top_p=None)
        async with self.component() as model:
            _require_answer(await model.generate(list(self.messages), options))
            require(await _read(model.stream(list(self.messages), options)), "a stream with options had no chunks")

    async def test_concurrent_calls_do_not_mix(self) -> None:
        """Calls beside each other get whole answers, streamed and not."""
        async with self.component() as model:

            async def ask(number: int) -> Message:
                if number % 2:
                    return _joined(await _read(model.stream(list(self.messages))))
                answer: Message = await model.generate(list(self.messages))
                return answer

            answers = await at_once(ask)
        for answer in answers:
            _require_answer(answer)
            require(answer.content, "an answer of concurrent calls had no text")

    async def test_a_stream_can_be_left_early(self) -> None:
        """Closing a stream early ends it, leaves nothing running, and the model answers again."""
        async with self.component() as model:
            await _read(model.stream(list(self.messages)))  # what is opened once per model is open now
            tasks, generators = TaskWatch(), GeneratorWatch()
            generators.install()
            try:
                stream = _opened(model.stream(list(self.messages)))
                await anext(stream)
                await _close(stream)
                del stream
                await settle()
                leaks = tasks.leaks() + generators.leaks()
            finally:
                generators.remove()
            require(not leaks, f"a stream that was closed early left open: {'; '.join(leaks)}")
            _require_answer(await model.generate(list(self.messages)))

    async def test_cancellation_passes(self) -> None:
        """A cancelled call ends as cancelled, and the model answers the next one."""
        async with self.component() as model:
            await require_cancellation(lambda: model.generate(list(self.messages)))
            await require_cancellation(lambda: _read(model.stream(list(self.messages))))
            _require_answer(await model.generate(list(self.messages)))

    async def test_no_secret_is_shown(self) -> None:
        """No `repr` shows a key."""
        async with self.component() as model:
            shown = repr(model)
        for secret in self.secrets:
            require(secret not in shown, "the repr of the model shows a key")

    async def test_closing_twice_is_no_error(self) -> None:
        """A model that can be closed can be closed again."""
        async with self.component() as model:
            for _ in range(2 if hasattr(model, "aclose") else 0):
                await model.aclose()

    async def test_usage_adds_up(self) -> None:
        """Both methods tell the token usage, once: no count is negative, the total is not less than its parts."""
        async with self.component() as model:
            answers = [
                await model.generate(list(self.messages)),
                _joined(await _read(model.stream(list(self.messages)))),
            ]
        for answer, method in zip(answers, ("generate", "stream"), strict=True):
            usage = answer.response_meta.usage if answer.response_meta is not None else None
            if usage is None:
                raise ConformanceError(f"`{method}` must tell the usage in response_meta.usage")
            require(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"`{method}` tells {usage!r}")
            require(
                usage.total_tokens >= usage.prompt_tokens + usage.completion_tokens,
                f"the total that `{method}` tells is less than its parts: {usage!r}",
            )
            require(usage.cached_tokens <= usage.prompt_tokens, f"cached tokens are prompt tokens: {usage!r}")
            require(usage.reasoning_tokens <= usage.completion_tokens, f"reasoning is part of the answer: {usage!r}")

    async def test_the_finish_reason_is_told(self) -> None:
        """Both methods tell why the answer ended."""
        async with self.component() as model:
            answers = [
                await model.generate(list(self.messages)),
                _joined(await _read(model.stream(list(self.messages)))),
            ]
        for answer, method in zip(answers, ("generate", "stream"), strict=True):
            reason = answer.response_meta.finish_reason if answer.response_meta is not None else ""
            require(reason, f"`{method}` must tell the finish reason in response_meta.finish_reason")

    async def test_binding_tools_leaves_the_model_as_it_is(self) -> None:
        """`with_tools` returns a copy that is offered the tools; the model itself answers without them."""
        async with self.component() as model:
            require(isinstance(model, ToolCallingChatModel), f"{type(model).__name__} must have `with_tools`")
            bound = model.with_tools([self.tool])
            require(bound is not model, "`with_tools` must return a copy, not the model itself")
            answer = await model.generate(list(self.tool_messages))
        require(not answer.tool_calls, "the model itself calls tools after `with_tools` made a copy that may")

    async def test_tool_calls_are_whole(self) -> None:
        """A tool call has a name that was offered, arguments that are a JSON object, and no index."""
        async with self.component() as model:
            answer = await model.with_tools([self.tool]).generate(list(self.tool_messages))
        self._require_calls(answer)
        require(all(call.index is None for call in answer.tool_calls), "whole tool calls must have no index")

    async def test_streamed_tool_calls_join(self) -> None:
        """Streamed pieces of tool calls carry an index, and join into whole calls."""
        async with self.component() as model:
            chunks = await _read(model.with_tools([self.tool]).stream(list(self.tool_messages)))
        pieces = [call for chunk in chunks for call in chunk.tool_calls]
        require(all(call.index is not None for call in pieces), "every streamed piece of a call must have an index")
        self._require_calls(_joined(chunks))

    async def test_tool_results_are_understood(self) -> None:
        """The calls and their results go back into the conversation, streamed ones too."""
        async with self.component() as model:
            bound = model.with_tools([self.tool])
            for answer in (
                await bound.generate(list(self.tool_messages)),
                _joined(await _read(bound.stream(list(self.tool_messages)))),
            ):
                calls = tuple(call.replace(index=None) for call in answer.tool_calls)
                results = [tool_message('{"celsius": 21}', call.id, tool_name=call.name) for call in calls]
                asked = answer.replace(tool_calls=calls, response_meta=None)
                _require_answer(await bound.generate([*self.tool_messages, asked, *results]))

    async def test_failures_are_component_errors(self) -> None:
        """What the service refuses is a `ComponentError`, whose text shows no key."""
        async with self.component(self.make_failing) as model:
            await require_component_error(lambda: model.generate(list(self.messages)), "`generate`")
            try:
                await model.generate(list(self.messages))
            except Exception as error:
                require(not any(secret in str(error) for secret in self.secrets), "the text of an error shows a key")

    async def test_a_failing_stream_raises_while_it_is_read(self) -> None:
        """`stream` itself does not fail; reading what it returns does."""
        async with self.component(self.make_failing) as model:
            try:
                stream = model.stream(list(self.messages))
            except Exception as error:
                raise ConformanceError(f"`stream` raised {type(error).__name__} before the first pull") from error
            await require_component_error(lambda: _read(stream), "reading a stream")

    def _require_calls(self, answer: Message) -> None:
        require(answer.tool_calls, "the answer to `tool_messages` must call the tool")
        for call in answer.tool_calls:
            require(call.name == self.tool.name, f"the call names {call.name!r}, which was not offered")
            try:
                arguments = json.loads(call.arguments)
            except ValueError as error:
                raise ConformanceError(f"the arguments of a call are no JSON: {call.arguments!r}") from error
            require(isinstance(arguments, dict), f"the arguments of a call are no JSON object: {call.arguments!r}")


def _opened(stream: Any) -> Any:
    """Return what `stream` gave, which must be an async iterator."""
    if inspect.iscoroutine(stream):
        stream.close()  # else Python warns that nobody awaited it
    require(
        not inspect.isawaitable(stream) and hasattr(stream, "__anext__"),
        "`stream` must return an async iterator, not a coroutine: write an async generator",
    )
    return stream


async def _read(stream: AsyncIterator[Message]) -> list[Message]:
    return [chunk async for chunk in _opened(stream)]


async def _close(stream: Any) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def _joined(chunks: list[Message]) -> Message:
    try:
        return concat_messages(chunks)
    except ConcatError as error:
        raise ConformanceError(f"the chunks of a stream do not join into one message: {error}") from error


def _require_answer(answer: object) -> None:
    require(isinstance(answer, Message), f"an answer must be a Message, got {answer!r:.200}")
    role = getattr(answer, "role", None)
    require(role == "assistant", f"an answer must have the role 'assistant', got {role!r}")
