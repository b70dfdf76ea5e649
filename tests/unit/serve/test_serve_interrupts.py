"""Graphs over HTTP that stop to ask: where and what is answered, on both routes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from eino import END, START, Branch, Chain, Graph, MemoryStore, interrupt, interrupt_group
from eino.serve import create_app

QUESTION = {"send this?": ["one", 2]}


@dataclass
class Secrets:
    token: str = "not for clients"


async def draft(topic: str) -> str:
    return f"A mail about {topic}."


def asking(info: object, key: str = "send") -> Graph[str, str]:
    """Return a graph whose second node asks."""

    async def send(mail: str) -> str:
        interrupt(info)
        raise AssertionError("nobody can answer")

    graph = Graph[str, str](state=Secrets).add_lambda_node("draft", draft).add_lambda_node(key, send)
    return graph.add_edge(START, "draft").add_edge("draft", key).add_edge(key, END)


async def post(graph: Any, way: str) -> httpx.Response:
    transport = httpx.ASGITransport(create_app({"mail": graph}))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(f"/graphs/mail/{way}", json={"input": "the picnic"})


def events_of(response: httpx.Response) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


async def stop_of(graph: Any, way: str) -> Any:
    """Return what is said of a run that stops before it gave anything."""
    response = await post(graph, way)
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/json"
    assert "not for clients" not in response.text
    body = response.json()
    assert [*body] == ["interrupt"]
    return body["interrupt"]


both = pytest.mark.parametrize("way", ["invoke", "stream"])


@both
@pytest.mark.parametrize("stored", [False, True])
async def test_a_run_that_asks_is_answered_with_what_and_where(stored: bool, way: str) -> None:
    """With a store as well, in which nothing is put: the routes take no checkpoint id."""
    store = MemoryStore() if stored else None
    stop = await stop_of(asking(QUESTION).compile(name="mail", checkpoint_store=store), way)

    (context,) = stop["contexts"]
    assert context.pop("id")
    assert context == {"address": "runnable:mail;node:send", "info": QUESTION}
    assert (stop["before_nodes"], stop["after_nodes"], stop["sub_graphs"]) == ([], [], {})
    assert store is None or await store.list() == []


@both
async def test_a_question_without_words_is_null(way: str) -> None:
    stop = await stop_of(asking(None).compile(), way)

    assert [context["info"] for context in stop["contexts"]] == [None]


@both
@pytest.mark.parametrize(
    ("where", "node", "before", "after"),
    [
        pytest.param("interrupt_before", "send", ["send"], [], id="before"),
        pytest.param("interrupt_after", "draft", [], ["draft"], id="after"),
    ],
)
async def test_a_graph_that_stops_at_a_node_names_it_and_keeps_its_state(
    where: Any, node: str, before: list[str], after: list[str], way: str
) -> None:
    """The info of such a stop is the state of the graph, which no client gets."""
    options: Any = {where: [node]}
    stop = await stop_of(asking(QUESTION).compile(name="mail", **options), way)

    assert [(sorted(context), context["address"]) for context in stop["contexts"]] == [
        (["address", "id"], "runnable:mail")
    ]
    assert (stop["before_nodes"], stop["after_nodes"], stop["sub_graphs"]) == (before, after, {})


@both
async def test_a_nested_graph_that_stops_at_a_node_names_it_and_keeps_its_state(way: str) -> None:
    outer = Graph[str, str]().add_graph_node("in", asking(QUESTION), compile_options={"interrupt_before": ["send"]})
    stop = await stop_of(outer.add_edge(START, "in").add_edge("in", END).compile(), way)

    assert [(sorted(context), context["address"]) for context in stop["contexts"]] == [
        (["address", "id"], "runnable:;node:in")
    ]
    assert stop["before_nodes"] == []
    assert stop["sub_graphs"] == {"in": {"before_nodes": ["send"], "after_nodes": [], "sub_graphs": {}}}


@both
async def test_a_branch_may_ask_before_the_first_node(way: str) -> None:
    """What it asks has the address of the graph, and is no state of it."""

    def which(text: str) -> str:
        return interrupt("which way?")  # type: ignore[no-any-return]  # nobody can answer

    graph = Graph[str, str](state=Secrets).add_lambda_node("draft", draft)
    graph.add_branch(START, Branch(which, ends=["draft"])).add_edge("draft", END)
    stop = await stop_of(graph.compile(name="mail"), way)

    assert [(context["address"], context["info"]) for context in stop["contexts"]] == [("runnable:mail", "which way?")]


@both
async def test_several_questions_come_together(way: str) -> None:
    async def review(text: str) -> str:
        async with interrupt_group("two opinions") as group:
            for person in ("ann", "bob"):
                with group.part("person", person):
                    interrupt(f"what does {person} say?")
        raise AssertionError("nobody can answer")

    stop = await stop_of(Chain[str, str]().append_lambda(review, key="review").compile(name="mail"), way)

    assert [(context["address"], context["info"]) for context in stop["contexts"]] == [
        ("runnable:mail;node:review;person:ann", "what does ann say?"),
        ("runnable:mail;node:review;person:bob", "what does bob say?"),
    ]
    assert len({context["id"] for context in stop["contexts"]}) == 2


@both
@pytest.mark.parametrize(
    ("info", "told"),
    [
        pytest.param(
            {"files": [object()]},
            "a value of type object, which has no JSON form; give interrupt() numbers, ",
            id="value",
        ),
        pytest.param(
            {"files": [{(1, 2): 3}]}, "a key of type tuple, which has no JSON form; use texts as keys", id="key"
        ),
    ],
)
async def test_a_question_without_json_is_told_as_such(info: object, told: str, way: str) -> None:
    """That the run asked is told all the same, and where."""
    (context,) = (await stop_of(asking(info).compile(name="mail"), way))["contexts"]

    assert sorted(context) == ["address", "id", "info_error"]
    assert context["address"] == "runnable:mail;node:send"
    assert context["info_error"]["type"] == "CodecError"
    assert context["info_error"]["message"].startswith(f"the info of an interrupt has {told}")
    assert context["info_error"]["message"].endswith(" - at `$.files[0]`")


@both
async def test_keys_without_utf8_form_are_told_with_escapes(way: str) -> None:
    asked = await stop_of(asking(QUESTION, key="\ud800").compile(), way)
    stopped = await stop_of(asking(QUESTION, key="\ud800").compile(interrupt_before=["\ud800"]), way)

    assert asked["contexts"][0]["address"] == "runnable:;node:\\ud800"
    assert stopped["before_nodes"] == ["\\ud800"]


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("info", [QUESTION, object()])
async def test_a_stream_that_asks_ends_with_an_interrupt(before: int, info: object) -> None:
    """What came before it is kept, nothing comes behind it, and the run is closed."""
    ended: list[str] = []

    async def give(text: str) -> AsyncGenerator[str, None]:
        try:
            for number in range(before):
                yield str(number)
            interrupt(info)
            yield "never sent"
        finally:
            ended.append(text)

    response = await post(Chain[str, str]().append_lambda(give, key="give").compile(name="mail"), "stream")

    *chunks, (last, stop) = events_of(response)
    assert response.status_code == 200
    assert chunks == [("chunk", str(number)) for number in range(before)]
    assert last == "interrupt"
    assert stop["contexts"][0]["address"] == "runnable:mail;node:give"
    assert ("info" in stop["contexts"][0]) is (info is QUESTION)
    assert ended == ["the picnic"]


async def test_a_graph_that_code_of_a_streaming_node_runs_may_stop_in_the_middle() -> None:
    inner = asking(QUESTION).compile(name="inner", interrupt_before=["send"])

    async def give(text: str) -> AsyncGenerator[str, None]:
        yield text
        yield await inner.invoke(text)

    response = await post(Chain[str, str]().append_lambda(give, key="give").compile(name="mail"), "stream")

    first, (last, stop) = events_of(response)
    assert first == ("chunk", "the picnic")
    assert last == "interrupt"
    assert [(sorted(context), context["address"]) for context in stop["contexts"]] == [
        (["address", "id"], "runnable:mail;node:give;runnable:inner")
    ]
    assert "not for clients" not in response.text
