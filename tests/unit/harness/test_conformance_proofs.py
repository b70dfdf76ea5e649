"""Every check of the conformance suites can fail: each is shown a component that breaks just its promise."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from eino.components import ModelOptions
from eino.errors import BuildError, ServerError, ToolArgumentsError
from eino.schema import Document, Message, ResponseMeta, ToolInfo, token_usage, tool_call
from eino_harness.conformance import (
    ChatModelConformance,
    Conformance,
    EmbedderConformance,
    IndexerConformance,
    RetrieverConformance,
    ToolConformance,
    check_conformance,
)

DONE = ResponseMeta(finish_reason="stop", usage=token_usage(3, 4))
DEFAULT = ModelOptions()


def say(text: str, **fields: Any) -> Message:
    return Message(role="assistant", content=text, **fields)


class Model:
    """A chat model that keeps the contract; the broken ones replace a part of it."""

    meta: Any = DONE

    def __init__(self, tools: tuple[Any, ...] = ()) -> None:
        self.tools = tools

    def with_tools(self, tools: Sequence[Any]) -> Any:
        return type(self)(tuple(tools))

    def answer(self, messages: Sequence[Message]) -> Message:
        if self.tools and messages[-1].role == "user":
            return say("", tool_calls=(tool_call("get_weather", {"city": "Paris"}, id="1"),), response_meta=self.meta)
        return say("Hello there", response_meta=self.meta)

    async def generate(self, messages: Sequence[Message], options: ModelOptions = DEFAULT) -> Message:
        await anyio.lowlevel.checkpoint()
        return self.answer(messages)

    async def stream(self, messages: Sequence[Message], options: ModelOptions = DEFAULT) -> AsyncIterator[Message]:
        await anyio.lowlevel.checkpoint()
        answer = self.answer(messages)
        for chunk in self.cut(answer):
            yield chunk

    def cut(self, answer: Message) -> list[Message]:
        calls = tuple(call.replace(index=place) for place, call in enumerate(answer.tool_calls))
        return [answer.replace(tool_calls=calls, response_meta=None), say("", response_meta=answer.response_meta)]


class Refusing(Model):
    def answer(self, messages: Sequence[Message]) -> Message:
        raise ServerError("no")


def model_kit(component: Callable[[], Any], failing: Callable[[], Any] = Refusing, **fields: Any) -> Any:
    methods = {"make": lambda self: component(), "make_failing": lambda self: failing()}
    return type("Kit", (ChatModelConformance,), methods | fields)


class NoStream:
    generate = Model.generate


class CoroutineStream(Model):
    async def stream(self, messages: Any, options: Any = None) -> Any:  # type: ignore[override]
        return None


class AnswersDict(Model):
    async def generate(self, messages: Any, options: Any = DEFAULT) -> Any:
        return {"role": "assistant"}


class IndexedCalls(Model):
    def answer(self, messages: Any) -> Message:
        return say("x", tool_calls=(tool_call("t", {}, id="1").replace(index=0),), response_meta=DONE)


class UserRole(Model):
    def cut(self, answer: Message) -> list[Message]:
        return [Message(role="user", content="Hello")]


class Contradicting(Model):
    def cut(self, answer: Message) -> list[Message]:
        return [say("a", name="a"), say("b", name="b"), Message(role="assistant", content="c", extra={"x": object()})]


class Silent(Model):
    def cut(self, answer: Message) -> list[Message]:
        return []


class Changing(Model):
    async def generate(self, messages: Any, options: Any = DEFAULT) -> Message:
        await anyio.lowlevel.checkpoint()
        messages.append(say("x"))
        return say("x", response_meta=DONE)


class NoOptions(Model):
    async def generate(self, messages: Any) -> Message:  # type: ignore[override]
        return say("x")


class OneAtATime(Model):
    busy = False

    async def generate(self, messages: Any, options: Any = DEFAULT) -> Message:
        if self.busy:
            return say("")
        self.busy = True
        await anyio.lowlevel.checkpoint()
        self.busy = False
        return self.answer(messages)


class LeavesOpen(Model):
    async def stream(self, messages: Any, options: Any = DEFAULT) -> AsyncIterator[Message]:
        inner = Model.stream(self, messages, options)
        self.kept = aiter(inner)
        yield await anext(self.kept)
        async for chunk in self.kept:
            yield chunk

    async def generate(self, messages: Any, options: Any = DEFAULT) -> Message:
        if hasattr(self, "kept"):
            raise RuntimeError("still reading")
        return await super().generate(messages, options)


class Swallowing(Model):
    async def generate(self, messages: Any, options: Any = DEFAULT) -> Message:
        with suppress(BaseException):  # this is what must not be done
            await anyio.lowlevel.checkpoint()
        return say("x", response_meta=DONE)


class Talkative(Model):
    def __repr__(self) -> str:
        return "Model(key='sk-secret')"


class ClosesOnce(Model):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


class NoUsage(Model):
    meta = ResponseMeta(finish_reason="stop")


class OddUsage(Model):
    meta = ResponseMeta(finish_reason="stop", usage=token_usage(3, 4, 5))


class NoReason(Model):
    meta = ResponseMeta(usage=token_usage(3, 4))


class BindsItself(Model):
    def with_tools(self, tools: Any) -> Any:
        self.tools = tuple(tools)
        return self


class NoTools(Model):
    def with_tools(self, tools: Any) -> Any:
        return type(self)()


class BrokenArguments(Model):
    def answer(self, messages: Any) -> Message:
        found = super().answer(messages)
        calls = tuple(
            call.replace(function=call.function.__class__(name=call.name, arguments="{")) for call in found.tool_calls
        )
        return found.replace(tool_calls=calls)


class ListArguments(BrokenArguments):
    def answer(self, messages: Any) -> Message:
        found = super().answer(messages)
        calls = tuple(
            call.replace(function=call.function.__class__(name=call.name, arguments="[]")) for call in found.tool_calls
        )
        return found.replace(tool_calls=calls)


class Unindexed(Model):
    def cut(self, answer: Message) -> list[Message]:
        return [answer]


class ForgetsResults(Model):
    def answer(self, messages: Any) -> Message:
        if messages[-1].role == "tool":
            raise ServerError("no such role")
        return super().answer(messages)


class FailsOtherwise(Model):
    def answer(self, messages: Any) -> Message:
        raise KeyError("status")


class FailsEarly(Refusing):
    def stream(self, messages: Any, options: Any = DEFAULT) -> Any:
        raise ServerError("no")


class TellsKey(Model):
    def answer(self, messages: Any) -> Message:
        raise ServerError("the key sk-secret is wrong")


class FailsSilently(Model):
    def answer(self, messages: Any) -> Message:
        raise ServerError("")


KEY = {"secrets": ("sk-secret",)}
MODELS: list[tuple[str, Any]] = [
    ("test_it_has_the_methods_of_a_chat_model", model_kit(NoStream)),
    ("test_it_has_the_methods_of_a_chat_model", model_kit(CoroutineStream)),
    ("test_generate_gives_a_whole_answer", model_kit(AnswersDict)),
    ("test_generate_gives_a_whole_answer", model_kit(IndexedCalls)),
    ("test_stream_gives_chunks_that_join", model_kit(UserRole)),
    ("test_stream_gives_chunks_that_join", model_kit(Contradicting)),
    ("test_stream_gives_chunks_that_join", model_kit(Silent)),
    ("test_messages_are_not_changed", model_kit(Changing)),
    ("test_options_are_taken", model_kit(NoOptions)),
    ("test_concurrent_calls_do_not_mix", model_kit(OneAtATime)),
    ("test_a_stream_can_be_left_early", model_kit(LeavesOpen)),
    ("test_cancellation_passes", model_kit(Swallowing)),
    ("test_no_secret_is_shown", model_kit(Talkative, **KEY)),
    ("test_closing_twice_is_no_error", model_kit(ClosesOnce)),
    ("test_usage_adds_up", model_kit(NoUsage)),
    ("test_usage_adds_up", model_kit(OddUsage)),
    ("test_the_finish_reason_is_told", model_kit(NoReason)),
    ("test_binding_tools_leaves_the_model_as_it_is", model_kit(BindsItself)),
    ("test_tool_calls_are_whole", model_kit(NoTools)),
    ("test_tool_calls_are_whole", model_kit(BrokenArguments)),
    ("test_tool_calls_are_whole", model_kit(ListArguments)),
    ("test_streamed_tool_calls_join", model_kit(Unindexed)),
    ("test_tool_results_are_understood", model_kit(ForgetsResults)),
    ("test_failures_are_component_errors", model_kit(Model, FailsOtherwise)),
    ("test_failures_are_component_errors", model_kit(Model, Model)),
    ("test_failures_are_component_errors", model_kit(Model, FailsSilently)),
    ("test_failures_are_component_errors", model_kit(Model, TellsKey, **KEY)),
    ("test_a_failing_stream_raises_while_it_is_read", model_kit(Model, FailsEarly)),
]


class Embeds:
    """An embedder that keeps the contract."""

    async def embed(self, texts: list[str], options: Any = None) -> list[list[float]]:
        await anyio.lowlevel.checkpoint()
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        return [float(len(text)), float(sum(map(ord, text))), 1.0]


class RefusesTexts(Embeds):
    def vector(self, text: str) -> list[float]:
        raise ServerError("no")


def embedder(change: dict[str, Any], failing: Any = RefusesTexts) -> Any:
    broken = type("Broken", (Embeds,), change)
    return type("Kit", (EmbedderConformance,), {"make": lambda self: broken(), "make_failing": lambda self: failing()})


async def _drops_one(self: Any, texts: list[str], options: Any = None) -> list[list[float]]:
    await anyio.lowlevel.checkpoint()
    return [self.vector(text) for text in dict.fromkeys(texts)]


async def _sorts(self: Any, texts: list[str], options: Any = None) -> list[list[float]]:
    await anyio.lowlevel.checkpoint()
    return [self.vector(text) for text in sorted(texts)]


async def _refuses_none(self: Any, texts: list[str], options: Any = None) -> list[list[float]]:
    await anyio.lowlevel.checkpoint()
    if not texts:
        raise ServerError("nothing to do")
    return [self.vector(text) for text in texts]


async def _empties(self: Any, texts: list[str], options: Any = None) -> list[list[float]]:
    await anyio.lowlevel.checkpoint()
    found = [self.vector(text) for text in texts]
    texts.clear()
    return found


async def _no_options(self: Any, texts: list[str]) -> list[list[float]]:
    return [self.vector(text) for text in texts]


async def _shared(self: Any, texts: list[str], options: Any = None) -> list[list[float]]:
    self.texts = texts
    await anyio.lowlevel.checkpoint()
    return [self.vector(text) for text in self.texts]


async def _swallows(self: Any, *given: Any, **options: Any) -> Any:
    with suppress(BaseException):  # this is what must not be done
        await anyio.lowlevel.checkpoint()
    return given[0]


EMBEDDERS: list[tuple[str, Any]] = [
    ("test_it_has_the_method_of_an_embedder", embedder({"embed": None})),
    ("test_each_text_has_one_vector_of_the_same_length", embedder({"embed": _drops_one})),
    (
        "test_each_text_has_one_vector_of_the_same_length",
        embedder({"vector": lambda self, text: [1.0] * len(text)}),
    ),
    (
        "test_each_text_has_one_vector_of_the_same_length",
        embedder({"vector": lambda self, text: [float("nan")]}),
    ),
    ("test_vectors_come_in_the_order_of_the_texts", embedder({"embed": _sorts})),
    ("test_vectors_come_in_the_order_of_the_texts", embedder({"vector": lambda self, text: [1.0]})),
    ("test_no_texts_give_no_vectors", embedder({"embed": _refuses_none})),
    ("test_texts_are_not_changed", embedder({"embed": _empties})),
    ("test_options_are_taken", embedder({"embed": _no_options})),
    ("test_concurrent_calls_do_not_mix", embedder({"embed": _shared})),
    ("test_cancellation_passes", embedder({"embed": _swallows})),
    ("test_failures_are_component_errors", embedder({}, Embeds)),
]

FOXES = [Document(id=str(place), content=f"fox {place}").with_score(1.0 - place / 10) for place in range(4)]


class Retrieves:
    """A retriever that keeps the contract."""

    def __init__(self) -> None:
        self.found = list(FOXES)

    async def retrieve(self, query: str, options: Any = None) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.limited(list(self.found) if "fox" in query else [], options.wanted() if options else {})

    def limited(self, found: list[Document], wanted: dict[str, Any]) -> Any:
        found = [each for each in found if each.score >= wanted.get("score_threshold", 0)]
        return found[: wanted.get("top_k")]


class Unreachable(Retrieves):
    async def retrieve(self, query: str, options: Any = None) -> Any:
        raise ServerError("no")


def retriever(change: dict[str, Any], failing: Any = Unreachable) -> Any:
    broken = type("Broken", (Retrieves,), change)
    return type("Kit", (RetrieverConformance,), {"make": lambda self: broken(), "make_failing": lambda self: failing()})


async def _own_list(self: Any, query: str, options: Any = None) -> Any:
    await anyio.lowlevel.checkpoint()
    return self.found


async def _shared_query(self: Any, query: str, options: Any = None) -> Any:
    self.busy = getattr(self, "busy", 0) + 1
    await anyio.lowlevel.checkpoint()
    self.busy -= 1
    return self.found[self.busy :]


RETRIEVERS: list[tuple[str, Any]] = [
    ("test_it_has_the_method_of_a_retriever", retriever({"retrieve": None})),
    ("test_documents_are_found", retriever({"limited": lambda self, found, wanted: tuple(found)})),
    ("test_documents_are_found", retriever({"limited": lambda self, found, wanted: ["fox"] * 3})),
    ("test_documents_are_found", retriever({"limited": lambda self, found, wanted: found[:1] * 3})),
    ("test_documents_are_found", retriever({"limited": lambda self, found, wanted: found[:2]})),
    ("test_the_same_query_finds_the_same", retriever({"retrieve": _own_list})),
    ("test_top_k_limits", retriever({"limited": lambda self, found, wanted: found})),
    ("test_top_k_limits", retriever({"limited": lambda self, found, wanted: found[-wanted.get("top_k", 4) :]})),
    ("test_documents_come_best_first", retriever({"limited": lambda self, found, wanted: found[::-1]})),
    (
        "test_documents_come_best_first",
        retriever({"limited": lambda self, found, wanted: [Document(id=each.id, content="") for each in found]}),
    ),
    ("test_the_score_threshold_drops_what_is_below", retriever({"limited": lambda self, found, wanted: found})),
    (
        "test_the_score_threshold_drops_what_is_below",
        retriever({"limited": lambda self, found, wanted: [] if "score_threshold" in wanted else found}),
    ),
    (
        "test_nothing_that_matches_is_an_empty_list",
        retriever({"limited": lambda self, found, wanted: found or list(FOXES)}),
    ),
    ("test_concurrent_calls_do_not_mix", retriever({"retrieve": _shared_query})),
    ("test_cancellation_passes", retriever({"retrieve": _swallows})),
    ("test_failures_are_component_errors", retriever({}, Retrieves)),
]


class Stores:
    """An indexer that keeps the contract."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def store(self, documents: list[Document], options: Any = None) -> list[str]:
        await anyio.lowlevel.checkpoint()
        ids = [each.id or f"new-{len(self.kept) + place}" for place, each in enumerate(documents)]
        self.put(dict(zip(ids, [each.content for each in documents], strict=True)))
        return ids

    def put(self, new: dict[str, str]) -> None:
        self.kept |= new


