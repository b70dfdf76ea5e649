"""Graphs over HTTP: answers, refusals, errors, streams."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pydantic
import pytest

from eino import (
    Chain,
    ContentFilterError,
    Message,
    OverloadedError,
    RateLimitError,
    RequestTimeoutError,
    RunError,
    RunTimeoutError,
    user_message,
)
from eino.serve import create_app
from eino.serve._answers import error_body, status_of
from eino_fixtures import ByWord, ScriptedChatModel


def client_of(**graphs: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(graphs, max_body_bytes=1000))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def shout_chain() -> Any:
    async def shout(text: str) -> str:
        return text.upper()

    return Chain[str, str]().append_lambda(shout, key="shout").compile()


def events_of(body: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in body.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def test_invoke_answers_the_output_as_json() -> None:
    async with client_of(shout=shout_chain()) as client:
        response = await client.post("/graphs/shout/invoke", json={"input": "hello"})

    assert response.status_code == 200
    assert response.json() == {"output": "HELLO"}


async def test_messages_are_converted_both_ways() -> None:
    model = ScriptedChatModel(["one two"], chunks=ByWord())
    chat = Chain[list[Message], Message]().append_chat_model(model).compile()
    async with client_of(chat=chat) as client:
        response = await client.post("/graphs/chat/invoke", json={"input": [{"role": "user", "content": "hi"}]})

    assert response.json()["output"]["content"] == "one two"
    assert model.calls[0].messages == (user_message("hi"),)


async def test_stream_sends_chunks_and_an_end() -> None:
    chat = Chain[list[Message], Message]().append_chat_model(ScriptedChatModel(["one two"], chunks=ByWord())).compile()
    async with client_of(chat=chat) as client:
        response = await client.post("/graphs/chat/stream", json={"input": []})

    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    assert [name for name, _ in events] == [*["chunk"] * (len(events) - 1), "end"]
    assert "".join(data["content"] for name, data in events if name == "chunk") == "one two"


async def test_an_error_in_a_stream_is_an_event() -> None:
    async def two_then_fail(text: str) -> AsyncGenerator[str, None]:
        yield text
        raise RateLimitError("slow down", retry_after_s=3)

    chain = Chain[str, str]().append_lambda(two_then_fail, key="model").compile()
    async with client_of(chain=chain) as client:
        response = await client.post("/graphs/chain/stream", json={"input": "x"})

    (first, last) = events_of(response.text)
    assert first == ("chunk", "x")
    assert last[0] == "error"
    assert last[1]["type"] == "RateLimitError"
    assert last[1]["node_path"] == ["model"]


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_a_run_that_fails_at_once_is_an_error_status(way: str) -> None:
    async def refuse(text: str) -> str:
        raise OverloadedError("come back later")

    chain = Chain[str, str]().append_lambda(refuse, key="model").compile()
    async with client_of(chain=chain) as client:
        response = await client.post(f"/graphs/chain/{way}", json={"input": "x"})

    assert response.status_code == 503
    assert response.json()["error"]["type"] == "OverloadedError"


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        pytest.param("nobody", b'{"input": "x"}', 404, "no graph is served as 'nobody'", id="unknown graph"),
        pytest.param("shout", b"{", 400, "no JSON", id="no JSON"),
        pytest.param("shout", b"[]", 400, 'an object with the key "input"', id="no object"),
        pytest.param("shout", b'{"input": 5}', 422, "does not fit the graph", id="another type"),
        pytest.param("shout", b'{"input": "%s"}' % (b"x" * 2000), 413, "more than 1000 bytes", id="too large"),
    ],
)
async def test_bad_requests_are_refused(way: str, path: str, body: bytes, status: int, text: str) -> None:
    async with client_of(shout=shout_chain()) as client:
        response = await client.post(f"/graphs/{path}/{way}", content=body)

    assert response.status_code == status
    assert text in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "anyio_backend", ["asyncio"]
)  # on trio httpx leaves the generator of the body to the collector
async def test_a_body_that_does_not_say_its_length_is_counted() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(11):
            yield b" " * 100

    async with client_of(shout=shout_chain()) as client, aclosing(pieces()) as body:
        response = await client.post("/graphs/shout/invoke", content=body)

    assert response.status_code == 413


async def test_health_names_the_graphs() -> None:
    async with client_of(b=shout_chain(), a=shout_chain()) as client:
        response = await client.get("/health")

    assert response.json() == {"status": "ok", "graphs": ["a", "b"]}


class Place(pydantic.BaseModel):
    city: str


async def test_pydantic_outputs_have_json() -> None:
    async def where(text: str) -> Place:
        return Place(city=text)

    async with client_of(where=Chain[str, Place]().append_lambda(where).compile()) as client:
        response = await client.post("/graphs/where/invoke", json={"input": "Bergen"})

    assert response.json() == {"output": {"city": "Bergen"}}


def giving(value: object) -> Any:
    async def give(text: str) -> object:
        return value

    return Chain[str, object]().append_lambda(give, key="give").compile()


class Order(msgspec.Struct):
    by: object


@dataclass
class Shelf:
    orders: list[Order]


class Crate(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    inside: object


class Liar:
    def model_dump(self, *, mode: str) -> object:
        raise LookupError("no dump today")


def endless() -> list[object]:
    around: list[object] = []
    around.append(around)
    return around


VALUES_WITHOUT_JSON = [
    pytest.param(object(), "a value of type object", "$", id="the output"),
    pytest.param({"a": [1, {"b": (2, object())}]}, "a value of type object", "$.a[1].b[1]", id="in containers"),
    pytest.param({"kept": {1}, "lost": {object()}}, "a value of type object", "$.lost[0]", id="in a set"),
    pytest.param(Shelf([Order(1), Order(1j)]), "a value of type complex", "$.orders[1].by", id="in classes"),
    pytest.param([{"a": 1, (1, 2): 3}], "a key of type tuple", "$[0]", id="a key"),
    pytest.param({"a": object}, "a value of type type", "$.a", id="a class"),
    pytest.param([Shelf], "a value of type type", "$[0]", id="a dataclass itself"),
    pytest.param(["\ud800"], "a value of type str", "$[0]", id="half a character"),
    pytest.param({"\ud800": object()}, "a key of type str", "$", id="half a character in a key"),
    pytest.param([Crate(inside=1), Crate(inside=object())], "(Unable to serialize unknown type", "$[1]", id="pydantic"),
    pytest.param([Liar()], "a value of type Liar, which has no JSON form (no dump today)", "$[0]", id="a bad dump"),
    pytest.param(
        endless(), "a value of type list, which has no JSON form (it is nested too deeply)", "$", id="endless"
    ),
]


@pytest.mark.parametrize(("value", "told", "path"), VALUES_WITHOUT_JSON)
async def test_an_output_without_json_is_an_error_of_the_server(value: object, told: str, path: str) -> None:
    """On both routes, with the type, the place and what to do; the connection does not break."""
    async with client_of(thing=giving(value)) as client:
        invoked = await client.post("/graphs/thing/invoke", json={"input": "x"})
        streamed = await client.post("/graphs/thing/stream", json={"input": "x"})

    error = invoked.json()["error"]
    assert invoked.status_code == 500
    assert error["type"] == "CodecError"
    assert told in error["message"]
    assert "; let the graph return numbers, " in error["message"] or "; use texts as keys" in error["message"]
    assert error["message"].endswith(f" - at `{path}`")
    assert events_of(streamed.text) == [("error", error)]


async def test_a_chunk_without_json_ends_the_stream_with_an_error() -> None:
    """What came before it is kept, nothing comes behind it, and the run is closed."""
    ended: list[str] = []

    async def give(text: str) -> AsyncGenerator[object, None]:
        try:
            yield text
            yield {"parts": [object()]}
            yield "never sent"
        finally:
            ended.append(text)

    async with client_of(thing=Chain[str, object]().append_lambda(give, key="give").compile()) as client:
        response = await client.post("/graphs/thing/stream", json={"input": "x"})

    first, last = events_of(response.text)
    assert response.status_code == 200
    assert first == ("chunk", "x")
    assert last[0] == "error"
    assert last[1]["type"] == "CodecError"
    assert last[1]["message"].endswith("- at `$.parts[0]`")
    assert ended == ["x"]


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_an_error_whose_text_has_no_utf8_form_is_told_with_escapes(way: str) -> None:
    async def refuse(text: str) -> str:
        raise OverloadedError(f"no room for {text}")

    async with client_of(shout=Chain[str, str]().append_lambda(refuse).compile()) as client:
        response = await client.post(f"/graphs/shout/{way}", content=b'{"input": "\\ud800"}')

    assert response.status_code == 503
    assert "no room for \\ud800" in response.json()["error"]["message"]


async def test_an_error_event_whose_text_has_no_utf8_form_is_told_with_escapes() -> None:
    async def one_then_fail(text: str) -> AsyncGenerator[str, None]:
        yield "one"
        raise OverloadedError(f"no room for {text}")

    chain = Chain[str, str]().append_lambda(one_then_fail, key="\udfff").compile()
    async with client_of(chain=chain) as client:
        response = await client.post("/graphs/chain/stream", content=b'{"input": "\\ud800"}')

    first, last = events_of(response.text)
    assert first == ("chunk", "one")
    assert "no room for \\ud800" in last[1]["message"]
    assert last[1]["node_path"] == ["\\udfff"]


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (RateLimitError("x"), 429),
        (OverloadedError("x"), 503),
        (RequestTimeoutError("x"), 504),
        (ContentFilterError("x"), 422),
        (ValueError("x"), 500),
    ],
)
def test_the_cause_of_a_run_error_decides_the_status(cause: Exception, status: int) -> None:
    error = RunError("failed", node_path=("a", "b"))
    error.__cause__ = cause

    assert status_of(error) == status
    assert error_body(error) == {"type": type(cause).__name__, "message": str(error), "node_path": ["a", "b"]}


@pytest.mark.parametrize("count", [1, 2])
def test_errors_that_cause_each_other_have_one_status(count: int) -> None:
    """`raise error from error`, and two in a ring."""
    errors = [RateLimitError("slow down"), ValueError("x")][:count]
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % count]

    assert [status_of(error) for error in errors] == [429] * count


def test_errors_without_a_cause_speak_for_themselves() -> None:
    assert status_of(RunTimeoutError("late")) == 504
    assert error_body(RateLimitError("slow down")) == {"type": "RateLimitError", "message": "slow down"}
