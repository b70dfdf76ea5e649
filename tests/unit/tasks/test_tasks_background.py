"""Background tasks: started, cancelled, joined and awaited under a shield, the same on every backend."""

from __future__ import annotations

import contextvars
import gc
import logging
import threading
import weakref

import anyio
import pytest

from eino._tasks import (
    TaskHandle,
    backend,
    checkpoint,
    is_cancellation,
    join_all,
    now,
    shielded,
    sleep,
    spawn,
)

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def forever() -> None:
    await sleep(1e9)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await checkpoint()


async def test_a_task_runs_behind_its_starter_and_is_joined() -> None:
    seen: list[int] = []

    async def work(first: int, second: int) -> None:
        await checkpoint()
        seen.extend((first, second))

    task = spawn(work, 1, 2, name="worker")
    assert not task.done
    assert not seen
    await task.join()

    assert task.done
    assert seen == [1, 2]
    assert "worker" in repr(task)


async def test_a_task_that_nobody_holds_lives_on() -> None:
    done = anyio.Event()

    async def work() -> None:
        for _ in range(5):
            await checkpoint()
            gc.collect()
        done.set()

    spawn(work)
    with anyio.fail_after(10):
        await done.wait()


async def test_a_task_that_waits_for_what_only_it_knows_lives_on_when_its_handle_is_dropped() -> None:
    """The collector would take it otherwise: asyncio's own references are weak."""
    ended = anyio.Event()
    woken: list[weakref.ref[anyio.Event]] = []

    async def work() -> None:
        try:
            own = anyio.Event()
            woken.append(weakref.ref(own))
            await own.wait()
        finally:
            ended.set()

    handle: TaskHandle | None = spawn(work)
    await turns()
    assert handle is not None
    handle = None
    gc.collect()
    event = woken[0]()
    assert event is not None, "the task and what it waits for were collected"
    assert not ended.is_set()
    event.set()
    with anyio.fail_after(5):
        await ended.wait()
    del event


async def test_a_handle_may_be_dropped_in_another_thread() -> None:
    ended = anyio.Event()
    go_on = anyio.Event()

    async def work() -> None:
        await go_on.wait()
        ended.set()

    handles = [spawn(work)]
    await turns()
    dropping = threading.Thread(target=handles.clear)
    dropping.start()
    dropping.join()
    await turns()
    gc.collect()
    go_on.set()
    with anyio.fail_after(5):
        await ended.wait()


async def test_a_task_has_a_copy_of_its_starters_context_or_the_one_it_is_given() -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(variable.get())
        variable.set("of the task")

    variable.set("of the starter")
    await spawn(work).join()
    given = contextvars.copy_context()
    given.run(variable.set, "given")
    await spawn(work, context=given).join()

    assert seen == ["of the starter", "given"]
    assert variable.get() == "of the starter"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_task_can_be_cancelled_at_any_time_and_again(begun: bool) -> None:
    task = spawn(forever)
    if begun:
        await turns()
    assert not task.cancel_requested
    task.cancel()
    task.cancel()
    await task.join()
    task.cancel()

    assert task.done
    assert task.cancel_requested


async def test_cancelling_from_another_thread_lets_the_loop_do_it() -> None:
    task = spawn(forever)
    await turns()
    thread = threading.Thread(target=task.cancel)
    thread.start()
    await task.join()
    thread.join()

    assert task.done


async def test_cancelling_a_task_of_a_loop_that_has_ended_does_nothing() -> None:
    tasks: list[TaskHandle] = []

    async def elsewhere() -> None:
        tasks.append(spawn(forever))
        await turns()

    thread = threading.Thread(target=anyio.run, args=(elsewhere,), kwargs={"backend": backend()})
    thread.start()
    thread.join()
    tasks[0].cancel()

    assert tasks[0].done


async def test_join_raises_what_the_task_raised() -> None:
    task = spawn(fail)
    with pytest.raises(LookupError, match="lost"):
        await task.join()


@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])
async def test_asyncio_hears_of_an_error_that_nobody_looks_at() -> None:
    import asyncio

    loop, heard = asyncio.get_running_loop(), []
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: heard.append(type(context["exception"])))
    task = spawn(fail)
    await task.wait_ended()
    del task
    gc.collect()
    loop.set_exception_handler(handler)

    assert heard == [LookupError]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_an_error_on_trio_that_nobody_looks_at_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(fail)
    await task.wait_ended()
    with caplog.at_level(logging.ERROR):
        del task
        gc.collect()

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


