"""Middlewares that wrap the model of a chat agent: what they make of an answer whose event is out, or give themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from eino import Message, ModelOptions, assistant_message
from eino.adk import Middleware, SendsModelEvents, message_id
from eino.components.model import NO_MODEL_OPTIONS, ChatModel
from eino.schema import concat_messages
from eino_fixtures import FunctionChatModel, ScriptedChatModel, fake_tool
from tests.conformance.adk_chat_agents import STREAMING, agent_of, call, events_of, text_of, texts_of


@STREAMING
async def test_a_wrapper_that_calls_the_model_twice(streaming: bool) -> None:
    """Only what it returns counts: the stream of the first call ends in the mark, in values there is one event."""

    class Twice(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return _Twice(model)

    class _Twice:
        def __init__(self, model: ChatModel) -> None:
            self.model = model

        async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
            await self.model.generate(messages, options)
            return concat_messages([chunk async for chunk in self.model.stream(messages, options)])

        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            async for _ in self.model.stream(messages, options):
                pass
            async for chunk in self.model.stream(messages, options):
                yield chunk

    agent = agent_of(ScriptedChatModel(["one", "two two"]), middlewares=[Twice(), SendsModelEvents()])
    found = await texts_of(agent, streaming=streaming)
    assert found == (["assistant: broke off: WillRetryError"] if streaming else []) + ["assistant: two two"]


@STREAMING
async def test_a_wrapper_outside_the_event_may_change_the_answer(streaming: bool) -> None:
    """The event is out; the message that is kept is another one, and has the id of the event."""

    class Anew(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return _Anew(model)

    class _Anew:
        def __init__(self, model: ChatModel) -> None:
            self.model = model

        async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
            answer = await self.model.generate(messages, options)
            return assistant_message(f"<{answer.content}>", answer.tool_calls)

        async def stream(
            self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS
        ) -> AsyncIterator[Message]:
            yield await self.generate(messages, options)

    model = ScriptedChatModel([[call("t")], "bye"])
    agent = agent_of(model, tools=[fake_tool("t")], middlewares=[Anew(), SendsModelEvents()])
    found = await events_of(agent, streaming=streaming)
    assert found[0].message is not None
    said = await found[0].message.get()
    kept = model.calls[1].messages[1]
    assert (said.content, kept.content) == ("", "<>")
    assert message_id(said) == message_id(kept) is not None


@STREAMING
async def test_a_wrapper_may_answer_itself(streaming: bool) -> None:
    """Such as from a cache: the answer is an event with an id, and the model is not asked."""

    class Cached(Middleware):
        async def wrap_model(self, model: ChatModel) -> ChatModel:
            return FunctionChatModel(lambda messages, options: "from the cache")

    model = ScriptedChatModel([])
    found = await events_of(agent_of(model, middlewares=[Cached()]), streaming=streaming)
    assert [await text_of(event) for event in found] == ["assistant: from the cache"]
    assert found[0].message is not None
    assert message_id(await found[0].message.get())
    assert model.calls == []
