"""What handlers get from components: plain values and told payloads in one form, each call told once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from eino import Chain, ChatTemplate, Handler, Lambda, RunInfo, StreamReader, around, handler_builder
from eino.components import (
    NO_MODEL_OPTIONS,
    CallbackPayload,
    EmbedderCallbackInput,
    EmbedderCallbackOutput,
    IndexerCallbackInput,
    IndexerCallbackOutput,
    LoaderCallbackInput,
    LoaderCallbackOutput,
    ModelCallbackInput,
    ModelCallbackOutput,
    ModelOptions,
    PromptCallbackInput,
    PromptCallbackOutput,
    RetrieverCallbackInput,
    RetrieverCallbackOutput,
    Source,
    ToolCallbackInput,
    ToolCallbackOutput,
    TransformerCallbackInput,
    TransformerCallbackOutput,
)
from eino.errors import RunError
from eino.schema import Document, Message, ResponseMeta, ToolArgument, ToolResult, token_usage, user_message
from eino_fixtures import ScriptedChatModel

HI = user_message("hi")
DOCUMENT = Document(content="d")
SOURCE = Source("a.txt")
ANSWER = Message(role="assistant", content="yes", response_meta=ResponseMeta(usage=token_usage(3, 4)))


@pytest.mark.parametrize(
    ("plain", "payload"),
    [
        ([HI], ModelCallbackInput(messages=(HI,))),
        (ANSWER, ModelCallbackOutput(message=ANSWER, usage=token_usage(3, 4))),
        (HI, ModelCallbackOutput(message=HI)),
        ({"x": 1}, PromptCallbackInput(variables={"x": 1})),
        ([HI], PromptCallbackOutput(messages=(HI,))),
        (["a", "b"], EmbedderCallbackInput(texts=("a", "b"))),
        ([[0.5, 1], []], EmbedderCallbackOutput(embeddings=([0.5, 1], []))),
        ([DOCUMENT], IndexerCallbackInput(documents=(DOCUMENT,))),
        (["1"], IndexerCallbackOutput(ids=("1",))),
        ("what?", RetrieverCallbackInput(query="what?")),
        ([], RetrieverCallbackOutput(documents=())),
        (SOURCE, LoaderCallbackInput(source=SOURCE)),
        ([DOCUMENT], LoaderCallbackOutput(documents=(DOCUMENT,))),
        ((DOCUMENT,), TransformerCallbackInput(documents=(DOCUMENT,))),
        ([DOCUMENT], TransformerCallbackOutput(documents=(DOCUMENT,))),
        ("{}", ToolCallbackInput(arguments="{}")),
        (ToolArgument(text="{}"), ToolCallbackInput(arguments="{}")),
        ("done", ToolCallbackOutput(result="done")),
        (ToolResult(), ToolCallbackOutput(result=ToolResult())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_and_payloads_come_out_alike(plain: object, payload: CallbackPayload) -> None:
    kind = type(payload)

    assert kind.of(plain) == payload
    assert kind.of(payload) is payload


@pytest.mark.parametrize(
    "kind", [each for base in CallbackPayload.__subclasses__() for each in (base.__subclasses__() or [base])]
)
@pytest.mark.parametrize("other", [7, None, [7], [HI, 7], [["a"]], CallbackPayload()], ids=repr)
def test_what_is_of_another_kind_is_none(kind: type[CallbackPayload], other: object) -> None:
    assert kind.of(other) is None


class Telling:
    """A chat model that fires its own callbacks, for `generate` and for `stream`."""

    self_instrumented = True

    def __init__(self) -> None:
        self._inner = ScriptedChatModel(["one two three"] * 4)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        told = ModelCallbackInput(messages=tuple(messages), options=options)
        with around("ChatModel", name="telling", type="Telling", input=told) as span:
            answer = await self._inner.generate(messages, options)
            span.end(ModelCallbackOutput(message=answer, usage=token_usage(1, 2)))
            return answer

    def stream(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> AsyncIterator[Message]:
        told = ModelCallbackInput(messages=tuple(messages), options=options)
        with around("ChatModel", name="telling", type="Telling", input=told) as span:
            return aiter(span.end_stream(StreamReader.from_async(self._inner.stream(messages, options))))


class Ear(Handler):
    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Any]] = []

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002
        self.heard.append((info.component, "start", input))

    def on_end(self, info: RunInfo, output: Any) -> None:
        self.heard.append((info.component, "end", output))

    def on_end_stream_output(self, info: RunInfo, reader: Any) -> None:
        self.heard.append((info.component, "stream", reader))


def chain() -> Any:
    template = ChatTemplate.from_messages(user_message("{question}"))
    return Chain[dict[str, object], Message]().append_chat_template(template).append_chat_model(Telling()).compile()


async def test_a_self_instrumented_model_is_told_once_and_by_itself() -> None:
    ear = Ear()

    await chain().invoke({"question": "hi"}, callbacks=[ear])

    model = [(timing, payload) for component, timing, payload in ear.heard if component == "ChatModel"]
    assert [timing for timing, _ in model] == ["start", "end"]
    assert model[0][1] == ModelCallbackInput(messages=(HI,))
    assert ModelCallbackOutput.of(model[1][1]).usage == token_usage(1, 2)  # type: ignore[union-attr]


async def test_a_self_instrumented_stream_is_told_once() -> None:
    ear = Ear()

    async with chain().stream({"question": "hi"}, callbacks=[ear]) as reader:
        text = "".join([chunk.content async for chunk in reader])

    assert text == "one two three"
    timings = [timing for component, timing, _ in ear.heard if component == "ChatModel"]
    assert timings == ["start", "stream"]


async def test_handlers_read_their_own_copy_of_a_told_stream() -> None:
    readers: list[StreamReader[Message]] = []
    handler = handler_builder(on_end_stream_output=lambda info, reader: readers.append(reader))

    async def ask(text: str) -> str:
        chunks = [chunk.content async for chunk in Telling().stream([user_message(text)])]
        copy = next(iter(readers))
        assert copy.is_open is False, "what a handler leaves unread is closed behind the stream"
        return "|".join(chunks)

    runnable = Chain[str, str]().append_lambda(Lambda(ask, self_instrumented=True)).compile()

    assert await runnable.invoke("hi", callbacks=[handler]) == "one| two| three"


async def test_a_told_stream_that_is_left_early_closes_the_copies() -> None:
    readers: list[StreamReader[int]] = []

    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def ask(text: str) -> str:
        with around("Lambda", name="n") as span:
            reader = span.end_stream(StreamReader.from_async(numbers()))
        assert await reader.recv() == 1
        assert await readers[0].recv() == 1
        await reader.aclose()
        return text

    handler = handler_builder(on_end_stream_output=lambda info, reader: readers.append(reader))
    runnable = Chain[str, str]().append_lambda(Lambda(ask, self_instrumented=True)).compile()

    assert await runnable.invoke("x", callbacks=[handler]) == "x"
    assert not readers[0].is_open


async def test_a_told_stream_that_fails_fails_for_its_reader_and_closes_the_copies() -> None:
    readers: list[StreamReader[int]] = []

    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    async def ask(text: str) -> str:
        with around("Lambda", name="n") as span:
            reader = span.end_stream(StreamReader.from_async(broken()))
        async with reader:
            with pytest.raises(ValueError, match="broken"):
                [each async for each in reader]
        return text

    handler = handler_builder(on_end_stream_output=lambda info, reader: readers.append(reader))
    runnable = Chain[str, str]().append_lambda(Lambda(ask, self_instrumented=True)).compile()

    assert await runnable.invoke("x", callbacks=[handler]) == "x"
    assert not readers[0].is_open


async def test_a_handler_that_raises_on_a_told_stream_leaves_nothing_open() -> None:
    def refuse(info: RunInfo, reader: Any) -> None:
        raise KeyError("mine")

    async def ask(text: str) -> str:
        with around("Lambda", name="n") as span:
            span.end_stream(StreamReader.from_iterable([1]))
        return text

    runnable = Chain[str, str]().append_lambda(Lambda(ask, self_instrumented=True)).compile()

    with pytest.raises(RunError, match="on_end_stream_output of Lambda 'n' raised KeyError"):
        await runnable.invoke("x", callbacks=[handler_builder(on_end_stream_output=refuse)])


async def test_without_handlers_a_told_stream_is_the_stream_itself() -> None:
    reader = StreamReader.from_iterable([1, 2])
    with around("Lambda", name="n") as span:
        assert span.end_stream(reader) is reader
    assert [each async for each in reader] == [1, 2]
