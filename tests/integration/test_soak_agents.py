"""The program that runs many agents at once: it counts what came, and its exit code says whether limits were kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak_agents.py"


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--agents", "20", "--latency-ms", "0.1", "--repeats", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_all_agents_come_to_their_answers(backend: str) -> None:
    done = soak("--backend", backend, "--limit", "1e9")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("ok: 20 agents took ")


def test_a_limit_that_is_not_kept_is_told() -> None:
    done = soak("--limit", "0.001")

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("MISSED: 20 agents")
