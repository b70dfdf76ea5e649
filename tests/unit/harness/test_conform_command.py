"""`eino conform`: the suites without pytest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eino_harness.cli import main

KITS = """
from eino_fixtures import FakeEmbedder
from eino_harness.conformance import EmbedderConformance


class Good(EmbedderConformance):
    without = {"errors": "it never | fails"}

    def make(self):
        return FakeEmbedder()


class Bad(Good):
    def make(self):
        return object()
"""


@pytest.fixture(autouse=True)
def kits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "my_kits.py").write_text(KITS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("my_kits", None)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_contract_that_is_kept_is_reported(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "my_kits:Good", "--backend", backend, "--out", "report.md"]) == 0

    text = capsys.readouterr().out
    assert text.startswith("# Good: 8 of 8 checks passed\n")
    assert "| It is an `Embedder`. | kept |" in text
    assert "| `errors` | left out: it never | fails |" in text
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text


def test_a_contract_that_is_broken_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "my_kits:Bad"]) == 1
    assert "| It is an `Embedder`. | ConformanceError: object must have `embed` |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("my_kits", "'my_kits' is no MODULE:CLASS"),
        ("no_such_kits:Good", "No module named 'no_such_kits'"),
        ("my_kits:None_", "has no attribute 'None_'"),
        ("my_kits:FakeEmbedder", "a class derived from one of eino_harness.conformance is needed"),
    ],
)
def test_what_is_no_suite_is_told(name: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", name]) == 2
    assert error in capsys.readouterr().err
