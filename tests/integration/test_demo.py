"""`eino demo`: the conversation, the report, other cassettes, wrong command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from eino_harness.cli import main

CASSETTES = Path(__file__).parents[2] / "fixtures" / "cassettes" / "openai"


def demo(out: Path, *more: str) -> int:
    return main(["demo", "--fast", "--no-benchmark", "--load-s", "0", "--out", str(out), *more])


def test_the_demo_answers_from_its_recording_and_writes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(tmp_path) == 0

    shown = capsys.readouterr().out
    assert "tool get_weather is called with" in shown
    assert "agent: Paris looks better" in shown
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Paris looks better" in page
    assert "<svg" in page
    assert "src=" not in page


def test_the_demo_names_the_page_of_all_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --out it writes below reports/, where the page of all reports lies."""
    monkeypatch.chdir(tmp_path)
    damaged = tmp_path / "reports" / "tests" / "junit.xml"

    assert main(["demo", "--fast", "--no-benchmark", "--load-s", "0"]) == 0
    assert "all reports: reports/index.html" in capsys.readouterr().out
    assert '<a href="demo/index.html">demo</a>' in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert "first text: " in (tmp_path / "reports" / "index.md").read_text(encoding="utf-8")

    damaged.parent.mkdir()
    damaged.write_text("<", encoding="utf-8")
    assert main(["demo", "--fast", "--no-benchmark", "--load-s", "0"]) == 0
    assert "no page of all reports: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["chat_text", "chat_stream", "chat_tools", "chat_tools_stream"])
def test_other_recordings_of_chats_work_too(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--cassette", str(CASSETTES / f"{name}.yaml")) == 0

    assert "agent: " in capsys.readouterr().out


def test_a_recording_that_is_only_a_refusal_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--cassette", str(CASSETTES / "chat_refusal_stream.yaml")) == 0

    assert "agent: (refuses: I'm sorry, I can't help with that.)" in capsys.readouterr().out


def test_a_recording_that_ends_with_a_call_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (CASSETTES / "chat_tools.yaml").read_text(encoding="utf-8")
    first = text[: text.index("- request:", text.index("- request:") + 1)]
    (tmp_path / "calls.yaml").write_text(first, encoding="utf-8")

    assert demo(tmp_path, "--cassette", str(tmp_path / "calls.yaml")) == 0
    assert '(asks for get_weather({"city":"Paris"}), get_weather(' in capsys.readouterr().out


def test_a_recording_with_an_empty_answer_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (CASSETTES / "chat_text.yaml").read_text(encoding="utf-8")
    (tmp_path / "empty.yaml").write_text(text.replace("Bonjour !", ""), encoding="utf-8")

    assert demo(tmp_path, "--cassette", str(tmp_path / "empty.yaml")) == 0
    assert "(answers without a text; finish reason stop)" in capsys.readouterr().out


def test_a_provider_error_ends_the_demo_with_its_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--cassette", str(CASSETTES / "chat_error_429.yaml")) == 1

    assert "HTTP 429" in capsys.readouterr().err


def test_a_missing_cassette_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--cassette", str(tmp_path / "none.yaml")) == 1

    assert "cannot be read" in capsys.readouterr().err


def test_a_cassette_of_something_else_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.yaml").write_text("version: 1\ninteractions: []\n", encoding="utf-8")

    assert demo(tmp_path, "--cassette", str(tmp_path / "empty.yaml")) == 1
    assert "no call of an OpenAI-compatible chat endpoint" in capsys.readouterr().err


def test_wrong_numbers_are_a_usage_error(tmp_path: Path) -> None:
    assert demo(tmp_path, "--users", "0") == 2


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--help"])

    assert stop.value.code == 0
    assert "Exit codes" in capsys.readouterr().out
