"""Workflows: what is refused and how it is said, kinds of nested types, streams chunk by chunk, branches."""

from __future__ import annotations

import collections
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, NamedTuple, Protocol, TypedDict

import msgspec
import pydantic
import pytest

from eino import (
    END,
    START,
    Branch,
    BuildError,
    FieldMapping,
    RunError,
    Workflow,
    from_field,
    map_fields,
    to_field,
    user_message,
)
from eino_fixtures import EchoChatModel


def same(value: Any) -> Any:
    return value


async def streamed(runnable: Any, value: Any) -> list[Any]:
    async with runnable.stream(value) as reader:
        return [chunk async for chunk in reader]


def ending(given: Any, wanted: Any, *mappings: FieldMapping) -> Workflow[Any, Any]:
    """A workflow whose end gets mapped fields of its start."""
    workflow = Workflow[given, wanted]()  # type: ignore[valid-type]
    workflow.end().add_input(START, *mappings)
    return workflow


# Kinds of types with fields. Each pair: an inner and an outer one, both with the same fields.


@dataclass(frozen=True, slots=True)
class DataInner:
    x: int
    y: int = 5


@dataclass(frozen=True, slots=True)
class DataOuter:
    inner: DataInner
    z: str = "z"


class StructInner(msgspec.Struct, frozen=True):
    x: int
    y: int = 5


class StructOuter(msgspec.Struct, frozen=True):
    inner: StructInner
    z: str = "z"


class ModelInner(pydantic.BaseModel):
    x: int
    y: int = 5


class ModelOuter(pydantic.BaseModel):
    inner: ModelInner
    z: str = pydantic.Field(default="z", alias="zed")


class TupleInner(NamedTuple):
    x: int
    y: int = 5


class TupleOuter(NamedTuple):
    inner: TupleInner
    z: str = "z"


class PlainInner:
    def __init__(self, x: int, y: int = 5) -> None:
        self.x = x
        self.y = y

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class PlainOuter:
    def __init__(self, inner: PlainInner, z: str = "z") -> None:
        self.inner = inner
        self.z = z

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class KeysInner(TypedDict):
    x: int
    y: int


class KeysOuter(TypedDict):
    inner: KeysInner
    z: str


RECORDS: list[tuple[Any, Any]] = [
    (DataOuter, DataInner),
    (StructOuter, StructInner),
    (ModelOuter, ModelInner),
    (TupleOuter, TupleInner),
    (PlainOuter, PlainInner),
]
each_record = pytest.mark.parametrize(("outer", "inner"), RECORDS, ids=lambda cls: cls.__name__)


