"""The campaign's side of its workers: start, kill, stop, continue, and hear of their ends. Nothing waits for ever."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eino_harness.faults.clock import SKEW_VARIABLE
from eino_harness.faults.worker import Job

__all__ = ["HangError", "Worker", "Workers", "workers"]

HANG_S: Final = 150.0
"""How long anything may take before it counts as hung, in seconds; more than the store waits for a lock."""


class HangError(AssertionError):
    """A worker did not do in time what it had to."""


@dataclass(slots=True)
class Worker:
    """One worker process."""

    job: Job
    pid: int
    is_ready: bool = False
    is_stopped: bool = False
    code: int | None = None
    """Exit code, negative for a signal; None while it runs."""
    ready_at: float = 0.0
    ended_at: float = 0.0
    _events: list[str] = field(default_factory=list)

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.signal(signal.SIGKILL)


class Workers:
    """Starts workers through a zygote. Use it in one thread."""

    def __init__(self, zygote: subprocess.Popen[bytes], errors: Path) -> None:
        self._zygote = zygote
        self._errors = errors
        self._workers: dict[int, Worker] = {}
        self._started: list[Worker] = []
        self._pending = b""

    def start(self, job: Job) -> Worker:
        """Start a worker; return when it has a process."""
        stdin = self._zygote.stdin
        if stdin is None:  # cannot be: it was asked for
            raise HangError("the zygote has no standard input")
        stdin.write((json.dumps({"job": job.dump()}) + "\n").encode())
        stdin.flush()
        self._wait(lambda: bool(self._started), f"the start of {job.run_id}")
        worker = self._started.pop()  # it may have ended by now
        worker.job = job
        return worker

    def wait_ready(self, worker: Worker) -> None:
        """Return when a worker begins its work, or has ended."""
        self._wait(lambda: worker.is_ready or worker.code is not None, f"the work of {worker.job.run_id}")

    def wait_end(self, *workers: Worker) -> None:
        """Return when workers have ended.

        Raises:
            HangError: If one does not; all of them are killed.
        """
        try:
            self._wait(
                lambda: all(worker.code is not None for worker in workers), f"the end of {workers[0].job.run_id}"
            )
        except HangError:
            for worker in workers:
                worker.kill()
            self._wait(lambda: all(worker.code is not None for worker in workers), "the killed workers")
            raise

    def wait_stopped(self, worker: Worker) -> bool:
        """Return when a worker was stopped, or has ended; whether it was stopped."""
        self._wait(lambda: worker.is_stopped or worker.code is not None, f"the stop of {worker.job.run_id}")
        return worker.code is None

    def listen(self, duration_s: float) -> None:
        """Hear of workers for a while."""
        until = time.monotonic() + duration_s
        while (left := until - time.monotonic()) > 0:
            self._hear(left)

    def ended_within(self, worker: Worker, duration_s: float) -> bool:
        """Whether a worker ends within a time, which is waited for otherwise."""
        until = time.monotonic() + duration_s
        while worker.code is None and (left := until - time.monotonic()) > 0:
            self._hear(left)
        return worker.code is not None

    def run(self, job: Job) -> Worker:
        """Start a worker and return it when it has ended."""
        worker = self.start(job)
        self.wait_end(worker)
        return worker

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + HANG_S
        while not done():
            if time.monotonic() > until:
                raise HangError(f"waited {HANG_S:.0f} s in vain for {what}")
            self._hear(1.0)

    def _hear(self, timeout_s: float) -> None:
        stdout = self._zygote.stdout
        if stdout is None or not select.select([stdout], [], [], timeout_s)[0]:
            return
        data = os.read(stdout.fileno(), 65536)
        if not data:
            text = self._errors.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise HangError(f"the process that starts the workers ended with code {self._zygote.wait()}: {text}")
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._note(json.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        pid = event.get("pid", 0)
        worker = self._workers.setdefault(pid, Worker(_NONE, pid))
        match event["event"]:
            case "started":
                self._started.append(worker)
            case "ready":
                worker.is_ready, worker.ready_at = True, time.monotonic()
            case "stopped":
                worker.is_stopped = True
            case "ended":
                worker.code, worker.ended_at = event["code"], time.monotonic()
                del self._workers[pid]  # the number may come again


_NONE: Final = Job("", "", "", "")


@contextmanager
def workers(errors: Path, *, skew_s: float = 0.0, variables: Mapping[str, str] | None = None) -> Iterator[Workers]:
    """Have workers for the length of the block; what is left of them then is killed.

    Args:
        errors: File that takes what they write to standard error.
        skew_s: How far their clocks are off, in seconds.
        variables: Further environment variables.
    """
    command = [sys.executable, "-m", "eino_harness.faults.zygote"]
    environment = {**os.environ, **(variables or {}), SKEW_VARIABLE: str(skew_s)}
    with errors.open("ab") as file:
        zygote = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=environment)  # noqa: S603
    try:
        yield Workers(zygote, errors)
    finally:
        for pipe in (zygote.stdin, zygote.stdout):
            if pipe is not None:
                pipe.close()
        try:
            zygote.wait(HANG_S)
        except subprocess.TimeoutExpired:
            zygote.kill()
            zygote.wait()
