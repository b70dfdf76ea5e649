"""`eino runs ls|show|rm|verify STORE`: the runs that a store keeps, without the program that wrote them."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from eino.errors import BuildError, EinoError

__all__ = ["add_to"]

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STATUSES: Final = ("running", "waiting", "done", "failed", "cancelled")
_STORE_HELP: Final = "path of an SQLite file, or postgresql://user@host:5432/database"


def add_to(subparsers: Any) -> None:
    """Add `runs` to the commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "runs",
        help="list, show, remove and verify stored runs",
        epilog="Exit codes: 0 done, 1 something is wrong with a run or the store, 2 the command line is wrong.",
    )
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = _action(actions, "ls", "list the runs", _list)
    _add_status(listing)
    show = _action(actions, "show", "show one run: its records, and what it waits for", _show)
    show.add_argument("run_id", metavar="RUN")
    remove = _action(actions, "rm", "remove runs by id, or those that were idle for long", _remove)
    remove.add_argument("run_ids", nargs="*", metavar="RUN")
    remove.add_argument("--idle", type=_seconds, metavar="TIME", help="not changed for so long, such as 90s, 12h, 7d")
    remove.add_argument("--force", action="store_true", help="remove runs by id that a worker has, too")
    _add_status(remove)
    verify = _action(actions, "verify", "check that runs are as they were written", _verify)
    verify.add_argument("run_ids", nargs="*", metavar="RUN", help="default: all")


def _action(actions: Any, name: str, text: str, work: Callable[..., Awaitable[int]]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("store", metavar="STORE", help=_STORE_HELP)
    parser.add_argument("--namespace", default="", help="of the runs; default: the empty one")
    parser.add_argument("--schema", default="eino", help="of the tables in PostgreSQL; default: %(default)s")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="ID=FILE",
        help="a key of a SealedStore: its id, and a file with it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=lambda arguments: _run(arguments, work))
    return parser


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--status", action="append", choices=_STATUSES, help="only runs with this status; may be given several times"
    )


def _run(arguments: argparse.Namespace, work: Callable[..., Awaitable[int]]) -> int:
    """Do the work, and return the exit code."""
    import anyio

    async def with_store() -> int:
        async with _opened(arguments) as store:
            return await work(store, arguments)

    try:
        return anyio.run(with_store)
    except (BuildError, OSError) as error:
        print(f"eino runs: {error}", file=sys.stderr)
        return 2
    except EinoError as error:
        print(f"eino runs: {error}", file=sys.stderr)
        return 1


@asynccontextmanager
async def _opened(arguments: argparse.Namespace) -> AsyncIterator[Any]:
    from eino.compose.sealed_store import SealedStore

    async with _store(arguments) as store:
        yield SealedStore(store, _keys(arguments.key)) if arguments.key else store


def _store(arguments: argparse.Namespace) -> Any:
    if re.match("postgres(ql)?://", arguments.store):
        from eino.ext.stores.postgres import PostgresStore

        return PostgresStore(arguments.store, schema=arguments.schema, namespace=arguments.namespace, max_connections=1)
    from eino.ext.stores.sqlite import SQLiteStore

    if not Path(arguments.store).is_file():
        raise BuildError(f"there is no file {arguments.store!r}: give the {_STORE_HELP}")
    return SQLiteStore(arguments.store, namespace=arguments.namespace)


def _keys(given: list[str]) -> dict[str, bytes]:
    keys = {}
    for each in given:
        name, sign, path = each.partition("=")
        if not (name and sign and path):
            raise BuildError(f"--key {each!r} is no ID=FILE")
        keys[name] = Path(path).read_bytes()
    return keys


async def _list(store: Any, arguments: argparse.Namespace) -> int:
    runs = [run for run in await store.list() if not arguments.status or run.status in arguments.status]
    if arguments.json:
        print(_json([dataclasses.asdict(run) for run in runs]))
        return 0
    rows = [(_shown(run.run_id), run.status, str(run.head), _age(run.idle_s), run.owner) for run in runs]
    print(_table(("run", "status", "records", "idle", "owner"), rows))
    return 0


