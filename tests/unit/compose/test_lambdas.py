"""Lambdas: one function or several, their shapes and types."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from eino import BuildError, Chain, Lambda, RunContext, StreamReader, to_list


async def on_value(text: str) -> int:
    return len(text)


async def on_stream(chunks: AsyncIterator[str]) -> int:
    return len("".join([chunk async for chunk in chunks]))


async def giving_stream(text: str) -> AsyncIterator[int]:
    yield len(text)


async def transforming(chunks: AsyncIterator[str]) -> AsyncIterator[int]:
    async for chunk in chunks:
        yield len(chunk)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (on_value, "invoke"),
        (giving_stream, "stream"),
        (on_stream, "collect"),
        (transforming, "transform"),
        (len, "invoke"),
    ],
)
def test_one_function_has_one_shape(function: Any, shape: str) -> None:
    """1.13: read from its signature."""
    body = Lambda(function).body

    assert list(body.shapes) == [shape]
    assert (body.component, body.type) == ("Lambda", "")


def test_several_functions_agree_on_their_types() -> None:
    """1.13: what one does not annotate, another one says."""

    def bare(value):  # type: ignore[no-untyped-def]  # no annotations
        return value

    body = Lambda(invoke=bare, stream=giving_stream, collect=on_stream, type="Len").body

    assert (list(body.shapes), body.type) == (["invoke", "stream", "collect"], "Len")
    assert (body.input_type, body.output_type) == (str, int)


def wrong_type(number: int) -> int:
    return number


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Lambda, "needs to have at least one of four lambda types"),
        (lambda: Lambda(on_value, stream=giving_stream), "give either one function, or functions by shape"),
        (lambda: Lambda("x"), r"Lambda\('x'\): a function is needed, got str"),  # type: ignore[arg-type]  # the mistake
        (lambda: Lambda(invoke=3), r"Lambda\(3\): a function is needed, got int"),  # type: ignore[arg-type]  # the mistake
        (lambda: Lambda(invoke=on_stream), "takes a stream: give it as collect= or transform="),
        (lambda: Lambda(stream=transforming), "takes a stream: give it as collect= or transform="),
        (lambda: Lambda(invoke=giving_stream), "gives a stream: give it as stream= or transform="),
        (lambda: Lambda(collect=transforming), "gives a stream: give it as stream= or transform="),
        (
            lambda: Lambda(invoke=wrong_type, stream=giving_stream),
            "must agree on their input type, got invoke: int, stream: str",
        ),
    ],
)
def test_functions_that_do_not_fit_are_refused(make: Any, text: str) -> None:
    """1.13: when the lambda is made."""
    with pytest.raises(BuildError, match=text):
        make()


async def test_an_annotation_may_be_missing_where_the_shape_is_named() -> None:
    """1.13: `stream=` of a function that returns any iterator."""
    made = Lambda(stream=lambda text: iter(text), transform=lambda chunks: chunks)

    runnable = Chain[str, Any]().append_lambda(made).compile()
    async with runnable.transform(StreamReader.from_iterable(["a", "b"])) as reader:
        assert [chunk async for chunk in reader] == ["a", "b"]
    assert await runnable.invoke("ab") == "ab"


async def test_threads_are_for_plain_functions() -> None:
    """4b: `threaded=True` moves plain functions and generators off the loop; async ones stay."""
    threads: list[int] = []

    def note() -> None:
        threads.append(threading.get_ident())

    def blocking(text: str, ctx: RunContext[Any]) -> str:
        note()
        return f"{text}{ctx.node_key}"

    def letters(text: str) -> Iterator[str]:
        for letter in text:
            note()
            yield letter

    async def waiting(text: str) -> str:
        note()
        return text

    chain = Chain[str, str]()
    for function in (blocking, letters, waiting):
        chain.append_lambda(Lambda(function, threaded=True), key=function.__name__)

    assert await chain.compile().invoke("x") == "xblocking"
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [False] * (1 + len("xblocking")) + [True]


def test_lambdas_show_what_they_are() -> None:
    """In error texts and debuggers."""
    assert repr(Lambda(on_value)).endswith("test_lambdas.on_value: str -> int (invoke)>")
    assert "(invoke, transform)" in repr(to_list())
