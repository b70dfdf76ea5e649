"""Types between nodes: must fit, may fit, never fits; what is tested at run time."""

from __future__ import annotations

import collections.abc
import enum
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    Union,
    runtime_checkable,
)

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eino.compose.checks import Fit, assignable, checker, fits_at_run_time, normalise, type_text
from eino.schema import Message, assistant_message

T = TypeVar("T")
MUST, MAY, NEVER = Fit.MUST, Fit.MAY, Fit.NEVER


class Animal:
    """A concrete class."""


class Dog(Animal):
    """One below it."""


class Speaker(ABC):
    """An abstract class."""

    @abstractmethod
    def speak(self) -> str: ...


class Runner(ABC):
    """Another one."""

    @abstractmethod
    def run(self) -> str: ...


class Parrot(Speaker):
    def speak(self) -> str:
        return "hello"


class Talks(Protocol):
    """A protocol that is not checked at run time."""

    def speak(self) -> str: ...


@runtime_checkable
class Named(Protocol):
    """A protocol with an attribute."""

    name: str


class NamedTalks(Named, Talks, Protocol):
    """A protocol that extends others."""


class Person:
    name: str = "x"


class Labelled:
    name: str


class Place(TypedDict):
    city: str


class Point(NamedTuple):
    x: int


class Colour(enum.StrEnum):
    RED = "red"


class Box(Generic[T]):
    """A generic of the user's own."""


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    ("source", "target", "fit"),
    [
        # the same, or anything
        (int, int, MUST),
        (int, Any, MUST),
        (int, object, MUST),
        (Any, int, MAY),
        (object, int, MAY),
        (Any, Any, MUST),
        (T, int, MAY),
        (int, T, MUST),
        # classes
        (int, str, NEVER),
        (Dog, Animal, MUST),
        (Animal, Dog, MAY),
        (bool, int, MUST),
        (int, bool, MAY),
        (int, float, MUST),
        (bool, float, MUST),
        (int, complex, MUST),
        (float, complex, MUST),
        (float, int, MAY),
        (float, bool, MAY),
        (Colour, str, MUST),
        (str, Colour, MAY),
        # interfaces
        (Parrot, Speaker, MUST),
        (Speaker, Parrot, MAY),
        (Speaker, Runner, MAY),
        (Animal, Speaker, NEVER),
        (Parrot, Talks, MUST),
        (Animal, Talks, NEVER),
        (Speaker, Talks, MUST),
        (Runner, Talks, MAY),
        (Talks, Runner, MAY),
        (Person, Named, MUST),
        (Labelled, Named, MUST),
        (Animal, Named, NEVER),
        # None and unions
        (None, None, MUST),
        (type(None), None, MUST),
        (None, int, NEVER),
        (int, Optional[int], MUST),  # noqa: UP045 - both spellings
        (int | None, int, MAY),
        (int | None, int | None, MUST),
        (int | str, str | int | None, MUST),
        (int | str, bytes, NEVER),
        (int | str, bytes | int, MAY),
        (Union[int, str], str, MAY),  # noqa: UP007 - both spellings
        (bool, int | str, MUST),
        (Any, int | str, MAY),
        # literals
        (Literal["a"], Literal["a", "b"], MUST),
        (Literal["a", "b"], Literal["a"], MAY),
        (Literal["a"], Literal["b"], NEVER),
        (Literal["a"], str, MUST),
        (Literal["a", 1], str, NEVER),
        (str, Literal["a"], MAY),
        (int, Literal["a"], NEVER),
        # wrappers
        (Annotated[int, "unit"], int, MUST),
        (int, Annotated[str, "x"], NEVER),
        (Annotated[int, []], int, MUST),
        (int, Annotated[str, []], NEVER),
        (Talks, int, NEVER),
        (Talks, Parrot, MAY),
        (Talks, Animal, NEVER),
        (Named, Person, MAY),
        (Person, NamedTalks, NEVER),
        (Parrot, NamedTalks, NEVER),
        (NamedTalks, Talks, MUST),
        (NamedTalks, Named, MUST),
        (Literal["a"], 3, MUST),
        (UserId, int, MUST),
        (int, UserId, MUST),
        (Final[int], int, MUST),
        (Required[int], int, MUST),
        (NotRequired[int], int, MUST),
        # containers are covariant
        (list[int], list[int], MUST),
        (list[bool], list[int], MUST),
        (list[int], list[str], NEVER),
        (list[int], Sequence[int], MUST),
        (Sequence[int], list[int], MAY),
        (list[Any], list[int], MAY),
        (list, list[int], MAY),
        (list[int], list, MUST),
        (dict[str, int], Mapping[str, object], MUST),
        (dict[str, int], dict[str, Any], MUST),
        (dict[str, str], dict[str, int], NEVER),
        (dict[str, Any], dict[str, int], MAY),
        (Mapping[str, int], MutableMapping[str, int], MAY),
        (list[Message], Sequence[Message], MUST),
        (list[int], dict[str, int], NEVER),
        (set[int], Sequence[int], NEVER),
        (Place, dict[str, Any], MUST),
        (dict[str, Any], Place, MUST),
        (Place, Mapping[str, str], MUST),
        (Point, tuple, MUST),
        (Point, tuple[int, ...], MUST),
        # tuples
        (tuple[int, str], tuple[int, str], MUST),
        (tuple[int, str], tuple[int, int], NEVER),
        (tuple[int, str], tuple[int], MAY),
        (tuple[int, ...], tuple[int, ...], MUST),
        (tuple[int, int], tuple[int, ...], MUST),
        (tuple[int, str], tuple[int, ...], NEVER),
        (tuple[int, ...], tuple[int, int], MAY),
        (tuple[int, int], Sequence[int], MUST),
        (tuple[int, str], Sequence[int], NEVER),
        (list[int], tuple[int, ...], NEVER),
        # generics, callables, classes as values
        (Box[int], Box[int], MUST),
        (Box[int], Box[str], NEVER),
        (Box, Box[str], MAY),
        (Callable[[int], str], Callable[[int], str], MUST),
        (Callable[[int], str], collections.abc.Callable, MUST),
        (type[int], type, MUST),
        (type[int], type[str], NEVER),
        (int, type, NEVER),
        (Iterator[int], AsyncIterator[int], MAY),
        # what is no type counts as Any
        ("Unknown", int, MAY),
        (int, 3, MUST),
    ],
)
def test_a_value_must_may_or_never_fit(source: Any, target: Any, fit: Fit) -> None:
    """2.3, 4b: three answers."""
    assert assignable(source, target) is fit


