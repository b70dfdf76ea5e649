"""What is read from a function: its shape, types, context parameter and options."""

from __future__ import annotations

import functools
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterator
from typing import Annotated, Any

import pytest

from eino import BuildError, RunContext, StreamReader, UnresolvedAnnotationWarning
from eino.compose.signature import callable_name, read_signature, return_type

if typing.TYPE_CHECKING:
    from decimal import Decimal


async def coroutine(text: str) -> int:
    return len(text)


def plain(text: str) -> int:
    return len(text)


async def async_generator(text: str) -> AsyncIterator[int]:
    yield len(text)


def generator(text: str) -> Iterator[int]:
    yield len(text)


def full_generator(text: str) -> Generator[int, None, None]:
    yield len(text)


def gives_reader(text: str) -> StreamReader[int]:
    return StreamReader.from_iterable([len(text)])


async def takes_reader(reader: StreamReader[str]) -> int:
    return len(await reader.concat())


async def takes_and_gives(chunks: AsyncIterable[str]) -> AsyncGenerator[int, None]:
    async for chunk in chunks:
        yield len(chunk)


def bare(value):  # type: ignore[no-untyped-def]  # nothing is annotated
    return value


def list_of_iterators(values: list[Iterator[int]]) -> Iterator[int]:
    return values[0]


class WithCall:
    async def __call__(self, text: str) -> int:
        return len(text)

    def method(self, text: str) -> int:
        return len(text)

    @classmethod
    async def class_method(cls, text: str) -> int:
        return len(text)

    @staticmethod
    def static_method(text: str) -> int:
        return len(text)


class Word:
    """A class as a function."""

    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("function", "takes_stream", "gives_stream", "is_coroutine", "types"),
    [
        (coroutine, False, False, True, (str, int)),
        (plain, False, False, False, (str, int)),
        (async_generator, False, True, False, (str, int)),
        (generator, False, True, False, (str, int)),
        (full_generator, False, True, False, (str, int)),
        (gives_reader, False, True, False, (str, int)),
        (takes_reader, True, False, True, (str, int)),
        (takes_and_gives, True, True, False, (str, int)),
        (bare, False, False, False, (Any, Any)),
        (lambda value: value, False, False, False, (Any, Any)),
        (list_of_iterators, False, False, False, (list[Iterator[int]], Iterator[int])),
        (WithCall(), False, False, True, (str, int)),
        (WithCall().method, False, False, False, (str, int)),
        (WithCall.class_method, False, False, True, (str, int)),
        (WithCall.static_method, False, False, False, (str, int)),
        (Word, False, False, False, (str, Word)),
        (functools.partial(coroutine), False, False, True, (str, int)),
        (functools.lru_cache(plain), False, False, False, (str, int)),
        (len, False, False, False, (Any, Any)),
        (str.upper, False, False, False, (Any, Any)),
        (int, False, False, False, (Any, int)),
        (print, False, False, False, (Any, Any)),
    ],
)
def test_the_shape_follows_the_signature(
    function: Any, takes_stream: bool, gives_stream: bool, is_coroutine: bool, types: tuple[Any, Any]
) -> None:
    """4b: read through `partial`, `__wrapped__` and `__call__`."""
    read = read_signature(function)

    assert (read.takes_stream, read.gives_stream, read.is_coroutine) == (takes_stream, gives_stream, is_coroutine)
    assert (read.input_type, read.output_type) == types
    assert read.is_sync_generator == (function in (generator, full_generator))


def test_a_stream_without_parameters_is_one_of_anything() -> None:
    """`AsyncIterator` alone."""

    async def any_stream(chunks: AsyncIterator) -> AsyncIterator:  # type: ignore[type-arg]  # the case
        async for chunk in chunks:
            yield chunk

    read = read_signature(any_stream)

    assert (read.takes_stream, read.gives_stream, read.input_type, read.output_type) == (True, True, Any, Any)


def test_decorators_count_where_they_say_what_they_are() -> None:
    """The outermost layer that is a coroutine function or generator decides."""

    def wrapping(wrapper: Callable[..., Any], function: Any) -> Any:
        return functools.wraps(function)(wrapper)

    async def waits(text: str) -> Any: ...

    def passes(text: str) -> Any: ...

    class Decorator:
        def __init__(self, function: Any) -> None:
            functools.update_wrapper(self, function)

        async def __call__(self, text: str) -> Any: ...

    assert read_signature(wrapping(waits, plain)).is_coroutine
    assert read_signature(wrapping(passes, coroutine)).is_coroutine
    assert not read_signature(wrapping(passes, plain)).is_coroutine
    assert read_signature(Decorator(plain)).is_coroutine
    assert read_signature(wrapping(passes, async_generator)).gives_stream
    assert read_signature(wrapping(waits, plain)).input_type is str