class TestTypes:
    @each_record
    async def test_a_class_is_made_from_the_inside_out(self, outer: Any, inner: Any) -> None:
        workflow = ending(dict[str, int], outer, map_fields("n", ("inner", "x")))
        runnable = workflow.compile()

        assert await runnable.invoke({"n": 7}) == outer(inner=inner(x=7))
        assert await streamed(runnable, {"n": 7}) == [outer(inner=inner(x=7))]

    @each_record
    async def test_a_path_reads_into_a_class(self, outer: Any, inner: Any) -> None:
        workflow = ending(outer, dict[str, Any], map_fields(("inner", "y"), "y"), map_fields("z", "z"))

        assert await workflow.compile().invoke(outer(inner=inner(x=1))) == {"y": 5, "z": "z"}

    @each_record
    def test_a_field_that_is_not_there(self, outer: Any, inner: Any) -> None:
        expected = rf"node\[end\].*type\[{inner.__name__}\] has no field\[q\]: its fields are x, y"
        if inner is not PlainInner:  # what attributes a plain class has, only a run shows
            with pytest.raises(BuildError, match=expected):
                ending(outer, Any, from_field(("inner", "q"))).compile()
        with pytest.raises(BuildError, match=expected):
            ending(int, outer, to_field(("inner", "q"))).compile()

    @each_record
    def test_a_required_field_that_nothing_gives(self, outer: Any, inner: Any) -> None:
        with pytest.raises(
            BuildError, match=rf"required field\[x\] of type\[{inner.__name__}\] at \[inner\].*node\[end"
        ):
            ending(int, outer, to_field(("inner", "y"))).compile()

    async def test_typed_dicts(self) -> None:
        make = ending(int, KeysOuter, to_field(("inner", "x")))
        assert await make.compile().invoke(3) == {"inner": {"x": 3}}
        read = ending(KeysOuter, int, from_field(("inner", "x")))
        assert await read.compile().invoke({"inner": {"x": 3, "y": 4}, "z": ""}) == 3
        with pytest.raises(BuildError, match=r"type\[KeysInner\] has no field\[q\]"):
            ending(KeysOuter, int, from_field(("inner", "q"))).compile()

    async def test_a_default_dict_and_a_class_of_mappings(self) -> None:
        for cls in (collections.OrderedDict[str, int], collections.defaultdict[str, int], Mapping[str, int]):
            assert await ending(int, cls, to_field("a")).compile().invoke(3) == {"a": 3}

    async def test_what_only_post_init_gets(self) -> None:
        @dataclass
        class Scaled:
            scale: InitVar[int]
            value: int = 0

            def __post_init__(self, scale: int) -> None:
                self.value *= scale

        runnable = ending(dict[str, int], Scaled, map_fields("s", "scale"), map_fields("v", "value")).compile()
        assert (await runnable.invoke({"s": 3, "v": 4})).value == 12

    async def test_properties_are_read_and_not_set(self) -> None:
        @dataclass
        class Square:
            side: int

            @property
            def area(self) -> int:
                return self.side * self.side

        assert await ending(Square, int, from_field("area")).compile().invoke(Square(3)) == 9
        with pytest.raises(BuildError, match=r"type\[.*Square\] has field\[area\], but none is made with it"):
            ending(int, Square, to_field("area")).compile()
        with pytest.raises(BuildError, match=r"field\[int\]-\[str\] is absolutely not assignable"):
            ending(Square, str, from_field("area")).compile()

    async def test_a_model_that_takes_more_fields(self) -> None:
        class Open(pydantic.BaseModel, extra="allow"):
            known: int = 1

        made = await ending(str, Open, to_field("more")).compile().invoke("x")
        assert made.model_dump() == {"known": 1, "more": "x"}
        assert await ending(Open, Any, from_field("more")).compile().invoke(made) == "x"

    async def test_a_model_that_refuses_a_value(self) -> None:
        class Strict(pydantic.BaseModel):
            age: int = pydantic.Field(ge=18)

        runnable = ending(int, Strict, to_field("age")).compile()
        with pytest.raises(RunError, match=r"type\[.*Strict\] of node\[end\] cannot be made of \['age'\]: (.|\n)*18"):
            await runnable.invoke(3)

    async def test_a_union_with_one_class_that_can_be_made(self) -> None:
        assert await ending(int, DataInner | None, to_field("x")).compile().invoke(3) == DataInner(3)
        with pytest.raises(BuildError, match="several of its members could be made"):
            ending(int, DataInner | StructInner, to_field("x")).compile()

    async def test_a_union_is_read_by_the_member_that_comes(self) -> None:
        runnable = ending(DataInner | dict[str, int], int, from_field("x")).compile()
        assert await runnable.invoke(DataInner(3)) == 3
        assert await runnable.invoke({"x": 4}) == 4

    async def test_anything_is_read_as_it_comes(self) -> None:
        runnable = ending(Any, Any, from_field(("inner", "x"))).compile()
        assert await runnable.invoke(DataOuter(DataInner(3))) == 3
        assert await runnable.invoke({"inner": StructInner(4)}) == 4

    async def test_an_annotation_that_cannot_be_hashed(self) -> None:
        noted = dict[str, Annotated[DataInner, []]]
        assert await ending(noted, int, from_field(("a", "x"))).compile().invoke({"a": DataInner(3)}) == 3
        assert await ending(int, noted, to_field(("a", "x"))).compile().invoke(3) == {"a": DataInner(3)}

    async def test_a_dataclass_with_a_constructor_of_its_own(self) -> None:
        @dataclass(init=False)
        class Doubled:
            value: int

            def __init__(self, half: int, **more: int) -> None:
                self.value = 2 * half + sum(more.values())

        runnable = ending(dict[str, int], Doubled, map_fields("h", "half"), map_fields("m", "more")).compile()
        assert (await runnable.invoke({"h": 3, "m": 1})).value == 7
        assert await ending(Doubled, int, from_field("value")).compile().invoke(Doubled(2)) == 4

    async def test_attrs_classes(self) -> None:
        attrs = pytest.importorskip("attrs")

        @attrs.frozen
        class Owned:
            _owner: str
            age: int = 3

        runnable = ending(str, Owned, to_field("owner")).compile()
        assert await runnable.invoke("me") == Owned("me")
        assert await ending(Owned, int, from_field("age")).compile().invoke(Owned("me")) == 3
        with pytest.raises(BuildError, match=r"required field\[owner\] of type"):
            ending(int, Owned, to_field("age")).compile()

    @pytest.mark.parametrize("cls", [tuple[int, int], list[int], bytes])
    def test_what_has_no_fields(self, cls: Any) -> None:
        with pytest.raises(BuildError, match="should be struct or map"):
            ending(cls, Any, from_field("a")).compile()

    def test_unions_of_which_none_fits(self) -> None:
        with pytest.raises(BuildError, match="predecessor output type should be struct or map, actual: int"):
            ending(int | str, Any, from_field("a")).compile()
        with pytest.raises(BuildError, match="successor input type should be struct or map, actual: int"):
            ending(int, int | str, to_field("a")).compile()

    def test_an_abstract_mapping(self) -> None:
        class Lazy(Mapping[str, int]):
            pass

        with pytest.raises(BuildError, match="the successor has intermediate interface type"):
            ending(int, Lazy, to_field("a")).compile()

    def test_an_interface_on_the_way(self) -> None:
        class Named(Protocol):
            name: str

        with pytest.raises(BuildError, match=r"the successor has intermediate interface type .*Named"):
            ending(str, dict[str, Named], to_field(("a", "name"))).compile()


