"""What counts as left open, and how it is described."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

import eino
from eino_harness import _leaks
from eino_harness._leaks import GeneratorWatch, ProcessSnapshot, TaskWatch, leak_error, settle

pytestmark = pytest.mark.allow_leaks("these tests leave things open, to see that it is noticed")


async def numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


IN_EINO = str(Path(eino.__file__).with_name("pull.py"))


async def test_a_generator_that_ended_or_was_closed_is_no_leak() -> None:
    watch = GeneratorWatch()
    watch.install()
    try:
        assert [number async for number in numbers()] == [0, 1, 2]
        async with aclosing(numbers()) as opened:
            async for _ in opened:
                break
        numbers()  # never iterated
    finally:
        watch.remove()

    assert watch.leaks() == []


async def test_a_generator_that_is_held_is_a_leak() -> None:
    watch = GeneratorWatch()
    watch.install()
    try:
        held = numbers()
        await anext(held)
        (leak,) = watch.leaks()
        await held.aclose()  # type: ignore[attr-defined] - it is a generator
        assert watch.leaks() == []
    finally:
        watch.remove()

    assert leak.startswith("async generator numbers first iterated at ")
    assert f"{Path(__file__).name}:" in leak
    assert leak.endswith("(in test_a_generator_that_is_held_is_a_leak), never closed")


@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")
async def test_a_generator_that_is_dropped_is_a_leak() -> None:
    watch = GeneratorWatch()
    watch.install()
    try:
        async for _ in numbers():
            break
        (leak,) = watch.leaks()
    finally:
        watch.remove()

    assert leak.endswith("(in test_a_generator_that_is_dropped_is_a_leak), dropped without aclose()")


async def test_the_line_shown_is_the_users_even_when_eino_iterates() -> None:
    """A line inside eino is of no help; the line of the test that called it is."""

    async def iterate() -> None:
        exec_in_eino = compile("async def pull(opened): return await anext(opened)", IN_EINO, "exec")
        namespace: dict[str, Any] = {}
        exec(exec_in_eino, namespace)
        await namespace["pull"](held)

    watch = GeneratorWatch()
    watch.install()
    held = numbers()
    try:
        await iterate()
        (leak,) = watch.leaks()
    finally:
        await held.aclose()  # type: ignore[attr-defined] - it is a generator
        watch.remove()

    assert leak.endswith("(in iterate), never closed")


async def test_the_line_shown_is_eino_s_when_its_own_task_iterates() -> None:
    """Above a task there is only the event loop: no line there says anything."""
    exec_in_eino = compile("async def pull(opened): await anext(opened)", IN_EINO, "exec")
    namespace: dict[str, Any] = {}
    exec(exec_in_eino, namespace)
    watch = GeneratorWatch()
    watch.install()
    held = numbers()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(namespace["pull"], held)
        (leak,) = watch.leaks()
    finally:
        await held.aclose()  # type: ignore[attr-defined] - it is a generator
        watch.remove()

    assert leak.endswith(f"first iterated at {IN_EINO}:1 (in pull), never closed")


async def test_generators_that_only_libraries_touch_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leaks, "_is_library", lambda _: True)
    watch = GeneratorWatch()
    watch.install()
    held = numbers()
    try:
        await anext(held)
        assert watch.leaks() == []
    finally:
        await held.aclose()  # type: ignore[attr-defined] - it is a generator
        watch.remove()


def test_libraries_are_told_from_eino_and_from_the_users_code() -> None:
    assert _leaks._is_library(asyncio.__file__)
    assert _leaks._is_library(anyio.__file__)
    assert _leaks._is_library("<frozen importlib>")
    assert not _leaks._is_library(__file__)
    site_packages = Path(anyio.__file__).parents[1]
    assert not _leaks._is_library(str(site_packages / "eino" / "schema" / "stream.py"))


def test_without_a_frame_of_the_users_own_the_nearest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(_leaks, "_is_library", lambda _: True)
    frame = sys._getframe()

    assert _leaks._first_own_frame(frame) is frame


async def wait_here() -> None:
    await anyio.sleep_forever()


async def test_a_task_that_still_runs_is_a_leak(anyio_backend_name: str) -> None:
    watch = TaskWatch()
    assert watch.leaks() == []
    if anyio_backend_name == "trio":
        import trio

        scope = trio.CancelScope()

        async def forever() -> None:
            with scope:
                await wait_here()

        trio.lowlevel.spawn_system_task(forever, name="orphan")
        end = scope.cancel
    else:
        task = asyncio.create_task(wait_here(), name="orphan")
        end = task.cancel
    await settle()
    (leak,) = watch.leaks()
    end()
    await settle()

    first_line = wait_here.__code__.co_firstlineno
    assert leak.startswith("task 'orphan' still runs ")
    assert leak.endswith(f", waiting at {__file__}:{first_line + 1}")
    assert watch.leaks() == []


def test_a_thread_that_still_runs_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leaks, "THREAD_GRACE_S", 0.0)
    before, release = ProcessSnapshot.take(), threading.Event()
    thread = threading.Thread(target=release.wait, name="stray", daemon=True)
    thread.start()
    (leak,) = before.leaks()
    assert before.leaks(ignore_threads=["str*"]) == []
    release.set()
    thread.join()

    assert leak.startswith("thread 'stray' still runs, at ")
    assert before.leaks() == []


def test_a_thread_of_a_pool_that_was_still_at_work_may_stay() -> None:
    """While it works it has the name of its work; it is idle, and has that of its pool, by the end of the wait."""

    class Worker(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            self.name = "pool 1"
            super().join(0)

    before, done = ProcessSnapshot.take(), threading.Event()
    worker = Worker(target=done.wait, name="a piece of work")
    worker.start()
    try:
        assert before.leaks(ignore_threads=["pool *"]) == []
        assert [line[:15] for line in before.leaks()] == ["thread 'pool 1'"]
    finally:
        done.set()
        threading.Thread.join(worker)


def test_a_thread_may_take_a_moment_to_end() -> None:
    before = ProcessSnapshot.take()
    threading.Thread(target=threading.Event().wait, args=(0.01,)).start()

    assert before.leaks() == []


def test_open_sockets_files_and_pipes_are_leaks(tmp_path: Path) -> None:
    before = ProcessSnapshot.take()
    connection = socket.socketpair()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    file = (tmp_path / "notes.txt").open("w")
    pipe = os.pipe()
    leaks = "\n".join(before.leaks())
    for opened in (*connection, listener, file):
        opened.close()
    for number in pipe:
        os.close(number)

    assert leaks.count("socket ") == 3
    assert f"is open: {listener_name(leaks)}" in leaks
    assert leaks.count("pipe ") == 2
    assert f"is open: {tmp_path / 'notes.txt'}" in leaks
    assert before.leaks() == []


def listener_name(leaks: str) -> str:
    return next(line.partition("is open: ")[2] for line in leaks.splitlines() if "('127.0.0.1'" in line)


def test_a_descriptor_number_that_is_used_again_is_noticed(tmp_path: Path) -> None:
    first = (tmp_path / "first").open("w")
    before = ProcessSnapshot.take()
    number = first.fileno()
    first.close()
    second = (tmp_path / "second").open("w")
    leaks = before.leaks()
    reused = second.fileno() == number
    second.close()

    assert reused
    assert [leak.partition("is open: ")[2] for leak in leaks] == [str(tmp_path / "second")]


def test_files_that_libraries_keep_open_are_left_alone() -> None:
    before = ProcessSnapshot.take()
    with Path(asyncio.__file__).open() as _:
        assert before.leaks() == []


def test_a_thread_that_lasts_by_design_may_own_descriptors() -> None:
    before, release = ProcessSnapshot.take(), threading.Event()
    left, right = socket.socketpair()
    thread = threading.Thread(target=release.wait, name="eino-portal", daemon=True)
    thread.start()
    leaks = before.leaks(ignore_threads=["eino-*"])
    release.set()
    thread.join()
    left.close()
    right.close()

    assert leaks == []


def test_where_descriptors_cannot_be_listed_they_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> list[str]:
        raise FileNotFoundError("/dev/fd")

    monkeypatch.setattr(os, "listdir", refuse)

    assert ProcessSnapshot.take().descriptors == frozenset()


def test_a_descriptor_that_vanishes_while_it_is_described_is_still_named() -> None:
    assert _leaks._describe_descriptor(987_654).startswith("descriptor 987654 is open (")
    assert _leaks._is_library_file(987_654, 0o100644) is False


def test_the_error_lists_every_leak_and_the_remedy() -> None:
    text = str(leak_error(["task 'a' still runs f", "socket 7 is open: x"]))

    assert text.startswith("the test passed but left 2 thing(s) open:\n  - task 'a' still runs f\n  - socket 7 is open")
    assert "aclose()" in text
    assert "@pytest.mark.allow_leaks('reason')" in text
