"""Our own components, and the fakes, pass the suites that we give to others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eino import FailoverChatModel, RetryChatModel, RetryPolicy, tool
from eino.components import ModelOptions
from eino.errors import ServerError
from eino.ext.models import openai_services
from eino.ext.models.anthropic import AnthropicChatModel
from eino.ext.models.gemini import GeminiChatModel
from eino.ext.models.ollama import OllamaChatModel
from eino.ext.models.openai import OpenAIChatModel
from eino.schema import Document, Message, ResponseMeta, assistant_message, token_usage, tool_call
from eino_fixtures import Answer, ByToken, ErrorAnswer, FakeEmbedder, FakeRetriever, FunctionChatModel, ProviderServer
from eino_harness.conformance import (
    ChatModelConformance,
    EmbedderConformance,
    RetrieverConformance,
    ToolConformance,
)

KEY = "sk-test-0123456789abcdef"


def provider_answer(request: Any) -> Answer:
    """Answer as a model with tools would, in any of the server's formats."""
    body = request.json
    asked = body.get("messages") or body.get("contents")
    last = asked[-1]
    blocks = last.get("content") if isinstance(last.get("content"), list) else last.get("parts", [])
    answered = last["role"] == "tool" or any(
        block.get("type") == "tool_result" or "functionResponse" in block for block in blocks if isinstance(block, dict)
    )
    if body.get("tools") and not answered:
        return Answer([tool_call("get_weather", {"city": "Paris"}, id="call_1")], ByToken())
    return Answer("Hello there, nice weather!", ByToken())


def refusing(request: Any) -> ErrorAnswer:
    return ErrorAnswer(401, f"the key {KEY} is wrong")


@asynccontextmanager
async def openai_model(answer: Any = provider_answer) -> AsyncIterator[OpenAIChatModel]:
    with ProviderServer(answer) as server:
        async with OpenAIChatModel(model="m", api_key=KEY, base_url=server.openai_url) as model:
            yield model


@asynccontextmanager
async def azure_model(answer: Any = provider_answer) -> AsyncIterator[OpenAIChatModel]:
    with ProviderServer(answer) as server:
        async with openai_services.azure("m", endpoint=server.url, api_key=KEY) as model:
            yield model


@asynccontextmanager
async def gemini_model(answer: Any = provider_answer) -> AsyncIterator[GeminiChatModel]:
    with ProviderServer(answer) as server:
        async with GeminiChatModel(model="m", api_key=KEY, base_url=server.gemini_url) as model:
            yield model


@asynccontextmanager
async def ollama_model(answer: Any = provider_answer) -> AsyncIterator[OllamaChatModel]:
    with ProviderServer(answer) as server:
        async with OllamaChatModel(model="m", base_url=server.ollama_url) as model:
            yield model


@asynccontextmanager
async def anthropic_model(answer: Any = provider_answer) -> AsyncIterator[AnthropicChatModel]:
    with ProviderServer(answer) as server:
        async with AnthropicChatModel(model="m", api_key=KEY, base_url=server.anthropic_url) as model:
            yield model


class TestOpenAI(ChatModelConformance):
    secrets = (KEY,)

    def make(self) -> Any:
        return openai_model()

    def make_failing(self) -> Any:
        return openai_model(refusing)


class TestAzure(ChatModelConformance):
    secrets = (KEY,)

    def make(self) -> Any:
        return azure_model()

    def make_failing(self) -> Any:
        return azure_model(refusing)


class TestGemini(ChatModelConformance):
    secrets = (KEY,)

    def make(self) -> Any:
        return gemini_model()

    def make_failing(self) -> Any:
        return gemini_model(refusing)


class TestOllama(ChatModelConformance):
    def make(self) -> Any:
        return ollama_model()

    def make_failing(self) -> Any:
        return ollama_model(refusing)


class TestAnthropic(ChatModelConformance):
    secrets = (KEY,)

    def make(self) -> Any:
        return anthropic_model()

    def make_failing(self) -> Any:
        return anthropic_model(refusing)


def scripted_answer(messages: Any, options: ModelOptions) -> Message:
    meta = ResponseMeta(finish_reason="stop", usage=token_usage(3, 4))
    if options.offered_tools and messages[-1].role == "user":
        return assistant_message("", [tool_call("get_weather", {"city": "Paris"}, id="1")], response_meta=meta)
    return assistant_message("Hello there", response_meta=meta)


def failing_answer(messages: Any, options: ModelOptions) -> Message:
    raise ServerError("no capacity")


class TestFunctionModel(ChatModelConformance):
    def make(self) -> Any:
        return FunctionChatModel(scripted_answer)

    def make_failing(self) -> Any:
        return FunctionChatModel(failing_answer)


class TestRetry(ChatModelConformance):
    def make(self) -> Any:
        return RetryChatModel(FunctionChatModel(scripted_answer))

    def make_failing(self) -> Any:
        return RetryChatModel(FunctionChatModel(failing_answer), RetryPolicy(max_attempts=2, base_s=0.0))


class TestBufferedRetry(ChatModelConformance):
    def make(self) -> Any:
        return RetryChatModel(FunctionChatModel(scripted_answer), streaming="buffered")

    def make_failing(self) -> Any:
        return RetryChatModel(FunctionChatModel(failing_answer), RetryPolicy(max_attempts=2, base_s=0.0))


class TestFailover(ChatModelConformance):
    secrets = (KEY,)

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Any]:
        async with openai_model() as model:
            yield FailoverChatModel(FunctionChatModel(failing_answer), [model])

    def make_failing(self) -> Any:
        return FailoverChatModel(FunctionChatModel(failing_answer), [FunctionChatModel(failing_answer)])


class TestFakeEmbedder(EmbedderConformance):
    without = {"errors": "the fake never fails"}  # noqa: RUF012

    def make(self) -> Any:
        return FakeEmbedder()


FOXES = [Document(id=str(place), content=f"fox {place}").with_score(1.0 - place / 10) for place in range(4)]


class TestFakeRetriever(RetrieverConformance):
    without = {"errors": "the fake never fails"}  # noqa: RUF012

    def make(self) -> Any:
        return FakeRetriever({"fox": FOXES})


@tool
async def double(x: int) -> str:
    """Doubles a number.

    Args:
        x: The number.
    """
    import anyio

    await anyio.lowlevel.checkpoint()
    return str(2 * x)


@tool
async def count(upto: int) -> AsyncIterator[str]:
    """Counts.

    Args:
        upto: The last number.
    """
    import anyio

    for number in range(upto):
        await anyio.lowlevel.checkpoint()
        yield f"{number} "


class TestFunctionTool(ToolConformance):
    arguments = {"x": 21}  # noqa: RUF012
    wrong_arguments = {"x": "a"}  # noqa: RUF012
    without = {"streaming": "it gives its result whole"}  # noqa: RUF012

    def make(self) -> Any:
        return double


class TestStreamingFunctionTool(ToolConformance):
    arguments = {"upto": 3}  # noqa: RUF012
    wrong_arguments: Any = {}  # noqa: RUF012

    def make(self) -> Any:
        return count


@pytest.mark.parametrize("suite", [TestFunctionTool, TestOpenAI])
def test_only_what_was_left_out_is_left_out(suite: Any) -> None:
    assert len(suite.checks()) == len(suite.__mro__[1].checks()) - (2 if suite is TestFunctionTool else 0)
