"""Tools that ask for the run context."""

from __future__ import annotations

import pytest

from eino._run import NoRunError, RunContext
from eino.components import tool
from eino.compose import Chain


@tool
async def where(question: str, ctx: RunContext[int]) -> str:
    """Where am I?"""
    return f"{question} {ctx.node_key}"


@tool
def maybe(ctx: RunContext | None = None) -> str:  # type: ignore[type-arg]  # the bare name is recognised too
    return "nowhere" if ctx is None else ctx.node_key


def test_the_model_does_not_see_the_context() -> None:
    assert list((where.info.parameters or {})["properties"]) == ["question"]
    assert (maybe.info.parameters or {})["properties"] == {}


async def test_outside_of_a_run_the_context_is_missing() -> None:
    assert await maybe.run("{}") == "nowhere"
    with pytest.raises(NoRunError):
        await where.run('{"question": "?"}')


async def test_inside_of_a_run_it_is_the_one_of_the_node_that_calls() -> None:
    async def call(question: str) -> str:
        return await where.run(f'{{"question": "{question}"}}') + await maybe.run("{}")

    chain = Chain[str, str]().append_lambda(call, key="caller").compile()

    assert await chain.invoke("?") == "? callercaller"
