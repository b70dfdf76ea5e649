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


def printed_by(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    [path] = [each for each in EXAMPLES if each.stem == name]
    runpy.run_path(str(path), run_name="example")["main"]()
    return capsys.readouterr().out.splitlines()


def test_the_hello_agent_streams(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed_by("hello_agent", capsys) == ["hello: Hello! An agent is a program that chooses its own steps."]


def test_the_shop_gets_over_each_mistake_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_by("tools_and_react", capsys)

    assert [line for line in printed if line.startswith("<-")] == [
        "<- get_price: 3",
        "<- get_price: Error: tool 'get_price' failed: no 'beer' here; there is tea, cake",
        "<- get_cost: There is no tool get_cost. Use get_price, add, send_receipt.",
        "<- get_price: Error: tool 'get_price': the arguments do not fit; correct them and call the tool again: ...",
        "<- get_price: 5",
        "<- add: 8",
        "<- send_receipt: Receipt: 8 euros. Thank you!",
    ]


def test_the_second_process_sends_the_edited_mail_and_not_the_refused_one(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_by("hitl_approval", capsys)

    assert "tool: sent to team@example.com: We move on Friday at nine." in printed
    assert any("was not approved: the press is not to know yet" in line for line in printed)
    assert not any(line.startswith("tool: sent to press") for line in printed)
    assert printed[-1] == "1 of 2 mails are sent."


def test_the_team_shows_the_path_of_each_message(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_by("multi_agent", capsys)

    assert "boss > article > research > books > librarian: The book says: whales sleep upright." in printed
    assert "boss > article > research > web: They nap for ten minutes." in printed
    assert printed[-1] == "boss > article > boss > translator > boss: The article is ready, in two languages."


def test_the_plan_goes_on_behind_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_by("plan_execute", capsys)

    [question] = [line for line in printed if line.startswith("? ")]
    assert "agent:execute_replan;agent:executor;tool:book:4" in question
    assert printed[printed.index(question) + 1] == "executor: booked 2 seats at 08:15"
    assert printed.count('planner: {"steps":["find a train to Bergen","book it"]}') == 1


def test_the_guide_finds_what_both_stores_know(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_by("rag_graph_tool", capsys)

    assert printed[0].startswith("flowchart")
    assert [line.partition("]")[0] for line in printed if line.startswith("[")] == ["[glacier", "[cancelling"]
