"""Workflows, as the Go original runs them. Also what it does not find: D7 and D8."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    Chain,
    Graph,
    RunError,
    Workflow,
    from_field,
    map_fields,
    to_field,
)


async def streamed(runnable: Any, value: Any) -> list[Any]:
    async with runnable.stream(value) as reader:
        return [chunk async for chunk in reader]


def same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Order:
    number: int
    weight: float
    names: list[Any]


@dataclass(frozen=True)
class Three:
    whole: str = ""
    number: str = ""
    weight: int = 0


@dataclass
class Seen:
    chunks: list[str] = field(default_factory=list)


async def test_fields_of_a_class_go_to_graphs_and_streams_and_back() -> None:
    """S106: a graph, a chain and a workflow as nodes, a transform of three mapped fields, state handlers, a fan-in."""
    inner_graph = Graph[int, str]()
    inner_graph.add_lambda_node("text", lambda value: f"{value}")
    inner_graph.add_edge(START, "text").add_edge("text", END)

    def shown(names: list[Any]) -> str:
        return f"[{' '.join(map(str, names))}]"

    chain = Chain[list[Any], str]().append_lambda(shown)
    inner_workflow = Workflow[float, dict[str, int]]()
    inner_workflow.add_lambda_node("times", lambda value: int(value * 16.5)).add_input(START)
    inner_workflow.end().add_input("times", to_field("times"))

    async def told(parts: AsyncIterator[Three]) -> AsyncIterator[str]:
        async for part in parts:
            yield f"{part.whole}_{part.number}_{part.weight}"

    def remember(parts: AsyncIterator[Three], state: Seen) -> AsyncIterator[Three]:
        async def each() -> AsyncIterator[Three]:
            async for part in parts:
                state.chunks.append(part.whole)
                yield Three(part.whole + " Pre", part.number, part.weight)

        return each()

    def before(value: dict[str, str], state: Seen) -> dict[str, str]:
        return {**value, "seen": state.chunks[-1]}

    workflow = Workflow[Order, dict[str, str]](state=Seen)
    workflow.add_graph_node("B", inner_graph).add_input(START, from_field("number"))
    workflow.add_graph_node("C", chain).add_input(START, from_field("names"))
    workflow.add_graph_node("D", inner_workflow).add_input(START, from_field("weight"))
    workflow.add_lambda_node("E", told, stream_pre=remember).add_input("C", to_field("whole")).add_input(
        "B", to_field("number")
    ).add_input("D", map_fields("times", "weight"))

    def joined(parts: dict[str, str]) -> str:
        return ":".join(parts[name] for name in ("e", "b", "seen"))

    workflow.add_lambda_node("F", joined, pre=before).add_input("E", to_field("e")).add_input("B", to_field("b"))
    workflow.end().add_input("F", to_field("field1"))
    runnable = workflow.compile()

    expected = {"field1": "[1 good] Pre_1_33:1:[1 good]"}
    order = Order(1, 2.0, [1, "good"])
    assert await runnable.invoke(order) == expected
    assert await streamed(runnable, order) == [expected]


@dataclass(frozen=True)
class Innermost:
    f1: str = ""


@dataclass(frozen=True)
class Inner:
    f1: Innermost = Innermost()
    by_key: dict[str, Innermost] = field(default_factory=dict)
    anything: Any = None


@dataclass(frozen=True)
class Outer:
    inner: Inner | None = None
    values: dict[str, Inner] = field(default_factory=dict)
    nested: dict[str, dict[str, Innermost]] = field(default_factory=dict)
    anything: Any = None
    free: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(("inner", "f1", "f1"), Outer(inner=Inner(Innermost("hello"))), id="class.class"),
        pytest.param(
            ("values", "k", "f1", "f1"), Outer(values={"k": Inner(Innermost("hello"))}), id="dict.class.class"
        ),
        pytest.param(
            ("inner", "by_key", "k", "f1"), Outer(inner=Inner(by_key={"k": Innermost("hello")})), id="class.dict.class"
        ),
        pytest.param(("nested", "a", "b", "f1"), Outer(nested={"a": {"b": Innermost("hello")}}), id="dict.dict.class"),
        pytest.param(("inner", "anything", "x"), Outer(inner=Inner(anything={"x": "hello"})), id="class.any"),
        pytest.param(("free", "a", "b"), Outer(free={"a": {"b": "hello"}}), id="dict.any.any"),
        pytest.param(("anything", "F1", "F1"), Outer(anything={"F1": {"F1": "hello"}}), id="any.any"),
    ],
)
async def test_all_between_is_made(path: tuple[str, ...], expected: Outer) -> None:
    """S107: objects on the way to a target are made; `Any` on the way becomes a dict."""
    workflow = Workflow[str, Outer]()
    workflow.end().add_input(START, to_field(path))
    runnable = workflow.compile()

    assert await runnable.invoke("hello") == expected
    assert await streamed(runnable, "hello") == [expected]


@pytest.mark.parametrize("paths", [("key1", ("key1", "key2")), (("key1", "key2"), "key1")], ids=["S109", "D8"])
def test_a_target_inside_another_is_refused(paths: tuple[str | tuple[str, ...], ...]) -> None:
    """S109, D8: both orders."""
    workflow = Workflow[str, dict[str, Any]]()
    workflow.end().add_input(START, *map(to_field, paths))

    with pytest.raises(BuildError, match=r"two terminal field paths conflict for node end: \[key1"):
        workflow.compile()


async def test_targets_beside_each_other_are_fine() -> None:
    """S109: siblings below one key."""
    workflow = Workflow[str, dict[str, Any]]()
    workflow.end().add_input(START, to_field(("key1", "key2", "key3")), to_field(("key1", "key2", "key4")))

    assert await workflow.compile().invoke("x") == {"key1": {"key2": {"key3": "x", "key4": "x"}}}


def test_two_predecessors_onto_one_field() -> None:
    """S110."""
    workflow = Workflow[str, dict[str, Any]]()
    workflow.add_lambda_node("a", same).add_input(START)
    workflow.add_lambda_node("b", same).add_input(START)
    workflow.end().add_input("a", to_field("F")).add_input("b", to_field("F"))

    with pytest.raises(BuildError, match=r"two terminal field paths conflict for node end: \[F\], \[F\]"):
        workflow.compile()


async def test_a_dependency_and_data_of_the_start() -> None:
    """S112: runs after node 0, with the start's value."""
    workflow = Workflow[str, str]()
    workflow.add_lambda_node("0", lambda value: value).add_input(START)
    workflow.add_lambda_node("1", lambda value: f"{value}_done").add_dependency("0").add_input(START, data_only=True)
    workflow.end().add_input("1")
    runnable = workflow.compile()

    assert await runnable.invoke("hello") == "hello_done"
    assert await streamed(runnable, "hello") == ["hello_done"]