@pytest.mark.parametrize(
    ("target", "fitting", "others"),
    [
        (int, [1, True], ["1", 1.0, None]),
        (float, [1.0, 1, True], ["1"]),
        (complex, [1j, 1.0, 1], ["1"]),
        (str, ["", Colour.RED], [1]),
        (None, [None], [0]),
        (int | None, [1, None], ["x"]),
        (Literal["a", 1], ["a", 1], ["b", None]),
        (list[int], [[], ["not looked into"]], [(), {}]),
        (Sequence[int], [[], (), "text"], [{}, 1]),
        (dict[str, int], [{}], [[]]),
        (Place, [{}], [[]]),
        (tuple[int, ...], [()], [[]]),
        (Callable[[int], str], [len], [3]),
        (type[int], [int, str], [3]),
        (Speaker, [Parrot()], [Dog()]),
        (Named, [Person()], [Dog()]),
        (Annotated[int, "x"], [1], ["1"]),
        (UserId, [1], ["1"]),
        (Message, [assistant_message("")], [{}]),
    ],
)
def test_what_may_fit_is_tested_by_its_origin(target: Any, fitting: list[Any], others: list[Any]) -> None:
    """4b: the origin only; `int` passes for `float`."""
    test = fits_at_run_time(target)

    assert test is not None
    assert [value for value in fitting if not test(value)] == []
    assert [value for value in others if test(value)] == []


