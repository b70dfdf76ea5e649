"""Where something belongs, so that a finalizer, which may run in any thread, can do its work there."""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from eino._tasks.backend import imported_trio

if TYPE_CHECKING:
    import trio

__all__ = ["Place", "call_in", "here"]

Place: TypeAlias = "asyncio.AbstractEventLoop | trio.lowlevel.TrioToken"
"""One running event loop: an asyncio loop, or the token of a trio run."""


def here() -> Place | None:
    """Return the event loop that runs the caller; None where no loop runs."""
    library = imported_trio()
    if library is not None and library.lowlevel.in_trio_run():
        token: trio.lowlevel.TrioToken = library.lowlevel.current_trio_token()
        return token
    return _get_running_loop()


def call_in(place: Place | None, function: Callable[[], object]) -> None:
    """Call `function` in the thread of `place`: now if that is here or nowhere, else soon, or never if it has ended."""
    if place is None or place is here():
        function()
    elif isinstance(place, asyncio.AbstractEventLoop):
        if not place.is_closed():
            place.call_soon_threadsafe(function)
    else:
        import trio

        try:
            place.run_sync_soon(function)
        except trio.RunFinishedError:
            return