class TestStaticValues:
    """S113."""

    async def test_beside_a_mapping(self) -> None:
        workflow = Workflow[str, dict[str, Any]]()
        workflow.add_lambda_node("0", lambda value: value).add_input(START, to_field("b")).set_static_value("a", 1)
        workflow.end().add_input("0")
        runnable = workflow.compile()

        assert await runnable.invoke("x") == {"a": 1, "b": "x"}
        assert await streamed(runnable, "x") == [{"a": 1, "b": "x"}]

    async def test_only_static_values_and_a_dependency(self) -> None:
        workflow = Workflow[str, dict[str, Any]]()
        node = workflow.add_lambda_node("0", same).add_dependency(START)
        node.set_static_value(("a", "b"), 1).set_static_value(("a", "d"), 2).set_static_value(("c", "d"), 3)
        workflow.end().add_input("0")
        runnable = workflow.compile()

        expected = {"a": {"b": 1, "d": 2}, "c": {"d": 3}}
        assert await runnable.invoke("x") == expected
        assert await streamed(runnable, "x") == [expected]

    def test_together_with_the_whole(self) -> None:
        workflow = Workflow[dict[str, Any], dict[str, Any]]()
        workflow.add_lambda_node("0", same).add_input(START).set_static_value("a", 1)
        workflow.end().add_input("0")

        with pytest.raises(BuildError, match="entire output has already been mapped for node: 0"):
            workflow.compile()

    def test_onto_a_mapped_field(self) -> None:
        workflow = Workflow[str, dict[str, Any]]()
        workflow.add_lambda_node("0", same).add_input(START, to_field("prefilled")).set_static_value("prefilled", 1)
        workflow.end().add_input("0")

        with pytest.raises(BuildError, match=r"conflict for node 0: \[prefilled\], \[prefilled\]"):
            workflow.compile()


