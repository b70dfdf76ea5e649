"""Fault points: how they are named, where they lie, and that the framework itself has none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import eino
from eino import END, START, Graph, MemoryStore
from eino_harness.faults.points import Fault, FaultPoints, PointedStore


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param("", None, id="none"),
        pytest.param("append.level.after:3", Fault("append.level.after", 3), id="kill"),
        pytest.param("effect.before:1=stop", Fault("effect.before", 1, "stop"), id="stop"),
    ],
)
def test_a_fault_is_a_point_and_a_number(text: str, fault: Fault | None) -> None:
    assert Fault.parse(text) == fault
    assert fault is None or str(fault) == text


@pytest.mark.parametrize("text", ["claim.after", "claim.after:0", "claim.after:x", ":1", "claim.after:1=faint"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no fault: write LABEL:NUMBER"):
        Fault.parse(text)


async def test_points_lie_around_each_call_of_the_store() -> None:
    """Records are told apart by kind and status."""
    points = FaultPoints()
    store = PointedStore(MemoryStore(), points)

    async def one(text: str) -> str:
        return text

    graph = Graph[str, str]().add_lambda_node("one", one).add_edge(START, "one").add_edge("one", END)
    await graph.compile(checkpoint_store=store, durability="step", keep=True).invoke("x", checkpoint_id="r")

    assert points.passed["claim.before"] == points.passed["claim.after"] == 1
    assert points.passed["append.start.after"] == points.passed["append.end.before"] == 1
    assert points.passed["status.done.after"] == 1
    assert store.namespace == ""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs platform with SIGKILL")
def test_a_fault_hits_at_its_passage() -> None:
    code = (
        "from eino_harness.faults.points import *; p = FaultPoints(Fault('x', 2)); p.hit('x'); print(1, flush=True); "
    )
    done = subprocess.run([sys.executable, "-c", code + "p.hit('x'); print(2)"], capture_output=True, check=False)

    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, [b"1"])


def test_no_environment_variable_makes_an_application_die() -> None:
    """The variable is read by the worker program of the campaign alone: the framework does not know it."""
    sources = Path(eino.__file__).parent.rglob("*.py")

    assert not [path for path in sources if "EINO_FAULT" in path.read_text(encoding="utf-8")]


def test_a_worker_by_hand_dies_where_it_is_told_to(tmp_path: Path) -> None:
    """What the documentation says: one variable, three arguments."""
    command = [sys.executable, "-m", "eino_harness.faults.worker", "sqlite", str(tmp_path), "r"]
    killed = subprocess.run(
        command, env={**os.environ, "EINO_FAULT": "append.level.after:3"}, capture_output=True, check=False
    )
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    misused = subprocess.run(command[:3], capture_output=True, text=True, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert ended.returncode == 0
    assert "'is': 'result'" in ended.stdout
    assert (misused.returncode, misused.stderr[:6]) == (2, "usage:")
