"""scripts/random_orders.py: a failure in one order is told with the command that repeats it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    test = tmp_path / "test_orders.py"
    test.write_text(text, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "random_orders.py"), "--processes", "1", *arguments, str(test)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_orders_that_pass_and_fail(tmp_path: Path) -> None:
    """The two tests share what they must not: one of them fails where it runs first.

    Orders depend on the path of the file, which is another one each time: one in 2,000 has twelve that are alike.
    """
    text = "SEEN = []\n\ndef test_a():\n    SEEN.append(1)\n\ndef test_b():\n    assert SEEN\n"

    ended = run(tmp_path, text, "--orders", "12", "--first", "1")

    lines = [line for line in ended.stdout.splitlines() if line.startswith("seed ")]
    passed = sum("2 passed" in line for line in lines)
    assert len(lines) == 12
    assert 0 < passed < 12
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == f"{passed} of 12 random orders passed"
    assert "again with: " in ended.stdout
    assert "--randomly-seed=" in ended.stdout


@pytest.mark.parametrize("orders", ["0", "-1"])
def test_no_order_at_all_is_refused(tmp_path: Path, orders: str) -> None:
    ended = run(tmp_path, "", "--orders", orders)
    assert ended.returncode == 2
    assert "at least 1 is needed" in ended.stderr