class TestRefusedByCompile:
    @pytest.mark.parametrize(
        ("given", "wanted", "mapping", "expected"),
        [
            (
                int,
                Any,
                from_field("a"),
                "static check fail: predecessor output type should be struct or map, actual: int",
            ),
            (int, int, to_field("a"), "static check fail: successor input type should be struct or map, actual: int"),
            (DataOuter, Any, from_field(("z", "a")), r"intermediate type\[str\] is not valid"),
            (int, DataOuter, to_field(("z", "a")), r"intermediate type\[str\] is not valid"),
            (dict[int, str], Any, from_field("a"), r"type\[dict\[int, str\]\] is not a map with string"),
            (int, dict[int, int], to_field("a"), r"type\[dict\[int, int\]\] is not a map with string"),
            (DataOuter, Any, from_field("_z"), r"has an unexported field\[_z\]"),
            (int, DataOuter, to_field("_z"), r"has an unexported field\[_z\]"),
            (DataOuter, Any, from_field("inner.x"), r"for a path give a tuple: \('inner', 'x'\)"),
            (DataOuter, int, from_field("z"), r"field\[str\]-\[int\] is absolutely not assignable"),
        ],
    )
    def test_a_mapping_that_cannot_work(self, given: Any, wanted: Any, mapping: FieldMapping, expected: str) -> None:
        with pytest.raises(BuildError, match=expected) as refused:
            ending(given, wanted, mapping).compile()
        assert "node[end]" in str(refused.value)

    def test_an_extractor_that_does_not_fit(self) -> None:
        def of_text(text: str) -> int:
            return len(text)

        with pytest.raises(BuildError, match=r"of_text takes str, but node\[start\] gives int"):
            ending(int, dict[str, int], to_field("n", extract=of_text)).compile()
        with pytest.raises(BuildError, match=r"field\[int\]-\[str\] is absolutely not assignable"):
            ending(str, dict[str, str], to_field("n", extract=of_text)).compile()

    def test_a_static_value_of_another_type(self) -> None:
        workflow = Workflow[int, DataInner]()
        workflow.end().add_input(START, to_field("x")).set_static_value("y", "five")
        with pytest.raises(BuildError, match=r"static value at \[y\] of node\[end\].*got 'five': give a int"):
            workflow.compile()

    def test_whole_outputs_that_do_not_fit(self) -> None:
        with pytest.raises(BuildError, match=r"graph edge\[start\]-\[end\].*type\[int\].*type\[str\] mismatch"):
            ending(int, str).compile()

    @pytest.mark.parametrize(
        "mappings",
        [(from_field("a"), to_field("b")), (to_field("b"), from_field("a")), (from_field("a"), from_field("b"))],
    )
    def test_the_whole_beside_parts(self, mappings: Sequence[FieldMapping]) -> None:
        with pytest.raises(BuildError, match="entire output has already been mapped for node: end"):
            ending(dict[str, Any], dict[str, Any], *mappings).compile()

    def test_nodes_that_are_missing(self) -> None:
        workflow = ending(Any, Any)
        workflow.add_lambda_node("a", same).add_input("nobody")
        with pytest.raises(BuildError, match=r"node 'a': edge start node 'nobody' needs to be added.*nodes are 'a'"):
            workflow.compile()

        workflow = ending(Any, Any)
        workflow.end().add_dependency("nobody")
        with pytest.raises(BuildError, match=r"node 'end': edge start node 'nobody'.*none yet"):
            workflow.compile()

        workflow = ending(Any, Any)
        workflow.add_branch(START, Branch(same, ends=["nobody", END]))
        with pytest.raises(BuildError, match=r"branch of node\[start\]: end node 'nobody' needs to be added"):
            workflow.compile()

        workflow = ending(Any, Any)
        workflow.add_branch("nobody", Branch(same, ends=[END]))
        with pytest.raises(BuildError, match="branch start node 'nobody' needs to be added"):
            workflow.compile()

    def test_nothing_at_the_start_or_the_end(self) -> None:
        workflow = Workflow[Any, Any]()
        workflow.add_lambda_node("a", same).add_input(START, data_only=True)
        workflow.end().add_input("a")
        with pytest.raises(BuildError, match="start node not set"):
            workflow.compile()

        workflow = Workflow[Any, Any]()
        workflow.add_lambda_node("a", same).add_input(START)
        workflow.end().add_input("a", data_only=True)
        with pytest.raises(BuildError, match="end node not set"):
            workflow.compile()

    def test_data_that_may_come_too_late(self) -> None:
        workflow = Workflow[Any, Any]()
        workflow.add_lambda_node("a", same).add_input(START)
        workflow.add_lambda_node("b", same).add_input(START, to_field("s")).add_input(
            "a", to_field("a"), data_only=True
        )
        workflow.end().add_input("b")
        with pytest.raises(
            BuildError, match=r"node\[b\] gets data of node\[a\] with data_only=True, but no control path"
        ):
            workflow.compile()

    def test_a_loop(self) -> None:
        workflow = Workflow[Any, Any]()
        workflow.add_lambda_node("a", same).add_input(START, to_field("s")).add_input("b", to_field("b"))
        workflow.add_lambda_node("b", same).add_input("a")
        workflow.end().add_input("b")
        with pytest.raises(BuildError, match=r"has loop: \[.*a->b->a|has loop: \[.*b->a->b"):
            workflow.compile()

    @pytest.mark.parametrize("options", [{"trigger": "any"}, {"eager": False}])
    def test_options_of_other_engines(self, options: dict[str, Any]) -> None:
        with pytest.raises(BuildError, match="Workflow doesn't support node trigger mode option"):
            ending(Any, Any).compile(**options)

    def test_max_steps(self) -> None:
        with pytest.raises(BuildError, match="cannot set max run steps in dag mode"):
            ending(Any, Any).compile(max_steps=3)


