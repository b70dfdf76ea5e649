"""`pytest --profile-nodes`: profiles the graphs that the tests run, and prints the table of their nodes at the end.

Loaded only when the flag is given. Fixtures and collection are not in the profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eino_harness.profile import Profile, Recorder, Sampler, profile_table, recording, write_profile

__all__ = ["ProfileRun", "start"]


class ProfileRun:
    """The hooks of one run with `--profile-nodes`."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recorder = Recorder()
        self._sampler = Sampler()
        self._lines: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Profile the test itself."""
        self._recorder.on = True
        with recording(self._recorder):
            self._sampler.start()
            try:
                return (yield)
            finally:
                self._sampler.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        if not self._recorder.visits:
            self._lines = ["no graph ran"]
            return
        note = "Times and samples are of the same run, so times hold the cost of sampling."
        profile = Profile.of("pytest", self._recorder, self._sampler, note=note)
        folder = Path(self._config.rootpath / str(self._config.getini("eino_profile_report")))
        paths = write_profile(profile, folder)
        self._lines = [*profile_table(profile), note, *(f"report: {path}" for path in paths)]

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        terminalreporter.section("nodes")
        for line in self._lines:
            terminalreporter.write_line(line)


def start(config: pytest.Config) -> None:
    """Profile this run.

    Raises:
        pytest.UsageError: If it measures benchmarks, or is distributed over processes.
    """
    option: Any = config.option
    if getattr(option, "eino_benchmark", False) or getattr(option, "eino_benchmark_smoke", False):
        raise pytest.UsageError(
            "--profile-nodes and --benchmark cannot be used together: profiling slows down what is measured"
        )
    if getattr(option, "numprocesses", None) or getattr(option, "dist", "no") != "no":
        raise pytest.UsageError("--profile-nodes cannot profile several processes at once: drop -n, or add -n0")
    config.pluginmanager.register(ProfileRun(config), "eino-profile-run")
