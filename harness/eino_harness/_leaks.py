"""Finds what a test left open: tasks and async generators inside its loop, threads and descriptors around it."""

from __future__ import annotations

import functools
import gc
import importlib.util
import inspect
import os
import socket
import stat
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import AsyncGeneratorType, FrameType
from typing import Any

from eino_harness.errors import LeakError

__all__ = ["GeneratorWatch", "ProcessSnapshot", "TaskWatch", "leak_error", "settle"]

THREAD_GRACE_S = 1.0
"""Real seconds that a thread may take to end after its test."""

_SETTLE_TURNS = 20
"""Turns of the event loop that cancelled tasks get to finish."""


async def settle() -> None:
    """Give tasks that are about to end the chance to do so."""
    from anyio.lowlevel import checkpoint

    for _ in range(_SETTLE_TURNS):
        await checkpoint()


def leak_error(leaks: Sequence[str]) -> LeakError:
    """Return the error that lists `leaks`."""
    lines = "\n".join(f"  - {leak}" for leak in leaks)
    return LeakError(
        f"the test passed but left {len(leaks)} thing(s) open:\n{lines}\nClose each (async with, aclose(), join()), or "
        "mark the test with @pytest.mark.allow_leaks('reason')"
    )


class TaskWatch:
    """Notices tasks that were started since it was made and still run: asyncio tasks, trio's system tasks."""

    def __init__(self) -> None:
        self._before = weakref.WeakSet(_running_tasks())

    def leaks(self) -> list[str]:
        """Return one line for each."""
        return [_describe_task(task) for task in _running_tasks() if task not in self._before]


def _running_tasks() -> Iterable[Any]:
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        from eino_fixtures._trio_clock import tasks_below

        return list(tasks_below(trio.lowlevel.current_root_task()))
    import asyncio

    return asyncio.all_tasks()


def _describe_task(task: Any) -> str:
    name = task.get_name() if hasattr(task, "get_name") else task.name
    coro = task.get_coro() if hasattr(task, "get_coro") else task.coro
    frame = _waiting_at(coro)
    where = f", waiting at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
    return f"task {name!r} still runs {getattr(coro, '__qualname__', coro)!s}{where}"


def _waiting_at(coro: Any) -> FrameType | None:
    """Return the innermost frame outside libraries that a suspended coroutine waits in."""
    found: FrameType | None = None
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is not None and (found is None or not _is_library(frame.f_code.co_filename)):
            found = frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return found


class GeneratorWatch:
    """Notices async generators that were iterated between `install` and `remove` and not closed.

    Generators of libraries that only libraries iterate are left out: nobody can act on them.
    """

    def __init__(self) -> None:
        # By id, because weak references are gone when the finalizer hook is called.
        self._open: dict[int, tuple[weakref.ref[AsyncGeneratorType[Any, Any]], str]] = {}
        self._dropped: list[str] = []
        self._hooks = sys.get_asyncgen_hooks()

    def install(self) -> None:
        """Start to watch the running event loop of this thread."""
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._first_iterated, self._dropped_open)

    def remove(self) -> None:
        """Give the loop its own hooks back."""
        sys.set_asyncgen_hooks(*self._hooks)

    def leaks(self) -> list[str]:
        """Return one line for each, with the line of code that first iterated it."""
        entries = [(reference(), text) for reference, text in self._open.values()]
        held = [text for generator, text in entries if generator is not None and generator.ag_frame is not None]
        return [
            *(f"{text}, dropped without aclose()" for text in self._dropped),
            *(f"{text}, never closed" for text in held),
        ]

    def _first_iterated(self, generator: Any) -> None:
        text = _describe_generator(generator, sys._getframe(1))
        if text is None:
            self._open.pop(id(generator), None)
        else:
            self._open[id(generator)] = (weakref.ref(generator), text)
        if self._hooks.firstiter is not None:
            self._hooks.firstiter(generator)

    def _dropped_open(self, generator: Any) -> None:
        known = self._open.pop(id(generator), None)
        if known is not None:
            self._dropped.append(known[1])
        if self._hooks.finalizer is not None:
            self._hooks.finalizer(generator)


def _describe_generator(generator: AsyncGeneratorType[Any, Any], frame: FrameType) -> str | None:
    made_in = generator.ag_code.co_filename
    if _is_library(made_in) and _is_library(frame.f_code.co_filename):
        return None
    shown = _first_own_frame(frame)
    return (
        f"async generator {generator.__qualname__} first iterated at {shown.f_code.co_filename}:{shown.f_lineno} "
        f"(in {shown.f_code.co_name})"
    )


