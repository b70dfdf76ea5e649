"""The soak script runs, and notices what is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak_streams.py"


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_streams", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak_streams", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_small_soak_passes(soak: ModuleType, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--chunks", "2000", "--backend", backend, "--limit-mb", "50"]) == 0
    assert "2,000 chunks to 2 readers" in capsys.readouterr().out


def test_growth_and_lost_chunks_fail(soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--chunks", "2000", "--limit-mb", "-1"]) == 1
    assert "FAILED: memory grew" in capsys.readouterr().out

    unread = soak.Soak(1000, memory=[1, 1])
    assert len(unread.problems(limit_bytes=0)) == 2


def test_too_few_chunks_are_refused(soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        soak.main(["--chunks", "3"])
    assert "must be at least" in capsys.readouterr().err
