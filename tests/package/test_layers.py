"""The layer contracts of pyproject.toml hold, and each of them notices when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "eino", ROOT / "harness/eino_harness", ROOT / "fixtures/eino_fixtures"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the three packages side by side, and the contracts."""
    for source in SOURCES:
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts over the copy, not over what is installed."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_are_kept(tree: Path) -> None:
    """Nobody imports upwards, and the core imports nothing optional."""
    checked = lint_imports(tree)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        pytest.param("eino/schema", "import eino.compose", "layers of eino", id="schema imports compose"),
        pytest.param("eino/compose", "import eino.ext", "layers of eino", id="compose imports an integration"),
        pytest.param("eino/compose", "import openai", "the core knows no provider", id="compose imports a provider"),
        pytest.param(
            "eino/schema", "import starlette", "the core knows no provider", id="schema imports a web library"
        ),
        pytest.param("eino/callbacks", "import asyncio", "only backend switch", id="callbacks import a backend"),
        pytest.param("eino/serve", "import eino_fixtures", "never the other way", id="eino imports the fixtures"),
        pytest.param("eino_fixtures", "import eino_harness", "never the other way", id="fixtures import the harness"),
    ],
)
def test_a_broken_contract_is_noticed(tree: Path, module: str, line: str, broken: str) -> None:
    """A check that cannot fail says nothing."""
    (tree / module / "_intruder.py").write_text(line)
    checked = lint_imports(tree)

    assert checked.returncode == 1
    assert [text for text in checked.stdout.splitlines() if broken in text and "BROKEN" in text]
