"""What `import eino` costs, in a fresh process each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = "import anyio, asyncio, docstring_parser, jinja2, msgspec, pydantic"
"""What a graph needs, loaded by itself: the floor."""


def started(code: str) -> int:
    return subprocess.run([sys.executable, "-I", "-c", code], check=True).returncode


@pytest.mark.workload("import", "start Python, import what a graph needs", unit="ms/op", gate_ratio=2.0)
def test_import_of_a_graph(abenchmark):
    """What does eino add to the libraries that it needs? Timed: whole processes, interpreter included."""
    done = abenchmark.compare(
        subject=lambda: started("from eino import Graph"), floor=lambda: started(LIBRARIES), rounds=9, inner=1
    )
    assert done.subject == done.floor == 0


@pytest.mark.workload("import", "start Python, import eino, use nothing", variant="unused", unit="ms/op", goal_us=1e5)
def test_import_alone(abenchmark):
    """What does `import eino` cost somebody who uses nothing of it yet? Names load on first use."""
    assert abenchmark(started, "import eino", rounds=9, inner=1) == 0
