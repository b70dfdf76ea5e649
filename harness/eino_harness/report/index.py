"""The page that links the latest report of every kind, and its Markdown twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eino_harness.report.junit import read_junit, write_junit
from eino_harness.report.page import page_environment
from eino_harness.report.schema import Report, ReportError, read_report, report_data
from eino_harness.report.tests_report import write_test_report

__all__ = ["Entry", "build_index", "find_entries", "index_markdown"]

KINDS = {
    "tests": "pytest --junitxml=reports/tests/junit.xml",
    "mutation": "python scripts/mutation_check.py",
    "conformance": "eino-harness conform MODULE:CLASS --out reports/conformance/latest.md",
    "reliability": "eino-harness faults",
    "load": "locust -f loadtests",
    "benchmarks": "pytest --benchmark",
    "comparison": "eino-harness compare A B",
    "instructions": "eino-harness instructions",
    "memory": "pytest --benchmark-memory",
    "profile": "eino-harness profile MODULE:FUNCTION",
    "peers": "tox run -e peers",
    "demo": "scripts/demo",
}
"""Folders below `reports/` that are always shown, in this order, and the command that writes each."""

_PAGES = ("index.html", "latest.html", "report.html")
_TEXTS = ("index.md", "latest.md", "report.md", "table.md", "table.txt")
_NOT_KINDS = frozenset({"baseline"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of report, as the index shows it."""

    kind: str
    command: str
    """What writes it; empty where that is not known."""
    report: Report | None
    """What it says; None where there is none, or none in the common schema."""
    link: str
    """The page (or text) to open, relative to the folder of the index; empty where there is none."""
    problem: str = ""
    """Why the report could not be read."""

    @property
    def verdict(self) -> str:
        """What the report says about itself; `"unreadable"`, `"missing"`, or `"-"` where it says nothing."""
        if self.report is not None:
            return self.report.verdict
        if self.problem:
            return "unreadable"
        return "-" if self.link else "missing"


def find_entries(folder: Path) -> list[Entry]:
    """Return what lies in the folders below `folder`: known kinds first, missing ones included, then others."""
    others = sorted(
        path.name
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and path.name not in KINDS and path.name not in _NOT_KINDS
    )
    found = [_entry(folder, kind) for kind in (*KINDS, *others)]
    return [entry for entry in found if entry.kind in KINDS or entry.link or entry.report or entry.problem]


def _entry(folder: Path, kind: str) -> Entry:
    home = folder / kind
    link = next((f"{kind}/{name}" for name in (*_PAGES, *_TEXTS) if (home / name).is_file()), "")
    report, problem = None, ""
    if (home / "latest.json").is_file():
        try:
            report, _ = read_report(home / "latest.json")
        except ReportError as error:
            problem = str(error)
        link = link or f"{kind}/latest.json"
    return Entry(kind, KINDS.get(kind, ""), report, link, problem)


def build_index(folder: Path) -> tuple[list[Entry], list[Path]]:
    """Write `index.html`, `index.md` and `junit.xml` into `folder`; return what they show, and their paths.

    A `tests/junit.xml`, as `pytest --junitxml` writes it, becomes a report first.

    Raises:
        ReportError: If that file is no JUnit XML.
    """
    raw = folder / "tests" / "junit.xml"
    if raw.is_file() and _is_newer(raw, folder / "tests" / "latest.json"):
        write_test_report(read_junit(raw), folder / "tests")
    entries = find_entries(folder)
    folder.mkdir(parents=True, exist_ok=True)
    page = page_environment().get_template("index.html").render(entries=entries, here=report_data("index", "reports"))
    paths = [folder / "index.html", folder / "index.md", folder / "junit.xml"]
    paths[0].write_text(page, encoding="utf-8")
    paths[1].write_text(index_markdown(entries), encoding="utf-8")
    write_junit({entry.kind: entry.report for entry in entries if entry.report is not None}, paths[2])
    return entries, paths


def _is_newer(raw: Path, report: Path) -> bool:
    """Tell whether `report` is still to be made of `raw`: it bears the commit and the time at which it is made."""
    return not report.is_file() or raw.stat().st_mtime_ns > report.stat().st_mtime_ns


def index_markdown(entries: Sequence[Entry]) -> str:
    """Return the index as Markdown: a table, then the failed checks."""
    lines = ["# Reports", "", "| report | verdict | when (UTC) | commit | what it says |", "|---|---|---|---|---|"]
    for entry in entries:
        name = f"[{entry.kind}]({entry.link})" if entry.link else entry.kind
        report = entry.report
        if report is None:
            says = entry.problem or ("" if entry.link else f"none yet: `{entry.command}`")
            lines.append(f"| {name} | {entry.verdict} | | | {_cell(says)} |")
            continue
        facts = "; ".join(f"{fact.name}: {fact.value}" for fact in report.summary)
        says = f"{report.note} {facts}".strip()
        lines.append(f"| {name} | {report.verdict} | {report.created[:19]} | {report.commit} | {_cell(says)} |")
    for entry in entries:
        if entry.report is not None and entry.report.failed:
            lines += ["", f"## {entry.kind}: failed", ""]
            lines += [f"- {check.name}: {_cell(check.text)}" for check in entry.report.failed]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
