"""The one JSON schema of all reports: what each says in common, whatever was tested or measured.

A report is one JSON object. The fields of `Report` stand in every one; what only its kind has (the workloads of a
benchmark, the requests of a load test) stands beside them, under names of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from eino_harness.bench.host import describe_commit, describe_host

__all__ = ["SCHEMA", "VERSION", "Check", "Fact", "Report", "ReportError", "json_schema", "read_report", "report_data"]

SCHEMA = "eino-harness/report"

VERSION = 1
"""Grows when a reader of the old form would misread the new one."""


class ReportError(ValueError):
    """A file is no report that this version can read; the text names it and says what to do."""


class Fact(msgspec.Struct, frozen=True):
    """One thing that the report says, ready to be shown."""

    name: str
    value: str


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was judged; in JUnit a test case."""

    name: str
    ok: bool
    text: str = ""
    """Why it failed, or what was measured."""
    seconds: float = 0.0
    """How long it took; 0 where that is not known."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What every report says."""

    schema: str
    """`"eino-harness/report"`."""
    version: int
    """Of the schema."""
    kind: str
    """What was done: `"tests"`, `"benchmarks"`, `"comparison"`, `"instructions"`, `"profile"`, `"load"`, ..."""
    title: str
    created: str
    """When, in UTC, as ISO 8601."""
    commit: str
    """Short id of the commit, with `+changes` behind it when the work tree had any; empty where there is no git."""
    host: dict[str, Any]
    """Processor, cores, load, system and Python."""
    summary: tuple[Fact, ...] = ()
    """The numbers to show first."""
    checks: tuple[Check, ...] = ()
    """What was judged; empty where nothing was."""
    note: str = ""
    """What a reader must know before the numbers; empty as a rule."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def verdict(self) -> str:
        """`"passed"`, `"failed"`, or `"-"` where nothing was judged."""
        if not self.checks:
            return "-"
        return "failed" if self.failed else "passed"


def report_data(
    kind: str,
    title: str,
    *,
    summary: Mapping[str, str] | None = None,
    checks: Sequence[Check] = (),
    note: str = "",
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a report as plain data, made now, on this host, from the work tree in the current folder.

    Args:
        kind: What was done, one word.
        title: Headline.
        summary: The numbers to show first, by name, ready to be shown.
        checks: What was judged.
        note: What a reader must know before the numbers.
        details: What only this kind of report has.

    Raises:
        ValueError: If a name in `details` is a field of every report.
    """
    report = Report(
        schema=SCHEMA,
        version=VERSION,
        kind=kind,
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=describe_commit(),
        host=describe_host(),
        summary=tuple(Fact(name, value) for name, value in (summary or {}).items()),
        checks=tuple(checks),
        note=note,
    )
    data: dict[str, Any] = msgspec.to_builtins(report)
    if taken := sorted(set(data) & set(details or {})):
        raise ValueError(f"details must not be named {taken}: every report has these fields")
    return {**data, **(details or {})}


def read_report(path: Path) -> tuple[Report, dict[str, Any]]:
    """Return what the file says in common with every report, and all of it.

    Raises:
        ReportError: If the file is missing, is no report, or is one of a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReportError(f"there is no report {str(path)!r}: run what writes it first") from None
    except (OSError, ValueError) as error:
        raise ReportError(f"{str(path)!r} cannot be read as JSON: {error}; run what writes it again") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise ReportError(f"{str(path)!r} is no report of eino: its schema is {found!r}, expected {SCHEMA!r}")
    if data.get("version") != VERSION:
        raise ReportError(
            f"{str(path)!r} has version {data.get('version')!r} of the schema, this eino reads version {VERSION}: "
            "write the report again with this eino"
        )
    try:
        return msgspec.convert(data, Report), data
    except msgspec.ValidationError as error:
        raise ReportError(f"{str(path)!r} is a damaged report: {error}; run what writes it again") from error


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the fields that every report has."""
    schema: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(Report)))
    return schema
