"""scripts/mutation_check.py: what it says of defects that are caught, survive, or do not fit; and that our list fits."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from eino_harness.report import read_report
from eino_harness.report.page import external_requests

ROOT = Path(__file__).parents[2]

CODE = "def double(number):\n    return number * 2\n\n\ndef half(number):\n    return number / 2\n"
TESTS = """
import time

from maths import double, half


def test_double():
    assert double(3) == 6


def test_half():
    assert half(double(3)) > 0
"""
LIST = """
[sets]
all = ["test_maths.py"]

[[mutation]]
id = "seen"
file = "maths.py"
why = "double triples"
tests = "all"
old = "number * 2"
new = "number * 3"

[[mutation]]
id = "unseen"
file = "maths.py"
why = "half is a third"
tests = "all"
old = "number / 2"
new = "number / 3"

[[mutation]]
id = "no python"
file = "maths.py"
why = "it cannot be imported"
tests = "all"
old = "def half(number):"
new = "def half(number:"
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutation_check", ROOT / "scripts" / "mutation_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutation_check"] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutation_check"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with a list of defects, whose tests need no plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "repository"
    root.mkdir()
    files = {"maths.py": CODE, "test_maths.py": TESTS, "list.toml": LIST, "pyproject.toml": "[tool.pytest]\n"}
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    return root


def check(script: ModuleType, root: Path, *arguments: str) -> int:
    common = ["--root", str(root), "--mutations", str(root / "list.toml"), "--out", str(root / "out")]
    code: int = script.main([*common, *arguments])
    return code


def change(root: Path, old: str, new: str) -> None:
    text = (root / "list.toml").read_text(encoding="utf-8")
    assert old in text
    (root / "list.toml").write_text(text.replace(old, new), encoding="utf-8")


def test_our_list_fits_the_code(script: ModuleType) -> None:
    """A defect whose text is gone would never be planted: change scripts/mutations.toml with the code."""
    mutations = script.read_list(ROOT / "scripts" / "mutations.toml")

    script.check_fit(mutations, ROOT)
    assert len(mutations) >= 30
    assert {mutation.file.split("/")[1] for mutation in mutations} >= {"compose", "schema", "callbacks", "flow"}


def test_every_defect_is_judged_and_taken_out_again(
    script: ModuleType, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(script, repository) == 1

    said = capsys.readouterr().out
    assert "without a defect all tests pass: 2 passed" in said
    assert "1 of 3 deliberate defects are caught" in said
    assert (repository / "maths.py").read_text(encoding="utf-8") == CODE
    report, data = read_report(repository / "out" / "latest.json")
    rows = {row["id"]: row for row in data["results"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "seen": "caught",
        "unseen": "survived",
        "no python": "unfit",
    }
    assert rows["seen"]["by"] == "test_maths.py::test_double"
    assert "SyntaxError" in rows["no python"]["by"]
    assert [check.ok for check in report.checks] == [True, False, False]
    assert "| unseen | half is a third | maths.py | survived |" in (repository / "out" / "latest.md").read_text()
    page = (repository / "out" / "index.html").read_text()
    assert page.count('<td class="fails">') == 2
    assert page.count('<td class="ok">caught</td>') == 1
    assert external_requests(page) == []
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    assert report.commit == head.stdout.strip()

    # Behind this, only what was not caught is tried again, and the rest of the report stays.
    change(repository, "number / 3", "-number")
    change(repository, "def half(number:", "def half(_):")
    assert check(script, repository, "--keep", "--missing") == 0
    _, data = read_report(repository / "out" / "latest.json")
    assert [row["verdict"] for row in data["results"]] == ["caught"] * 3
    assert "seen" not in capsys.readouterr().out.split("unseen")[0]


def test_a_test_that_hangs_is_caught_too(script: ModuleType, repository: Path) -> None:
    change(repository, "number * 3", "number * (time.sleep(60) or 3)")
    (repository / "maths.py").write_text("import time\n\n\n" + CODE, encoding="utf-8")

    assert check(script, repository, "--only", "seen", "--limit-s", "4") == 0

    [row] = json.loads((repository / "out" / "latest.json").read_text())["results"]
    assert row["verdict"] == "hung"


def test_tests_that_fail_without_a_defect_prove_nothing(
    script: ModuleType, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "maths.py").write_text(CODE.replace("* 2", "* 2 + 1"), encoding="utf-8")
    change(repository, "number * 2", "number * 2 + 1")

    assert check(script, repository) == 2
    assert "the tests fail without any defect" in capsys.readouterr().err
    assert check(script, repository, "--committed", "--only", "unseen") == 1  # what is committed passes


@pytest.mark.parametrize(
    ("change_to", "said"),
    [
        (('old = "number * 2"', 'old = "number"'), "seen: its old text is 4 times in maths.py, not once"),
        (('old = "number * 2"', 'old = "numbers"'), "seen: its old text is 0 times in maths.py, not once"),
        (('file = "maths.py"\nwhy = "half', 'file = "gone.py"\nwhy = "half'), "unseen: there is no gone.py"),
        (('["test_maths.py"]', '["test_gone.py"]'), "seen: there is no test_gone.py"),
        (('new = "number * 3"', 'new = "number * 2"'), "mutation 'seen' changes nothing"),
        (('why = "double triples"\n', ""), "mutation 'seen' must have the texts file, id, new, old, tests, why"),
        (('tests = "all"\nold = "number / 2"', 'tests = "few"\nold = "number / 2"'), "there is no set of tests 'few'"),
        (('id = "unseen"', 'id = "seen"'), "there are two mutations 'seen'"),
        (("[sets]", "[sets"), "list.toml: "),
    ],
    ids=["several times", "never", "no file", "no tests", "no change", "no why", "no set", "twice", "no TOML"],
)
def test_a_list_that_does_not_fit_is_refused(
    script: ModuleType, repository: Path, change_to: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(repository, *change_to)

    assert check(script, repository) == 2
    assert said in capsys.readouterr().err
    assert not (repository / "out").exists()


def test_what_is_not_in_the_list_is_refused(
    script: ModuleType, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(script, repository, "--only", "other") == 2
    assert "there is no such mutation" in capsys.readouterr().err
    (repository / "list.toml").write_text("[sets]\n", encoding="utf-8")
    assert check(script, repository) == 2
    assert "has no [[mutation]]" in capsys.readouterr().err


def test_the_list_is_shown(script: ModuleType, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(script, repository, "--list") == 0
    assert capsys.readouterr().out.splitlines()[0].split(maxsplit=1) == ["seen", "double triples"]


def test_slices_of_a_list_do_not_repeat_what_passed_at_their_commit(
    script: ModuleType, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(script, repository, "--committed", "--keep", "--only", "seen") == 0
    assert "without a defect all tests pass: 2 passed" in capsys.readouterr().out

    assert check(script, repository, "--committed", "--keep", "--only", "seen") == 0
    assert "without a defect all tests pass: known since the last run" in capsys.readouterr().out

    subprocess.run(
        [
            "git",
            "-C",
            str(repository),
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "--allow-empty",
            "-qm",
            "u",
        ],
        check=True,
    )
    assert check(script, repository, "--committed", "--keep", "--only", "seen") == 0
    assert "without a defect all tests pass: 2 passed" in capsys.readouterr().out