_CAN_WAIT = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def _first_own_frame(frame: FrameType) -> FrameType:
    """Return the nearest caller in the user's own code, in the same task; the frame itself if there is none."""
    current: FrameType | None = frame
    in_task = False
    while current is not None:
        can_wait = bool(current.f_code.co_flags & _CAN_WAIT)
        if in_task and not can_wait:
            break  # below a task there is only the event loop, and whoever started that
        in_task = in_task or can_wait
        if not _is_library(current.f_code.co_filename) and not _is_eino(current.f_code.co_filename):
            return current
        current = current.f_back
    return frame


_LIBRARY_FOLDERS = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _folders_of(*packages: str) -> tuple[str, ...]:
    """Return where packages are, and where an installation would have put them.

    The whole path counts: a checkout may well lie in a folder that is called like a package.
    """
    found = [importlib.util.find_spec(package) for package in packages]
    here = [place for spec in found if spec is not None for place in spec.submodule_search_locations or ()]
    installed = [folder + package for folder in _LIBRARY_FOLDERS for package in packages]
    return tuple(place + os.sep for place in (*here, *installed))


_EINO_FOLDERS = _folders_of("eino", "eino_harness", "eino_fixtures")


def _is_eino(filename: str) -> bool:
    return filename.startswith(_EINO_FOLDERS)


def _is_library(filename: str) -> bool:
    """Tell whether code comes from the standard library or an installed package other than eino."""
    return filename.startswith("<") or (filename.startswith(_LIBRARY_FOLDERS) and not _is_eino(filename))


@dataclass(frozen=True)
class ProcessSnapshot:
    """Threads and descriptors at one moment."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, int, int]]

    @classmethod
    def take(cls) -> ProcessSnapshot:
        """Return what is there now."""
        _open_lasting_pipe()
        return cls(frozenset(threading.enumerate()), frozenset(_descriptors()))

    def leaks(self, *, ignore_threads: Sequence[str] = ()) -> list[str]:
        """Return one line for each thread and descriptor that was not there when this was taken.

        `ignore_threads` are patterns of thread names that may stay. When such a thread is new, it may have opened
        descriptors of its own, so these are not judged.
        """
        gc.collect()

        def may_stay(thread: threading.Thread) -> bool:
            return any(fnmatchcase(thread.name, name) for name in ignore_threads)

        new_threads = set(threading.enumerate()) - self.threads
        running = _still_running([thread for thread in new_threads if not may_stay(thread)])
        # Asked again: a pool's thread that was at work a moment ago has the name of the work until it is idle.
        leaks = [_describe_thread(thread) for thread in running if not may_stay(thread)]
        if any(map(may_stay, new_threads)):
            return leaks
        return leaks + [_describe_descriptor(number) for number, *_ in sorted(set(_descriptors()) - self.descriptors)]


@functools.cache
def _open_lasting_pipe() -> None:
    """Let uvloop open the pipe for signals that it keeps as long as the process lives."""
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        uvloop.new_event_loop().close()


def _still_running(threads: Sequence[threading.Thread]) -> list[threading.Thread]:
    deadline = time.monotonic() + THREAD_GRACE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


def _describe_thread(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    where = f", at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
    return f"thread {thread.name!r} still runs{where}"


_JUDGED: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISREG, "file"),
    (stat.S_ISFIFO, "pipe"),
)
"""Kinds of descriptors that must be closed; devices and the kernel's anonymous ones are not judged."""


def _descriptors() -> list[tuple[int, int, int]]:
    """Return number, device and inode of each open socket, file and pipe: numbers alone are used again."""
    found = []
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no such folder here: descriptors are not judged
        return []
    for number in numbers:
        try:
            status = os.fstat(number)
        except OSError:  # the one that listed the folder
            continue
        if any(is_kind(status.st_mode) for is_kind, _ in _JUDGED) and not _is_library_file(number, status.st_mode):
            found.append((number, status.st_dev, status.st_ino))
    return found


def _is_library_file(number: int, mode: int) -> bool:
    """Tell whether a library reads a file of its own (a font, a table), which it may keep open."""
    if not stat.S_ISREG(mode):
        return False
    try:
        return os.readlink(f"/dev/fd/{number}").startswith(_LIBRARY_FOLDERS)
    except OSError:  # closed by another thread in this moment, or the system has no links there
        return False


def _describe_descriptor(number: int) -> str:
    try:
        mode = os.fstat(number).st_mode
        kind = next(name for is_kind, name in _JUDGED if is_kind(mode))
        detail = _describe_socket(number) if kind == "socket" else os.readlink(f"/dev/fd/{number}")
    except OSError as error:  # closed in this moment, or the system has no links there
        return f"descriptor {number} is open ({error})"
    return f"{kind} {number} is open: {detail}"


def _describe_socket(number: int) -> str:
    with socket.socket(fileno=os.dup(number)) as found:
        local = found.getsockname()
        try:
            return f"{local!r} to {found.getpeername()!r}"
        except OSError:  # not connected
            return f"{local!r}"
