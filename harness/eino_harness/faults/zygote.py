"""Starts worker processes by `fork`: a worker is ready in milliseconds, not in the half second that importing takes.

Runs as `python -m eino_harness.faults.zygote`, reads one command a line, writes one event a line, all JSON. It holds no
thread, no event loop and no connection, so that its children begin clean. It ends with its standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any, Final

__all__ = ["main"]

_TICK_S: Final = 0.002
"""How long an exit may stay unnoticed, in seconds."""


def main() -> int:
    """Serve until standard input ends; then kill the workers that are left."""
    from eino_harness.faults import clock

    clock.skew(float(os.environ.get(clock.SKEW_VARIABLE, "0")))  # before anything reads a clock
    worker = importlib.import_module("eino_harness.faults.worker")
    worker.warm()
    children: set[int] = set()
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], _TICK_S if children else None)
        if readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                children.add(_started(worker, json.loads(line)))
        _tell_of(children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 0


def _started(worker: Any, command: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _tell(event="started", pid=pid)
        return pid
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        worker.perform(worker.Job(**command["job"]), lambda: _tell(event="ready", pid=os.getpid()))
        status = 0
    except BaseException:  # the last stop of a child: it must never run the parent's code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell_of(children: set[int]) -> None:
    """Tell which workers have ended or were stopped."""
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if not found:
            continue
        if os.WIFSTOPPED(status):
            _tell(event="stopped", pid=pid)
            continue
        children.discard(pid)
        _tell(event="ended", pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**event: Any) -> None:
    os.write(1, (json.dumps(event) + "\n").encode())  # one write: lines of parent and children do not mix


if __name__ == "__main__":
    sys.exit(main())
