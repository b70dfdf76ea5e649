"""What the pytest plugin costs a project that has eino installed and uses nothing of it: the goal is below 20 ms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

QUIET = ("-q", "--collect-only", "-p", "no:cacheprovider")


@pytest.mark.workload("PLUGIN", "start pytest with the plugin loaded, unused", unit="ms/start", gate_ratio=1.1)
def test_start_of_pytest(abenchmark, tmp_path: Path):
    """What does a start of pytest cost more because eino is installed?

    Timed: a process of `pytest --collect-only` over one empty test, with the plugin and without (the floor); the
    difference is what the plugin costs. Without other plugins, so that the floor is as low as it gets.
    """
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")

    def start(*options: str) -> int:
        command = [sys.executable, "-m", "pytest", *QUIET, *options, "test_nothing.py"]
        environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True).returncode

    done = abenchmark.compare(subject=lambda: start("-p", "eino_harness.plugin"), floor=start, rounds=15, inner=1)
    assert done.subject == done.floor == 0
