"""`eino conform`: the suites without pytest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from eino_harness.cli import main
from eino_harness.report import Report, read_report

KITS = """
import time

from eino import Handler, tool
from eino_fixtures import FakeEmbedder, FunctionChatModel, fake_tool
from eino_harness.conformance import EmbedderConformance


class Good(EmbedderConformance):
    without = {"errors": "it never | fails"}

    def make(self):
        return FakeEmbedder()


class Bad(Good):
    def make(self):
        return object()


nothing = 3
model = FunctionChatModel(lambda messages, options: "hello")
search = fake_tool("search", returns="found")
unmakeable = fake_tool("x", parameters={"type": "object", "properties": {"a": {"pattern": "a+"}}, "required": ["a"]})


@tool
async def add(a: int) -> str:
    '''Add one.'''
    return str(a + 1)


class Needy:
    def __init__(self, key):
        pass


async def opened():
    return FakeEmbedder()


class Finds:
    async def retrieve(self, query):
        return []


class Slow(Handler):
    def on_start(self, info, input):
        if info.name == 'checked':
            time.sleep(0.06)
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
    assert text.startswith("# Good: 8 of 8 checks passed, 100 %\n")
    assert "| It is an `Embedder`. | kept |" in text
    assert "| `errors` | left out: it never | fails |" in text
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text


def test_a_contract_that_is_broken_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "my_kits:Bad"]) == 1
    assert "| It is an `Embedder`. | ConformanceError: object must have `embed` |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("my_kits", "'my_kits' is no MODULE:NAME"),
        ("no_such_kits:Good", "No module named 'no_such_kits'"),
        ("my_kits:None_", "has no attribute 'None_'"),
        ("my_kits:nothing", "nothing is 3, which is no component: give a suite derived from"),
        ("my_kits:Needy", "Needy cannot be made without arguments"),
        ("my_kits:opened", "opened is an async function: derive a suite"),
        ("my_kits:Finds", "Finds cannot be checked as it is: derive a class from RetrieverConformance"),
        ("my_kits:unmakeable", "no arguments can be made for the tool"),
    ],
)
def test_what_is_no_suite_is_told(name: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", name]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "score", "left"),
    [
        ("my_kits:FakeEmbedder", "FakeEmbedder: 100 % (8 of 8 checks, 1 left out)", "errors"),
        ("my_kits:model", "model: ", "errors"),
        ("my_kits:search", "search: ", "streaming"),
        ("my_kits:add", "add: ", "streaming"),
        ("my_kits:Slow", "Slow: 90 % (9 of 10 checks, 2 left out)", "streams"),
    ],
)
def test_a_component_needs_no_suite(name: str, score: str, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["conform", name, "--format", "text"])

    text = capsys.readouterr().out
    assert text.startswith(score)
    assert f"  left  {left}: " in text


def test_a_slow_handler_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "my_kits:Slow", "--format", "text"]) == 1
    assert "ConformanceError: on_start took 0.0" in capsys.readouterr().out


def test_the_card_has_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"cards/latest.{suffix}" for suffix in ("txt", "md", "json", "xml")]

    code = main(["conform", "my_kits:Good", "my_kits:Bad", *(part for file in files for part in ("--out", file))])

    assert code == 1
    assert [(tmp_path / file).stat().st_size > 0 for file in files] == [True] * 4
    report, data = read_report(tmp_path / "cards" / "latest.json")
    good, bad = data["suites"]
    assert (report.kind, report.verdict, good["score"], len(good["passed"])) == ("conformance", "failed", 100, 8)
    assert good["left_out"] == {"errors": "it never | fails"}
    assert bad["score"] < 100
    assert "object must have `embed`" in bad["failed"]["test_it_has_the_method_of_an_embedder"]
    assert {check.name for check in report.failed} == {f"Bad: {what}" for what in whats(report, "Bad", bad)}
    suites = ET.parse(tmp_path / "cards" / "latest.xml").getroot()
    assert [(suite.get("name"), suite.get("tests"), suite.get("skipped")) for suite in suites] == [
        ("Good", "9", "1"),
        ("Bad", "9", "1"),
    ]
    assert suites[1].get("failures") == str(len(bad["failed"])) == str(len(suites.findall(".//failure")))
    text = (tmp_path / "cards" / "latest.txt").read_text(encoding="utf-8")
    assert "Good: 100 % (8 of 8 checks, 1 left out)\n  pass  It is an `Embedder`.\n" in text
    assert "  FAIL  It is an `Embedder`.\n        ConformanceError: object must have `embed`\n" in text
    assert capsys.readouterr().out == (tmp_path / "cards" / "latest.md").read_text(encoding="utf-8")


def whats(report: Report, suite: str, data: dict[str, Any]) -> list[str]:
    """Return what the failed checks of a suite are about."""
    whats = [check.name.removeprefix(f"{suite}: ") for check in report.failed]
    assert len(whats) == len(data["failed"])
    return whats


def test_an_unknown_suffix_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "my_kits:Good", "--out", "card.pdf"]) == 2
    assert "the suffix must be one of .txt, .md, .json, .xml" in capsys.readouterr().err
