"""The report of a campaign: JSON for programs, Markdown, and one self-contained page for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from eino_harness.faults.campaign import SCENARIOS
from eino_harness.faults.chart import kills_chart, stack_chart
from eino_harness.faults.kits import KITS
from eino_harness.faults.site import Outcome, Sizes
from eino_harness.report.page import page_environment
from eino_harness.report.schema import Check, report_data

__all__ = ["campaign_data", "campaign_markdown", "outcome_text", "write_campaign_report"]

_TEMPLATES = Path(__file__).parent / "templates"
_LONG: Final = ("kill moments", "progress", "labels", "files", "classes")
"""Facts that are shown as pictures or lists, not in the table."""
_MOST_SHOWN: Final = 20
"""Violations of one scenario that the texts show; the JSON has all."""


def campaign_data(outcomes: Sequence[Outcome], sizes: Sizes, seed: int) -> dict[str, Any]:
    """Return the report as plain data."""
    violations = sum(len(outcome.violations) for outcome in outcomes)
    checks = [
        Check(
            f"{SCENARIOS[outcome.scenario].title}, {_title(outcome.store)}",
            not outcome.violations,
            outcome_text(outcome) if not outcome.violations else outcome.violations[0].text,
            outcome.seconds,
        )
        for outcome in outcomes
        if not outcome.skipped
    ]
    return report_data(
        "reliability",
        "Fault campaign",
        summary={
            "broken promises": str(violations),
            "trials": f"{sum(outcome.trials for outcome in outcomes)}",
            "kills": f"{sum(outcome.facts.get('kills', 0) for outcome in outcomes)} at random moments",
        },
        checks=checks,
        details={
            "seed": seed,
            "sizes": asdict(sizes),
            "outcomes": [
                {
                    **asdict(outcome),
                    "title": SCENARIOS[outcome.scenario].title,
                    "promise": SCENARIOS[outcome.scenario].promise,
                    "store_title": _title(outcome.store),
                    "text": outcome_text(outcome),
                }
                for outcome in outcomes
            ],
        },
    )


def _title(store: str) -> str:
    return KITS[store].title if store in KITS else store


def outcome_text(outcome: Outcome) -> str:
    """Return what a scenario counted, in one line."""
    if outcome.skipped:
        return f"not run: {outcome.skipped}"
    parts = [f"{outcome.trials} trials"]
    for name, value in outcome.facts.items():
        if name in _LONG:
            continue
        shown = ", ".join(f"{each} {count}" for each, count in value.items()) if isinstance(value, Mapping) else value
        parts.append(f"{name}: {shown if shown != '' else 'none'}")
    return "; ".join(parts)


def campaign_markdown(data: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = [
        f"# {data['title']}",
        "",
        f"{data['created']}, commit {data['commit'] or 'unknown'}, seed {data['seed']}",
        "",
    ]
    lines += ["| fault | store | what was seen | broken promises | s |", "|---|---|---|---|---|"]
    for outcome in data["outcomes"]:
        cells = [outcome["title"], outcome["store_title"], outcome["text"], str(len(outcome["violations"]))]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} | {outcome['seconds']:.0f} |")
    for outcome in data["outcomes"]:
        if found := outcome["violations"]:
            lines += ["", f"## {outcome['title']}, {outcome['store_title']}: {len(found)} broken promises", ""]
            lines += [f"- {each['run']}: {each['text']} (`{each['command']}`)" for each in found[:_MOST_SHOWN]]
    return "\n".join(lines) + "\n"


def write_campaign_report(outcomes: Sequence[Outcome], sizes: Sizes, seed: int, folder: Path) -> list[Path]:
    """Write `latest.json`, `latest.md` and `index.html` into `folder`; return their paths."""
    data = campaign_data(outcomes, sizes, seed)
    charts = [chart for outcome in outcomes for chart in _charts(outcome)]
    page = page_environment(_TEMPLATES).get_template("faults.html").render(data=data, charts=charts, most=_MOST_SHOWN)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "latest.json", folder / "latest.md", folder / "index.html"]
    paths[0].write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    paths[1].write_text(campaign_markdown(data), encoding="utf-8")
    paths[2].write_text(page, encoding="utf-8")
    return paths


def _charts(outcome: Outcome) -> list[tuple[str, str]]:
    """Return pictures with their captions."""
    store = _title(outcome.store)
    match outcome.scenario:
        case "kill" if outcome.facts.get("kill moments"):
            picture = kills_chart(outcome.facts["kill moments"], outcome.facts["progress"])
            return [(f"{store}: when each worker was killed, and how much of its run was done", picture)]
        case "damage" if outcome.facts.get("told by"):
            counts = {**outcome.facts["told by"], "harmless": sum(outcome.facts["harmless"].values())}
            counts["silent"] = outcome.facts["silent"]
            return [(f"{store}: how each damage was told", stack_chart(counts, bad=("silent",)))]
        case "resume" if outcome.facts.get("refusals"):
            counts = {"ended the run": outcome.facts["one effect"], **outcome.facts["refusals"]}
            return [(f"{store}: what became of the processes that resumed at once", stack_chart(counts))]
        case "zombie" if outcome.facts.get("ended"):
            return [(f"{store}: how the replaced workers ended", stack_chart(outcome.facts["ended"]))]
    return []