class TestRefusedAtOnce:
    @pytest.mark.parametrize("path", ["", (), ("a", ""), 3, None, ["a"], ("a", 3)])
    def test_what_is_no_path(self, path: Any) -> None:
        workflow = Workflow[Any, Any]()
        for call in (from_field, to_field, lambda it: map_fields(it, "a"), lambda it: map_fields("a", it)):
            with pytest.raises(BuildError, match=rf"{re.escape(repr(path))} is no path"):
                call(path)
        with pytest.raises(BuildError, match=r"set_static_value of node 'end'.* is no path"):
            workflow.end().set_static_value(path, 1)

    def test_extractors(self) -> None:
        async def waits(value: Any) -> Any:
            return value

        with pytest.raises(BuildError, match="must be a plain function"):
            to_field("a", extract=waits)
        with pytest.raises(BuildError, match="must be a function of the whole output"):
            to_field("a", extract=3)  # type: ignore[arg-type]
        with pytest.raises(BuildError, match=r"has extract=.*same too"):
            FieldMapping(from_path=("a",), extract=same)
        with pytest.raises(BuildError, match="from the whole output to the whole input says nothing"):
            FieldMapping()

    def test_the_same_twice(self) -> None:
        workflow = Workflow[Any, Any]()
        node = workflow.add_lambda_node("a", same).add_input(START)
        with pytest.raises(BuildError, match=r"data edge\[start\]-\[a\] have been added yet"):
            node.add_input(START)
        with pytest.raises(BuildError, match=r"control edge\[start\]-\[a\] have been added yet"):
            node.add_dependency(START)
        other = workflow.add_lambda_node("b", same).add_dependency("a")
        with pytest.raises(BuildError, match=r"control edge\[a\]-\[b\] have been added yet"):
            other.add_input("a")
        with pytest.raises(BuildError, match="node 'a' already present"):
            workflow.add_lambda_node("a", same)
        other.set_static_value("x", 1)
        with pytest.raises(BuildError, match=r"conflict for node b: \[x\], \[x\]"):
            other.set_static_value("x", 2)

    def test_wrong_arguments(self) -> None:
        workflow = Workflow[Any, Any]()
        for key in (3, "", None):
            with pytest.raises(BuildError, match="is a non-empty string"):
                workflow.end().add_input(key)  # type: ignore[arg-type]
        with pytest.raises(BuildError, match="END cannot be a start node"):
            workflow.end().add_input(END)
        with pytest.raises(BuildError, match="END cannot be a start node"):
            workflow.add_branch(END, Branch(same, ends=[END]))
        with pytest.raises(BuildError, match=r"'x'\) takes mappings"):
            workflow.end().add_input(START, "x")  # type: ignore[arg-type]
        with pytest.raises(BuildError, match=r"give a Branch\("):
            workflow.add_branch(START, same)  # type: ignore[arg-type]

    def test_changes_after_compile(self) -> None:
        workflow = ending(Any, Any)
        node = workflow.add_lambda_node("a", same)
        workflow.compile()
        calls: list[Callable[[], Any]] = [
            lambda: workflow.add_lambda_node("b", same),
            lambda: node.add_input(START),
            lambda: node.add_dependency(START),
            lambda: node.set_static_value("a", 1),
            lambda: workflow.add_branch(START, Branch(same, ends=[END])),
        ]
        for call in calls:
            with pytest.raises(BuildError, match="workflow has been compiled"):
                call()


