"""Many inputs through one runnable: order, concurrency, errors, back-pressure, clean-up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import pytest

from eino import BatchItem, BuildError, Chain, RunError, Runnable
from eino_fixtures.clock import virtual_backends


@pytest.fixture(params=virtual_backends())
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def square() -> Runnable[int, int]:
    """Squares; larger numbers take less time; 13 fails."""

    async def run(number: int) -> int:
        await anyio.sleep(1.0 / (1 + number))
        if number == 13:
            raise ValueError("unlucky")
        return number**2

    return Chain[int, int]().append_lambda(run, key="square").compile()


async def test_results_come_in_the_order_of_the_inputs() -> None:
    assert await square().batch(range(5), concurrency=3) == [0, 1, 4, 9, 16]


async def test_no_inputs_give_no_results() -> None:
    assert await square().batch([]) == []


async def test_at_most_so_many_runs_are_under_way() -> None:
    running, most = 0, 0

    async def run(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1
        return number

    runnable = Chain[int, int]().append_lambda(run).compile()
    started = anyio.current_time()
    await runnable.batch(range(10), concurrency=4)

    assert most == 4
    assert anyio.current_time() - started == pytest.approx(3)


async def test_the_first_error_is_raised_and_the_rest_is_cancelled() -> None:
    ended: list[int] = []

    async def run(number: int) -> int:
        if number == 1:
            await anyio.sleep(1)
            raise ValueError("broken")
        try:
            await anyio.sleep(60)
        finally:
            ended.append(number)
        return number

    runnable = Chain[int, int]().append_lambda(run, key="node").compile()
    with pytest.raises(RunError, match="broken") as caught:
        await runnable.batch(range(3), concurrency=3)

    assert caught.value.node_path == ("node",)
    assert sorted(ended) == [0, 2]


async def test_errors_can_stand_in_the_place_of_results() -> None:
    results = await square().batch([12, 13, 14], return_errors=True)

    assert results[0] == 144
    assert isinstance(results[1], RunError)
    assert results[2] == 196


async def test_inputs_are_taken_when_they_can_be_used() -> None:
    taken: list[int] = []

    async def source() -> AsyncGenerator[int, None]:
        for number in range(6):
            taken.append(number)
            yield number

    async def run(number: int) -> int:
        assert len(taken) <= number + 3  # two under way, one in somebody's hand
        await anyio.sleep(1)
        return number

    runnable = Chain[int, int]().append_lambda(run).compile()
    async with aclosing(source()) as numbers:
        assert await runnable.batch(numbers, concurrency=2) == list(range(6))


async def test_progress_is_told_with_the_total_where_it_is_known() -> None:
    told: list[tuple[int, int | None]] = []
    await square().batch([1, 2], on_progress=lambda done, total: told.append((done, total)))
    await square().batch(iter([1]), on_progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2), (1, None)]


async def test_options_reach_every_run() -> None:
    async def run(number: int, *, plus: int = 0) -> int:
        return number + plus

    runnable = Chain[int, int]().append_lambda(run, key="add").compile()

    assert await runnable.batch([1, 2], options={"add": {"plus": 10}}) == [11, 12]


async def test_as_completed_gives_the_fastest_first_and_errors_as_items() -> None:
    async with square().batch_as_completed([0, 13, 3], concurrency=3) as items:
        found = [item async for item in items]

    assert [item.index for item in found] == [1, 2, 0]
    assert found[1] == BatchItem(2, 9)
    assert found[1].result() == 9
    with pytest.raises(RunError, match="unlucky"):
        found[0].result()


async def test_a_slow_reader_holds_the_runs_back() -> None:
    started: list[int] = []

    async def run(number: int) -> int:
        started.append(number)
        return number

    runnable = Chain[int, int]().append_lambda(run).compile()
    async with runnable.batch_as_completed(range(100), concurrency=2) as items:
        await items.recv()
        await anyio.sleep(10)
        assert len(started) <= 6  # one read, two waiting, two in the workers' hands
        assert len([item async for item in items]) == 99


async def test_leaving_the_block_cancels_what_runs() -> None:
    ended: list[int] = []

    async def run(number: int) -> int:
        try:
            await anyio.sleep(number)
        finally:
            ended.append(number)
        return number

    runnable = Chain[int, int]().append_lambda(run).compile()
    async with runnable.batch_as_completed([1, 1000, 2000], concurrency=3) as items:
        assert (await items.recv()).output == 1

    assert sorted(ended) == [1, 1000, 2000]


async def test_a_source_that_raises_ends_the_batch() -> None:
    async def source() -> AsyncGenerator[int, None]:
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        await square().batch(source())
    async with square().batch_as_completed(source(), concurrency=1) as items:
        assert (await items.recv()).output == 1
        with pytest.raises(OSError, match="no more"):
            await items.recv()


@pytest.mark.parametrize("concurrency", [0, -1, 1.5])
async def test_concurrency_must_be_a_positive_number(concurrency: int) -> None:
    with pytest.raises(BuildError, match="at least 1 run"):
        await square().batch([1], concurrency=concurrency)
    with pytest.raises(BuildError, match="at least 1 run"):
        square().batch_as_completed([1], concurrency=concurrency)


async def test_inputs_must_be_iterable() -> None:
    with pytest.raises(BuildError, match="iterable or async iterable of inputs, got int"):
        await square().batch(5)  # type: ignore[arg-type]
