"""Runs what is to be profiled: a function of a module, or a script."""

from __future__ import annotations

import importlib
import inspect
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eino_harness.profile.recorder import Recorder, recording
from eino_harness.profile.report import Profile
from eino_harness.profile.sampling import Sampler

__all__ = ["TargetError", "profile_function", "profile_script", "resolve"]


class TargetError(ValueError):
    """There is nothing of that name to profile; the text says what to write."""


def resolve(name: str) -> Callable[[], Any]:
    """Return the function that `module:function` names; it takes no arguments.

    Raises:
        TargetError: If there is none.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise TargetError(f"{name!r} is neither a script nor a MODULE:FUNCTION, such as my_package.app:main")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the folder that the command is run in, as `python -m` does
    try:
        function = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise TargetError(f"{name!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise TargetError(f"{name!r}: {error}") from error
    if not callable(function):
        raise TargetError(f"{name!r} is {function!r:.100}, not a function")
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise TargetError(f"{name!r} needs the arguments {', '.join(needed)}: name a function that takes none")
    return function  # type: ignore[no-any-return]  # checked above


def profile_function(name: str, *, backend: str = "asyncio", repeats: int = 1) -> Profile:
    """Profile a function, plain or `async`: once for the times of nodes, once more for the samples of the flame graph.

    Sampling slows down code that awaits much several times over, so nothing is timed while it goes on.

    Args:
        name: `module:function`.
        backend: The event loop for an async function: `"asyncio"` or `"trio"`.
        repeats: How often it is called for the times.

    Raises:
        TargetError: If there is no such function.
    """
    import anyio

    function = resolve(name)

    async def awaited(recorder: Recorder | None, sampler: Sampler | None) -> None:
        with _watching(recorder, sampler):
            for _ in range(repeats if sampler is None else 1):
                result = function()
                if inspect.isawaitable(result):
                    await result

    def called(recorder: Recorder | None, sampler: Sampler | None) -> None:
        with _watching(recorder, sampler):
            for _ in range(repeats if sampler is None else 1):
                function()

    recorder, sampler = Recorder(), Sampler()
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
    for one, other in ((recorder, None), (Recorder(), sampler)):
        if is_async:
            anyio.run(awaited, one, other, backend=backend)
        else:
            called(one, other)
    return Profile.of(name, recorder, sampler, note=_note(recorder))


def profile_script(path: Path, arguments: Sequence[str] = ()) -> Profile:
    """Profile a script once, times and samples together, since nobody knows whether it can run twice.

    Raises:
        TargetError: If there is no such file.
    """
    if not path.is_file():
        raise TargetError(f"there is no script {str(path)!r}")
    recorder, sampler = Recorder(), Sampler()
    before = sys.argv, sys.path[:]
    sys.argv, sys.path[:0] = [str(path), *arguments], [str(path.parent)]
    try:
        with _watching(recorder, sampler):
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit as stop:
                if stop.code not in (None, 0):
                    raise
    finally:
        sys.argv, sys.path[:] = before
    note = "Times and samples are of the same run, so times hold the cost of sampling. "
    return Profile.of(path.name, recorder, sampler, note=(note + _note(recorder)).strip())


@contextmanager
def _watching(recorder: Recorder | None, sampler: Sampler | None) -> Iterator[None]:
    with recording(recorder):
        if sampler is None:
            yield
            return
        sampler.start()
        try:
            yield
        finally:
            sampler.stop()


def _note(recorder: Recorder) -> str:
    if not recorder.visits:
        return "No graph ran."
    if len({visit.thread for visit in recorder.visits}) > 1:
        return "Graphs ran in several threads; the flame graph shows the first one only: profile an async function."
    return ""