class Full(Stores):
    def put(self, new: dict[str, str]) -> None:
        raise ServerError("full")


def indexer(change: dict[str, Any], failing: Any = Full) -> Any:
    broken = type("Broken", (Stores,), change)

    async def contents(self: Any, component: Any) -> dict[str, str]:
        kept: dict[str, str] = component.kept
        return kept

    methods = {"make": lambda self: broken(), "make_failing": lambda self: failing(), "contents": contents}
    return type("Kit", (IndexerConformance,), methods)


def storing(ids: Callable[[list[Document]], Any], *, options: bool = True) -> Any:
    async def store(self: Any, documents: list[Document], options: Any = None) -> Any:
        await anyio.lowlevel.checkpoint()
        return ids(documents)

    async def without_options(self: Any, documents: list[Document]) -> Any:
        return ids(documents)

    return {"store": store if options else without_options}


def _clear(documents: list[Document]) -> list[str]:
    ids = [each.id for each in documents]
    documents.clear()
    return ids


def _refuse_none(documents: list[Document]) -> list[str]:
    if not documents:
        raise ServerError("nothing to do")
    return [each.id for each in documents]


async def _loses(self: Any, documents: list[Document], options: Any = None) -> list[str]:
    kept = dict(self.kept)
    await anyio.lowlevel.checkpoint()
    self.kept = kept | {each.id: each.content for each in documents}
    return [each.id for each in documents]


