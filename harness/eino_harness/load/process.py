"""Starts the target of a load test in a process of its own, and ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["TargetError", "running_target", "start_target", "stop_target"]

_READY = "ready on "
_STOP_S = 10.0  # what a target may take to end before it is killed


class TargetError(RuntimeError):
    """The target of a load test did not start."""


def start_target(
    command: Sequence[str] = (sys.executable, "-m", "eino_harness.load.target"),
) -> tuple[subprocess.Popen[str], str]:
    """Start a target and return its process and its address, as soon as it accepts connections.

    Args:
        command: Prints a line `ready on URL` when it is up.

    Raises:
        TargetError: If it ends before that.
    """
    process = subprocess.Popen(list(command), stdout=subprocess.PIPE, text=True)  # noqa: S603 - the caller's command
    stdout = process.stdout
    if stdout is None:  # cannot be: it was asked for
        raise TargetError("the target has no standard output")
    for line in stdout:
        if line.startswith(_READY):
            return process, line.removeprefix(_READY).strip()
    stdout.close()
    process.wait()
    raise TargetError(
        f"the target ended with exit code {process.returncode} before it was ready: "
        f"run `{' '.join(command)}` to see why"
    )


def stop_target(process: subprocess.Popen[str]) -> None:
    """End a target: ask, and after 10 s kill."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def running_target(*command: str) -> Iterator[str]:
    """Run a target for the length of the block; gives its address."""
    process, url = start_target(command) if command else start_target()
    try:
        yield url
    finally:
        stop_target(process)
