"""Locust users of a graph that `eino.serve` serves, and the log and report of a run.

Import it in a locustfile: it registers itself with locust's events. Without `--host` it starts the target itself.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from locust import HttpUser, constant, events, task

from eino_harness.load.latency import LatencyLog
from eino_harness.load.process import start_target, stop_target
from eino_harness.load.report import LoadRun, load_table, write_load_report

__all__ = ["ChatUser", "Session"]

REPORTS = Path(os.environ.get("EINO_LOAD_REPORTS", "reports/load"))


class Session:
    """What belongs to one run of locust in this process: the target, the log, the clock."""

    def __init__(self) -> None:
        self.log = LatencyLog()
        self.target: Any = None
        self.target_text = ""
        self.started_s = time.perf_counter()
        self.users = 0

    def record(self, kind: str, started_s: float, ended_s: float) -> None:
        """Note a latency, and show it in locust's own table."""
        self.log.record(kind, ended_s - self.started_s, ended_s - started_s)


session = Session()


def _start(environment: Any, **_: Any) -> None:
    """Start the target unless a host was given; workers of a distributed run get theirs from the master."""
    REPORTS.mkdir(parents=True, exist_ok=True)  # locust writes its own page there and does not make the folder
    if environment.host is None:
        session.target, environment.host = start_target()
        session.target_text = f"A template and a fake model behind eino.serve at {environment.host}"
    else:
        session.target_text = f"The server at {environment.host}"


def _begin(**_: Any) -> None:
    session.log = LatencyLog()
    session.started_s = time.perf_counter()


def _spawned(user_count: int, **_: Any) -> None:
    session.users = max(session.users, user_count)


def _report(**_: Any) -> None:
    """End the target, print the table, write the report."""
    duration_s = time.perf_counter() - session.started_s
    if session.target is not None:
        stop_target(session.target)
    if not session.log.quantiles():
        return
    run = LoadRun(target=session.target_text, users=session.users, duration_s=duration_s)
    paths = write_load_report(run, session.log, REPORTS)
    print(f"\n{load_table(session.log.quantiles())}\n")  # noqa: T201 - the report of a command
    for path in paths:
        print(f"report: {path}")  # noqa: T201


for event, listener in (
    (events.init, _start),
    (events.test_start, _begin),
    (events.spawning_complete, _spawned),
    (events.quitting, _report),
):
    event.add_listener(listener)  # type: ignore[no-untyped-call]  # locust's events have no types


class ChatUser(HttpUser):
    """Asks the chat graph, sometimes for JSON, more often for a stream."""

    wait_time = constant(0)

    @task(1)
    def invoke(self) -> None:
        """Ask for the whole answer."""
        started_s = time.perf_counter()
        with self.client.post("/graphs/chat/invoke", json=_QUESTION, name="invoke", catch_response=True) as response:
            if response.status_code != 200 or not response.json()["output"]["content"]:
                session.log.record_failure("invoke")
                response.failure(f"status {response.status_code}: {response.text[:200]}")
                return
            session.record("invoke", started_s, time.perf_counter())

    @task(3)
    def stream(self) -> None:
        """Ask for a stream, and time its chunks."""
        started_s = last_s = time.perf_counter()
        chunks = 0
        with self.client.post(
            "/graphs/chat/stream", json=_QUESTION, name="stream", stream=True, catch_response=True
        ) as response:
            event = ""
            for line in response.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "chunk" and json.loads(line[6:])["content"]:
                    now_s = time.perf_counter()
                    session.record("between chunks" if chunks else "first chunk", last_s, now_s)
                    last_s = now_s
                    chunks += 1
            if response.status_code != 200 or event != "end" or not chunks:
                session.log.record_failure("stream")
                response.failure(f"status {response.status_code}, last event {event!r}, {chunks} chunks")
                return
            session.record("stream", started_s, time.perf_counter())


_QUESTION = {"input": {"language": "plain words", "question": "What does a framework cost?"}}