async def fail() -> None:
    raise LookupError("lost")


async def test_cancelling_the_one_who_joins_leaves_the_task_alone() -> None:
    task = spawn(forever)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await task.join()

    assert scope.cancelled_caught
    assert not task.done
    task.cancel()
    await task.join()


async def test_join_all_waits_although_its_caller_is_cancelled() -> None:
    cleaned = []

    async def slow_cleanup() -> None:
        try:
            await forever()
        finally:
            with anyio.CancelScope(shield=True):
                await turns(20)
            cleaned.append(True)

    tasks = [spawn(slow_cleanup) for _ in range(3)]
    await turns()
    for task in tasks:
        task.cancel()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await join_all(tasks)

    assert cleaned == [True] * 3
    assert all(task.done for task in tasks)


@pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])
async def test_join_all_outlives_a_native_cancellation_and_raises_it_at_the_end() -> None:
    import asyncio

    cleaned = []

    async def slow_cleanup() -> None:
        try:
            await forever()
        finally:
            await turns(20)
            cleaned.append(True)

    task = spawn(slow_cleanup)
    await turns()
    task.cancel()
    joining = asyncio.ensure_future(join_all([task]))
    await turns(2)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining

    assert cleaned == [True]


async def test_join_all_names_a_task_that_does_not_end(virtual_clock: object) -> None:
    stop = anyio.Event()

    async def stubborn() -> None:
        with anyio.CancelScope(shield=True):
            await stop.wait()

    task = spawn(stubborn, name="stubborn one")
    await turns()
    task.cancel()
    if backend() == "asyncio":  # a native cancel goes through anyio's shield
        task = spawn(swallow, stop, name="stubborn one")
        await turns()
        task.cancel()
    started = now()
    with pytest.warns(ResourceWarning, match="stubborn one"):
        await join_all([task], deadline_s=2.0)

    assert now() - started == pytest.approx(2.0)
    stop.set()
    await task.wait_ended()


async def swallow(stop: anyio.Event) -> None:
    """Refuse to be cancelled."""
    while not stop.is_set():
        try:
            await stop.wait()
        except BaseException as error:
            if not is_cancellation(error):
                raise


async def test_join_all_leaves_out_what_has_ended_and_the_caller_itself() -> None:
    handles: list[TaskHandle] = []
    joined = []

    async def joins_itself() -> None:
        await join_all(handles)
        joined.append(True)

    ended = spawn(checkpoint)
    await ended.join()
    handles.extend((ended, spawn(joins_itself)))
    await handles[1].join()

    assert joined == [True]


async def test_shielded_cleanup_ends_although_the_caller_is_cancelled() -> None:
    cleaned = []

    async def cleanup() -> None:
        await turns()
        cleaned.append(True)

    with anyio.CancelScope() as scope:
        scope.cancel()
        assert await shielded(cleanup)

    assert cleaned == [True]


async def test_shielded_cleanup_ends_at_its_deadline(virtual_clock: object) -> None:
    started = now()

    assert not await shielded(forever, deadline_s=3.0)
    assert now() - started == pytest.approx(3.0)


async def test_the_clock_is_the_loops(virtual_clock: object) -> None:
    started = now()
    await sleep(3600.0)

    assert now() - started == pytest.approx(3600.0)
    assert now() == anyio.current_time()


async def test_cancellation_is_told_from_errors() -> None:
    seen: list[bool] = []

    async def work() -> None:
        try:
            await forever()
        except BaseException as error:
            seen.append(is_cancellation(error))
            raise

    task = spawn(work)
    await turns()
    task.cancel()
    await task.join()

    assert seen == [True]
    assert not is_cancellation(ValueError())
    assert not is_cancellation(KeyboardInterrupt())


async def test_the_backend_is_named(anyio_backend_name: str) -> None:
    assert backend() == anyio_backend_name


@pytest.mark.parametrize("ask", [backend, now])
def test_outside_a_loop_there_is_no_backend_and_no_clock(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(RuntimeError):
        ask()