@pytest.mark.parametrize("target", [int, float, complex, list[int], int | None, Colour])
def test_a_check_returns_what_fits_and_raises_for_the_rest(target: Any) -> None:
    """The error is the caller's."""
    check = checker(target, lambda value: LookupError(f"not {value!r}"))

    assert check is not None
    fitting: Any = {list[int]: [1], Colour: Colour.RED}.get(target, 1)
    assert check(fitting) is fitting
    with pytest.raises(LookupError, match="not 'x'"):
        check("x")
    assert checker(Any, LookupError) is None


@pytest.mark.parametrize("target", [Any, object, T, Talks, int | Talks, "Unknown"])
def test_what_cannot_be_tested_is_not(target: Any) -> None:
    """4b: a protocol that is not runtime-checkable, or anything."""
    assert fits_at_run_time(target) is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12 for `type X = ...`")
def test_aliases_are_what_they_stand_for() -> None:
    """`type X = int` of Python 3.12."""
    namespace: dict[str, Any] = {}
    exec("type Number = int\ntype Many = list[Number]", namespace)

    assert normalise(namespace["Number"]) is int
    assert assignable(namespace["Number"], str) is NEVER
    assert assignable(namespace["Many"], list[int]) is MUST


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (type(None), "None"),
        (Any, "Any"),
        (list[int], "list[int]"),
        (dict[str, Any], "dict[str, Any]"),
        (Sequence[int], "Sequence[int]"),
        (int | None, "int | None"),
        (Dog, "Dog"),
    ],
)
def test_types_are_shown_as_people_write_them(annotation: Any, text: str) -> None:
    """Error texts name types."""
    assert type_text(annotation) == text


_CLASSES: list[tuple[Any, list[Any]]] = [
    (int, [0, 3]),
    (bool, [True]),
    (float, [0.5]),
    (str, ["a"]),
    (None, [None]),
    (Animal, [Animal()]),
    (Dog, [Dog()]),
    (Parrot, [Parrot()]),
    (Speaker, [Parrot()]),
    (Literal["a"], ["a"]),
    (list, [[]]),
    (dict, [{}]),
    (tuple, [()]),
]


def _typed() -> st.SearchStrategy[tuple[Any, Any]]:
    """Draw a type, and a value of it."""
    plain = st.sampled_from(_CLASSES).flatmap(lambda pair: st.tuples(st.just(pair[0]), st.sampled_from(pair[1])))
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            inner.map(lambda pair: (list[pair[0]], [pair[1]])),  # type: ignore[misc]  # made at run time
            inner.map(lambda pair: (dict[str, pair[0]], {"k": pair[1]})),  # type: ignore[misc]  # made at run time
            inner.map(lambda pair: (tuple[pair[0], ...], (pair[1],))),  # type: ignore[misc]  # made at run time
            st.tuples(inner, inner).map(lambda pairs: (Union[pairs[0][0], pairs[1][0]], pairs[0][1])),  # noqa: UP007
        ),
        max_leaves=3,
    )


@given(source=_typed(), target=_typed())
def test_the_answer_agrees_with_the_test_at_run_time(source: tuple[Any, Any], target: tuple[Any, Any]) -> None:
    """What must fit passes the test; every type fits itself; any value of a type passes its own test."""
    test = fits_at_run_time(target[0])
    assert assignable(source[0], source[0]) is MUST
    assert test is None or test(target[1])
    if assignable(source[0], target[0]) is MUST and test is not None:
        assert test(source[1])


@example(first=(list[list[bool]], [[]]), second=(list, []), third=(list[bool], []))
@given(first=_typed(), second=_typed(), third=_typed())
def test_what_must_fit_can_be_passed_on(
    first: tuple[Any, Any], second: tuple[Any, Any], third: tuple[Any, Any]
) -> None:
    """A must B and B must C: then A never fails to fit C."""
    if assignable(first[0], second[0]) is MUST and assignable(second[0], third[0]) is MUST:
        assert assignable(first[0], third[0]) is not NEVER
