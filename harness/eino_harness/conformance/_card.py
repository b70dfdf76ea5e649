"""Report cards: how well components keep their contracts, as text, Markdown, JSON and JUnit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from eino_harness.conformance._suite import CheckResult, ConformanceReport

__all__ = ["FORMATS", "card_data", "card_markdown", "card_text", "write_card"]


def card_text(reports: Sequence[ConformanceReport]) -> str:
    """Return the card for a terminal: one line a check, the score of each suite above its checks."""
    lines: list[str] = []
    for report in reports:
        lines.append(f"{report.suite}: {_score(report)}")
        lines += [f"  {'pass' if result.ok else 'FAIL'}  {result.what}" + _why(result) for result in report.results]
        lines += [f"  left  {name}: {reason}" for name, reason in report.without.items()]
        lines.append("")
    return "\n".join(lines)


def card_markdown(reports: Sequence[ConformanceReport]) -> str:
    """Return the card as Markdown tables."""
    return "\n".join(report.markdown() for report in reports)


def card_data(reports: Sequence[ConformanceReport]) -> dict[str, Any]:
    """Return the card as plain data, in the schema of all reports."""
    from eino_harness.report import Check, report_data

    checks = [
        Check(
            name=f"{report.suite}: {result.what}",
            ok=result.ok,
            text="" if result.ok else f"{result.name}: {_said(result)}",
            seconds=round(result.seconds, 4),
        )
        for report in reports
        for result in report.results
    ]
    suites = [
        {
            "suite": report.suite,
            "score": report.score,
            "passed": [result.name for result in report.results if result.ok],
            "failed": {result.name: _said(result) for result in report.failed},
            "left_out": dict(report.without),
        }
        for report in reports
    ]
    summary = {report.suite: _score(report) for report in reports}
    return report_data("conformance", "Conformance", summary=summary, checks=checks, details={"suites": suites})


def _json(reports: Sequence[ConformanceReport]) -> str:
    return json.dumps(card_data(reports), indent=1) + "\n"


def _junit(reports: Sequence[ConformanceReport]) -> str:
    from xml.etree import ElementTree as ET

    root = ET.Element("testsuites")
    for report in reports:
        counts = {"tests": len(report.results) + len(report.without), "failures": len(report.failed)}
        numbers = {name: str(count) for name, count in {**counts, "errors": 0, "skipped": len(report.without)}.items()}
        suite = ET.SubElement(root, "testsuite", {"name": report.suite, **numbers})
        for result in report.results:
            case = _case(suite, report, result.name, time=f"{result.seconds:.6f}")
            if not result.ok:
                said = _clean(_said(result))
                ET.SubElement(case, "failure", message=said.partition("\n")[0]).text = said
        for name, reason in report.without.items():
            ET.SubElement(_case(suite, report, name), "skipped", message=_clean(reason))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Any, report: ConformanceReport, name: str, **attributes: str) -> Any:
    from xml.etree import ElementTree as ET

    return ET.SubElement(suite, "testcase", {"classname": report.suite, "name": name, **attributes})


def _clean(text: str) -> str:
    """Return the text without the characters that XML cannot carry."""
    return "".join(sign for sign in text if sign in "\t\n\r" or (sign >= " " and not "\ud800" <= sign <= "\udfff"))


FORMATS: Final[Mapping[str, Callable[[Sequence[ConformanceReport]], str]]] = MappingProxyType(
    {"text": card_text, "markdown": card_markdown, "json": _json, "junit": _junit}
)
"""How a card is written, by the name of the format."""

_BY_SUFFIX: Final = {".txt": "text", ".md": "markdown", ".json": "json", ".xml": "junit"}


def write_card(reports: Sequence[ConformanceReport], path: Path) -> None:
    """Write the card to a file, in the format that its suffix names: .txt, .md, .json, or .xml for JUnit.

    Raises:
        ValueError: If the suffix is another one.
    """
    name = _BY_SUFFIX.get(path.suffix)
    if name is None:
        raise ValueError(f"{str(path)!r}: the suffix must be one of {', '.join(_BY_SUFFIX)} (.xml is JUnit)")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FORMATS[name](reports), encoding="utf-8", errors="backslashreplace")


def _score(report: ConformanceReport) -> str:
    left = f", {len(report.without)} left out" if report.without else ""
    return f"{report.score} % ({len(report.results) - len(report.failed)} of {len(report.results)} checks{left})"


def _said(result: CheckResult) -> str:
    return f"{type(result.error).__name__}: {result.error}"


def _why(result: CheckResult) -> str:
    return "" if result.ok else f"\n        {_said(result).splitlines()[0]}"