async def _show(store: Any, arguments: argparse.Namespace) -> int:
    from eino.compose.inspection import inspect_run

    report = await inspect_run(store, arguments.run_id)
    if report is None:
        print(f"eino runs: there is no run {arguments.run_id!r} in the store", file=sys.stderr)
        return 1
    if arguments.json:
        print(_json(dataclasses.asdict(report)))
        return 1 if report.problem else 0
    print(f"run {_shown(report.run_id)}: {report.status}, epoch {report.epoch}, owner {report.owner}")
    for point in report.waiting:
        answered = ", answered" if point.is_answered else ""
        print(f"waits at {point.address} (id {point.id}){answered}: {_json(point.info, indent=None)}")
    rows = [(str(each.seq), str(each.epoch), _shown(each.kind), str(each.size)) for each in report.records]
    print(_table(("record", "epoch", "kind", "bytes"), rows))
    if report.problem:
        print(f"eino runs: {report.problem}", file=sys.stderr)
    return 1 if report.problem else 0


async def _remove(store: Any, arguments: argparse.Namespace) -> int:
    from eino.compose.retention import OVER, prune_runs
    from eino.compose.store import RunStatus

    if bool(arguments.run_ids) == (arguments.idle is not None):
        raise BuildError("rm needs the ids of runs, or --idle TIME")
    if arguments.run_ids and arguments.status:
        raise BuildError("--status goes with --idle")
    if arguments.idle is not None:
        statuses = OVER if not arguments.status else [RunStatus(each) for each in arguments.status]
        removed = list(await prune_runs(store, idle_s=arguments.idle, statuses=statuses))
    else:
        known = {run.run_id: run for run in await store.list()}
        for run_id in arguments.run_ids:
            if run_id not in known:
                return _nothing_removed(f"there is no run {run_id!r} in the store")
            if known[run_id].status is RunStatus.RUNNING and not arguments.force:
                return _nothing_removed(f"run {run_id!r} is being run by {known[run_id].owner}: give --force")
        for run_id in arguments.run_ids:
            await store.delete(run_id, epoch=None if arguments.force else known[run_id].epoch)
        removed = arguments.run_ids
    print(_json(removed) if arguments.json else f"{len(removed)} removed")
    return 0


def _nothing_removed(why: str) -> int:
    print(f"eino runs: {why}; nothing was removed", file=sys.stderr)
    return 1


async def _verify(store: Any, arguments: argparse.Namespace) -> int:
    from eino.errors import CheckpointError, StoreUnavailableError

    problems: dict[str, str] = {}
    run_ids = arguments.run_ids or [run.run_id for run in await store.list()]
    for run_id in run_ids:
        try:
            problems[run_id] = await _problem(store, run_id)
        except StoreUnavailableError:
            raise
        except CheckpointError as error:
            problems[run_id] = str(error)
    wrong = {run_id: problem for run_id, problem in problems.items() if problem}
    if arguments.json:
        print(_json({"verified": len(problems), "problems": wrong}))
    else:
        for problem in wrong.values():
            print(problem)
        print(f"{len(problems)} runs, {len(wrong)} with problems" if wrong else f"{len(problems)} runs, all well")
    return 1 if wrong else 0


async def _problem(store: Any, run_id: str) -> str:
    from eino.compose.inspection import inspect_run

    report = await inspect_run(store, run_id)
    return f"there is no run {run_id!r} in the store" if report is None else report.problem


def _seconds(text: str) -> float:
    """Return a duration in seconds.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 15m, 12h or 7d")
    return float(found[1]) * _UNITS[found[2]]


def _age(seconds: float) -> str:
    """Return a duration as people read it."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{max(seconds, 0.0):.0f}s"


def _shown(text: str) -> str:
    """Return a text from the store as it can be printed: control characters would change the terminal."""
    return text if text.isprintable() and text else repr(text)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(each.ljust(width) for each, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return what JSON has no form for."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return dict(value) if isinstance(value, Mapping) else str(value)
