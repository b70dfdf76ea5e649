"""A process that runs a graph on a file is killed with SIGKILL in each step: the run ends as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import os, signal, sys
import anyio
from eino import END, START, Graph
from eino.errors import UnknownRunError
from eino.ext.stores.sqlite import SQLiteStore

folder, die_at, steps = sys.argv[1], sys.argv[2], 6

def node(number):
    async def step(text: str) -> str:
        if die_at == f"before {number}":
            os.kill(os.getpid(), signal.SIGKILL)
        with open(f"{folder}/effects", "a") as file:
            file.write(f"{number}\\n")
        if die_at == f"after {number}":
            os.kill(os.getpid(), signal.SIGKILL)
        return text + str(number)
    return step

async def main():
    graph = Graph[str, str]()
    before = START
    for number in range(steps):
        graph.add_node(f"n{number}", node(number))
        graph.add_edge(before, f"n{number}")
        before = f"n{number}"
    graph.add_edge(before, END)
    async with SQLiteStore(f"{folder}/runs.db") as store:
        runnable = graph.compile(checkpoint_store=store, durability="step", keep=True)
        known = await store.load("r")
        given = () if known is not None and known.head else ("",)
        print(await runnable.invoke(*given, checkpoint_id="r", take_over=True), flush=True)

anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_in_each_step_repeats_that_step_only(tmp_path: Path) -> None:
    for number in range(6):
        assert _work(tmp_path, f"before {number}") == (-signal.SIGKILL, "")
        assert _work(tmp_path, f"after {number}") == (-signal.SIGKILL, "")
    assert _work(tmp_path, "never") == (0, "012345\n")
    assert (tmp_path / "effects").read_text().split() == list("001122334455")


def _work(folder: Path, die_at: str) -> tuple[int, str]:
    """Return the exit status and the output of a worker."""
    command = [sys.executable, "-c", WORKER, os.fspath(folder), die_at]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode, done.stdout
