"""Chains with parallels and choices: what is refused, where, and that a refused call changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from eino import (
    BuildError,
    Chain,
    ChainBranch,
    ChatTemplate,
    Document,
    IndexerOptions,
    Lambda,
    LoaderOptions,
    Parallel,
    RunError,
    Source,
    StreamReader,
    ToolsNode,
    TransformerOptions,
    user_message,
)
from eino.components.indexer import NO_INDEXER_OPTIONS
from eino.components.loader import NO_LOADER_OPTIONS
from eino.components.transformer import NO_TRANSFORMER_OPTIONS
from eino_fixtures import FakeEmbedder, FakeRetriever, ScriptedChatModel


def a(text: str) -> str:
    return text + "a"


def b(text: str) -> str:
    return text + "b"


def number(value: int) -> int:
    return value


def which(text: str) -> str:
    return text


def fails(text: str) -> str:
    raise ValueError("boom")


def both() -> Parallel:
    return Parallel().add_lambda("x", a).add_lambda("y", b)


def either(condition: Callable[..., Any] = which) -> ChainBranch:
    return ChainBranch(condition).add_lambda("x", a).add_lambda("y", b)


def keys(chain: Chain[Any, Any]) -> tuple[str, ...]:
    return chain.compile().plan.keys


REFUSED = [
    pytest.param(lambda: both().add_lambda("x", a), "duplicate output key= x", id="parallel key twice"),
    pytest.param(lambda: either().add_lambda("x", a), "duplicate branch key= x", id="branch key twice"),
    pytest.param(lambda: Parallel().add_lambda("", a), "output key must be a non-empty string, got ''", id="no key"),
    pytest.param(lambda: ChainBranch(which).add_lambda(None, a), "got None", id="key is no text"),  # type: ignore[arg-type]  # the point
    pytest.param(lambda: Parallel().add("x", a, output_key="z"), "output_key='z' beside 'x'", id="two output keys"),
    pytest.param(lambda: ChainBranch(None), "a condition is a function", id="no condition"),  # type: ignore[arg-type]  # the point
]


@pytest.mark.parametrize(("build", "text"), REFUSED)
def test_a_collection_refuses_what_is_wrong_where_it_is_added(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        build()


APPENDS = [
    pytest.param(
        lambda chain: chain.append_parallel(Parallel()),
        r"append parallel invalid, not enough nodes, count = 0",
        id="empty parallel",
    ),
    pytest.param(lambda chain: chain.append_parallel(Parallel().add_lambda("x", a)), "count = 1", id="parallel of one"),
    pytest.param(
        lambda chain: chain.append_branch(ChainBranch(which)), "nodeList length = 0", id="branch without nodes"
    ),
    pytest.param(
        lambda chain: chain.append_branch(ChainBranch(which).add_lambda("x", a)), "length = 1", id="branch of one"
    ),
    pytest.param(lambda chain: chain.append_parallel(either()), "give a Parallel", id="branch as parallel"),
    pytest.param(lambda chain: chain.append_branch(None), r"append_branch\(None\)", id="no branch"),
    pytest.param(
        lambda chain: chain.append_parallel(both().add_lambda("z", number)),
        r"edge\[node_0\]-\[node_1_parallel_2\].*output type\[str\].*type\[int\]",
        id="third node of a parallel",
    ),
    pytest.param(
        lambda chain: chain.append_branch(either().add_lambda("lambda_03", number)),
        r"edge\[node_0\]-\[node_1_branch_lambda_03\]",
        id="third node of a branch",
    ),
    pytest.param(
        lambda chain: chain.append_parallel(both().add_lambda("z", number, key="mine")),
        r"edge\[node_0\]-\[mine\]",
        id="a key of one's own",
    ),
    pytest.param(
        lambda chain: chain.append_branch(ChainBranch(number).add_lambda("x", a).add_lambda("y", b)),
        r"branch of node\[node_0\]: condition's input type\[int\]",
        id="condition",
    ),
    pytest.param(
        lambda chain: chain.append_parallel(both().add_lambda("z", a, key="node_0")),
        "node 'node_0' already present",
        id="key taken before",
    ),
    pytest.param(
        lambda chain: chain.append_parallel(Parallel().add_lambda("x", a, key="twin").add_lambda("y", b, key="twin")),
        "node 'twin' already present",
        id="key taken in the same parallel",
    ),
    pytest.param(
        lambda chain: chain.append_parallel(both().add("z", a, wrong=1)), "unknown option 'wrong'", id="unknown option"
    ),
    pytest.param(
        lambda chain: chain.append_parallel(both().add_lambda("z", 3)),
        "a function is needed, got int",
        id="no function",
    ),
    pytest.param(
        lambda chain: chain.append_branch(either().add_lambda("p/q", a)),
        "contains '/'",
        id="branch key that is no node key",
    ),
    pytest.param(
        lambda chain: chain.append_branch(either().add_lambda("start", a)), "names 'start'", id="branch key start"
    ),
    pytest.param(
        lambda chain: chain.append_branch(either().add_lambda("z", a, pre=lambda value, state: value)),
        "graph state is not enabled",
        id="state handler without state",
    ),
]


@pytest.mark.parametrize(("append", "text"), APPENDS)
async def test_a_refused_append_leaves_the_chain_usable(append: Callable[[Any], Any], text: str) -> None:
    chain = Chain[str, str]().append_lambda(a)

    with pytest.raises(BuildError, match=text):
        append(chain)

    runnable = chain.append_branch(either(lambda text: "y")).compile()
    assert runnable.plan.keys == ("node_0", "node_1_branch_x", "node_1_branch_y")
    assert await runnable.invoke("q") == "qab"


@pytest.mark.parametrize("before", [both, either])
@pytest.mark.parametrize("after", [both, either])
async def test_a_parallel_or_branch_cannot_follow_another_directly(before: Any, after: Any) -> None:
    def append(chain: Chain[str, Any], part: Any) -> None:
        (chain.append_parallel if isinstance(part, Parallel) else chain.append_branch)(part)

    chain = Chain[str, Any]()
    append(chain, before())
    with pytest.raises(BuildError, match=r"multiple previous nodes: \['node_0_.*_x?0?'"):
        append(chain, after())

    chain.append_lambda(lambda value: "x")
    append(chain, after())
    assert await chain.compile().invoke("x") == ({"x": "xa", "y": "xb"} if after is both else "xa")


async def test_a_passthrough_may_stand_between() -> None:
    chain = Chain[str, dict[str, str]]().append_branch(either()).append_passthrough().append_parallel(both())

    assert await chain.compile().invoke("y") == {"x": "yba", "y": "ybb"}
    assert keys(chain) == ("node_0_branch_x", "node_0_branch_y", "node_1", "node_2_parallel_0", "node_2_parallel_1")


async def test_a_parallel_may_be_first_and_last() -> None:
    runnable = Chain[str, dict[str, str]]().append_parallel(both()).compile()

    assert await runnable.invoke("q") == {"x": "qa", "y": "qb"}
    assert await (await runnable.stream("q")).concat() == {"x": "qa", "y": "qb"}
    assert await runnable.collect(StreamReader.from_iterable(["q", "r"])) == {"x": "qra", "y": "qrb"}


async def test_passthrough_nodes_in_a_parallel_and_in_a_branch() -> None:
    parallel = Chain[str, Any]().append_parallel(Parallel().add_passthrough("same").add_lambda("y", b)).compile()
    choice = Chain[str, str]().append_branch(ChainBranch(which).add_passthrough("x").add_lambda("y", b)).compile()

    assert await parallel.invoke("q") == {"same": "q", "y": "qb"}
    assert [await choice.invoke("x"), await choice.invoke("y")] == ["x", "yb"]


async def test_several_choices_are_merged_behind_the_branch() -> None:
    def some(text: str) -> set[str]:
        return {each for each in text if each in "xy"}

    branch = ChainBranch(some).add_lambda("x", a, output_key="X").add_lambda("y", b, output_key="Y")
    runnable = Chain[str, Any]().append_branch(branch).compile()

    assert await runnable.invoke("x") == {"X": "xa"}
    assert await runnable.invoke("yx") == {"X": "yxa", "Y": "yxb"}
    with pytest.raises(RunError, match="no branch chose a node"):
        await runnable.invoke("q")


async def test_a_choice_that_does_not_exist_is_named_with_those_that_do() -> None:
    runnable = Chain[str, str]().append_branch(either()).compile()

    with pytest.raises(RunError, match=r"unintended end node: z .*its ends are \['x', 'y'\]"):
        await runnable.invoke("z")


async def test_names_of_a_branch_may_be_what_node_keys_may_not() -> None:
    branch = ChainBranch(which).add_lambda("a/b", a, key="one").add_lambda("end", b)
    runnable = Chain[str, str]().append_branch(branch).compile()

    assert [await runnable.invoke("a/b"), await runnable.invoke("end")] == ["a/ba", "endb"]
    assert runnable.plan.keys == ("one", "node_0_branch_end")


async def test_a_stream_condition_decides_at_the_first_chunk() -> None:
    async def first(stream: AsyncIterator[str]) -> str:
        async for chunk in stream:
            return chunk
        return "y"

    async def each(stream: AsyncIterator[str]) -> AsyncIterator[str]:
        async for chunk in stream:
            yield chunk.upper()

    branch = ChainBranch(first).add_lambda("x", each).add_lambda("y", b)
    runnable = Chain[str, str]().append_branch(branch).compile()

    async with runnable.transform(StreamReader.from_iterable(["x", "q"])) as reader:
        assert [chunk async for chunk in reader] == ["X", "Q"]
    assert await runnable.invoke("y") == "yb"


NESTED = [
    pytest.param(lambda part: part.add_graph("x", Chain[str, str]().append_lambda(fails)), id="graph"),
    pytest.param(lambda part: part.add("x", Chain[str, str]().append_lambda(fails)), id="inferred"),
    pytest.param(lambda part: part.add("x", Chain[str, str]().append_lambda(fails).compile()), id="compiled"),
]


@pytest.mark.parametrize("add", NESTED)
async def test_errors_in_nested_chains_carry_the_whole_path(add: Callable[[Any], Any]) -> None:
    parallel = add(Parallel().add_lambda("y", b))
    choice = add(ChainBranch(which).add_lambda("y", b))

    with pytest.raises(RunError, match="boom") as caught:
        await Chain[str, Any]().append_parallel(parallel).compile().invoke("x")
    assert caught.value.node_path == ("node_0_parallel_1", "node_0")
    with pytest.raises(RunError, match="boom") as caught:
        await Chain[str, str]().append_branch(choice).compile().invoke("x")
    assert caught.value.node_path == ("node_0_branch_x", "node_0")


async def test_state_handlers_work_on_the_nodes_of_a_parallel_and_a_branch() -> None:
    def note(text: str, state: list[str]) -> str:
        state.append(text)
        return text

    def note_all(values: dict[str, Any], state: list[str]) -> dict[str, Any]:
        state.extend(values.values())
        return values

    def shown(value: Any, state: list[str]) -> Any:
        return sorted(state)

    branch = ChainBranch(which).add_lambda("x", a, pre=note).add_lambda("y", b)
    parallel = Parallel().add_lambda("x", a, post=note_all).add_lambda("y", b, post=note_all)
    chain = Chain[str, Any](state=list).append_branch(branch).append_passthrough().append_parallel(parallel)
    chain.append_lambda(lambda value: value, post=shown)
    runnable = chain.compile()

    assert await runnable.invoke("x") == ["x", "xaa", "xab"]
    assert await runnable.invoke("y") == ["yba", "ybb"]


async def test_a_chain_compiles_twice_and_is_closed_afterwards() -> None:
    chain = Chain[str, str]().append_branch(either())
    first, second = chain.compile(), chain.compile(name="again")

    assert await first.invoke("x") == await second.invoke("x") == "xa"
    for append in (
        lambda: chain.append_lambda(a),
        lambda: chain.append_passthrough(),
        lambda: chain.append_parallel(both()),
        lambda: chain.append_branch(either()),
    ):
        with pytest.raises(BuildError, match="chain has been compiled, cannot be modified"):
            append()


async def test_a_compile_that_fails_can_be_mended() -> None:
    chain = Chain[str, int]().append_branch(either())

    for _ in range(2):
        with pytest.raises(BuildError, match=r"edge\[node_0_branch_x\]-\[end\].*type\[str\].*type\[int\]"):
            chain.compile()
    assert await chain.append_lambda(len).compile().invoke("x") == 2


async def test_one_collection_may_be_appended_to_several_chains() -> None:
    parallel = both()
    one, two = (Chain[str, Any]().append_lambda(a).append_parallel(parallel).compile() for _ in range(2))

    assert await one.invoke("q") == await two.invoke("q") == {"x": "qaa", "y": "qab"}


def test_reprs_name_what_is_inside() -> None:
    chain = Chain[str, str]().append_lambda(a, key="first").append_branch(either())

    assert repr(both()) == "<Parallel: x, y>"
    assert repr(either()).startswith("<ChainBranch ")
    assert repr(either()).endswith("which: x, y>")
    assert repr(ChainBranch(which)).endswith("which: no nodes>")
    assert repr(chain) == "<Chain[str, str]: first, node_1_branch_x, node_1_branch_y>"
    assert repr(chain.compile(name="n")) == "<Runnable Chain[str, str] 'n': first, node_1_branch_x, node_1_branch_y>"
    assert repr(Chain[str, int]()) == "<Chain[str, int]: no nodes>"
    long = Chain[str, str]()
    for _ in range(11):
        long.append(Lambda(a))
    assert repr(long).endswith("node_6, node_7, and 3 more>")


class Indexes:
    async def store(self, documents: list[Document], options: IndexerOptions = NO_INDEXER_OPTIONS) -> list[str]:
        return [document.id for document in documents]


class Loads:
    async def load(self, source: Source, options: LoaderOptions = NO_LOADER_OPTIONS) -> list[Document]:
        return [Document(id="1", content=source.uri)]


class Transforms:
    async def transform(
        self, documents: list[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        return documents


COMPONENTS = {
    "chat_model": ("ChatModel", ScriptedChatModel(["hello"])),
    "chat_template": ("ChatTemplate", ChatTemplate.from_messages(user_message("{question}"))),
    "tools_node": ("ToolsNode", ToolsNode([])),
    "embedding": ("Embedding", FakeEmbedder(dim=2)),
    "retriever": ("Retriever", FakeRetriever([])),
    "indexer": ("Indexer", Indexes()),
    "loader": ("Loader", Loads()),
    "document_transformer": ("DocumentTransformer", Transforms()),
}


@pytest.mark.parametrize("kind", sorted(COMPONENTS))
def test_every_adder_adds_its_kind(kind: str) -> None:
    """In a chain, in a parallel and in a branch; `add` and `append` infer the same."""
    component, node = COMPONENTS[kind]
    parallel = getattr(Parallel(), f"add_{kind}")("x", node).add("y", node)
    branch = getattr(ChainBranch(which), f"add_{kind}")("x", node).add("y", node)
    alone = getattr(Chain[Any, Any](), f"append_{kind}")(node)
    chains = [Chain[Any, Any]().append_parallel(parallel), Chain[Any, Any]().append_branch(branch), alone]

    described = [each.component for chain in chains for each in chain.compile().describe().nodes]
    assert described == [component] * 5
