"""The embedders of OpenAI and Ollama against a server that plays them, and the cache."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from eino import Graph, Handler, RunInfo
from eino.components import Embedder, EmbedderOptions
from eino.components.callback_payloads import EmbedderCallbackInput, EmbedderCallbackOutput
from eino.components.embedder import NO_EMBEDDER_OPTIONS
from eino.errors import (
    AuthenticationError,
    BuildError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from eino.ext.embeddings._batches import Limits, cut
from eino.ext.embeddings.cached import CachedEmbedder, EmbeddingCache, MemoryEmbeddingCache, SQLiteEmbeddingCache
from eino.ext.embeddings.ollama import OllamaEmbedder
from eino.ext.embeddings.openai import OpenAIEmbedder
from eino_fixtures import FakeEmbedder, ProviderServer, ReplayTransport, load_cassette
from eino_fixtures.answers import Answer, Embeddings, ErrorAnswer, RawAnswer
from eino_harness.conformance.embedder import EmbedderConformance

VECTORS = Answer(Embeddings(dimensions=8))
Make = Callable[..., Any]


def openai(server: ProviderServer, **settings: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(model="embed", api_key="sk-not-a-real-key", base_url=server.openai_url, **settings)


def ollama(server: ProviderServer, **settings: Any) -> OllamaEmbedder:
    return OllamaEmbedder(model="embed", base_url=server.url, **settings)


MAKERS = [pytest.param(openai, id="openai"), pytest.param(ollama, id="ollama")]


@pytest.fixture
def any_server() -> Iterator[ProviderServer]:
    with ProviderServer(lambda request: VECTORS) as server:
        yield server


@pytest.mark.parametrize("make", MAKERS)
async def test_vectors_come_in_the_order_of_the_texts_over_many_requests(
    any_server: ProviderServer, make: Make
) -> None:
    """Whatever the batches and however many run at once, as if each text had been sent alone."""
    texts = [f"text {number}" for number in range(23)]
    async with make(any_server, max_texts=3, max_concurrency=4) as embedder:
        assert isinstance(embedder, Embedder)
        vectors = await embedder.embed(texts)

    expected = await FakeEmbedder(dim=8).embed(texts)
    assert [pytest.approx(vector, abs=1e-6) for vector in expected] == vectors
    assert len(any_server.requests) == 8
    assert {len(request.json["input"]) for request in any_server.requests} == {3, 2}


def test_batches_keep_to_both_limits() -> None:
    """Too many texts or characters begin a new one; a text that is too long has one of its own."""
    assert cut(["a", "b", "c"], Limits(2, 100, 1)) == [["a", "b"], ["c"]]
    assert cut(["aaa", "bbb", "c" * 9, "d"], Limits(10, 6, 1)) == [["aaa", "bbb"], ["c" * 9], ["d"]]
    assert cut([], Limits(1, 1, 1)) == []


@pytest.mark.parametrize("make", MAKERS)
async def test_options_reach_the_server(any_server: ProviderServer, make: Make) -> None:
    async with make(any_server, dimensions=4) as embedder:
        [vector] = await embedder.embed(["a"])
        await embedder.embed(["a"], EmbedderOptions(model="other", extra_fields={"dimensions": 6}))

    assert len(vector) == 4
    assert [(each.json["model"], each.json["dimensions"]) for each in any_server.requests] == [
        ("embed", 4),
        ("other", 6),
    ]


@pytest.mark.parametrize("make", MAKERS)
async def test_nothing_to_embed_asks_nobody(any_server: ProviderServer, make: Make) -> None:
    async with make(any_server) as embedder:
        assert await embedder.embed([]) == []
    assert any_server.requests == []


class Told(Handler):
    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002
        if info.component == "Embedding":
            self.inputs.append(input)

    def on_end(self, info: RunInfo, output: Any) -> None:
        if info.component == "Embedding":
            self.outputs.append(output)


@pytest.mark.parametrize("make", MAKERS)
async def test_handlers_are_told_once_with_the_usage_of_all_requests(any_server: ProviderServer, make: Make) -> None:
    told = Told()
    async with make(any_server, max_texts=1) as embedder:
        graph = Graph[list[str], list[list[float]]]()
        graph.add_embedding_node("embed", embedder)
        graph.add_edge("start", "embed")
        graph.add_edge("embed", "end")
        await graph.compile().invoke(["one two", "three"], callbacks=[told])

    [asked], [answered] = told.inputs, told.outputs
    assert EmbedderCallbackInput.of(asked).texts == ("one two", "three")
    output = EmbedderCallbackOutput.of(answered)
    assert len(output.embeddings) == 2
    assert output.usage.prompt_tokens >= 2


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ErrorAnswer(401), AuthenticationError),
        (ErrorAnswer(404), InvalidRequestError),
        (ErrorAnswer(429), RateLimitError),
        (ErrorAnswer(500), ServerError),
        (RawAnswer(b"<html>login</html>", content_type="text/html"), InvalidResponseError),
        (Answer(Embeddings([[1.0], [2.0]])), InvalidResponseError),
        (Answer(Embeddings([[]])), InvalidResponseError),
    ],
    ids=repr,
)
async def test_failures_are_errors_of_eino(make: Make, answer: Any, kind: type[Exception]) -> None:
    """One request each: nobody but the caller tries again."""
    with ProviderServer([answer]) as server:
        async with make(server) as embedder:
            with pytest.raises(kind) as caught:
                await embedder.embed(["text"])
        server.assert_complete()
    assert "sk-not-a-real-key" not in str(caught.value)


async def test_vectors_of_two_lengths_are_refused() -> None:
    with ProviderServer([Answer(Embeddings([[1.0], [1.0, 2.0]]))]) as server:
        async with openai(server) as embedder:
            with pytest.raises(InvalidResponseError, match=r"lengths \[1, 2\]"):
                await embedder.embed(["a", "b"])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "no room", "code": "overloaded"}}, "no room"),
        ({}, "no data"),
        ({"data": [{"index": 1, "embedding": [1.0]}]}, "indexes of its vectors"),
        ({"data": [{"index": 0, "embedding": "AAA"}]}, "no list of vectors"),
        ({"data": [{"index": 0, "embedding": "AAAAAAA="}]}, "no list of vectors"),
        ({"data": [{"index": 0, "embedding": "AADAfw=="}]}, "no finite numbers"),
        ({"data": [{"embedding": [1, "x"]}]}, "no list of vectors"),
    ],
    ids=repr,
)
async def test_odd_answers_are_named(body: dict[str, Any], text: str) -> None:
    with ProviderServer([RawAnswer(json.dumps(body).encode())]) as server:
        async with openai(server) as embedder:
            with pytest.raises(Exception, match=text):
                await embedder.embed(["a"])


async def test_a_server_may_send_the_vectors_in_any_order() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    with ProviderServer([RawAnswer(json.dumps({"data": data}).encode())]) as server:
        async with openai(server) as embedder:
            assert await embedder.embed(["a", "b"]) == [[1.0], [2.0]]


async def test_no_server_and_a_silent_one() -> None:
    for dead in (
        OpenAIEmbedder(model="m", api_key="k", base_url="http://127.0.0.1:9/v1"),
        OllamaEmbedder(model="m", base_url="http://127.0.0.1:9"),
    ):
        async with dead:
            with pytest.raises(ConnectionFailedError, match="check base_url="):
                await dead.embed(["a"])
    with ProviderServer([Answer(Embeddings(), first_delay_s=5)] * 2) as server:
        for make in (openai, ollama):
            async with make(server, timeout_s=0.05) as embedder:
                with pytest.raises(RequestTimeoutError):
                    await embedder.embed(["a"])


@pytest.mark.parametrize("make", MAKERS)
async def test_texts_are_checked_before_anything_is_sent(any_server: ProviderServer, make: Make) -> None:
    async with make(any_server) as embedder:
        with pytest.raises(InvalidRequestError, match="text 1 of 2 is ''"):
            await embedder.embed(["a", ""])
        with pytest.raises(InvalidRequestError, match="the single text 'abc'"):
            await embedder.embed("abc")
        with pytest.raises(InvalidRequestError, match="switch the model's name off"):
            await embedder.embed(["a"], EmbedderOptions(model=None))
    assert any_server.requests == []


async def test_ollama_refuses_options_that_it_does_not_know(any_server: ProviderServer) -> None:
    async with ollama(any_server) as embedder:
        with pytest.raises(InvalidRequestError, match="user"):
            await embedder.embed(["a"], EmbedderOptions(extra_fields={"user": "u"}))


def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BuildError, match="has no key"):
        OpenAIEmbedder(model="m")
    with pytest.raises(BuildError, match="dimensions must be at least 1, got 0"):
        OpenAIEmbedder(model="m", api_key="k", dimensions=0)
    with pytest.raises(BuildError, match="dimensions must be at least 1"):
        OllamaEmbedder(model="m", dimensions=0)
    with pytest.raises(BuildError, match="max_texts must be at least 1, got 0"):
        OllamaEmbedder(model="m", max_texts=0)
    assert "embed" in repr(OpenAIEmbedder(model="embed", api_key="k"))
    assert "embed" in repr(OllamaEmbedder(model="embed"))


def shared_cassettes() -> Path:
    named = os.environ.get("EINO_SHARED_CASSETTES")
    return Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "cassettes"


async def test_a_recorded_answer_of_openai_is_read() -> None:
    """Real traffic with vectors in Base64; recorded by others, read where it lies."""
    shared = shared_cassettes()
    path = shared / "normalized/dev/openai/embeddings_base64.yaml"
    if not path.exists():
        pytest.skip(f"no recordings at {str(shared)!r}: set EINO_SHARED_CASSETTES")
    async with httpx2.AsyncClient(transport=ReplayTransport(load_cassette(path))) as client:
        embedder = OpenAIEmbedder(model="text-embedding-3-small", api_key="k", http_client=client)
        [vector] = await embedder.embed(["This is a test for embeddings with encoding format"])

    assert len(vector) == 1536
    assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-3)


# The cache.


@pytest.fixture(params=["memory", "sqlite"])
async def cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddingCache]:
    if request.param == "memory":
        yield MemoryEmbeddingCache()
        return
    async with SQLiteEmbeddingCache(tmp_path / "cache.db") as file:
        yield file


async def test_each_text_is_embedded_once(cache: EmbeddingCache) -> None:
    """Texts that come twice, and texts that are there already, are not asked for; the vectors are the very same."""
    fake = FakeEmbedder(dim=8)
    embedder = CachedEmbedder(fake, cache, identity="fake-8")

    first = await embedder.embed(["a", "b", "a"])
    second = await embedder.embed(["c", "b", "c", "a"])

    assert [call.texts for call in fake.calls] == [("a", "b"), ("c",)]
    assert first == await fake.embed(["a", "b", "a"])
    assert second == await fake.embed(["c", "b", "c", "a"])
    assert await embedder.embed([]) == []
    assert "FakeEmbedder" in repr(embedder)


async def test_model_options_and_embedder_belong_to_the_key(cache: EmbeddingCache) -> None:
    fake = FakeEmbedder(dim=8)
    embedder = CachedEmbedder(fake, cache, identity="one")
    await embedder.embed(["a"])
    await embedder.embed(["a"], EmbedderOptions(model="m"))
    await embedder.embed(["a"], EmbedderOptions(extra_fields={"dimensions": 3}))
    await CachedEmbedder(fake, cache, identity="two").embed(["a"])
    assert len(fake.calls) == 4

    await embedder.embed(["a"], EmbedderOptions(model="m"))
    assert len(fake.calls) == 4


async def test_calls_at_once_get_the_right_vectors(cache: EmbeddingCache) -> None:
    fake = FakeEmbedder(dim=8)
    embedder = CachedEmbedder(fake, cache, identity="fake")

    async def ask(number: int) -> None:
        texts = [f"t{number % 3}", f"t{number}"]
        assert await embedder.embed(texts) == await FakeEmbedder(dim=8).embed(texts)

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(ask, number)


class Failing:
    """An embedder that works the second time."""

    def __init__(self) -> None:
        self.failed = False

    async def embed(self, texts: list[str], options: EmbedderOptions = NO_EMBEDDER_OPTIONS) -> list[list[float]]:
        if not self.failed:
            self.failed = True
            raise RateLimitError("wait")
        return [[1.0]]


async def test_a_failure_is_not_remembered(cache: EmbeddingCache) -> None:
    embedder = CachedEmbedder(Failing(), cache, identity="x")
    with pytest.raises(RateLimitError):
        await embedder.embed(["a"])

    assert await embedder.embed(["a"]) == [[1.0]]
    with pytest.raises(InvalidResponseError, match="returned 1 vectors for 2 texts"):
        await embedder.embed(["b", "c"])


async def test_vectors_given_out_may_be_changed(cache: EmbeddingCache) -> None:
    embedder = CachedEmbedder(FakeEmbedder(dim=2), cache, identity="x")
    [vector] = await embedder.embed(["a"])
    vector.append(9.0)

    assert len((await embedder.embed(["a"]))[0]) == 2


async def test_a_full_memory_forgets_what_was_not_used_for_longest() -> None:
    cache = MemoryEmbeddingCache(max_entries=2)
    fake = FakeEmbedder()
    embedder = CachedEmbedder(fake, cache, identity="x")
    for texts in (["a", "b"], ["a"], ["c"], ["a"], ["b"]):
        await embedder.embed(texts)

    assert [call.texts for call in fake.calls] == [("a", "b"), ("c",), ("b",)]
    assert len(cache) == 2


async def test_a_file_keeps_the_vectors_for_the_next_process(tmp_path: Path) -> None:
    fake = FakeEmbedder(dim=5)
    for _ in range(2):
        async with SQLiteEmbeddingCache(tmp_path / "cache.db") as cache:
            vectors = await CachedEmbedder(fake, cache, identity="x").embed(["one third"])

    assert vectors == await FakeEmbedder(dim=5).embed(["one third"])
    assert len(fake.calls) == 1


async def test_a_cache_needs_to_know_whose_vectors_it_holds() -> None:
    with pytest.raises(BuildError, match="give identity="):
        CachedEmbedder(FakeEmbedder(), MemoryEmbeddingCache())
    with pytest.raises(BuildError, match="max_entries must be at least 1"):
        MemoryEmbeddingCache(0)
    known = OpenAIEmbedder(model="m", api_key="k", dimensions=3)
    assert "dimensions" in CachedEmbedder(known, MemoryEmbeddingCache()).identity
    assert OllamaEmbedder(model="m").identity != OllamaEmbedder(model="n").identity
    with pytest.raises(InvalidRequestError, match="no JSON form"):
        await CachedEmbedder(FakeEmbedder()).embed(["a"], EmbedderOptions(extra_fields={"x": object()}))


class TestOpenAIConformance(EmbedderConformance):
    def make(self) -> Any:
        return _with_server(openai, lambda request: VECTORS)

    def make_failing(self) -> Any:
        return _with_server(openai, lambda request: ErrorAnswer(401))


class TestOllamaConformance(EmbedderConformance):
    def make(self) -> Any:
        return _with_server(ollama, lambda request: VECTORS)

    def make_failing(self) -> Any:
        return _with_server(ollama, lambda request: ErrorAnswer(404))


class _with_server:  # noqa: N801 - used as a function
    def __init__(self, make: Make, answers: Any) -> None:
        self._make, self._server = make, ProviderServer(answers)

    async def __aenter__(self) -> Any:
        self._server.__enter__()
        self._embedder = self._make(self._server)
        return self._embedder

    async def __aexit__(self, *info: object) -> None:
        await self._embedder.aclose()
        self._server.__exit__(None, None, None)
