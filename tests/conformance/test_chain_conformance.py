"""Chains with branches and parallels, as the Go original runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eino import BuildError, Chain, ChainBranch, Lambda, Parallel, RunError


async def test_a_stream_branch_in_a_stream() -> None:
    """S58: a node splits by blanks, a stream branch decides at the first chunk, the chosen node doubles the whole."""

    async def split(text: str) -> AsyncIterator[str]:
        for word in text.split(" "):
            yield word

    async def first_word(words: AsyncIterator[str]) -> str:
        async for word in words:
            return "one_key" if word == "one" else "two_key"
        raise ValueError("empty stream")

    async def double(words: AsyncIterator[str]) -> str:
        whole = "".join([word async for word in words])
        return whole + whole

    branch = ChainBranch(first_word).add_lambda("one_key", Lambda(collect=double)).add_lambda("two_key", fails)
    runnable = Chain[str, str]().append_lambda(split).append_branch(branch).compile()

    async with runnable.stream("one size fit all") as reader:
        assert "".join([chunk async for chunk in reader]) == "onesizefitallonesizefitall"
    with pytest.raises(RunError, match="test for error"):
        await runnable.invoke("two sizes")


async def times_two(text: str) -> str:
    return text * 2


async def times_three(text: str) -> str:
    return text * 3


async def fails(text: str) -> str:
    raise ValueError("test for error")


async def number(value: int) -> str:
    return str(value)


async def test_a_branch_in_a_value_run() -> None:
    """S59: two of the names that the condition returns were added, one was not, and for the rest it fails."""

    async def condition(text: str) -> str:
        known = {"one": "one_key", "two": "two_key", "three": "three_key"}
        if text not in known:
            raise ValueError("illegal input")
        return known[text]

    branch = ChainBranch(condition).add_lambda("one_key", times_two).add_lambda("two_key", times_three)
    runnable = Chain[str, str]().append_branch(branch).append_lambda(times_two).compile()

    assert await runnable.invoke("two") == "two" * 6
    assert await runnable.invoke("one") == "one" * 4
    with pytest.raises(RunError, match="unintended end node: three_key"):
        await runnable.invoke("three")
    with pytest.raises(RunError, match="illegal input") as caught:
        await runnable.invoke("four")
    assert isinstance(caught.value.__cause__, ValueError)


def test_wrong_types_are_named_with_generated_keys() -> None:
    """S61: the keys of nodes in a branch and in a parallel tell where they stand."""

    async def always(value: Any) -> str:
        return "lambda_01"

    branch = ChainBranch(always).add_lambda("lambda_01", times_two).add_lambda("lambda_02", times_two)
    with pytest.raises(BuildError, match=r"edge\[node_0\]-\[node_1_branch_lambda_03\]"):
        Chain[str, str]().append_lambda(times_two).append_branch(branch.add_lambda("lambda_03", number))
    parallel = Parallel().add_lambda("0", times_two).add_lambda("1", number)
    with pytest.raises(BuildError, match=r"edge\[node_0\]-\[node_1_parallel_1\]"):
        Chain[str, Any]().append_lambda(times_two).append_parallel(parallel)
    with pytest.raises(BuildError, match=r"edge\[node_0_branch_lambda_01\]-\[node_1\]"):
        Chain[str, str]().append_branch(
            ChainBranch(always).add_lambda("lambda_01", times_two).add_lambda("lambda_02", times_two)
        ).append_lambda(number)


@pytest.mark.parametrize(("given", "key"), [({}, None), ({"key": "my_node"}, "my_node")])
async def test_nodes_that_fail_are_named_with_their_keys(given: Any, key: str | None) -> None:
    """S61: at run time too, by the generated key or by the one that was given."""

    async def always(value: str) -> str:
        return "lambda_01"

    branch = ChainBranch(always).add_lambda("lambda_01", fails, **given).add_lambda("lambda_02", times_two)
    parallel = Parallel().add_lambda("0", fails, **given).add_lambda("1", times_two)

    with pytest.raises(RunError, match="test for error") as caught:
        await Chain[str, str]().append_branch(branch).compile().invoke("q")
    assert caught.value.node_path == (key or "node_0_branch_lambda_01",)
    assert f"[{key or 'node_0_branch_lambda_01'}]" in str(caught.value)
    with pytest.raises(RunError, match="test for error") as caught:
        await Chain[str, Any]().append_parallel(parallel).compile().invoke("q")
    assert caught.value.node_path == (key or "node_0_parallel_0",)


async def test_an_empty_chain_and_a_node_trigger_mode_are_refused() -> None:
    """1.11: a chain needs a node, and runs in the Pregel engine only."""
    with pytest.raises(BuildError, match="number of nodes in chain= 0"):
        Chain[str, str]().compile()
    with pytest.raises(BuildError, match="Chain doesn't support node trigger mode option"):
        Chain[str, str]().append_lambda(times_two).compile(trigger="all")
