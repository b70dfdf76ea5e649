"""Replaces the direct dependencies of eino, extras included, by the oldest versions that pyproject.toml allows.

Run by `tox run -e lowest`, so that a lower bound is a version that somebody tried.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest_pins(project: dict) -> list[str]:
    """Return `name==lower bound` for each direct dependency that has a lower bound, sorted.

    Raises:
        ValueError: If a dependency has no lower bound: nobody knows then which versions work.
    """
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    pins = set()
    for requirement in map(Requirement, texts):
        if requirement.name == project["name"]:  # an extra made of other extras
            continue
        bounds = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{str(requirement)!r} in {PYPROJECT.name} needs one lower bound, as in 'name>=1.2'")
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""  # they are pinned with it
        pins.add(f"{requirement.name}{extras}=={bounds[0]}")
    return sorted(pins)


def main() -> int:
    """Install the pins; return pip's exit code."""
    pins = lowest_pins(tomllib.loads(PYPROJECT.read_text())["project"])
    print(*pins, sep="\n")
    return subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *pins], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
