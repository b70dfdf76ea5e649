"""Parking, waking and handing off, the same on every backend."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable

import anyio
import pytest

from eino._tasks import HandoffParker, Parker, backend, checkpoint, spawn

AnyParker = Parker | HandoffParker
both_kinds = pytest.mark.parametrize("make", [Parker, HandoffParker])


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await checkpoint()


@both_kinds
async def test_a_sleeper_goes_on_when_it_is_woken(make: Callable[[], AnyParker]) -> None:
    parker, seen = make(), []

    async def sleeper() -> None:
        for number in range(3):
            await parker.park()
            seen.append(number)

    task = spawn(sleeper)
    for number in range(3):
        await turns()
        assert parker.is_parked
        assert seen == list(range(number))
        parker.unpark()
        assert not parker.is_parked
    await task.join()

    assert seen == [0, 1, 2]


@both_kinds
async def test_waking_nobody_is_lost(make: Callable[[], AnyParker]) -> None:
    parker = make()
    parker.unpark()
    task = spawn(parker_sleep, parker)
    await turns()

    assert parker.is_parked
    parker.unpark()
    await task.join()


async def parker_sleep(parker: AnyParker) -> None:
    await parker.park()


@both_kinds
async def test_a_cancelled_sleeper_is_not_parked_and_the_next_one_is_woken(make: Callable[[], AnyParker]) -> None:
    parker = make()
    first = spawn(parker_sleep, parker)
    await turns()
    first.cancel()
    await first.wait_ended()
    assert not parker.is_parked
    parker.unpark()  # nobody

    second = spawn(parker_sleep, parker)
    await turns()
    parker.unpark()
    await second.join()

    assert second.done


@both_kinds
async def test_a_sleeper_that_was_woken_can_still_be_cancelled(make: Callable[[], AnyParker]) -> None:
    parker, went_on = make(), []

    async def sleeper() -> None:
        await parker.park()
        await checkpoint()
        went_on.append(True)

    task = spawn(sleeper)
    await turns()
    parker.unpark()
    task.cancel()
    await task.wait_ended()

    assert not went_on


@both_kinds
async def test_waking_from_another_thread_lets_the_loop_do_it(make: Callable[[], AnyParker]) -> None:
    parker = make()
    task = spawn(parker_sleep, parker)
    await turns()

    thread = threading.Thread(target=parker.unpark)
    thread.start()
    await task.join()
    thread.join()

    assert task.done


@both_kinds
async def test_waking_a_sleeper_of_a_loop_that_is_closed_does_nothing(make: Callable[[], AnyParker]) -> None:
    parker = make()

    async def abandon() -> None:
        task = spawn(parker_sleep, parker)
        await turns()
        assert parker.is_parked
        if backend() == "asyncio":
            task.cancel()

    thread = threading.Thread(target=anyio.run, args=(abandon,), kwargs={"backend": backend()})
    thread.start()
    thread.join()

    parker.unpark()
    assert not parker.is_parked


async def test_hand_off_runs_the_sleeper_inside_the_call_on_asyncio_and_soon_elsewhere() -> None:
    parker, seen = HandoffParker(), []

    async def sleeper() -> None:
        while True:
            await parker.park()
            seen.append(True)

    task = spawn(sleeper)
    await turns()
    parker.hand_off()
    assert seen == ([True] if backend() == "asyncio" else [])
    await turns()
    assert seen == [True]

    task.cancel()
    await task.wait_ended()


async def test_a_plain_parker_hands_off_by_waking() -> None:
    parker = Parker()
    task = spawn(parker_sleep, parker)
    await turns()
    parker.hand_off()
    await task.join()

    assert task.done


@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])
async def test_the_task_that_is_handed_off_to_runs_as_itself() -> None:
    """Timeouts, cancellation and context variables bind to the task, not to the one that lets it run."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    parker, seen, timed_out = HandoffParker(), [], anyio.Event()

    async def sleeper() -> None:
        variable.set("inside")
        while True:
            await parker.park()
            seen.append((asyncio.current_task(), variable.get()))
            with anyio.move_on_after(0.001) as scope:
                await anyio.sleep(60)
            seen.append(scope.cancelled_caught)
            timed_out.set()

    task = spawn(sleeper, name="the sleeper")
    await turns()
    caller = asyncio.current_task()
    parker.hand_off()

    assert asyncio.current_task() is caller
    assert variable.get() == "outside"
    [(ran_as, value)] = seen
    assert isinstance(ran_as, asyncio.Task)
    assert ran_as.get_name() == "the sleeper"
    assert value == "inside"
    await timed_out.wait()
    assert seen[1] is True
    task.cancel()
    await task.wait_ended()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_error_of_the_task_stays_its_own() -> None:
    parker = HandoffParker()

    async def sleeper() -> None:
        await parker.park()
        raise LookupError("mine")

    task = spawn(sleeper)
    await turns()
    parker.hand_off()

    assert task.done
    with pytest.raises(LookupError, match="mine"):
        await task.join()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_callback_of_the_loop_can_hand_off() -> None:
    parker, seen = HandoffParker(), []

    async def sleeper() -> None:
        await parker.park()
        seen.append(asyncio.current_task())

    task = spawn(sleeper)
    await turns()
    asyncio.get_running_loop().call_soon(parker.hand_off)
    await task.join()

    assert seen[0] is not asyncio.current_task()


async def test_a_long_chain_of_hand_offs_does_not_overflow_the_stack() -> None:
    """Beyond some depth the next task waits for its turn of the loop."""
    length = 2_000
    parkers = [HandoffParker() for _ in range(length)]
    reached: list[int] = []

    async def link(number: int) -> None:
        await parkers[number].park()
        reached.append(number)
        if number + 1 < length:
            parkers[number + 1].hand_off()

    tasks = [spawn(link, number) for number in range(length)]
    await turns()
    parkers[0].hand_off()
    for task in tasks:
        await task.join()

    assert reached == list(range(length))


async def test_a_parker_can_be_used_again_in_another_loop() -> None:
    parker = HandoffParker()

    async def sleep_and_wake() -> None:
        task = spawn(parker_sleep, parker)
        await turns()
        parker.hand_off()
        await task.join()

    await sleep_and_wake()
    thread = threading.Thread(target=anyio.run, args=(sleep_and_wake,), kwargs={"backend": backend()})
    thread.start()
    thread.join()
    await sleep_and_wake()

    assert not parker.is_parked


def test_parking_outside_a_loop_says_so() -> None:
    with pytest.raises(RuntimeError):
        Parker().park()
    with pytest.raises(RuntimeError):
        HandoffParker().park()
