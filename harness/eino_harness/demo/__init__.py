"""The demo: a recorded conversation through a graph, a benchmark, a load test, a report."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from eino_harness.bench.table import Row
from eino_harness.demo.conversation import Conversation, hold_conversation
from eino_harness.demo.measure import measure_engine
from eino_harness.demo.recording import DemoError, read_recording
from eino_harness.demo.report import DemoReport, write_demo_report
from eino_harness.demo.under_load import load_test

__all__ = ["DemoError", "run_demo"]


def run_demo(
    *, cassette: Path | None, out: Path, users: int, load_s: int, benchmark: bool = True, paced: bool = True
) -> Path:
    """Run all steps, showing each; return the path of the report.

    Args:
        cassette: Recorded calls; None for the demo's own.
        out: Folder of the report.
        users: Users of the load test.
        load_s: Seconds of load test; 0 leaves it out.
        benchmark: Whether to measure the engine.
        paced: Whether to replay the recorded pace.

    Raises:
        DemoError: If the recording is not a conversation that the demo can hold, or the load test fails.
    """
    recording = read_recording(cassette)
    total = 2 + benchmark + bool(load_s)
    steps = iter(range(1, total + 1))

    def show(text: str) -> None:
        print(f"\n[{next(steps)}/{total}] {text}", flush=True)  # noqa: T201 - progress of a command

    show(f"A conversation from {recording.name}: {len(recording.calls)} recorded calls, no network")
    conversation = asyncio.run(hold_conversation(recording, write=_write, paced=paced))
    _check(conversation)
    rows: list[Row] = []
    if benchmark:
        show("What the engine costs, beside hand-written code (about 3 s)")
        rows, table = measure_engine()
        _write(table + "\n")
    load = None
    if load_s:
        show(f"A load test over HTTP: {users} users for {load_s} s")
        load = load_test(out / "load", users=users, duration_s=load_s)
        _write(load.table + "\n")
    show("The report")
    path = write_demo_report(DemoReport(recording.name, conversation, rows, load), out)
    _write(f"{path}\n")
    if load is not None:
        _write(load.summary + "\n")
    return path


def _check(conversation: Conversation) -> None:
    if not conversation.answer:
        raise DemoError("the recorded conversation ended without an answer")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
