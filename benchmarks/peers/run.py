"""Runs the same workloads with eino and with others, and writes one table: `tox run -e peers`.

Each framework has a virtual environment of its own, made on first use, so that no two must agree on versions; each runs
in processes of its own, several times in turn. Times are the least of these; only the ratios mean something. What a
framework cannot do is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eino_harness.report.page import page_environment
from eino_harness.report.schema import report_data

HERE = Path(__file__).parent
QUIET = {"AGNO_TELEMETRY": "false", "HAYSTACK_TELEMETRY_ENABLED": "False", "LANGSMITH_TRACING": "false"}
"""No framework tells anybody that it is measured."""


@dataclass(frozen=True)
class Peer:
    """One framework."""

    script: str
    requirement: str = ""
    """What to install; empty for what this environment has."""
    table: str = "graphs"
    """Which of `TABLES` it belongs to."""


PEERS = (
    Peer("by_hand"),
    Peer("with_eino"),
    Peer("with_langgraph", "langgraph"),
    Peer("with_langchain", "langchain-core"),
    Peer("with_pydantic_graph", "pydantic-graph"),
    Peer("with_agno", "agno"),
    Peer("with_haystack", "haystack-ai"),
    Peer("with_burr", "apache-burr[tracking]"),
    Peer("agent_by_hand", table="agents"),
    Peer("agent_with_eino", table="agents"),
    Peer("agent_with_langchain", "langchain", table="agents"),
    Peer("agent_with_pydantic_ai", "pydantic-ai-slim", table="agents"),
    Peer("agent_with_openai_agents", "openai-agents", table="agents"),
)
OURS = {"with_eino", "agent_with_eino"}
TABLES = {
    "graphs": {
        "W1": "chain of 10 nodes",
        "W2": "1, then 8 beside each other, then a join",
        "W3": "loop of 100 rounds",
        "W4": "1000 chunks through 3 transforms",
    },
    "agents": {"W8": "agent: 5 tool calls, then an answer"},
}
"""The work of each table, by id."""


def main() -> int:
    """Run all scripts, print the table, save it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=Path, default=Path(".tox/peers-environments"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("reports/peers"), metavar="DIR")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each; default: %(default)s")
    parser.add_argument("--only", action="append", metavar="SCRIPT", help="measure these only, beside eino")
    arguments = parser.parse_args()
    chosen = [each for each in PEERS if not arguments.only or each.script in {*OURS, *arguments.only}]
    pythons = {peer: python_of(peer, arguments.environments) for peer in chosen}
    best: dict[Peer, dict[str, Any]] = {}
    for number in range(arguments.repeats):
        for peer, python in pythons.items():
            print(f"{number + 1}/{arguments.repeats} {peer.script}", file=sys.stderr)
            best[peer] = least(best.get(peer), measured(peer, python))
    found = {name: [best[peer] for peer in best if peer.table == name] for name in TABLES}
    text = "\n\n".join(render(results, TABLES[name]) for name, results in found.items())
    print(text)
    write(found, text, arguments.out, arguments.repeats)
    return 0


def python_of(peer: Peer, folder: Path) -> str:
    """Return the interpreter that has the framework, installing it on first use."""
    if not peer.requirement:
        return sys.executable
    home = (folder / peer.script).resolve()
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        print(f"installing {peer.requirement}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", peer.requirement], check=True)
        (home / "installed").write_text(peer.requirement)
    return str(python)


def measured(peer: Peer, python: str) -> dict[str, Any]:
    """Return what one process measured."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        done = subprocess.run(
            [python, str(HERE / f"{peer.script}.py"), str(out)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, **QUIET},
        )
        if done.returncode != 0:
            raise SystemExit(f"{peer.script} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found


def least(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """Return the result with the smaller time of each workload."""
    if one is None:
        return other
    return {**other, "us": {key: min(us, one["us"][key]) for key, us in other["us"].items()}}


def render(results: list[dict[str, Any]], workloads: dict[str, str]) -> str:
    """Return a Markdown table: microseconds, and how many times eino's in brackets."""
    ours = _ours(results)
    lines = [f"| workload | {' | '.join(map(_name, results))} |", "|---|" + "--:|" * len(results)]
    for key, text in workloads.items():
        cells = [_cell(result["us"].get(key), ours[key]) for result in results]
        lines.append(f"| {key}: {text} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ours(results: list[dict[str, Any]]) -> dict[str, float]:
    """Return eino's times."""
    return next(dict(result["us"]) for result in results if result["name"] == "eino")


def _name(result: dict[str, Any]) -> str:
    own = result["name"] in {"eino", "by hand"}
    return result["name"] if own else f"{result['name']} {result['version']}"


def _cell(us: float | None, ours: float) -> str:
    if us is None:
        return "-"
    ratio = us / ours
    return f"{us:,.1f} us ({ratio:,.0f}x)" if ratio >= 10 else f"{us:,.1f} us ({ratio:.2f}x)"


def write(found: dict[str, list[dict[str, Any]]], text: str, folder: Path, repeats: int) -> None:
    """Write `latest.json`, `table.md` and `index.html`."""
    lost, others, tables = [], 0, []
    for table, results in found.items():
        ours, workloads = _ours(results), TABLES[table]
        frameworks = [result for result in results if result["name"] not in {"eino", "by hand"}]
        others += len(frameworks)
        lost += [f"{each['name']} {key}" for each in frameworks for key, us in each["us"].items() if us < ours[key]]
        rows = [
            (key, work, [_cell(each["us"].get(key), ours[key]) for each in results]) for key, work in workloads.items()
        ]
        tables.append((list(map(_name, results)), rows))
    data = report_data(
        "peers",
        "Side by side with others",
        summary={"frameworks": str(others), "faster than eino": ", ".join(lost) or "none"},
        details={
            "repeats": repeats,
            "workloads": {key: work for table in TABLES.values() for key, work in table.items()},
            "results": [result for results in found.values() for result in results],
        },
    )
    page = page_environment(HERE).get_template("peers.html").render(data=data, tables=tables, repeats=repeats)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    (folder / "index.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
