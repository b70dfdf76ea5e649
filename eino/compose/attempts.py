"""Time-outs and retries of one node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio

from eino._run.frame import here
from eino._run.retry import RetryPolicy
from eino._tasks import now, sleep
from eino.compose.binding import with_deadline
from eino.compose.extra import keep
from eino.compose.node import NodeSpec
from eino.errors import EndOfStream, RunTimeoutError
from eino.schema.stream import StreamReader

__all__ = ["with_attempts"]

Async = Callable[[Any], Awaitable[Any]]


def with_attempts(spec: NodeSpec, call: Async, *, on_stream: bool) -> Async:
    """Return `call` with the node's time-out around each try, and its retries around that."""
    if spec.timeout_s is not None:
        call = _timed_stream(spec.timeout_s, call) if on_stream else _timed(spec.timeout_s, call)
    if spec.retry is not None:
        call = _retried_stream(spec.retry, call) if on_stream else _retried(spec.retry, call)
    return call


def _timed(timeout_s: float, call: Async) -> Async:
    async def timed(value: Any) -> Any:
        with anyio.move_on_after(timeout_s):
            return await call(value)
        raise RunTimeoutError(
            f"the node did not finish within timeout_s={timeout_s}: raise it, or find out what the node waits for",
            kind="node",
        )

    return timed


def _timed_stream(timeout_s: float, call: Async) -> Async:
    opening = _timed(timeout_s, call)

    async def timed(reader: StreamReader[Any]) -> StreamReader[Any]:
        frame = here.get()
        deadline_s = now() + timeout_s
        return with_deadline(keep(await opening(reader)), frame.branch_off(frame.node), deadline_s, timeout_s)

    return timed


def _retried(policy: RetryPolicy, call: Async) -> Async:
    async def retried(value: Any) -> Any:
        tries = _Tries(policy)
        try:
            while True:
                try:
                    return await call(value)
                except Exception as error:
                    await tries.wait_or_raise(error)
        finally:
            tries.over()

    return retried


def _retried_stream(policy: RetryPolicy, call: Async) -> Async:
    """Try again while no chunk has come: what was delivered cannot be taken back.

    Each try reads its own copy of the input, so that a retry sees all of it.
    """

    async def retried(reader: StreamReader[Any]) -> StreamReader[Any]:
        tries = _Tries(policy)
        rest = reader
        try:
            while True:
                rest, this = map(keep, rest.copy(2))
                try:
                    return await _started(await call(this))
                except Exception as error:
                    await this.aclose()
                    await tries.wait_or_raise(error)
        finally:
            tries.over()
            await rest.aclose()

    return retried


async def _started(reader: StreamReader[Any]) -> StreamReader[Any]:
    """Return a stream like `reader` whose first chunk has come already; an error in its place is raised."""
    probe, whole = map(keep, reader.copy(2))
    try:
        await probe.recv()
    except EndOfStream:
        pass  # it is empty, which is no error
    finally:
        await probe.aclose()
    return whole


class _Tries:
    """The tries of one call of a node."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._rng = Random(policy.seed)  # noqa: S311 - jitter, no secret
        self._made = 0

    async def wait_or_raise(self, error: Exception) -> None:
        """Wait for the next try, or raise `error` when the policy gives up."""
        self._made += 1
        wait_s = self._policy.wait_s(self._made, error, self._rng)
        if wait_s is None:
            if self._made > 1:
                error.add_note(f"gave up after {self._made} tries")
            raise error
        here.get().attempt = self._made + 1
        await sleep(wait_s)

    def over(self) -> None:
        """Let the nodes that follow count from 1 again."""
        if self._made:
            here.get().attempt = 1
