"""Groups of tasks: outcomes as they come, and nothing that outlives the block."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from eino._tasks import checkpoint, sleep
from eino._tasks.group import TaskGroup, task_group
from eino_fixtures.clock import VirtualClock


async def after(seconds: float, result: Any) -> Any:
    await sleep(seconds)
    if isinstance(result, BaseException):
        raise result
    return result


async def outcomes(group: TaskGroup, count: int) -> list[tuple[int, Any, Any]]:
    found = []
    for _ in range(count):
        if not group.done:
            await group.wait()
        found.append(group.done.popleft())
    return found


async def test_outcomes_come_in_the_order_of_completion(virtual_clock: VirtualClock) -> None:
    """With their keys; an error is kept apart, and does not end the others."""
    error = ValueError("boom")

    async with task_group() as group:
        group.start(1, after(3, "slow"))
        group.start(2, after(1, "fast"))
        group.start(3, after(2, error))
        assert await outcomes(group, 3) == [(2, "fast", None), (3, None, error), (1, "slow", None)]


async def test_tasks_that_never_wait_are_done_as_well() -> None:
    """Also when nobody waits for them."""

    async def at_once(value: int) -> int:
        return value

    async with task_group() as group:
        for value in range(3):
            group.start(value, at_once(value))
        found = await outcomes(group, 3)
        await group.wait() if group.done else None
    assert sorted(found) == [(0, 0, None), (1, 1, None), (2, 2, None)]


async def test_a_wait_returns_at_once_when_something_is_done() -> None:
    """`done` holds what nobody took yet."""
    async with task_group() as group:
        group.start(1, after(0, "x"))
        await group.wait()
        await group.wait()
        assert list(group.done) == [(1, "x", None)]


async def test_leaving_the_block_cancels_and_awaits_the_rest(virtual_clock: VirtualClock) -> None:
    """However long their clean-up takes; what they raise then is not told."""
    ended: list[str] = []

    async def stubborn(name: str) -> None:
        try:
            await sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await sleep(1)
            ended.append(name)
            if name == "b":
                raise KeyError("in clean-up")

    with pytest.raises(ValueError, match="mine"):
        async with task_group() as group:
            group.start(1, stubborn("a"))
            group.start(2, stubborn("b"))
            await checkpoint()
            raise ValueError("mine")

    assert (sorted(ended), virtual_clock.now()) == (["a", "b"], 1.0)


async def test_a_block_that_is_cancelled_awaits_the_rest(virtual_clock: VirtualClock) -> None:
    """And the cancellation goes on."""
    ended: list[str] = []

    async def careful() -> None:
        try:
            await sleep(60)
        finally:
            ended.append("ended")

    with anyio.move_on_after(1) as scope:
        async with task_group() as group:
            group.start(1, careful())
            await group.wait()
    assert scope.cancelled_caught
    assert ended == ["ended"]


@pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", {}), id="asyncio")])
async def test_a_second_cancellation_comes_out_when_the_rest_has_ended() -> None:
    """asyncio: whoever cancels again is not lost, and does not leave a task behind."""
    ended: list[str] = []
    go_on = asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            while not go_on.is_set():
                try:
                    await go_on.wait()
                except asyncio.CancelledError:
                    continue
            ended.append("ended")

    async def block() -> None:
        async with task_group() as group:
            group.start(1, slow_to_end())
            await asyncio.sleep(0)

    task = asyncio.ensure_future(block())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["ended"]


@pytest.mark.parametrize("anyio_backend", [pytest.param(("asyncio", {}), id="asyncio")])
async def test_a_task_that_is_cancelled_from_outside_says_so() -> None:
    """asyncio: an outcome like any other, not a cancellation of the group's owner."""
    inner: list[asyncio.Task[Any] | None] = []

    async def note() -> None:
        inner.append(asyncio.current_task())
        await asyncio.sleep(60)

    async with task_group() as group:
        group.start(1, note())
        await asyncio.sleep(0)
        task = inner[0]
        assert task is not None
        task.cancel()
        [(key, result, error)] = await outcomes(group, 1)
    assert (key, result) == (1, None)
    assert isinstance(error, asyncio.CancelledError)
    assert "was cancelled from outside its run" in str(error)


async def test_what_is_no_exception_is_an_outcome_too() -> None:
    """For the owner to raise."""

    class Odd(BaseException):
        pass

    async with task_group() as group:
        group.start(1, after(0, Odd("x")))
        [(_, _, error)] = await outcomes(group, 1)
    assert isinstance(error, Odd)
