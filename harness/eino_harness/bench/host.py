"""Which machine and which Python measured: numbers of different hosts are not comparable."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["describe_commit", "describe_host"]


def describe_host() -> dict[str, object]:
    """Return the processor, cores, load, system and Python of this process."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(value, 2) for value in load],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "optimized": sys.flags.optimize,
    }


def describe_commit(folder: Path | None = None) -> str:
    """Return the short id of the commit in `folder` (default: here), `+changes` behind it if files differ from it.

    Empty where there is no git, or no commit.
    """
    commit = _git(["rev-parse", "--short=10", "HEAD"], folder).strip()
    if not commit:
        return ""
    return f"{commit}+changes" if _git(["status", "--porcelain", "--untracked-files=no"], folder) else commit


def _git(arguments: list[str], folder: Path | None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607 - git of the user's path
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no git
        return ""
    return done.stdout if done.returncode == 0 else ""


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return platform.processor() or platform.machine()
