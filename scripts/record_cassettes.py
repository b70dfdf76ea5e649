"""Record the project's cassettes: real HTTP through the official SDK and vcrpy, against the provider server.

    python scripts/record_cassettes.py            # records all
    python scripts/record_cassettes.py --check    # records into a temporary folder and compares; 1 if they differ

The same script gives the same bytes: ids, times and ports do not depend on when or where it runs. Whoever has a key
records a single cassette against the real service with `pytest --record-mode=rewrite` instead.
"""

from __future__ import annotations

import argparse
import filecmp
import itertools
import json
import runpy
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
import httpx
import httpx2
from openai import AsyncOpenAI
from pydantic import BaseModel

from eino.components import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.errors import (
    AuthenticationError,
    ContentFilterError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    StreamBrokenError,
)
from eino.ext.models.anthropic import CONTENT, RESPONSE, THOUGHT, AnthropicChatModel
from eino.ext.models.gemini import DETAILS, PART_FIELDS, PARTS, THOUGHT_SIGNATURE, GeminiChatModel
from eino.ext.models.ollama import OllamaChatModel
from eino.ext.models.openai import REFUSAL, OpenAIChatModel
from eino.schema import (
    AudioPart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    LogProb,
    LogProbs,
    Media,
    Message,
    Reasoning,
    ReasoningPart,
    ResponseMeta,
    TextPart,
    ToolCall,
    ToolInfo,
    TopLogProb,
    VideoPart,
    assistant_message,
    concat_messages,
    system_message,
    token_usage,
    tool_call,
    tool_message,
    user_message,
)
from eino_fixtures.cassettes import load_cassette, use_cassette
from eino_fixtures.chunking import ByToken, ByWord
from eino_fixtures.provider_server import Answer, Embeddings, ErrorAnswer, ProviderAnswer, ProviderServer, RawAnswer

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk-not-a-real-key-000000"
CHUNK_TIME_S = 0.03
"""Time between two pieces of a recorded stream: what a fast model needs for a token."""

