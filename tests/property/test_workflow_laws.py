"""Random workflows over nested types against a direct computation, by value and by stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import anyio
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino import START, BuildError, FieldMapping, Workflow, map_fields, to_field

# A shape is a leaf (None: a number) or its parts by name. A type for it is drawn, and values are compared as plain dicts.
Shape = dict[str, Any] | None
NAMES = ("a", "b", "c")

shapes = st.recursive(
    st.none(), lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, min_size=1), max_leaves=6
).filter(lambda shape: shape is not None)


LENIENT = pydantic.ConfigDict(arbitrary_types_allowed=True)  # structs as fields


class Typed(NamedTuple):
    """A type for a shape."""

    annotation: Any
    make: Callable[[Any], Any]
    """Makes a value of it of plain data."""


def plain(value: Any) -> Any:
    """Return a value as numbers in dicts."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, pydantic.BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    names = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None)
    return value if names is None else {name: plain(getattr(value, name)) for name in names}


@st.composite
def types_of(draw: st.DrawFn, shape: Shape) -> Typed:
    """Draw how a shape is typed: at each level another kind of class, or a dict."""
    if shape is None:
        return Typed(int, lambda value: value)
    parts = {name: draw(types_of(part)) for name, part in shape.items()}
    fields = {name: part.annotation for name, part in parts.items()}
    kind = draw(st.sampled_from(["dict", "dataclass", "struct", "model"]))
    if kind == "dict":
        return Typed(dict[str, Any], lambda data: {name: parts[name].make(data[name]) for name in parts})
    cls: Any
    if kind == "dataclass":
        cls = dataclass(frozen=True)(type("Data", (), {"__annotations__": fields}))
    elif kind == "struct":
        cls = msgspec.defstruct("Struct", list(fields.items()), frozen=True)
    else:
        cls = pydantic.create_model(
            "Model", __config__=LENIENT, **{name: (annotation, ...) for name, annotation in fields.items()}
        )
    return Typed(cls, lambda data: cls(**{name: parts[name].make(data[name]) for name in parts}))


def data_of(shape: Shape) -> st.SearchStrategy[Any]:
    if shape is None:
        return st.integers(-9, 9)
    return st.fixed_dictionaries({name: data_of(part) for name, part in shape.items()})


def paths(shape: Shape, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all numbers."""
    if shape is None:
        return [at]
    return [path for name, part in shape.items() for path in paths(part, (*at, name))]


def read(data: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        data = data[name]
    return data


def written(values: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return nested dicts with a value at each path."""
    root: dict[str, Any] = {}
    for path, value in values.items():
        inside = root
        for name in path[:-1]:
            inside = inside.setdefault(name, {})
        inside[path[-1]] = value
    return root


class Part(NamedTuple):
    """Where one number of a node's input comes from: a node and a path there, or a constant."""

    source: str
    path: tuple[str, ...]
    constant: int | None


class Case(NamedTuple):
    """A workflow, and what it should give."""

    workflow: Workflow[Any, Any]
    value: Any
    expected: Any


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw nodes that each build their input of numbers of earlier ones, and hand it on with 1 added to each."""
    known: dict[str, Shape] = {}
    expected: dict[str, Any] = {}
    first = draw(shapes)
    typed = draw(types_of(first))
    data = draw(data_of(first))
    known[START], expected[START] = first, data
    last = draw(shapes)
    last_typed = draw(types_of(last))
    workflow = Workflow[typed.annotation, last_typed.annotation]()  # type: ignore[valid-type]
    count = draw(st.integers(0, 4))
    for index in range(count + 1):
        is_end = index == count
        shape = last if is_end else draw(shapes)
        own = last_typed if is_end else draw(types_of(shape))
        gives = draw(types_of(shape))
        wanted: dict[tuple[str, ...], Part] = {}
        for path in paths(shape):
            source = draw(st.sampled_from(list(known)))
            constant = draw(st.none() | st.integers(-9, 9))
            wanted[path] = Part(source, draw(st.sampled_from(paths(known[source]))), constant)
        key = f"n{index}"
        node = workflow.end() if is_end else workflow.add_lambda_node(key, adding(own, gives))
        wire(node, wanted)
        values = {
            path: part.constant if part.constant is not None else read(expected[part.source], part.path)
            for path, part in wanted.items()
        }
        expected[key] = written(values) if is_end else written({path: value + 1 for path, value in values.items()})
        known[key] = shape
    return Case(workflow, typed.make(data), expected[f"n{count}"])


def adding(takes: Typed, gives: Typed) -> Callable[[Any], Any]:
    """Return a node that gives its input, of another type, with 1 added to each number."""

    def more(data: Any) -> Any:
        return {name: more(part) for name, part in data.items()} if isinstance(data, dict) else data + 1

    def add(value: Any) -> Any:
        return gives.make(more(plain(value)))

    add.__annotations__ = {"value": takes.annotation, "return": gives.annotation}
    return add


def wire(node: Any, wanted: dict[tuple[str, ...], Part]) -> None:
    by_source: dict[str, list[FieldMapping]] = {}
    for path, part in wanted.items():
        if part.constant is not None:
            node.set_static_value(path, part.constant)
        else:
            by_source.setdefault(part.source, []).append(map_fields(part.path, path))
    for source, mappings in by_source.items():
        node.add_input(source, *mappings)
    if not by_source:
        node.add_dependency(START)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(case=cases())
def test_a_workflow_computes_what_its_mappings_say(backend: str, case: Case) -> None:
    async def run() -> tuple[Any, list[Any]]:
        runnable = case.workflow.compile()
        value = await runnable.invoke(case.value)
        async with runnable.stream(case.value) as reader:
            return value, [chunk async for chunk in reader]

    value, chunks = anyio.run(run, backend=backend)

    assert plain(value) == case.expected
    assert len(chunks) > 0
    merged: dict[tuple[str, ...], Any] = {}
    for chunk in chunks:
        found = plain(chunk)
        merged |= {path: read(found, path) for path in paths(shape_of(found))}
    assert written(merged) == case.expected


def shape_of(data: Any) -> Shape:
    return {name: shape_of(part) for name, part in data.items()} if isinstance(data, dict) else None


targets = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5)


@given(targets=targets, static=st.integers(0, 5))
def test_targets_conflict_if_one_begins_the_other(targets: list[tuple[str, ...]], static: int) -> None:
    """Whatever the order, and whether mappings or constants give them."""
    workflow = Workflow[int, dict[str, Any]]()
    workflow.add_lambda_node("a", lambda value: value).add_input(START)
    workflow.end().add_dependency("a")
    if targets[static:]:
        workflow.end().add_input(START, *map(to_field, targets[static:]), data_only=True)
    for path in dict.fromkeys(targets[:static]):  # that one is given twice is refused at once: see the unit tests
        workflow.end().set_static_value(path, 1)
    rest = [*dict.fromkeys(targets[:static]), *targets[static:]]
    pairs = itertools.permutations(rest, 2)
    if any(one == other[: len(one)] for one, other in pairs):
        with pytest.raises(BuildError, match="two terminal field paths conflict for node end"):
            workflow.compile()
    else:
        workflow.compile()
