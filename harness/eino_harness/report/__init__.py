"""Reports: one JSON schema for all of them, an index page, Markdown, JUnit and the step summary of GitHub."""

from __future__ import annotations

from eino_harness.report.index import Entry, build_index, find_entries
from eino_harness.report.schema import (
    SCHEMA,
    VERSION,
    Check,
    Fact,
    Report,
    ReportError,
    json_schema,
    read_report,
    report_data,
)

__all__ = [
    "SCHEMA",
    "VERSION",
    "Check",
    "Entry",
    "Fact",
    "Report",
    "ReportError",
    "build_index",
    "find_entries",
    "json_schema",
    "read_report",
    "report_data",
]