class TestRefusedByARun:
    async def test_a_key_that_is_not_there(self) -> None:
        runnable = ending(dict[str, dict[str, int]], dict[str, int], map_fields(("a", "b"), "x")).compile()
        for value in ({}, {"a": {}}):
            with pytest.raises(RunError, match=r"key not found in input. key=b: mapping \[from a.b\(field\) of start"):
                await runnable.invoke(value)
            with pytest.raises(RunError, match="key=b"):
                await streamed(runnable, value)

    async def test_none_on_the_way_through_classes(self) -> None:
        @dataclass(frozen=True)
        class Holder:
            inner: DataInner | None = None

        runnable = ending(Holder, dict[str, int], map_fields(("inner", "x"), "x")).compile()
        with pytest.raises(
            RunError, match=r"path=\[inner x\] is nil for type .*'inner' in the output of node\[start\]"
        ):
            await runnable.invoke(Holder())
        assert await runnable.invoke(Holder(DataInner(2))) == {"x": 2}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (3, "actual type is not struct, struct ptr or map, actual: int"),
            (DataInner(1), r"type\[DataInner\] has no field\[a\].*its fields are x, y"),
            (PlainInner(1), r"type\[PlainInner\] has no field\[a\]"),
            (None, r"is nil for type \[Any\]: the output of node\[start\] is None"),
        ],
    )
    async def test_a_value_without_the_field(self, value: Any, expected: str) -> None:
        with pytest.raises(RunError, match=expected):
            await ending(Any, Any, from_field("a")).compile().invoke(value)

    async def test_a_private_field(self) -> None:
        with pytest.raises(RunError, match=r"has an unexported field\[__class__\]"):
            await ending(Any, Any, from_field("__class__")).compile().invoke(DataInner(1))

    async def test_a_value_of_another_type(self) -> None:
        runnable = ending(dict[str, Any], DataInner, map_fields("x", "x")).compile()
        with pytest.raises(RunError, match=r"runtime check failed.*field\[str\]-\[int\].*node\[end\] got 'three'"):
            await runnable.invoke({"x": "three"})
        with pytest.raises(RunError, match="runtime check failed"):
            await streamed(runnable, {"x": "three"})

    async def test_a_whole_value_of_another_type(self) -> None:
        workflow = Workflow[Any, Any]()
        workflow.add_lambda_node("any", same).add_input(START)

        def number(value: int) -> int:
            return value

        workflow.add_lambda_node("number", number).add_input("any")
        workflow.end().add_input("number")
        runnable = workflow.compile()
        assert await runnable.invoke(3) == 3
        assert await streamed(runnable, 3) == [3]
        with pytest.raises(RunError, match=r"runtime type check fail, expected type: int, actual type: str on edge"):
            await runnable.invoke("3")

    async def test_an_extractor_that_fails(self) -> None:
        def broken(value: Any) -> Any:
            raise ValueError("cannot read it")

        runnable = ending(Any, dict[str, Any], to_field("a", extract=broken)).compile()
        with pytest.raises(
            RunError, match=r"broken of mapping \[from start to a.*node\[end\]: .*cannot read it"
        ) as failed:
            await runnable.invoke(1)
        assert isinstance(failed.value.__cause__, (ValueError, RunError))


