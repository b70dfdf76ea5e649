"""The profile as a table, JSON, speedscope's format, pyinstrument's page, and one page with the flame graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eino_harness.profile.flame import flame_svg
from eino_harness.profile.sampling import Flame, flame_of
from eino_harness.profile.times import NodeTime, Overhead, node_times, overhead_of
from eino_harness.report.page import page_environment
from eino_harness.report.schema import report_data

if TYPE_CHECKING:
    from eino_harness.profile.recorder import Recorder
    from eino_harness.profile.sampling import Sampler

__all__ = ["Profile", "profile_table", "write_profile"]

_TEMPLATES = Path(__file__).parent / "templates"
_HEADINGS = ("node", "kind", "calls", "wall ms", "self ms", "CPU ms", "own CPU ms")


@dataclass(frozen=True, slots=True)
class Profile:
    """What was found about one program."""

    title: str
    times: tuple[NodeTime, ...]
    overhead: Overhead
    flame: Flame
    profiler: Any = None
    """pyinstrument's, with its samples; None where nothing was sampled."""
    note: str = ""

    @classmethod
    def of(cls, title: str, recorder: Recorder, sampler: Sampler | None, note: str = "") -> Profile:
        """Return what the two found."""
        profiler = None if sampler is None else sampler.profiler
        flame = Flame(title) if profiler is None else flame_of(profiler, title)
        visits = recorder.visits
        return cls(title, tuple(node_times(visits)), overhead_of(visits), flame, profiler, note)


def profile_table(profile: Profile) -> list[str]:
    """Return the table of nodes and the framework's share, as lines of text."""
    rows = [_HEADINGS, *(_cells(time) for time in profile.times)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return [*lines, "", *(f"{name:<56}{value}" for name, value in _shares(profile.overhead).items())]


def _cells(time: NodeTime) -> tuple[str, ...]:
    times = (time.wall_s, time.self_s, time.cpu_s, time.own_cpu_s)
    name = "  " * (len(time.path) - 1) + (time.path[-1] if time.path else "(no graph)")
    return (name, time.kind, str(time.calls), *(f"{1000 * seconds:,.3f}" for seconds in times))


def _shares(overhead: Overhead) -> dict[str, str]:
    whole = overhead.end_to_end_s or 1.0

    def shown(seconds: float) -> str:
        return f"{1000 * seconds:,.3f} ms ({seconds / whole:.1%})"

    return {
        f"end to end, {overhead.runs} runs": f"{1000 * overhead.end_to_end_s:,.3f} ms",
        "models, tools and other components": shown(overhead.components_s),
        "framework overhead (end to end minus these)": shown(overhead.overhead_s),
        "  of that, code of lambdas and templates": shown(overhead.own_code_s),
        "  of that, the framework itself, profiler included": shown(overhead.framework_s),
    }


def write_profile(profile: Profile, folder: Path) -> list[Path]:
    """Write `latest.json`, `table.txt`, `index.html` and, of samples, `speedscope.json` and `pyinstrument.html`.

    Returns:
        Their paths.
    """
    overhead = profile.overhead
    shares = _shares(overhead)
    data = report_data(
        "profile",
        f"Profile of {profile.title}",
        summary={name.strip(): value for name, value in list(shares.items())[:3]},
        note=profile.note,
        details={
            "nodes": [asdict(time) for time in profile.times],
            "overhead": {
                **asdict(overhead),
                "overhead_s": overhead.overhead_s,
                "framework_s": overhead.framework_s,
            },
        },
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = {"latest.json": json.dumps(data, indent=1) + "\n", "table.txt": "\n".join(profile_table(profile)) + "\n"}
    written |= _of_samples(profile)
    rows = [(time, _cells(time)) for time in profile.times]
    page = page_environment(_TEMPLATES).get_template("profile.html")
    written["index.html"] = page.render(
        data=data,
        rows=rows,
        headings=_HEADINGS,
        shares=shares,
        flame=flame_svg(profile.flame),
        files=[name for name in ("pyinstrument.html", "speedscope.json") if name in written],
    )
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in written]


def _of_samples(profile: Profile) -> dict[str, str]:
    if profile.profiler is None or profile.profiler.last_session is None:
        return {}
    from pyinstrument.renderers import HTMLRenderer, SpeedscopeRenderer

    return {
        "speedscope.json": profile.profiler.output(SpeedscopeRenderer(show_all=True)),
        "pyinstrument.html": profile.profiler.output(HTMLRenderer()),
    }
