"""The desk under load: `locust -f loadtests`. It starts the desk with a fake model in a process of its own.

Prints P50, P95 and P99 of each kind of request, and ends with exit code 99 when an answer takes too long.
"""

from __future__ import annotations

import sys
import time

from locust import HttpUser, constant, events, task

from eino_harness.load.latency import LatencyLog
from eino_harness.load.process import start_target, stop_target

COMMAND = (sys.executable, "-m", "support_desk.app", "--fake-model", "--port", "0")
SLO_S = 5.0
"""Seconds that 95 of 100 answers may take."""
BROKEN_SLO = 99

log = LatencyLog()
started_s = time.perf_counter()


@events.init.add_listener
def start(environment, **_):
    """Start the desk, unless `--host` names one that runs."""
    environment.desk = None
    if environment.host is None:
        environment.desk, environment.host = start_target(COMMAND)


@events.quitting.add_listener
def judge(environment, **_):
    """Stop the desk, print what was measured, and compare it with the goal."""
    if environment.desk is not None:
        stop_target(environment.desk)
    answers = next((row for row in log.quantiles() if row.kind == "answer"), None)
    if answers is None or answers.failures:
        environment.process_exit_code = 1
        return
    quantiles = {"P50": answers.p50_s, "P95": answers.p95_s, "P99": answers.p99_s}
    print(
        f"{answers.count} answers: " + ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in quantiles.items())
    )
    if answers.p95_s > SLO_S:
        print(f"95 of 100 answers must take {SLO_S:g} s at most")
        environment.process_exit_code = BROKEN_SLO


class Customer(HttpUser):
    """Asks where an order is, and reads the answer as it comes."""

    wait_time = constant(0)

    @task
    def ask(self):
        """Ask once."""
        begun_s = time.perf_counter()
        body = {"input": "Where is my order A1?"}
        with self.client.post(
            "/graphs/desk/stream", json=body, name="answer", stream=True, catch_response=True
        ) as response:
            lines = list(response.iter_lines(chunk_size=1, decode_unicode=True))
            if response.status_code != 200 or "event: end" not in lines:
                log.record_failure("answer")
                response.failure(f"status {response.status_code}: {lines[-3:]}")
                return
        ended_s = time.perf_counter()
        log.record("answer", ended_s - started_s, ended_s - begun_s)
