"""On CI a skipped test is a failed one: tests/conftest.py sees to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPPED = """
import pytest

@pytest.fixture
def database():
    pytest.skip("no database")

def test_in_the_body(): pytest.skip("no database")

@pytest.mark.skip(reason="no database")
def test_by_mark(): pass

def test_in_a_fixture(database): pass

@pytest.mark.skipif(True, reason="needs Python 9.9")
def test_for_another_python(): pass

@pytest.mark.xfail(strict=True)
def test_known_bug(): assert False
"""
SKIPPED_MODULE = "import pytest; pytest.importorskip('no_such_module')"


def outcomes(folder: Path, environment: dict[str, str]) -> str:
    """Return the closing line of a pytest run over `SKIPPED` and `SKIPPED_MODULE`."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_skipped.py").write_text(SKIPPED)
    (folder / "test_skipped_module.py").write_text(SKIPPED_MODULE)
    variables = {name: value for name, value in os.environ.items() if name != "CI" and "PYTEST" not in name}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.splitlines()[-1].rpartition(" in ")[0]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "5 skipped, 1 xfailed", id="on a developer's machine"),
        pytest.param({"CI": "true"}, "1 failed, 1 skipped, 1 xfailed, 3 errors", id="on CI"),
    ],
)
def test_a_skip_is_a_failure_on_ci_only(tmp_path: Path, environment: dict[str, str], expected: str) -> None:
    """What another Python needs may be skipped anywhere; all else is expected to be there on CI."""
    assert outcomes(tmp_path, environment) == expected
