"""Runs the same workloads with eino and with others, one process each, and prints one table: `tox -e peers`.

Times are medians of one machine and one run; only the ratios mean something. What a framework cannot do is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPORT = Path("reports") / "peers"
PEERS = ("langgraph", "langchain-core", "pydantic-graph")
SCRIPTS = ("by_hand", "with_eino", "with_langgraph", "with_langchain", "with_pydantic_graph")
WORKLOADS = {
    "W1": "chain of 10 nodes",
    "W2": "1, then 8 beside each other, then a join",
    "W3": "loop of 100 rounds",
    "W4": "1000 chunks through 3 transforms",
}


def main() -> int:
    """Run all scripts, print the table, save it; return the exit code."""
    results: list[dict[str, Any]] = []
    for script in SCRIPTS:
        done = subprocess.run(
            [sys.executable, str(HERE / f"{script}.py")], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            print(f"{script} failed:\n{done.stderr}", file=sys.stderr)
            return 1
        results.append(json.loads(done.stdout))
    table = render(results)
    print(table)
    REPORT.mkdir(parents=True, exist_ok=True)
    (REPORT / "latest.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (REPORT / "table.md").write_text(table + "\n", encoding="utf-8")
    return 0


def render(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table: microseconds, and how many times eino's in brackets."""
    ours = next(result for result in results if result["name"] == "eino")["us"]
    names = [f"{result['name']}{_version(result['name'])}" for result in results]
    lines = [f"| workload | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
    for key, text in WORKLOADS.items():
        cells = [_cell(result["us"].get(key), ours[key]) for result in results]
        lines.append(f"| {key}: {text} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _version(name: str) -> str:
    return f" {metadata.version(name)}" if name in PEERS else ""


def _cell(us: float | None, ours: float) -> str:
    return "-" if us is None else f"{us:,.1f} us ({us / ours:.2f}x)"


if __name__ == "__main__":
    sys.exit(main())
