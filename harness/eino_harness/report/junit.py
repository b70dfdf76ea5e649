"""JUnit XML: what CI servers read. Every check of every report is a test case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from eino_harness.report.schema import Check, Report, ReportError

__all__ = ["TestRun", "read_junit", "write_junit"]

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry, such as the escape of colours."""


@dataclass(frozen=True, slots=True)
class TestRun:
    """A run of tests, read from JUnit XML."""

    __test__ = False  # for pytest: this is no test

    checks: tuple[Check, ...]
    """Every test that ran."""
    skipped: int
    seconds: float


def write_junit(reports: Mapping[str, Report], path: Path) -> None:
    """Write one suite a report, one test case a check."""
    root = ET.Element("testsuites")
    for kind, report in reports.items():
        suite = ET.SubElement(
            root,
            "testsuite",
            name=kind,
            tests=str(len(report.checks)),
            failures=str(len(report.failed)),
            errors="0",
            timestamp=report.created[:19],
        )
        for check in report.checks:
            case = ET.SubElement(
                suite, "testcase", classname=kind, name=_clean(check.name), time=f"{check.seconds:.6f}"
            )
            if not check.ok:
                failure = ET.SubElement(case, "failure", message=_clean(check.text.partition("\n")[0]))
                failure.text = _clean(check.text)
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def read_junit(path: Path) -> TestRun:
    """Return the run that `pytest --junitxml` wrote.

    Raises:
        ReportError: If the file is no JUnit XML.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - a file that the project's own test run wrote
    except (OSError, ET.ParseError) as error:
        raise ReportError(f"{str(path)!r} is no XML: {error}; run pytest --junitxml={path} again") from error
    if root.tag not in {"testsuites", "testsuite"}:
        raise ReportError(f"{str(path)!r} is no JUnit XML: its root is <{root.tag}>, expected <testsuites>")
    cases = list(root.iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    return TestRun(
        checks=tuple(map(_check, ran)),
        skipped=len(cases) - len(ran),
        seconds=sum(float(suite.get("time", 0)) for suite in root.iter("testsuite")),
    )


def _check(case: ET.Element) -> Check:
    name = f"{case.get('classname', '')}::{case.get('name', '')}"
    broken = case.find("failure")
    if broken is None:
        broken = case.find("error")
    seconds = float(case.get("time", 0))
    if broken is None:
        return Check(name, ok=True, seconds=seconds)
    return Check(name, ok=False, text=f"{broken.get('message', '')}\n{broken.text or ''}".strip(), seconds=seconds)


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
