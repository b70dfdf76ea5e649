"""Observers: the handlers of one run, sorted by timing once, so that a timing nobody hears costs one test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from eino._run.interrupt import InterruptSignal
from eino.callbacks._handler import RunInfo, Slot, Timing, registry, slots_of
from eino.errors import BuildError, RunError

__all__ = ["Keep", "Observer", "handler_error", "observer_of"]

Keep = Callable[[Any], None]
"""Takes a stream copy that was given to a handler, to close it when the run ends."""

_CACHED_OBSERVERS = 64  # runs with the same handlers share one observer; more sets than this are rare


class Observer:
    """Who hears of one run.

    Order: start timings run through the handlers from the last to the first, end and error timings from the first to
    the last; the handlers of the call come first, then those of the node, then the global ones. So what starts last
    ends first.
    """

    __slots__ = ("_errors", "_stream_inputs", "_stream_outputs", "ends", "local", "shared", "starts")

    def __init__(self, local: tuple[object, ...], shared: tuple[object, ...]) -> None:
        self.local = local
        """Handlers of calls and nodes, outermost first."""
        self.shared = shared
        """Global handlers, as they were when the outermost run started."""
        slots = [slots_of(handler) for handler in (*local, *shared)]
        backwards = slots[::-1]
        # `starts` and `ends` are called by the hot loop itself; what they raise becomes a `handler_error`.
        self.starts = tuple(_gated(each["on_start"], "on_start") for each in backwards if "on_start" in each)
        self.ends = tuple(_gated(each["on_end"], "on_end") for each in slots if "on_end" in each)
        self._errors = tuple(_gated(each["on_error"], "on_error") for each in slots if "on_error" in each)
        self._stream_inputs = _only(backwards, "on_start_stream_input")
        self._stream_outputs = _only(slots, "on_end_stream_output")

    def start(self, info: RunInfo, value: Any) -> None:
        """Tell that something starts with a value."""
        for function in self.starts:
            try:
                function(info, value)
            except Exception as error:
                raise handler_error("on_start", info, error) from error

    def end(self, info: RunInfo, value: Any) -> None:
        """Tell that something ended with a value."""
        for function in self.ends:
            try:
                function(info, value)
            except Exception as error:
                raise handler_error("on_end", info, error) from error

    def error(self, info: RunInfo, failure: BaseException) -> None:
        """Tell that something failed. A handler that raises here does not hide the failure: it becomes a note on it."""
        if isinstance(failure, InterruptSignal):
            failure = failure.told()
        for function in self._errors:
            try:
                function(info, failure)
            except Exception as error:
                failure.add_note(f"callback handler on_error raised as well: {type(error).__qualname__}: {error}")

    def start_stream(self, info: RunInfo, reader: Any, keep: Keep) -> Any:
        """Tell that something starts with a stream; return the reader to go on with."""
        return _share(self._stream_inputs, "on_start_stream_input", info, reader, keep)

    def end_stream(self, info: RunInfo, reader: Any, keep: Keep) -> Any:
        """Tell that something ended with a stream; return the reader to go on with."""
        return _share(self._stream_outputs, "on_end_stream_output", info, reader, keep)

    def joined_by(self, handlers: Iterable[object]) -> Observer:
        """Return the observer of a run or node inside this one, which `handlers` hear as well."""
        return _observer((*self.local, *handlers), self.shared)


def observer_of(outer: Observer | None, handlers: Iterable[object] = ()) -> Observer | None:
    """Return who hears a run that starts now: the outer run's handlers and these, or these and the global ones."""
    try:
        more = tuple(handlers)
    except TypeError:
        raise BuildError(f"callbacks={handlers!r}: give a list of handlers") from None
    if outer is not None:
        return outer.joined_by(more) if more else outer
    shared = registry.handlers
    return _observer(more, shared) if more or shared else None


_observers: dict[tuple[tuple[int, ...], tuple[int, ...]], Observer] = {}


def _observer(local: tuple[object, ...], shared: tuple[object, ...]) -> Observer:
    """Return the observer of these handlers. The cache holds the handlers, so that their ids stay theirs."""
    key = (tuple(map(id, local)), tuple(map(id, shared)))
    found = _observers.get(key)
    if found is None:
        found = Observer(local, shared)
        if len(_observers) >= _CACHED_OBSERVERS:
            _observers.clear()
        _observers[key] = found
    return found


def _gated(slot: Slot, timing: Timing) -> Callable[[RunInfo, Any], None]:
    """Return the function of `slot`, asking first whether the call is needed when the handler wants to be asked."""
    function, needed = slot
    if needed is None:
        return function

    def ask_first(info: RunInfo, payload: Any) -> None:
        if needed(info, timing):
            function(info, payload)

    return ask_first


def _only(slots: list[dict[Timing, Slot]], timing: Timing) -> tuple[Slot, ...]:
    return tuple(each[timing] for each in slots if timing in each)


def _share(slots: tuple[Slot, ...], timing: Timing, info: RunInfo, reader: Any, keep: Keep) -> Any:
    """Give each interested handler a copy of `reader`; return the copy that is left."""
    if not slots:
        return reader
    try:
        wanted = [function for function, needed in slots if needed is None or needed(info, timing)]
    except Exception as error:
        raise handler_error(timing, info, error) from error
    if not wanted:
        return reader
    rest, *copies = reader.copy(len(wanted) + 1)
    for copy in copies:
        keep(copy)
    for function, copy in zip(wanted, copies, strict=True):
        try:
            function(info, copy)
        except Exception as error:
            rest.close()
            raise handler_error(timing, info, error) from error
    return rest


def handler_error(timing: Timing, info: RunInfo, error: BaseException) -> BaseException:
    """Return the error of a handler as one of the run, which gets the node path on its way out."""
    if isinstance(error, RunError) or not isinstance(error, Exception):
        return error
    where = f" of {info.component} {info.name!r}" if info.name else f" of the {info.component}"
    return RunError(f"callback handler {timing}{where} raised {type(error).__qualname__}: {error}")
