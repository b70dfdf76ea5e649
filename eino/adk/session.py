"""Session values: what all agents of one run share by name, in checkpoints too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eino.adk.run_state import current_agent_run

__all__ = ["session_value", "session_values", "set_session_value", "set_session_values"]


def session_value(key: str, default: Any = None) -> Any:
    """Return a value of the session; `default` where it is not set, and outside every run."""
    run = current_agent_run()
    return default if run is None else run.values.get(key, default)


def session_values() -> dict[str, Any]:
    """Return a copy of all values of the session; empty outside every run."""
    run = current_agent_run()
    return {} if run is None else dict(run.values)


def set_session_value(key: str, value: Any) -> None:
    """Set a value of the session, for all agents of the run; outside every run this does nothing.

    Runs that are stored need storable values: data, messages and classes with `@register`.

    Raises:
        TypeError: If the key is no text.
    """
    if not isinstance(key, str):
        raise TypeError(f"set_session_value({key!r}, ...): the key is a text")
    run = current_agent_run()
    if run is not None:
        run.set_value(key, value)


def set_session_values(values: Mapping[str, Any]) -> None:
    """Set several values of the session; see `set_session_value`."""
    for key, value in values.items():
        set_session_value(key, value)
