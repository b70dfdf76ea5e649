"""The example project `examples/testing_your_agent`: its suite passes, and notices when the agent is broken.

`tox run -e example` runs it as a user does, with eino from the wheel in an environment of its own; here it runs from
the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "examples" / "testing_your_agent"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, as somebody who begins with it has one."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "reports")
    return Path(shutil.copytree(PROJECT, tmp_path / "desk", ignore=ignored))


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")]), "PYTHONSAFEPATH": ""}
    environment = {**os.environ, **own}
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "COV_CORE_SOURCE", "GITHUB_ACTIONS"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=110
    )


def test_the_suite_of_the_example_passes(project: Path) -> None:
    ended = run(project, "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider")

    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]
    assert "21 passed" in ended.stdout


@pytest.mark.parametrize(
    ("old", "new", "failed"),
    [
        ("if euros > REFUND_LIMIT and", "if euros > 2 * REFUND_LIMIT and", ["test_no_refund_above_the_limit"]),
        ("yield chunk.content", "yield chunk.content.title()", ["test_the_answer_streams", "test_two_tools_at_once"]),
    ],
    ids=["limit", "answer"],
)
def test_the_suite_of_the_example_notices_a_defect(project: Path, old: str, new: str, failed: list[str]) -> None:
    agent = project / "src" / "support_desk" / "agent.py"
    text = agent.read_text(encoding="utf-8")
    assert text.count(old) == 1
    agent.write_text(text.replace(old, new), encoding="utf-8")

    ended = run(
        project,
        "pytest",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        "-rf",
        "-k",
        " or ".join(failed),
    )

    assert ended.returncode == 1
    reported = [line for line in ended.stdout.splitlines() if line.startswith("FAILED ")]
    assert [name for name in failed if not any(name in line for line in reported)] == []


def test_the_cassette_is_the_one_that_the_script_records(project: Path) -> None:
    """Nothing in it was written by hand; only ids and times differ."""
    cassette = project / "tests" / "cassettes" / "test_recorded" / "where_is_a1.yaml"
    before = cassette.read_text(encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "tests/record.py"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ended.stdout.strip() == "Your order A1 is on its way and arrives tomorrow.", ended.stderr
    after = cassette.read_text(encoding="utf-8")
    assert requests_of(after) == requests_of(before)
    assert "sk-not-a-key" not in before + after


def requests_of(cassette: str) -> list[str]:
    return [part.partition("  response:")[0] for part in cassette.split("- request:")[1:]]