INDEXERS: list[tuple[str, Any]] = [
    ("test_it_has_the_method_of_an_indexer", indexer({"store": None})),
    ("test_ids_come_in_the_order_of_the_documents", indexer(storing(lambda found: sorted(each.id for each in found)))),
    ("test_documents_without_an_id_get_one", indexer(storing(lambda found: [each.id for each in found]))),
    ("test_documents_without_an_id_get_one", indexer(storing(lambda found: [each.id or "new" for each in found]))),
    ("test_no_documents_give_no_ids", indexer(storing(_refuse_none))),
    ("test_documents_are_not_changed", indexer(storing(_clear))),
    ("test_options_are_taken", indexer(storing(lambda found: [each.id for each in found], options=False))),
    ("test_what_is_stored_is_there", indexer({"put": lambda self, new: None})),
    (
        "test_the_same_id_replaces",
        indexer({"put": lambda self, new: [self.kept.setdefault(*each) for each in new.items()]}),
    ),
    ("test_concurrent_calls_lose_nothing", indexer({"store": _loses})),
    ("test_cancellation_passes", indexer({"store": _swallows})),
    ("test_failures_are_component_errors", indexer({}, Stores)),
]

INFO = ToolInfo(
    name="double",
    description="Doubles.",
    json_schema={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
)


class Doubles:
    """A tool that keeps the contract."""

    info: Any = INFO

    async def run(self, arguments: str) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.give(self.read(arguments))

    def read(self, arguments: str) -> int:
        try:
            given = json.loads(arguments)
        except ValueError as error:
            raise ToolArgumentsError(f"no JSON: {error}") from error
        if not isinstance(given, dict) or not isinstance(given.get("x"), int):
            raise ToolArgumentsError("x must be an integer")
        return int(given["x"])

    def give(self, x: int) -> Any:
        return str(2 * x)

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        for letter in await self.run(arguments):
            yield letter


def tool_kit(**change: Any) -> Any:
    broken = type("Broken", (Doubles,), change)
    fields = {"make": lambda self: broken(), "arguments": {"x": 21}, "wrong_arguments": {"x": "a"}}
    return type("Kit", (ToolConformance,), fields)


class Changing_(Doubles):  # noqa: N801 - its neighbour has the name
    count = 0

    @property
    def info(self) -> Any:  # type: ignore[override]
        self.count += 1
        return INFO.replace(name=f"double_{self.count}")


async def _counts(self: Any, arguments: str) -> str:
    self.read(arguments)
    self.count = getattr(self, "count", 0) + 1
    await anyio.lowlevel.checkpoint()
    return str(self.count)


async def _two(self: Any, arguments: str) -> AsyncIterator[str]:
    yield "4"
    yield "3"


async def _numbers(self: Any, arguments: str) -> AsyncIterator[Any]:
    yield 42


def _keeps_open(self: Any, arguments: str) -> Any:
    async def inner() -> AsyncIterator[str]:
        yield "4"
        yield "2"

    async def outer() -> AsyncIterator[str]:
        self.kept = inner()
        async for piece in self.kept:
            yield piece
        del self.kept

    return outer()


TOOLS: list[tuple[str, Any]] = [
    ("test_it_has_the_method_of_a_tool", type("K", (ToolConformance,), {"make": lambda self: object()})),
    ("test_models_can_read_its_description", tool_kit(info={"name": "double"})),
    ("test_models_can_read_its_description", tool_kit(info=INFO.replace(name="double it"))),
    ("test_models_can_read_its_description", tool_kit(info=INFO.replace(json_schema={"type": "string"}))),
    ("test_models_can_read_its_description", tool_kit(info=INFO.replace(json_schema={"type": "object", "x": {1, 2}}))),
    ("test_models_can_read_its_description", type("K", (ToolConformance,), {"make": lambda self: Changing_()})),
    ("test_it_gives_a_result", tool_kit(give=lambda self, x: 2 * x)),
    ("test_what_is_no_json_is_told", tool_kit(read=lambda self, arguments: json.loads(arguments)["x"])),
    ("test_what_is_no_json_is_told", tool_kit(read=lambda self, arguments: 21)),
    ("test_arguments_that_do_not_fit_are_told", tool_kit(give=lambda self, x: "42", read=lambda self, text: 21)),
    ("test_concurrent_calls_do_not_mix", tool_kit(run=_counts)),
    ("test_cancellation_passes", tool_kit(run=_swallows)),
    ("test_pieces_join_into_the_result", tool_kit(stream=_two)),
    ("test_pieces_join_into_the_result", tool_kit(stream=_numbers)),
    ("test_a_stream_can_be_left_early", tool_kit(stream=_keeps_open)),
]

PROOFS = {
    ChatModelConformance: (model_kit(Model, **KEY), MODELS),
    EmbedderConformance: (embedder({}), EMBEDDERS),
    RetrieverConformance: (retriever({}), RETRIEVERS),
    IndexerConformance: (indexer({}), INDEXERS),
    ToolConformance: (tool_kit(), TOOLS),
}


def proofs() -> Iterator[Any]:
    for suite, (_, broken) in PROOFS.items():
        for number, (check, kit) in enumerate(broken):
            yield pytest.param(check, kit, id=f"{suite.__name__}-{check.removeprefix('test_')}-{number}")


@pytest.mark.allow_leaks("broken components leave things open: that is what the checks are for")
@pytest.mark.parametrize(("check", "kit"), list(proofs()))
@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")
async def test_a_component_that_breaks_a_promise_is_found(check: str, kit: type[Conformance]) -> None:
    report = await check_conformance(kit)
    if check == "test_a_stream_can_be_left_early":
        gc.collect()  # what was left open is dropped here, not in another test

    failed = {result.name for result in report.failed}
    assert check in failed, report.markdown()
    assert not report.ok


@pytest.mark.parametrize("suite", PROOFS, ids=lambda suite: suite.__name__)
async def test_a_component_that_keeps_the_contract_passes(suite: type[Conformance]) -> None:
    report = await check_conformance(PROOFS[suite][0])

    assert report.ok, report.markdown()
    assert f"{len(report.results)} of {len(report.results)} checks passed" in report.markdown()


@pytest.mark.parametrize("suite", PROOFS, ids=lambda suite: suite.__name__)
def test_every_check_has_a_proof(suite: type[Conformance]) -> None:
    assert {check for check, _ in PROOFS[suite][1]} == set(suite.checks())


def test_what_is_left_out_needs_a_reason_and_a_name() -> None:
    class Left(ToolConformance):
        without = {"streaming": "it has no pieces", "test_it_gives_a_result": "it gives none"}  # noqa: RUF012

    assert "test_pieces_join_into_the_result" not in Left.checks()
    assert "test_it_gives_a_result" not in Left.checks()
    with pytest.raises(BuildError, match=r"without\['streaming'\] must say why, got ''"):
        type("Kit", (ToolConformance,), {"without": {"streaming": ""}})
    with pytest.raises(BuildError, match="without names 'flying', which is no check and no ability: arguments, "):
        type("Kit", (ToolConformance,), {"without": {"flying": "it cannot"}})


def test_checks_cannot_be_replaced() -> None:
    with pytest.raises(BuildError, match="Kit replaces test_it_gives_a_result: checks are not changed"):
        type("Kit", (ToolConformance,), {"test_it_gives_a_result": lambda self: None})


async def test_checks_of_one_s_own_are_welcome() -> None:
    class More(ToolConformance):
        arguments = {"x": 1}  # noqa: RUF012
        wrong_arguments = {"x": "a"}  # noqa: RUF012

        def make(self) -> Any:
            return Doubles()

        async def test_more(self) -> None:
            """It doubles."""
            async with self.component() as tool:
                assert await tool.run('{"x": 2}') == "4"

    report = await check_conformance(More)
    assert report.ok
    assert "test_more" in [result.name for result in report.results]


@pytest.mark.parametrize(
    ("suite", "method"),
    [
        (ChatModelConformance, "make"),
        (ChatModelConformance, "make_failing"),
        (EmbedderConformance, "make_failing"),
        (RetrieverConformance, "make_failing"),
        (IndexerConformance, "make_failing"),
    ],
)
def test_what_must_be_defined_says_so(suite: Any, method: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"Kit must define {method}\(\)"):
        getattr(type("Kit", (suite,), {})(), method)()


async def test_contents_must_be_defined_or_left_out() -> None:
    with pytest.raises(NotImplementedError, match=r"Kit must define contents\(\), or leave it out"):
        await type("Kit", (IndexerConformance,), {})().contents(None)


async def test_components_may_be_awaited_or_opened() -> None:
    closed = []

    async def awaited() -> Doubles:
        return Doubles()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Doubles]:
        yield Doubles()
        closed.append(True)

    for make in (awaited, opened):
        async with tool_kit()().component(make) as tool:
            assert await tool.run('{"x": 1}') == "2"
    assert closed == [True]


async def test_a_component_that_hangs_fails(virtual_clock: Any) -> None:
    with pytest.raises(AssertionError, match="did not end within 30 s"):
        async with tool_kit()().component():
            await anyio.sleep_forever()
