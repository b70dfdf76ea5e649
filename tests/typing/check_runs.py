"""What a type checker says of programs that start runs, hear them, and set options. Checked by `mypy tests/typing`.

An `ignore` marks a line that must be refused: mypy reports an ignore that it does not need.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, assert_type

from eino import (
    ChatModel,
    Handler,
    Lambda,
    ModelOptions,
    RetryPolicy,
    RunContext,
    RunInfo,
    StreamReader,
    add_global_handler,
    current_context,
    handler_builder,
    process_state,
)
from eino.compose import CallOptions, Chain, RunHandle, Runnable


@dataclass
class Journal:
    entries: list[str]


async def noted(text: str, ctx: RunContext[Journal]) -> int:
    assert_type(ctx.state, Journal)
    async with process_state(Journal) as state:
        assert_type(state, Journal)
        state.entries.append(text)
    return len(ctx.state.entries)


def chain() -> Runnable[str, int]:
    return (
        Chain[str, int](state=lambda: Journal([]))
        .append_lambda(noted, key="n", timeout_s=3, retry=RetryPolicy())
        .compile()
    )


async def a_handle_has_the_type_of_its_run() -> None:
    runnable = chain()

    async with runnable.start("x") as handle:
        assert_type(handle, RunHandle[int])
        assert_type(await handle.result(), int)
    async with runnable.start("x", stream=True, timeout_s=5) as handle:
        assert_type(await handle.stream(), StreamReader[int])
    runnable.start("x", nonsense=5)  # type: ignore[call-arg]


async def a_transform_has_the_types_of_its_graph(words: AsyncIterator[str]) -> None:
    async with chain().transform(words) as reader:
        assert_type(reader, StreamReader[int])
    for number in chain().stream_sync("x"):
        assert_type(number, int)


async def options_of_a_call_are_known_by_name() -> None:
    options: CallOptions = {"options": {ChatModel: ModelOptions(temperature=0.0), "n": {"k": 1}}, "max_steps": {"": 3}}

    await chain().invoke("x", **options)
    await chain().invoke("x", max_steps=3, node_callbacks={"n": [Timing()]}, callbacks=[Timing()])
    await chain().invoke("x", max_steps=2.5)  # type: ignore[arg-type]
    await chain().invoke("x", callbacks=[len])  # type: ignore[list-item]


class Timing(Handler):
    def on_start(self, info: RunInfo, input: Any) -> None:  # noqa: A002 - as in Handler
        assert_type(info.parent_id, str | None)


class Waiting(Handler):
    async def on_start(self, info: RunInfo, input: Any) -> None:  # type: ignore[override]  # noqa: A002 - as in Handler
        """Handlers are plain functions."""


def handlers_are_plain_functions() -> None:
    assert_type(handler_builder(on_end=lambda info, output: None), Handler)
    add_global_handler(Timing())()
    handler_builder(on_finish=print)  # type: ignore[call-arg]
    assert_type(current_context(), RunContext[Any])


def a_lambda_takes_functions_of_any_shape() -> None:
    Lambda(noted)
    Lambda(stream=lambda text: iter(text), threaded=True)
    Lambda(noted, shape="invoke")  # type: ignore[call-arg]