@pytest.mark.parametrize(
    ("value", "expected"), [([], {"static": 2}), ([1], {"output": 2, "static": 2})], ids=["skipped", "chosen"]
)
async def test_a_branch_and_an_indirect_dependency(value: list[int], expected: dict[str, int]) -> None:
    """S115, without the checkpoint: a branch of the start chooses node 1 or the end; node 1 reads the start's data."""

    def first(values: list[int]) -> int:
        return values[0]

    def choose(values: list[int]) -> str:
        return "1" if values else END

    workflow = Workflow[list[int], dict[str, int]]()
    workflow.add_lambda_node("1", lambda value: value + 1).add_input(START, to_field("", extract=first), data_only=True)
    workflow.add_branch(START, Branch(choose, ends=["1", END]))
    workflow.end().add_input("1", to_field("output")).set_static_value("static", 2)
    runnable = workflow.compile()

    assert await runnable.invoke(value) == expected
    chunks = await streamed(runnable, value)
    assert {key: item for chunk in chunks for key, item in chunk.items()} == expected


class TestNone:
    """S116: None under a mapped key."""

    @dataclass(frozen=True)
    class Optional:
        a: str | None = "unset"

    @dataclass(frozen=True)
    class Number:
        a: int = 0

    async def test_into_a_dict_and_a_field_that_may_be_none(self) -> None:
        for cls, expected in ((dict[str, Any], {"a": None}), (self.Optional, self.Optional(None))):
            workflow = Workflow[dict[str, Any], cls]()  # type: ignore[valid-type]
            workflow.end().add_input(START, map_fields("a", "a"))
            assert await workflow.compile().invoke({"a": None}) == expected

    async def test_into_a_number(self) -> None:
        workflow = Workflow[dict[str, Any], int]()
        workflow.end().add_input(START, from_field("a"))

        expected = (
            r"runtime check failed for mapping \[from a\(field\) of start\], field\[None\]-\[int\] is absolutely not "
            "assignable"
        )
        with pytest.raises(RunError, match=expected):
            await workflow.compile().invoke({"a": None})


@pytest.mark.parametrize("declared", [Any, dict[str, dict[str, int] | None]], ids=["any", "dict or None"])
async def test_none_on_the_way(declared: Any) -> None:
    """S118: an error of the call in a value run, of the first chunk in a stream run."""
    workflow = Workflow[declared, dict[str, Any]]()
    workflow.end().add_input(START, map_fields(("a", "b"), "x"))
    runnable = workflow.compile()

    with pytest.raises(RunError, match=r"intermediate source value on path=\[a b\] is nil for "):
        await runnable.invoke({"a": None})
    async with runnable.stream({"a": None}) as reader:
        with pytest.raises(RunError, match=r"intermediate source value on path=\[a b\] is nil for "):
            await reader.recv()


async def test_an_extractor_of_a_list() -> None:
    """S119."""

    def first(values: Sequence[int]) -> int:
        return values[0]

    workflow = Workflow[list[int], dict[str, int]]()
    workflow.end().add_input(START, to_field("a", extract=first))

    assert await workflow.compile().invoke([1, 2]) == {"a": 1}


async def test_an_end_that_only_waits() -> None:
    """S119: the output is None where nothing gives one."""
    workflow = Workflow[str, Any]()
    workflow.add_lambda_node("a", same).add_input(START)
    workflow.end().add_dependency("a")

    assert await workflow.compile().invoke("input") is None


@dataclass(frozen=True)
class Both:
    left: str = "none"
    right: str = "none"


@dataclass(frozen=True)
class Needs:
    left: str


@pytest.mark.parametrize(
    ("cls", "expected"), [(Both, Both()), (dict[str, str], {})], ids=["class with defaults", "dict"]
)
async def test_an_end_whose_sources_were_all_skipped(cls: Any, expected: Any) -> None:
    """D7: the end is made of its defaults."""
    workflow = Workflow[str, cls]()
    workflow.add_lambda_node("a", same).add_input(START, data_only=True)
    workflow.add_branch(START, Branch(lambda value: END, ends=["a", END]))
    workflow.end().add_input("a", to_field("left"))
    runnable = workflow.compile()

    assert await runnable.invoke("x") == expected


async def test_an_end_that_needs_what_was_skipped() -> None:
    """D7: an error that names the field where it has no default."""
    workflow = Workflow[str, Needs]()
    workflow.add_lambda_node("a", same).add_input(START, data_only=True)
    workflow.add_branch(START, Branch(lambda value: END, ends=["a", END]))
    workflow.end().add_input("a", to_field("left"))

    with pytest.raises(RunError, match=r"no value arrived for required field\[left\] of type\[Needs\] of node\[end\]"):
        await workflow.compile().invoke("x")
