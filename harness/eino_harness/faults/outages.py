"""Stores that are slow, locked, full, cut off or silent: a run ends right, or stops with a clear error first."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final
from urllib.parse import urlsplit

from eino_harness.faults.kits import POSTGRES_VARIABLE, PostgresKit, SQLiteKit
from eino_harness.faults.ledger import of_kind
from eino_harness.faults.process import HangError, Worker, Workers, workers
from eino_harness.faults.proxy import Proxy, proxy
from eino_harness.faults.site import Outcome, Site, Sizes
from eino_harness.faults.variants import size_of

__all__ = ["store_outages"]

_PAUSE_S: Final = 0.004
_HELD_S: Final = 0.15
"""How long a slow store is locked at a time, in seconds."""
_LEFT_S: Final = 0.03
"""How long it is free in between."""
_DELAY_S: Final = 0.01
"""How long a slow network holds each packet, in seconds."""
_DOWN_S: Final = 0.4
"""How long a server is gone that comes back while the worker lives, in seconds."""
_PATIENT: Final = 8
"""From how many trials on those are made in which a worker waits for its deadline, a quarter of a minute."""

Outage = Callable[[Worker], None]
"""Disturbs the store of a worker that runs, and returns when it has ended and the store is well again."""


def store_outages(site: Site, sizes: Sizes) -> Outcome:
    """Disturb the store in each way; then let another worker end the run."""
    outcome = Outcome("outage", site.store)
    outcome.facts.update({"outages": Counter(), "first worker": Counter()})
    if isinstance(site.kit, SQLiteKit):
        _sqlite(site, sizes, outcome)
    elif isinstance(site.kit, PostgresKit):
        _postgres(site, sizes, outcome)
    else:
        outcome.skipped = "no way is known to disturb this store"
    for name in ("outages", "first worker"):
        outcome.facts[name] = dict(outcome.facts[name])
    return outcome


def _sqlite(site: Site, sizes: Sizes, outcome: Outcome) -> None:
    path = site.kit.path if isinstance(site.kit, SQLiteKit) else site.folder

    def slow(worker: Worker) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
            while worker.code is None:
                db.execute("BEGIN IMMEDIATE")
                site.pool.ended_within(worker, _HELD_S)
                db.execute("ROLLBACK")
                site.pool.ended_within(worker, _LEFT_S)

    def locked(worker: Worker) -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db:
            site.pool.ended_within(worker, 0.02)
            db.execute("BEGIN IMMEDIATE")
            site.pool.wait_end(worker)
            db.execute("ROLLBACK")

    site.run(site.job("first"), outcome, 0)  # makes the file
    for number in range(max(1, sizes.clocks // 4)):
        _disturbed(site, outcome, f"slow-{number}", "slow: locked 5/6 of the time", slow)
    if sizes.clocks >= _PATIENT:
        _disturbed(site, outcome, "locked", "down: locked by another process", locked)
    for number in range(max(1, sizes.clocks // 2)):
        limit = max(8192, size_of(site.folder) - 8192 + 6000 * number)
        _disturbed(site, outcome, f"full-{number}", "disk full", site.pool.wait_end, variant=f"full disk:{limit}")


def _postgres(site: Site, sizes: Sizes, outcome: Outcome) -> None:
    site.run(site.job("first"), outcome, 0)  # makes the tables
    with _through_proxy(site) as (front, pool):

        def slow(worker: Worker) -> None:
            front.delay_s = _DELAY_S
            pool.wait_end(worker)

        def cut(worker: Worker) -> None:
            pool.ended_within(worker, moment_s)
            front.cut()
            pool.wait_end(worker)

        def down(worker: Worker) -> None:
            pool.ended_within(worker, moment_s)
            front.is_down = True
            front.cut()
            pool.ended_within(worker, _DOWN_S)
            front.is_down = False
            pool.wait_end(worker)

        def silent(worker: Worker) -> None:
            pool.ended_within(worker, moment_s)
            front.is_frozen = True
            pool.wait_end(worker)

        named = [("slow: 10 ms a packet", slow)] * max(1, sizes.clocks // 4)
        named += [("connections cut", cut), ("server gone for 0.4 s", down)] * max(1, sizes.clocks // 2)
        named += [("silent: connections stand, nothing comes", silent)] * (sizes.clocks >= _PATIENT)
        for number, (name, outage) in enumerate(named):
            moment_s = site.random("outage", number).uniform(0.02, 0.2)
            _disturbed(site, outcome, f"outage-{number}", name, outage, pool=pool)
            front.delay_s, front.is_frozen, front.is_down = 0.0, False, False
            front.cut()


@contextmanager
def _through_proxy(site: Site) -> Iterator[tuple[Proxy, Workers]]:
    """Have workers that reach the server through a proxy."""
    url = urlsplit(site.kit.url if isinstance(site.kit, PostgresKit) else "")
    with proxy(url.hostname or "127.0.0.1", url.port or 5432) as front:
        where = f"{url.username or 'postgres'}{':' + url.password if url.password else ''}@127.0.0.1:{front.port}"
        variables = {POSTGRES_VARIABLE: url._replace(netloc=where).geturl()}
        with workers(site.folder / "errors.txt", variables=variables) as pool:
            yield front, pool


def _disturbed(
    site: Site,
    outcome: Outcome,
    run_id: str,
    name: str,
    outage: Outage,
    *,
    pool: Workers | None = None,
    variant: str = "",
) -> None:
    pool = pool or site.pool
    before = len(outcome.violations)
    try:
        worker = pool.start(site.job(run_id, 1, pause_s=_PAUSE_S, variant=variant))
        pool.wait_ready(worker)
        outage(worker)
        finished = {2: site.finished(run_id)}
        site.pool.run(site.job(run_id, 2))
    except HangError as error:
        site.blame(outcome, 0, run_id, f"{name}: {error}")
        return
    finally:
        outcome.trials += 1
        outcome.facts["outages"][name] += 1
    first = [line for line in site.ledger(run_id).lines() if line["life"] == 1]
    ends = [line.get("type", "went on") for line in (*of_kind(first, "error"), *of_kind(first, "result"))]
    outcome.facts["first worker"][ends[0] if ends else "said nothing"] += 1
    if not ends:
        site.blame(outcome, 0, run_id, f"{name}: the worker ended with code {worker.code} and said nothing")
    site.judge(outcome, 0, run_id, finished, lives=2, forgiven=frozenset({1}))
    outcome.add("runs that ended right", len(outcome.violations) == before)
