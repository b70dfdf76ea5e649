"""scripts/test and scripts/demo, in what goes wrong before there is a Python to run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ["bash", "cat", "cksum", "dirname", "mktemp", "rm"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without a virtual environment, and a folder `bin` with the tools of a bare system."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return tmp_path


def add_python(checkout: Path, name: str, *, old: bool = False, venv: bool = True) -> None:
    """Put a stand-in for a Python on the path: it answers the script's two questions."""
    script = checkout / "bin" / name
    answers = f'case "$2" in *version_info*) exit {int(old)};; *ensurepip*) exit {int(not venv)};; esac; exit 1'
    script.write_text(f"#!{shutil.which('bash')}\n{answers}\n")
    script.chmod(0o755)


def run(checkout: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script with nothing but the tools of `bin` on the path."""
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout), **variables}
    return subprocess.run(
        [str(checkout / "scripts" / script)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", ["test", "demo"])
def test_no_python_names_the_remedy(checkout: Path, script: str) -> None:
    """A machine without Python is told what to install."""
    ended = run(checkout, script)

    assert ended.returncode == 1
    assert "eino needs Python 3.11 or newer, and none was found" in ended.stderr
    assert "EINO_PYTHON=" in ended.stderr


def test_an_old_python_is_passed_over(checkout: Path) -> None:
    """A Python 3.10 under any name counts as none."""
    add_python(checkout, "python3", old=True)

    assert "none was found" in run(checkout, "test").stderr


def test_a_python_without_venv_names_the_package_to_install(checkout: Path) -> None:
    """Debian ships Python without the module that makes environments."""
    add_python(checkout, "python3", venv=False)
    ended = run(checkout, "test")

    assert ended.returncode == 1
    assert "apt-get install python3-venv" in ended.stderr


def test_a_named_python_that_does_not_fit_is_refused(checkout: Path) -> None:
    """Whoever names a Python gets that one or an error, never another one."""
    add_python(checkout, "python3")
    add_python(checkout, "mine", old=True)
    ended = run(checkout, "test", EINO_PYTHON="mine")

    assert ended.returncode == 1
    assert "EINO_PYTHON='mine'" in ended.stderr


def test_the_newest_python_is_taken(checkout: Path) -> None:
    """Among several the newest one that fits makes the environment."""
    add_python(checkout, "python3.11")
    add_python(checkout, "python3.13")
    add_python(checkout, "python3")
    ended = run(checkout, "test")  # the stand-in cannot make an environment, so the script ends there

    assert ended.returncode == 1
    assert "'python3.13' could not make" in ended.stderr
