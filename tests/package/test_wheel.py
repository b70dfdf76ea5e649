"""The wheel that users install: which files it holds and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "eino": ROOT / "eino",
    "eino_harness": ROOT / "harness/eino_harness",
    "eino_fixtures": ROOT / "fixtures/eino_fixtures",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the tree as `pip wheel` does, but offline."""
    folder = tmp_path_factory.mktemp("dist")
    build = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The METADATA file of the wheel."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Tests, benchmarks, cassettes of the tests and documentation stay in the repository."""
    folders = {name.split("/")[0] for name in wheel.namelist()}

    assert folders - {folder for folder in folders if folder.endswith(".dist-info")} == set(SOURCES)
    assert not [name for name in wheel.namelist() if "test_" in name or "conftest" in name or "__pycache__" in name]


@pytest.mark.parametrize("package", sorted(SOURCES))
def test_holds_every_tracked_file_of_a_package(wheel: zipfile.ZipFile, package: str) -> None:
    """No module, template or recording is left behind: what works from the tree works from the wheel."""
    listing = subprocess.run(
        ["git", "ls-files", "--", str(SOURCES[package])], cwd=ROOT, capture_output=True, text=True, check=True
    )
    prefix = SOURCES[package].relative_to(ROOT).as_posix()
    tracked = {package + line.removeprefix(prefix) for line in listing.stdout.splitlines() if (ROOT / line).exists()}

    assert f"{package}/py.typed" in tracked
    assert tracked <= set(wheel.namelist())


def test_carries_the_license(wheel: zipfile.ZipFile, metadata: Message) -> None:
    """The whole Apache License 2.0 travels with the code."""
    (path,) = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]

    assert metadata["License-Expression"] == "Apache-2.0"
    assert wheel.read(path) == (ROOT / "LICENSE").read_bytes()
    assert "END OF TERMS AND CONDITIONS" in wheel.read(path).decode()


def test_all_extra_brings_every_other_extra(metadata: Message) -> None:
    """`pip install "eino[all]"` leaves nothing out."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = extras["all"]

    assert set(metadata.get_all("Provides-Extra") or []) == set(extras)
    assert set(named.removeprefix("eino[").removesuffix("]").split(",")) == set(extras) - {"all"}
