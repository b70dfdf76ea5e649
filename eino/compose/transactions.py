"""Effects that happen exactly once: what is written, and the record that it was, are one transaction of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from eino._run.address import address_text
from eino._run.context import snapshot
from eino._run.frame import here
from eino._run.session import address_of, session_of
from eino.compose.durable_run import DurableSession
from eino.compose.plan import Plan
from eino.errors import RunError

__all__ = ["transact"]

T = TypeVar("T")


async def transact(work: Callable[[Any], T]) -> T:
    """Return `work(connection)`, done exactly once: when the node runs again, the same result comes from the store.

    To be called in a node with `effect="transactional"`, as often as wanted, each time in the same order. `work` gets
    the store's connection (`sqlite3.Connection`, or `psycopg.Connection`) inside the transaction that stores its
    result. What it writes to that database and the record that it did are there together, or neither. If it raises,
    neither is.

    It runs in a worker thread and holds the run, and in SQLite the whole file, so it should be short. It must not
    commit or roll back, and nothing that it does elsewhere is undone.

    Args:
        work: A plain function. Its result must be data that can be stored.

    Raises:
        RunError: If it is not called in such a node, or the run is not stored.
        CodecError: If the result cannot be stored; then nothing has happened.
        FencedError: If another worker has the run; then nothing has happened.
    """
    frame = here.get(None)
    if frame is None or frame.node < 0:
        raise RunError("transact() was called outside of a node")
    session, plan = session_of(frame), frame.graph
    node = frame.graph.keys[frame.node]
    if not isinstance(plan, Plan) or plan.stages[frame.node].spec.effect != "transactional":
        raise RunError(f"transact() was called in node {node!r}: add it with effect='transactional'")
    if not isinstance(session, DurableSession) or session.journal is None:
        raise RunError(f"transact() in node {node!r} needs a run that is stored: call it with a checkpoint_id=")
    nth = session.count(f"{address_text(address_of(frame))};transact:{frame.attempt}")
    attempt = f"{snapshot(frame).attempt_id}/{nth}"
    if attempt in session.results:
        (result,) = session.results[attempt]
        return result  # type: ignore[no-any-return]  # as it was stored
    return await session.transact(attempt, work)