async def pieces(values: list[Any]) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def parts(values: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for value in values:
        yield value


class TestStreams:
    @staticmethod
    def split(wanted: Any, *mappings: FieldMapping, static: Mapping[str, Any] | None = None) -> Any:
        workflow = Workflow[list[Any], wanted]()
        workflow.add_lambda_node("parts", parts).add_input(START)
        workflow.end().add_input("parts", *mappings)
        for path, value in (static or {}).items():
            workflow.end().set_static_value(path, value)
        return workflow.compile()

    async def test_each_chunk_makes_one(self) -> None:
        runnable = self.split(dict[str, str], map_fields("a", "x"), map_fields("b", "y"))
        chunks = [{"a": "1"}, {"b": "2"}, {"c": "unmapped"}, {"a": "3", "b": "4"}]

        assert await streamed(runnable, chunks) == [{"x": "1"}, {"y": "2"}, {"x": "3", "y": "4"}]
        assert await runnable.invoke(chunks) == {"x": "13", "y": "24"}

    async def test_static_values_come_once(self) -> None:
        runnable = self.split(dict[str, Any], map_fields("a", "x"), static={"s": "once"})

        assert await streamed(runnable, [{"a": "1"}, {"a": "2"}]) == [{"x": "1", "s": "once"}, {"x": "2"}]

    async def test_a_class_comes_at_the_end(self) -> None:
        @dataclass(frozen=True)
        class Text:
            x: str
            y: str = "none"

        runnable = self.split(Text, map_fields("a", "x"), map_fields("b", "y"))

        assert await streamed(runnable, [{"a": "1"}, {"a": "2"}, {"b": "3"}]) == [Text("12", "3")]

    async def test_chunks_of_a_field_that_do_not_fit_together(self) -> None:
        @dataclass(frozen=True)
        class Listed:
            x: list[int] = field(default_factory=list)

        runnable = self.split(Listed, map_fields("a", "x"))
        with pytest.raises(RunError, match=r"the chunks for field\[x\]"):
            await streamed(runnable, [{"a": [1]}, {"a": [2]}])

    async def test_a_key_that_no_chunk_had(self) -> None:
        runnable = self.split(dict[str, str], map_fields("a", "x"), map_fields("b", "y"))
        async with runnable.stream([{"a": "1"}]) as reader:
            assert await reader.recv() == {"x": "1"}
            with pytest.raises(RunError, match="key=b"):
                await reader.recv()

    async def test_a_part_as_the_whole_input(self) -> None:
        runnable = self.split(str, from_field("a"))

        assert await streamed(runnable, [{"a": "1"}, {}, {"a": "2"}]) == ["1", "2"]

    async def test_an_extractor_gets_each_chunk(self) -> None:
        def upper(chunk: dict[str, str]) -> str:
            return chunk["a"].upper()

        runnable = self.split(dict[str, str], to_field("x", extract=upper))

        assert await streamed(runnable, [{"a": "p"}, {"a": "q"}]) == [{"x": "P"}, {"x": "Q"}]

    async def test_an_error_inside_a_stream_passes(self) -> None:
        async def broken(value: Any) -> AsyncIterator[dict[str, str]]:
            yield {"a": "1"}
            raise ValueError("line lost")

        for wanted in (dict[str, str], DataInner):
            workflow = Workflow[Any, wanted]()  # type: ignore[valid-type]
            workflow.add_lambda_node("broken", broken).add_input(START)
            workflow.end().add_input("broken", map_fields("a", "x") if wanted is not DataInner else length())
            with pytest.raises(RunError, match="line lost") as failed:
                await streamed(workflow.compile(), 1)
            assert failed.value.node_path == ("broken",)


def length() -> FieldMapping:
    def of(chunk: dict[str, str]) -> int:
        return len(chunk)

    return to_field("x", extract=of)


class TestNodes:
    @pytest.mark.parametrize(
        "adder",
        ["chat_model", "chat_template", "tools", "embedding", "retriever", "indexer", "loader", "document_transformer"],
    )
    def test_each_kind_has_its_adder(self, adder: str) -> None:
        workflow = Workflow[Any, Any]()
        with pytest.raises(BuildError, match="'wrong'"):
            getattr(workflow, f"add_{adder}_node")("wrong", 3)
        workflow.add_lambda_node("wrong", same)  # what was refused left nothing behind

    async def test_the_kind_of_a_node_is_inferred(self) -> None:
        workflow = Workflow[Any, Any]()
        workflow.add_node("model", EchoChatModel()).add_input(START)
        workflow.end().add_input("model", from_field("content"))
        runnable = workflow.compile()
        assert runnable.describe().nodes[0].component == "ChatModel"
        assert await runnable.invoke([user_message("hi")]) == "hi"

    async def test_a_passthrough_gives_the_dict_of_its_mappings(self) -> None:
        workflow = Workflow[DataOuter, dict[str, Any]]()
        workflow.add_passthrough_node("pass").add_input(START, map_fields("z", "a"), map_fields("inner", "b"))
        workflow.end().add_input("pass")
        assert await workflow.compile().invoke(DataOuter(DataInner(1))) == {"a": "z", "b": DataInner(1)}

    async def test_a_passthrough_of_a_whole_and_of_a_part(self) -> None:
        workflow = Workflow[DataOuter, Any]()
        workflow.add_passthrough_node("whole").add_input(START)
        workflow.add_passthrough_node("part").add_input("whole", from_field("z"))
        workflow.end().add_input("part")
        assert await workflow.compile().invoke(DataOuter(DataInner(1))) == "z"

    async def test_a_branch_chooses_several_and_skips_what_follows_the_others(self) -> None:
        ran: list[str] = []

        def noting(name: str) -> Callable[[Any], str]:
            def note(value: Any) -> str:
                ran.append(name)
                return name

            return note

        workflow = Workflow[Any, dict[str, str]]()
        workflow.add_lambda_node("first", same).add_input(START)
        workflow.add_branch("first", Branch(lambda value: {"a", "b"}, ends=["a", "b", "c"]))
        for name in "abc":
            workflow.add_lambda_node(name, noting(name)).add_input("first", data_only=True)
            workflow.end().add_input(name, to_field(name))
        workflow.add_lambda_node("after c", noting("after c")).add_input("c")
        assert await workflow.compile().invoke(1) == {"a": "a", "b": "b"}
        assert sorted(ran) == ["a", "b"]

    async def test_two_dicts_are_merged_where_both_are_whole_parts(self) -> None:
        workflow = Workflow[Any, dict[str, Any]]()
        workflow.add_lambda_node("a", lambda value: 1).add_input(START)
        workflow.add_lambda_node("b", lambda value: 2).add_input(START)
        workflow.end().add_input("a", to_field(("p", "a"))).add_input("b", to_field(("p", "b")))
        assert await workflow.compile().invoke(0) == {"p": {"a": 1, "b": 2}}

    def test_what_it_looks_like(self) -> None:
        workflow = Workflow[int, dict[str, int]]()
        node = workflow.add_lambda_node("a", same).add_input(START, to_field("x"))
        other = workflow.add_lambda_node("b", same).add_input(START, data_only=True).add_dependency("a")
        workflow.end().add_input("b", to_field("y"))
        assert repr(workflow) == "<Workflow[int, dict[str, int]]: a, b>"
        assert repr(node) == "<WorkflowNode 'a' after start>"
        assert repr(other) == "<WorkflowNode 'b' after start, a>"
        assert str(map_fields("a", ("b", "c"))) == "[from a(field) of the output to b.c(field)]"
        info = workflow.compile(name="pair").describe()
        assert (info.kind, info.trigger, info.name) == ("Workflow", "all", "pair")
        kinds = {(edge.source, edge.target): edge.kind for edge in info.edges}
        assert kinds == {
            ("start", "a"): "both",
            ("start", "b"): "data",
            ("a", "b"): "control",
            ("b", "end"): "both",
        }
