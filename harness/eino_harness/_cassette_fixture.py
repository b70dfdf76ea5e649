"""The fixture `cassette`: which file a test replays, and when it may record."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from eino_fixtures.cassettes import CassetteError, CassetteInUse, use_cassette
from eino_harness._fakes import PASSED

__all__ = ["open_cassette"]

_OPTIONS = sorted(set(inspect.signature(use_cassette).parameters) - {"path"})


class _TestFailedError(Exception):
    """Ends the cassette of a test that did not pass: nothing is recorded, and nothing else is blamed."""


@contextmanager
def open_cassette(request: pytest.FixtureRequest, folder: Path) -> Iterator[CassetteInUse]:
    """Yield the test's cassette, in use; when the test has passed, check that it was played to its end.

    Raises:
        CassetteError: If the cassette is missing or cannot be read.
        CassetteMissError: If a request was not recorded.
        UnplayedCallsError: If recorded calls were not asked for.
        pytest.UsageError: If the marker's arguments make no sense, or another recorder would record the same calls.
    """
    _refuse_two_recorders(request)
    name, options = _marker_arguments(request.node)
    path = folder / (name or f"{_file_name(request.node.name)}.yaml")
    options.setdefault("record_mode", request.config.getoption("--record-mode", default=None) or "none")
    try:
        with _network(request, path, options["record_mode"]), use_cassette(path, **options) as used:
            yield used
            if not request.node.stash.get(PASSED, False):
                raise _TestFailedError
    except _TestFailedError:
        return
    except CassetteError as error:
        if not path.exists():
            error.add_note("with pytest: --record-mode=once")
        raise


_OTHER_RECORDERS = {"pytest_vcr": "pytest-vcr", "pytest_recording.plugin": "pytest-recording"}
"""Modules of plugins that record calls as well, and how to name them."""
_OTHER_FIXTURES = frozenset({"vcr", "vcr_cassette"})


def _refuse_two_recorders(request: pytest.FixtureRequest) -> None:
    """Two recorders in one test: one would hear the calls, and which one is chance.

    Raises:
        pytest.UsageError: If the test asks for a recorder of another plugin, too.
    """
    item = request.node
    asked = item.get_closest_marker("vcr") is not None or _OTHER_FIXTURES.intersection(item.fixturenames)
    loaded = [getattr(plugin, "__name__", "") for plugin in request.config.pluginmanager.get_plugins()]
    others = [name for module, name in _OTHER_RECORDERS.items() if module in loaded]
    if asked and others:
        raise pytest.UsageError(
            f"{item.nodeid} has two recorders, ours and that of {others[0]}, and both patch the HTTP clients: keep "
            "either the fixture (or marker) `cassette` or the marker (or fixture) `vcr`, or switch the other one "
            f"off with -p no:{'vcr' if others[0] == 'pytest-vcr' else 'recording'}"
        )


def _marker_arguments(item: pytest.Item) -> tuple[str, dict[str, Any]]:
    marker = item.get_closest_marker("cassette")
    if marker is None:
        return "", {}
    name = str(marker.args[0]) if marker.args else ""
    unknown = sorted(set(marker.kwargs) - set(_OPTIONS))
    if len(marker.args) > 1 or unknown or (marker.args and not isinstance(marker.args[0], str | Path)):
        raise pytest.UsageError(
            f"{item.nodeid}: the marker cassette takes one file name, and by name {', '.join(_OPTIONS)}; "
            f"got {marker.args!r} {marker.kwargs!r}"
        )
    return name, dict(marker.kwargs)


def _file_name(test: str) -> str:
    """Return the name of a test as a file name: its parameters may hold anything."""
    return re.sub(r"[^\w\-.\[\]]+", "_", test)


def _network(request: pytest.FixtureRequest, path: Path, record_mode: str) -> AbstractContextManager[None]:
    """Open the network while calls are recorded, if it is blocked at all."""
    from eino_harness._network_hooks import NETWORK_GUARD
    from eino_harness._network_policy import EVERYTHING

    guard = request.config.stash.get(NETWORK_GUARD, None)
    replays = record_mode == "none" or (record_mode == "once" and path.exists())
    return nullcontext() if guard is None or replays else guard.using(EVERYTHING)
