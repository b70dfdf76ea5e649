"""Every program in `examples/` runs: its `main` returns a text, and what it prints is there for people to read."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace = runpy.run_path(str(path), run_name="example")

    answer = namespace["main"]()

    printed = capsys.readouterr().out
    assert isinstance(answer, str)
    assert answer.strip()
    assert answer in printed


def test_the_react_graph_repairs_what_fails_and_streams_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    [path] = [each for each in EXAMPLES if each.stem == "react_graph"]

    answer = runpy.run_path(str(path), run_name="example")["main"]()

    printed = capsys.readouterr().out.splitlines()
    assert answer == "Rome has 21 degrees and sun, Oslo 4 degrees and rain; the drive is 2650 km."
    assert printed[-1] == answer
    assert (
        "[get_weather failed: tool 'get_weather' failed: no weather of 'Atlantis'; the cities are Oslo, Rome]"
        in printed
    )
    assert '[get_distance starts with {"start":"Oslo","end":"Rome"}]' in printed
    assert "[get_distance streams]" in printed


def test_the_rag_example_finds_the_terms_by_meaning_and_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    [path] = [each for each in EXAMPLES if each.stem == "rag_sqlite"]

    answer = runpy.run_path(str(path), run_name="example")["main"]()

    printed = capsys.readouterr().out.splitlines()
    assert answer.endswith("half of the price is kept. [terms.md]")
    assert printed[0] == "7 pieces indexed"
    assert printed[1].split() == ["0.0328", "terms.md", "Cancelling"]