def test_the_context_is_known_by_its_annotation() -> None:
    """4b: wherever it stands, and by annotation only."""

    def first(ctx: RunContext[Any], text: str) -> str: ...

    def last(text: str, context: RunContext[dict[str, int]]) -> str: ...

    def keyword(text: str, *, c: RunContext[Any]) -> str: ...

    def positional(text: str, ctx: RunContext[Any], /) -> str: ...

    def annotated(text: str, ctx: Annotated[RunContext[Any], "x"]) -> str: ...

    def unparameterised(text: str, ctx: RunContext) -> str: ...  # type: ignore[type-arg]  # the case

    def other(text: str, *, ctx: int = 3) -> str: ...

    found = [
        (read.context_parameter, read.context_position, read.input_type)
        for read in map(read_signature, (first, last, keyword, positional, annotated, unparameterised, other))
    ]
    assert found == [
        ("ctx", None, str),
        ("context", None, str),
        ("c", None, str),
        ("ctx", 1, str),
        ("ctx", None, str),
        ("ctx", None, str),
        (None, None, str),
    ]


def test_options_are_the_keyword_only_parameters() -> None:
    """4b: and anything, where there is `**kwargs`."""

    def some(text: str, *, a: int = 1, b: str = "", ctx: RunContext[Any]) -> str: ...

    def anything(text: str, **options: Any) -> str: ...

    assert (read_signature(some).options, read_signature(some).takes_any_option) == (frozenset({"a", "b"}), False)
    assert (read_signature(anything).options, read_signature(anything).takes_any_option) == (frozenset(), True)


def test_a_handler_has_two_values() -> None:
    """The second one's type is the state's."""

    def handler(value: str, state: dict[str, int]) -> str: ...

    def many(*values: Any) -> Any: ...

    assert read_signature(handler, values=2).second_type == dict[str, int]
    assert read_signature(plain).second_type is Any
    assert read_signature(many, values=2).input_type is Any


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda: 1, "as a lambda must take 1 positional value, but its parameters are: none"),
        (lambda a, b: 1, "must take 1 positional value, but its parameters are: a, b"),
        (lambda *, a=1: 1, "must take 1 positional value"),
        (lambda a, *, b: 1, "as a lambda has options without a default: b; give them one"),
    ],
)
def test_what_cannot_be_called_with_one_value_is_refused(function: Any, text: str) -> None:
    """1.13: with the remedy."""
    with pytest.raises(BuildError, match=text):
        read_signature(function)


def test_more_parameters_are_fine_with_defaults_or_by_partial() -> None:
    """1.13: what a call need not give."""

    def several(a: int, b: int = 2, *rest: int) -> int:
        return a + b

    assert read_signature(several).input_type is int
    assert read_signature(functools.partial(several, b=3)).input_type is int
    assert read_signature(lambda *values: values).input_type is Any
    with pytest.raises(BuildError, match="must take 2 positional values"):
        read_signature(plain, values=2)
    assert read_signature(lambda a, b, c: a, strict=False).input_type is Any


def test_an_annotation_that_cannot_be_resolved_is_anything_with_a_warning() -> None:
    """4b: the warning names the function; the other annotations still count."""

    def only_checked(amount: Decimal, *, ctx: RunContext[Any]) -> str:
        return str(amount)

    with pytest.warns(UnresolvedAnnotationWarning, match=r"'Decimal' of 'amount' in .*only_checked cannot be resolved"):
        read = read_signature(only_checked)

    assert (read.input_type, read.output_type, read.context_parameter) == (Any, str, "ctx")


def test_names_of_the_function_that_builds_are_found() -> None:
    """4b: types that are local to whoever adds the node."""

    class Local:
        pass

    def local(value: Local) -> list[Local]:
        return [value]

    read = read_signature(local)

    assert (read.input_type, read.output_type) == (Local, list[Local])


def test_names_are_those_a_reader_finds_again() -> None:
    """For error texts."""
    assert callable_name(plain).endswith("test_signature.plain")
    assert callable_name(functools.partial(plain)) == callable_name(plain)
    assert callable_name(WithCall()).endswith("WithCall.__call__")
    assert callable_name(len) == "len"
    assert callable_name(3) == "int"
    assert return_type(plain) is int
    assert return_type(bare) is Any
    assert return_type(Word) is type(None) or return_type(Word) is Any


def test_a_name_that_is_nowhere_counts_as_anything_where_it_stands() -> None:
    """4b: what is around it still says whether it is a stream, or the context."""

    def hidden(text: str, ctx: RunContext[Decimal]) -> str: ...

    async def stream(amounts: AsyncIterator[Decimal]) -> AsyncIterator[dict[Decimal, int]]:
        async for amount in amounts:
            yield {amount: 1}

    def broken(amount: "Decimal.nothing.at.all", text: "3 +") -> str: ...  # type: ignore  # noqa: F722, UP037

    with pytest.warns(UnresolvedAnnotationWarning):
        assert read_signature(hidden).context_parameter == "ctx"
    with pytest.warns(UnresolvedAnnotationWarning):
        read = read_signature(stream)
    assert (read.takes_stream, read.gives_stream, read.input_type) == (True, True, Any)
    assert read.output_type == dict[Any, int]
    with pytest.warns(UnresolvedAnnotationWarning):
        assert read_signature(broken, values=2).input_type is Any
