"""A small fault campaign on real processes; and it finds each of the stores and engines that are broken on purpose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from eino_harness.cli import main
from eino_harness.faults.broken import CASES, found
from eino_harness.faults.campaign import SCENARIOS, run_scenario
from eino_harness.faults.kits import KITS, PostgresKit, Rows, SQLiteKit
from eino_harness.faults.site import Sizes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs platform with POSIX signals")

SMALL = Sizes(kills=4, resumes=1, flips=6, zombies=3, clocks=0, points=1)
ONE_OF = {"points": Sizes(points=1, trial=12), "clock": Sizes(trial=1)}
QUICK_TO_FIND = ("an engine that runs finished steps again",)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_promises_are_kept_on_sqlite(name: str) -> None:
    outcome = run_scenario(name, "sqlite", ONE_OF.get(name, SMALL), seed=11)

    assert outcome.violations == []
    assert outcome.trials > 0


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "zombie" else [pytest.mark.nightly], id=name) for name in SCENARIOS],
)
def test_promises_are_kept_on_postgres(postgres_url: str, name: str) -> None:
    outcome = run_scenario(name, "postgres", ONE_OF.get(name, SMALL), seed=11)

    assert outcome.violations == []
    assert outcome.trials > 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=name.replace(" ", "-"), marks=[] if name in QUICK_TO_FIND else [pytest.mark.nightly])
        for name in CASES
    ],
)
def test_what_is_broken_on_purpose_is_found(name: str) -> None:
    """A campaign that cannot fail proves nothing."""
    outcome = found(CASES[name], seed=1)

    assert outcome.violations
    assert f"--only {CASES[name].scenario} --seed 1 --trial" in outcome.violations[0].command


def test_the_command_writes_a_report_and_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["faults", "--store", "sqlite", "--only", "resume", "--resumes", "1", "--out", str(tmp_path)])

    assert code == 0
    assert "resume  sqlite" in capsys.readouterr().out
    data = json.loads((tmp_path / "latest.json").read_text())
    assert [(each["scenario"], each["trials"], each["facts"]["one effect"]) for each in data["outcomes"]] == [
        ("resume", 1, 1)
    ]


def test_a_broken_promise_is_exit_code_1_with_the_command_that_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the files of the run are kept
    store = CASES["a store that does not fence"].store
    options = ["--only", "zombie", "--points", "2", "--zombies", "6", "--seed", "1", "--out", str(tmp_path)]

    assert main(["faults", "--store", store, *options]) == 1
    out = capsys.readouterr().out
    assert "(seed 1): stopped at" in out
    assert f"again: eino-harness faults --store {store} --only zombie --seed 1 --trial" in out
    assert " --zombies 6 --points 2\n" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--only", "fire"], "--only fire: the scenarios are kill, points", id="unknown scenario"),
        pytest.param(["--store", "floppy"], "there is no store 'floppy': choose one of sqlite", id="unknown store"),
        pytest.param(["--store", "no.such:Kit"], "cannot be imported", id="kit that is not there"),
        pytest.param(["--kills", "-1"], "--kills -1 must be 0 or more", id="negative"),
        pytest.param(["--trial", "3"], "name one scenario with --only and one store", id="which trial"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["faults", *options, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_a_server_that_is_not_there_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PostgresKit, "timeout_s", 0.5)
    monkeypatch.setenv("EINO_POSTGRES_URL", "postgresql://nobody:secret-word@127.0.0.1:1/none")

    assert main(["faults", "--store", "postgres", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "--store sqlite needs no server" in said
    assert "secret-word" not in said


class UnreadableKit(SQLiteKit):
    """A kit that fails where the campaign looks at rows."""

    def rows(self, run_id: str) -> Rows:
        raise OSError("no rows today")


def test_a_scenario_that_breaks_down_is_told_and_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest of the campaign goes on, and is no success."""
    monkeypatch.setitem(KITS, "sqlite", UnreadableKit)  # type: ignore[misc]
    outcome = run_scenario("damage", "sqlite", SMALL, seed=1)

    assert [each.text for each in outcome.violations] == ["the scenario broke down: OSError: no rows today"]
    assert "no rows today" in capsys.readouterr().err
    shutil.rmtree(outcome.facts["files"])


def test_a_campaign_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGTERM, as CI sends it when the time is up: workers end, and their files are removed."""
    code = "import sys; from eino_harness.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "faults",
        "--store",
        "sqlite",
        "--only",
        "kill",
        "--out",
        str(tmp_path / "out"),
    ]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment) as campaign:
        while not list(tmp_path.glob("eino-faults-kill-*/kill-0.jsonl")):
            assert campaign.poll() is None
            time.sleep(0.01)
        campaign.terminate()

    assert campaign.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
