"""What GitHub Actions shows: the step summary, and one annotation a failed check."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from eino_harness.report.index import Entry, index_markdown

__all__ = ["error_commands", "write_step_summary"]

_VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST = 1_000_000  # bytes; GitHub refuses a step's summary above 1 MiB


def write_step_summary(entries: Sequence[Entry], environ: Mapping[str, str] = os.environ) -> Path | None:
    """Append the index to the file that `GITHUB_STEP_SUMMARY` names; return its path, or None outside of GitHub.

    Source:
        https://docs.github.com/actions/reference/workflow-commands-for-github-actions (job summaries)
    """
    name = environ.get(_VARIABLE)
    if not name:
        return None
    path = Path(name)
    text = index_markdown(entries).encode()
    if len(text) > _MOST:
        text = text[:_MOST].rpartition(b"\n")[0] + b"\n\n(cut: the whole is in reports/index.md)\n"
    with path.open("ab") as file:
        file.write(text)
    return path


def error_commands(entries: Sequence[Entry]) -> list[str]:
    """Return a workflow command for each failed check, which GitHub shows at the run."""
    return [
        f"::error title={_property(f'{entry.kind}: {check.name}')}::{_data(check.text)}"
        for entry in entries
        if entry.report is not None
        for check in entry.report.failed
    ]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