WEATHER = ToolInfo(
    name="get_weather",
    description="Current weather in a city.",
    json_schema={
        "type": "object",
        "properties": {"city": {"type": "string", "description": "City name."}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
FORECAST = {
    "Paris": '{"city": "Paris", "sky": "clear", "temperature_c": 21}',
    "Tokyo": '{"city": "Tokyo", "sky": "light rain", "temperature_c": 17}',
}
SYSTEM = system_message("You are a travel assistant. Use the tools to look up facts; answer in one short paragraph.")
QUESTION = user_message("I am deciding between Paris and Tokyo this weekend. Where is the weather better?")
CALLS = [
    tool_call("get_weather", {"city": "Paris"}, id="call_paris"),
    tool_call("get_weather", {"city": "Tokyo"}, id="call_tokyo"),
]
VERDICT = (
    "Paris looks better this weekend: it is clear there with 21 °C, while Tokyo expects light rain at 17 °C. "
    "Pack sunglasses rather than an umbrella, and enjoy the walk along the Seine."
)

Client = TypeVar("Client")
AnyModel: TypeAlias = OpenAIChatModel | AnthropicChatModel | GeminiChatModel | OllamaChatModel


@asynccontextmanager
async def openai_model(address: str, http_client: httpx2.AsyncClient | None = None) -> AsyncIterator[OpenAIChatModel]:
    """Give the OpenAI chat model that most cassettes are recorded with, for a server at `address`."""
    async with OpenAIChatModel(
        model="gpt-4o-mini",
        api_key=KEY,
        base_url=f"{address}/v1",
        max_tokens_field="max_completion_tokens",
        http_client=http_client,
    ) as model:
        yield model


@asynccontextmanager
async def anthropic_model(
    address: str, http_client: httpx2.AsyncClient | None = None
) -> AsyncIterator[AnthropicChatModel]:
    """Give Anthropic's chat model for a server at `address`."""
    async with AnthropicChatModel(
        model="claude-sonnet-4-5", api_key=KEY, base_url=address, http_client=http_client
    ) as model:
        yield model


@asynccontextmanager
async def gemini_model(address: str, http_client: httpx2.AsyncClient | None = None) -> AsyncIterator[GeminiChatModel]:
    """Give Gemini's chat model for a server at `address`."""
    async with GeminiChatModel(
        model="gemini-2.5-flash", api_key=KEY, base_url=address, http_client=http_client
    ) as model:
        yield model


@asynccontextmanager
async def ollama_model(
    address: str, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[OllamaChatModel]:
    """Give Ollama's chat model for a server at `address`."""
    async with OllamaChatModel(model="llama3.2", base_url=address, transport=transport) as model:
        yield model


@asynccontextmanager
async def openai_sdk(address: str, http_client: httpx2.AsyncClient | None = None) -> AsyncIterator[AsyncOpenAI]:
    """Give the official client of OpenAI."""
    async with AsyncOpenAI(api_key=KEY, base_url=f"{address}/v1", max_retries=0, http_client=http_client) as client:
        yield client


@dataclass(frozen=True)
class Recording(Generic[Client]):
    """One cassette: what the server answers, and the conversation that asks for it."""

    path: str
    answers: Sequence[ProviderAnswer]
    talk: Callable[[Client], Awaitable[None]]
    client: Callable[..., AbstractAsyncContextManager[Client]]
    """Gives what talks to a server at an address, through an HTTP client of the caller's if there is one."""
    service: str = "https://api.openai.com"
    """The name under which the provider server is recorded."""


def answered(calls: Sequence[ToolCall]) -> list[Message]:
    """Return the conversation after the tools have answered `calls`."""
    results = [
        tool_message(FORECAST[city], call.id, tool_name=call.name) for call, city in zip(calls, FORECAST, strict=True)
    ]
    return [SYSTEM, QUESTION, assistant_message("", calls), *results]


async def text(model: AnyModel) -> None:
    """A question, an answer."""
    await model.generate([user_message("Say hello in French.")])


async def stream(model: AnyModel) -> None:
    """A question, an answer in pieces, with characters of several bytes."""
    await joined(model, [user_message("Say hello in French, Japanese and Emoji.")])


async def tools(model: AnyModel) -> None:
    """Two calls at once, their results, an answer; nothing is streamed."""
    with_tools = model.with_tools([WEATHER])
    asked = await with_tools.generate([SYSTEM, QUESTION])
    await with_tools.generate(answered(asked.tool_calls))


async def tools_streamed(model: AnyModel) -> None:
    """Two calls at once in pieces, their results, an answer in pieces."""
    with_tools = model.with_tools([WEATHER])
    asked = await joined(with_tools, [SYSTEM, QUESTION])
    calls = [call.replace(index=None) for call in asked.tool_calls]
    await joined(with_tools, answered(calls))


async def rate_limited(model: OpenAIChatModel) -> None:
    """Refused for now, and once more."""
    for ask in (model.generate, lambda messages: joined(model, messages)):
        try:
            await ask([user_message("Are you there?")])
        except RateLimitError:
            continue
        raise AssertionError("the server was told to refuse")


async def options(model: OpenAIChatModel) -> None:
    """An image, and every option that the protocol has."""
    image = ImagePart(image=ImageMedia(url="https://example.org/green.png", detail="low"))
    chosen = ModelOptions(
        temperature=0.2,
        top_p=0.9,
        max_tokens=50,
        stop=["END"],
        response_format={"type": "json_object"},
        extra_fields={"seed": 7},
    )
    await model.generate([user_message(["Which colour is this? Answer in JSON.", image])], chosen)


async def refused(model: OpenAIChatModel) -> None:
    """An answer that the model refuses to give, in pieces."""
    await joined(model, [user_message("How do I pick the lock of my neighbour's door?")])


class Trip(BaseModel):
    """A trip to a city."""

    city: str
    days: int


async def structured(model: AnyModel) -> None:
    """A value of a type, right the second time."""
    await model.with_structured_output(Trip).invoke([user_message("Plan a weekend in Paris.")])


async def embeddings(client: AsyncOpenAI) -> None:
    """Vectors, of the usual length and of another."""
    await client.embeddings.create(model="text-embedding-3-small", input=["red fox", "blue sea"])
    await client.embeddings.create(
        model="text-embedding-3-small", input="red fox", dimensions=4, encoding_format="float"
    )


async def joined(model: ChatModel, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
    """Return the whole of a streamed answer."""
    return concat_messages([chunk async for chunk in model.stream(messages, options)])


async def rag_answer(model: OpenAIChatModel) -> None:
    """The question of `examples/rag_sqlite.py`, with what it finds."""
    example = runpy.run_path(str(ROOT / "examples/rag_sqlite.py"), run_name="example")
    await example["ask"](model, example["QUESTION"])


async def anthropic_thoughts(model: AnthropicChatModel) -> None:
    """Thoughts, some of them redacted, before a call in pieces; they go back with its result."""
    with_tools = model.with_tools([WEATHER])
    thinking = ModelOptions(extra_fields={"thinking": {"type": "enabled", "budget_tokens": 1024}})
    asked = concat_messages([chunk async for chunk in with_tools.stream([SYSTEM, QUESTION], thinking)])
    results = [tool_message(FORECAST["Paris"], call.id, tool_name=call.name) for call in asked.tool_calls]
    again = asked.replace(tool_calls=tuple(call.replace(index=None) for call in asked.tool_calls))
    await with_tools.generate([SYSTEM, QUESTION, again, *results], thinking)


async def anthropic_busy(model: AnthropicChatModel) -> None:
    """Refused because of too many requests, then because the service is overloaded."""
    for kind, ask in ((RateLimitError, model.generate), (OverloadedError, lambda messages: joined(model, messages))):
        try:
            await ask([user_message("Are you there?")])
        except kind:
            continue
        raise AssertionError("the server was told to refuse")


async def anthropic_options(model: AnthropicChatModel) -> None:
    """An image, a document, a mark for the cache, and every option that the protocol has."""
    image = ImagePart(image=ImageMedia(url="https://example.org/green.png"))
    paper = FilePart(file=FileMedia(base64_data="R3JlZW4gaXMgIzAwZmYwMC4=", mime_type="text/plain", name="colours"))
    marked = TextPart("Which colour is this?", extra={"cache_control": {"type": "ephemeral"}})
    chosen = ModelOptions(
        temperature=0.2,
        top_p=0.9,
        max_tokens=50,
        stop=["END"],
        tool_choice="forced",
        extra_fields={"top_k": 5, "metadata": {"user_id": "u1"}, "disable_parallel_tool_use": True, "betas": ["b-1"]},
    )
    await model.with_tools([WEATHER]).generate([SYSTEM, user_message([image, paper, marked])], chosen)


async def anthropic_search(model: AnthropicChatModel) -> None:
    """A search that the service makes itself and breaks off in between, with sources; all goes back as it came."""
    search = ToolInfo(name="web_search", extra={"type": "web_search_20250305", "max_uses": 2})
    searching = model.with_tools([search])
    paused = await joined(searching, [QUESTION])
    await joined(searching, [QUESTION, paused])


async def anthropic_refusal(model: AnthropicChatModel) -> None:
    """An answer that the model refuses to give."""
    await joined(model, [user_message("How do I pick the lock of my neighbour's door?")])


async def gemini_thoughts(model: GeminiChatModel) -> None:
    """Thoughts and two signed calls in pieces; the signatures go back with the results."""
    with_tools = model.with_tools([WEATHER])
    thinking = ModelOptions(extra_fields={"generationConfig": {"thinkingConfig": {"includeThoughts": True}}})
    asked = concat_messages([chunk async for chunk in with_tools.stream([SYSTEM, QUESTION], thinking)])
    results = [tool_message(FORECAST[city], call.id) for call, city in zip(asked.tool_calls, FORECAST, strict=True)]
    await joined(with_tools, [SYSTEM, QUESTION, asked, *results])


async def gemini_code(model: GeminiChatModel) -> None:
    """Code that the service runs, between texts, one of them signed; all goes back as it came."""
    running = ModelOptions(extra_fields={"tools": [{"codeExecution": {}}]})
    for ask in (model.generate, lambda messages, options: joined(model, messages, options)):
        answer = await ask([user_message("What is 6 times 7?")], running)
        await ask([user_message("What is 6 times 7?"), answer, user_message("Sure?")], running)


async def gemini_media(model: GeminiChatModel) -> None:
    """An image, a file and an address go in; an image and sound in pieces come out."""
    image = ImagePart(image=ImageMedia(base64_data="R3JlZW4=", mime_type="image/png"))
    paper = FilePart(file=FileMedia(base64_data="JVBERi0=", mime_type="application/pdf"))
    film = VideoPart(video=Media(url="https://youtu.be/abc"), extra={PART_FIELDS: {"videoMetadata": {"fps": 1}}})
    shown = ModelOptions(extra_fields={"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}})
    await model.generate([user_message(["Mix these.", image, paper, film])], shown)
    await joined(model, [user_message("Sing.")])


async def gemini_options(model: GeminiChatModel) -> None:
    """Every option that the protocol has; log probabilities, sources and tokens from the cache come back."""
    chosen = ModelOptions(
        temperature=0.2,
        top_p=0.9,
        max_tokens=50,
        stop=["END"],
        tool_choice="allowed",
        allowed_tools=["get_weather"],
        extra_fields={
            "generationConfig": {"seed": 7, "responseLogprobs": True, "logprobs": 1},
            "cachedContent": "cachedContents/1",
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        },
    )
    await model.with_tools([WEATHER]).generate([QUESTION], chosen)


async def gemini_errors(model: GeminiChatModel) -> None:
    """A quota that is used up, with the wait in the details; an overload; a bad key; a prompt that is blocked."""
    expected = (RateLimitError, OverloadedError, AuthenticationError, ContentFilterError)
    for kind in expected:
        try:
            await joined(model, [user_message("Are you there?")])
        except kind:
            continue
        raise AssertionError("the server was told to refuse")


async def ollama_thoughts(model: OllamaChatModel) -> None:
    """Thoughts, then two calls in one line; both go back with the results."""
    with_tools = model.with_tools([WEATHER])
    thinking = ModelOptions(extra_fields={"think": True})
    asked = await joined(with_tools, [SYSTEM, QUESTION], thinking)
    results = [tool_message(FORECAST[city], "", tool_name="get_weather") for city in FORECAST]
    await joined(with_tools, [SYSTEM, QUESTION, asked, *results], thinking)


async def ollama_options(model: OllamaChatModel) -> None:
    """An image, and every option that the protocol has."""
    image = ImagePart(image=ImageMedia(base64_data="R3JlZW4=", mime_type="image/png"))
    chosen = ModelOptions(
        temperature=0.2,
        top_p=0.9,
        max_tokens=50,
        stop=["END"],
        response_format={"type": "json_object"},
        extra_fields={"keep_alive": "5m", "options": {"num_ctx": 2048, "seed": 7}},
    )
    await model.generate([user_message(["Which colour is this? Answer in JSON.", image])], chosen)


async def ollama_errors(model: OllamaChatModel) -> None:
    """A model that is not there; a server that is busy; memory that runs out in the middle of an answer."""
    for kind in (InvalidRequestError, OverloadedError, StreamBrokenError):
        try:
            await joined(model, [user_message("Are you there?")])
        except kind:
            continue
        raise AssertionError("the server was told to refuse")


REASONED = assistant_message(
    '{"colour": "green"}',
    reasoning_content="The picture is plain green.",
    response_meta=ResponseMeta(finish_reason="stop", usage=token_usage(92, 17, cached_tokens=64, reasoning_tokens=9)),
)
REFUSED = Message(role="assistant", content="", extra={REFUSAL: "I'm sorry, I can't help with that."})
CONVERSATION = [Answer(CALLS, ByToken()), Answer(VERDICT, ByWord())]

ANTHROPIC = "https://api.anthropic.com"
THOUGHT = Message(
    role="assistant",
    content="I will look.",
    assistant_parts=(
        ReasoningPart(reasoning=Reasoning(text="Paris first.", signature="c2lnbmVk"), extra={THOUGHT: "thinking"}),
        ReasoningPart(reasoning=Reasoning(signature="aGlkZGVu"), extra={THOUGHT: "redacted_thinking"}),
    ),
    tool_calls=(CALLS[0],),
)
SOURCE = {
    "type": "web_search_result",
    "url": "https://example.org/weather",
    "title": "Weather",
    "encrypted_content": "x",
}
SEARCH: list[dict[str, Any]] = [
    {"type": "text", "text": "I will search."},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather Paris"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [SOURCE]},
]
CITED: dict[str, Any] = {
    "type": "text",
    "text": "It is clear in Paris.",
    "citations": [
        {
            "type": "web_search_result_location",
            "url": "https://example.org/weather",
            "title": "Weather",
            "cited_text": "Paris: clear",
            "encrypted_index": "y",
        }
    ],
}
CACHED = token_usage(120, 9, cached_tokens=64, reasoning_tokens=0)
ANTHROPIC_REFUSED = Message(
    role="assistant",
    content="",
    response_meta=ResponseMeta(finish_reason="refusal"),
    extra={RESPONSE: {"stop_details": {"type": "refusal", "category": None, "explanation": "Not a lock of yours."}}},
)

GEMINI = "https://generativelanguage.googleapis.com"
GEMINI_CALLS = [
    tool_call("get_weather", {"city": "Paris"}, extra={THOUGHT_SIGNATURE: "c2lnbmVk"}),
    tool_call("get_weather", {"city": "Tokyo"}),
]
CODE: list[dict[str, Any]] = [
    {"text": "I compute. "},
    {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
    {"text": "It is 42.", "thoughtSignature": "c2lnbmVk"},
]
PICTURE = ImagePart(image=ImageMedia(base64_data="UGljdHVyZQ==", mime_type="image/png"))
SOUND = [
    AudioPart(audio=Media(base64_data=piece, mime_type="audio/L16;rate=24000"))
    for piece in ("TGFsYQ==", "bGE=", "bGFs")
]
GROUNDED = assistant_message(
    "Clear.",
    response_meta=ResponseMeta(
        finish_reason="stop",
        usage=token_usage(92, 17, cached_tokens=64, reasoning_tokens=9),
        logprobs=LogProbs(
            content=(LogProb(token="Clear.", logprob=-0.25, top_logprobs=(TopLogProb(token="Sun", logprob=-2.5),)),)
        ),
    ),
    extra={DETAILS: {"groundingMetadata": {"webSearchQueries": ["weather Paris"]}, "avgLogprobs": -0.25}},
)
QUOTA = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}],
    }
}
GEMINI_ERRORS: list[ProviderAnswer] = [
    RawAnswer(json.dumps([QUOTA]).encode(), status=429),
    ErrorAnswer(503, "The model is overloaded. Please try again later."),
    ErrorAnswer(400, "API key not valid. Please pass a valid API key."),
    RawAnswer(b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\r\n\r\n', content_type="text/event-stream"),
]

OLLAMA = "http://localhost:11434"
OLLAMA_LINES = (
    b'{"model": "llama3.2", "message": {"role": "assistant", "content": "I am"}, "done": false}\n'
    b'{"error": "llama runner process has terminated: out of memory"}\n'
)
OLLAMA_ERRORS: list[ProviderAnswer] = [
    ErrorAnswer(404, "model 'llama3.2' not found"),
    ErrorAnswer(503, "server busy, please try again. maximum pending requests exceeded"),
    RawAnswer(OLLAMA_LINES, content_type="application/x-ndjson"),
]

RECORDINGS: tuple[Recording[Any], ...] = (
    Recording("fixtures/cassettes/ollama/native_text.yaml", ["Bonjour !"], text, ollama_model, OLLAMA),
    Recording(
        "fixtures/cassettes/ollama/native_stream.yaml",
        [Answer("Bonjour ! こんにちは。 👋🏽 Ça va ?", ByToken())],
        stream,
        ollama_model,
        OLLAMA,
    ),
    Recording(
        "fixtures/cassettes/ollama/native_tools_thoughts_stream.yaml",
        [
            Answer(assistant_message("I ask.", CALLS, reasoning_content="Two cities, two calls."), ByWord()),
            Answer(VERDICT, ByWord()),
        ],
        ollama_thoughts,
        ollama_model,
        OLLAMA,
    ),
    Recording("fixtures/cassettes/ollama/native_options.yaml", [REASONED], ollama_options, ollama_model, OLLAMA),
    Recording(
        "fixtures/cassettes/ollama/native_structured.yaml",
        ['{"city": "Paris"}', '{"city": "Paris", "days": 2}'],
        structured,
        ollama_model,
        OLLAMA,
    ),
    Recording(
        "fixtures/cassettes/ollama/native_stream_errors.yaml", OLLAMA_ERRORS, ollama_errors, ollama_model, OLLAMA
    ),
    Recording("fixtures/cassettes/gemini/generate_text.yaml", ["Bonjour !"], text, gemini_model, GEMINI),
    Recording(
        "fixtures/cassettes/gemini/stream_text.yaml",
        [Answer("Bonjour ! こんにちは。 👋🏽 Ça va ?", ByToken())],
        stream,
        gemini_model,
        GEMINI,
    ),
    Recording("fixtures/cassettes/gemini/generate_tools.yaml", [GEMINI_CALLS, VERDICT], tools, gemini_model, GEMINI),
    Recording(
        "fixtures/cassettes/gemini/stream_tools_thoughts.yaml",
        [
            Answer(assistant_message("I ask.", GEMINI_CALLS, reasoning_content="Two cities, two calls."), ByWord()),
            Answer(VERDICT, ByWord()),
        ],
        gemini_thoughts,
        gemini_model,
        GEMINI,
    ),
    Recording(
        "fixtures/cassettes/gemini/code_execution.yaml",
        [assistant_message("", extra={PARTS: CODE}), "Yes."] * 2,
        gemini_code,
        gemini_model,
        GEMINI,
    ),
    Recording(
        "fixtures/cassettes/gemini/media.yaml",
        [assistant_message([TextPart("Here: "), PICTURE]).replace(content="Here: "), assistant_message(SOUND)],
        gemini_media,
        gemini_model,
        GEMINI,
    ),
    Recording("fixtures/cassettes/gemini/generate_options.yaml", [GROUNDED], gemini_options, gemini_model, GEMINI),
    Recording("fixtures/cassettes/gemini/stream_errors.yaml", GEMINI_ERRORS, gemini_errors, gemini_model, GEMINI),
    Recording(
        "fixtures/cassettes/gemini/generate_structured.yaml",
        ['{"city": "Paris"}', '{"city": "Paris", "days": 2}'],
        structured,
        gemini_model,
        GEMINI,
    ),
    Recording("fixtures/cassettes/anthropic/messages_text.yaml", ["Bonjour !"], text, anthropic_model, ANTHROPIC),
    Recording(
        "fixtures/cassettes/anthropic/messages_stream.yaml",
        [Answer("Bonjour ! こんにちは。 👋🏽 Ça va ?", ByToken())],
        stream,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording("fixtures/cassettes/anthropic/messages_tools.yaml", CONVERSATION, tools, anthropic_model, ANTHROPIC),
    Recording(
        "fixtures/cassettes/anthropic/messages_tools_stream.yaml",
        CONVERSATION,
        tools_streamed,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_thoughts_stream.yaml",
        [Answer(THOUGHT, ByWord()), VERDICT],
        anthropic_thoughts,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_errors.yaml",
        [
            ErrorAnswer(429, "Number of requests has exceeded your rate limit.", retry_after_s=7),
            ErrorAnswer(529, "Overloaded"),
        ],
        anthropic_busy,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_options.yaml",
        [
            assistant_message(
                "",
                [CALLS[0]],
                response_meta=ResponseMeta(finish_reason="tool_use", usage=CACHED),
                extra={RESPONSE: {"usage": {"cache_creation_input_tokens": 32}}},
            )
        ],
        anthropic_options,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_web_search_stream.yaml",
        [
            Answer(
                assistant_message("", extra={CONTENT: SEARCH}, response_meta=ResponseMeta(finish_reason="pause_turn")),
                ByWord(),
            ),
            Answer(assistant_message("", extra={CONTENT: [CITED]}), ByWord()),
        ],
        anthropic_search,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_refusal_stream.yaml",
        [ANTHROPIC_REFUSED],
        anthropic_refusal,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording(
        "fixtures/cassettes/anthropic/messages_structured.yaml",
        ['{"city": "Paris"}', '{"city": "Paris", "days": 2}'],
        structured,
        anthropic_model,
        ANTHROPIC,
    ),
    Recording("fixtures/cassettes/openai/chat_text.yaml", ["Bonjour !"], text, openai_model),
    Recording(
        "fixtures/cassettes/openai/chat_stream.yaml",
        [Answer("Bonjour ! こんにちは。 👋🏽 Ça va ?", ByToken())],
        stream,
        openai_model,
    ),
    Recording("fixtures/cassettes/openai/chat_tools.yaml", CONVERSATION, tools, openai_model),
    Recording("fixtures/cassettes/openai/chat_tools_stream.yaml", CONVERSATION, tools_streamed, openai_model),
    Recording(
        "fixtures/cassettes/openai/chat_error_429.yaml",
        [ErrorAnswer(429, "Rate limit reached.", code="rate_limit_exceeded", type="requests", retry_after_s=7)] * 2,
        rate_limited,
        openai_model,
    ),
    Recording("fixtures/cassettes/openai/chat_options.yaml", [REASONED], options, openai_model),
    Recording("fixtures/cassettes/openai/chat_refusal_stream.yaml", [Answer(REFUSED, ByWord())], refused, openai_model),
    Recording(
        "fixtures/cassettes/openai/chat_structured.yaml",
        ['{"city": "Paris"}', '{"city": "Paris", "days": 2}'],
        structured,
        openai_model,
    ),
    Recording(
        "fixtures/cassettes/openai/embeddings.yaml",
        [Embeddings(dimensions=8), Embeddings()],
        embeddings,
        openai_sdk,
    ),
    Recording(
        "fixtures/cassettes/openai/rag_answer.yaml",
        ["Seven days before the start, cancelling is free; after that half of the price is kept. [terms.md]"],
        rag_answer,
        openai_model,
    ),
    Recording("fixtures/eino_fixtures/data/demo_openai.yaml", CONVERSATION, tools_streamed, openai_model),
)


async def record(recording: Recording[Any], root: Path) -> Path:
    """Record one cassette below `root` and return where it is."""
    path = root / recording.path
    path.parent.mkdir(parents=True, exist_ok=True)
    ticks = itertools.count()
    with (
        ProviderServer(recording.answers) as server,
        use_cassette(
            path,
            record_mode="rewrite",
            rewrite_hosts={server.url: recording.service},
            clock=lambda: next(ticks) * CHUNK_TIME_S,
        ),
    ):
        async with recording.client(server.url) as client:
            await recording.talk(client)
        server.assert_complete()
    return path


def main(arguments: Sequence[str]) -> int:
    """Record, or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with what is there, change nothing")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) if check else ROOT
        different = [item.path for item in RECORDINGS if not _record_one(item, root, check=check)]
    for path in different:
        print(f"differs: {path}; run scripts/record_cassettes.py")
    return 1 if different else 0


def _record_one(recording: Recording[Any], root: Path, *, check: bool) -> bool:
    """Record one cassette; return whether it is what the repository has."""
    path = anyio.run(record, recording, root)
    calls = load_cassette(path)
    print(f"{recording.path}: {len(calls)} calls, {path.stat().st_size} bytes")
    ours = ROOT / recording.path
    return not check or (ours.exists() and filecmp.cmp(path, ours, shallow=False))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
