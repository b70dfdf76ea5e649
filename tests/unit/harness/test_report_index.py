"""The common schema of reports, and the page, text and JUnit that link the latest of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from eino_harness.cli import main
from eino_harness.report import Check, ReportError, build_index, find_entries, json_schema, read_report, report_data
from eino_harness.report.github import error_commands, write_step_summary
from eino_harness.report.junit import read_junit
from eino_harness.report.page import external_requests


def write(folder: Path, kind: str, **more: Any) -> Path:
    """Write a report as `kind` writes it."""
    path = folder / kind / "latest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report_data(kind, kind.title(), **more)), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a report that passed, one that failed, one without judgement, and two odd ones."""
    write(tmp_path, "benchmarks", summary={"W1": "2.1x <fast>"}, checks=[Check("gate W1", ok=True, seconds=0.5)])
    write(tmp_path, "load", checks=[Check("P95 | stream", ok=False, text="900 ms\nallowed 100 ms\x1b[0m")])
    write(tmp_path, "profile", note="Smoke run.", details={"nodes": []})
    (tmp_path / "load" / "index.html").write_text("<p>load</p>", encoding="utf-8")
    (tmp_path / "mutation").mkdir()
    (tmp_path / "mutation" / "latest.md").write_text("30 of 30", encoding="utf-8")
    (tmp_path / "reliability").mkdir()
    (tmp_path / "reliability" / "latest.json").write_text('{"schema": "other"}', encoding="utf-8")
    (tmp_path / "baseline").mkdir()
    return tmp_path


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write(tmp_path, "load", checks=[Check("a", ok=False, text="b")], details={"requests": [1]})

    report, data = read_report(path)

    assert (report.kind, report.title, report.verdict) == ("load", "Load", "failed")
    assert report.failed == (Check("a", ok=False, text="b"),)
    assert data["requests"] == [1]
    assert set(report.host) >= {"cpu", "python", "cores"}


def test_every_report_matches_the_published_json_schema(folder: Path) -> None:
    schema = json_schema()

    for kind in ("benchmarks", "load", "profile"):
        jsonschema.validate(json.loads((folder / kind / "latest.json").read_text()), schema)
    with pytest.raises(jsonschema.ValidationError, match="'kind' is a required property"):
        jsonschema.validate({"schema": "x", "version": 1}, schema)


def test_details_cannot_hide_what_every_report_says() -> None:
    with pytest.raises(ValueError, match=r"must not be named \['commit'\]"):
        report_data("load", "Load", details={"commit": "mine"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(None, "there is no report", id="missing"),
        pytest.param("{", "cannot be read as JSON", id="no JSON"),
        pytest.param("[1]", "its schema is 'list'", id="no object"),
        pytest.param('{"schema": "x"}', "its schema is 'x'", id="another schema"),
        pytest.param('{"schema": "eino-harness/report", "version": 9}', "has version 9", id="a newer version"),
        pytest.param('{"schema": "eino-harness/report", "version": 1}', "is a damaged report", id="fields missing"),
    ],
)
def test_what_is_no_report_is_refused_with_a_remedy(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "latest.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(ReportError, match=says) as caught:
        read_report(path)

    assert str(path) in str(caught.value)


def test_entries_say_what_there_is_and_what_is_missing(folder: Path) -> None:
    found = {entry.kind: entry for entry in find_entries(folder)}

    assert {kind: entry.verdict for kind, entry in found.items() if entry.verdict != "missing"} == {
        "mutation": "-",
        "reliability": "unreadable",
        "load": "failed",
        "benchmarks": "passed",
        "profile": "-",
    }
    assert found["load"].link == "load/index.html"
    assert found["mutation"].link == "mutation/latest.md"
    assert found["tests"].command.startswith("pytest --junitxml")
    assert "baseline" not in found


def test_the_index_shows_every_report_and_fetches_nothing(folder: Path) -> None:
    _, (page, text, _) = build_index(folder)

    html, markdown = page.read_text(), text.read_text()
    assert '<a href="load/index.html">load</a>' in html
    assert "2.1x &lt;fast&gt;" in html
    assert "P95 | stream" in html
    assert "none yet: <code>eino-harness compare A B</code>" in html
    assert external_requests(html) == []
    assert "| [load](load/index.html) | failed |" in markdown
    assert "- P95 | stream: 900 ms allowed 100 ms" in markdown
    assert "| [profile](profile/latest.json) | - |" in markdown


def test_junit_has_a_case_for_every_check(folder: Path) -> None:
    _, (_, _, junit) = build_index(folder)

    suites = {suite.get("name"): suite for suite in ET.parse(junit).getroot()}
    assert suites["load"].get("failures") == "1"
    assert suites["benchmarks"].find("testcase").get("time") == "0.500000"  # type: ignore[union-attr]
    assert "900 ms\nallowed 100 ms?[0m" in (suites["load"].findtext("testcase/failure") or "")
    assert [check.ok for check in read_junit(junit).checks] == [False, True]


PYTEST_XML = """<testsuites><testsuite name="pytest" time="1.5">
<testcase classname="tests.test_a" name="test_good" time="0.25"/>
<testcase classname="tests.test_a" name="test_bad" time="1"><failure message="assert 1 == 2">the &lt;whole&gt; story</failure></testcase>
<testcase classname="tests.test_a" name="test_broken" time="0"><error message="no fixture"/></testcase>
<testcase classname="tests.test_a" name="test_left_out" time="0"><skipped message="not now"/></testcase>
</testsuite></testsuites>"""


def test_the_xml_of_pytest_becomes_a_report_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "junit.xml").write_text(PYTEST_XML)

    entries, _ = build_index(tmp_path)

    report = next(entry.report for entry in entries if entry.kind == "tests")
    assert report is not None
    assert {fact.name: fact.value for fact in report.summary} == {
        "passed": "1",
        "failed": "2",
        "skipped": "1",
        "time": "2 s",
    }
    page = (tmp_path / "tests" / "index.html").read_text()
    assert "the &lt;whole&gt; story" in page
    assert "no fixture" in page
    assert page.index("test_bad") < page.index("test_good")
    assert external_requests(page) == []


def test_the_report_of_an_old_test_run_stays_as_it_was(tmp_path: Path) -> None:
    """A page that is built again must not give an old run a new date and commit."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "junit.xml").write_text(PYTEST_XML)
    build_index(tmp_path)
    latest = tmp_path / "tests" / "latest.json"
    latest.write_text(latest.read_text().replace('"created": "20', '"created": "19'))

    entries, _ = build_index(tmp_path)

    report = next(entry.report for entry in entries if entry.kind == "tests")
    assert report is not None
    assert report.created.startswith("19")


@pytest.mark.parametrize(
    ("text", "says"),
    [pytest.param("<a", "is no XML", id="damaged"), pytest.param("<html/>", "its root is <html>", id="other XML")],
)
def test_what_is_no_junit_xml_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "junit.xml").write_text(text)

    assert main(["report", "--folder", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err


def test_github_gets_the_table_and_the_failed_checks(folder: Path, tmp_path: Path) -> None:
    entries, _ = build_index(folder)
    summary = tmp_path / "summary"
    summary.write_text("before\n")

    assert write_step_summary(entries, {}) is None
    assert write_step_summary(entries, {"GITHUB_STEP_SUMMARY": str(summary)}) == summary
    assert summary.read_text().startswith("before\n# Reports\n")
    assert error_commands(entries) == ["::error title=load%3A P95 | stream::900 ms%0Aallowed 100 ms\x1b[0m"]


def test_a_summary_that_github_would_refuse_is_cut(tmp_path: Path) -> None:
    write(tmp_path, "load", checks=[Check(str(number), ok=False, text="x" * 1000) for number in range(1200)])
    summary = tmp_path / "summary"

    write_step_summary(find_entries(tmp_path), {"GITHUB_STEP_SUMMARY": str(summary)})

    assert summary.stat().st_size < 1024 * 1024
    assert summary.read_text().endswith("(cut: the whole is in reports/index.md)\n")


def test_the_command_builds_the_page(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary"))

    assert main(["report", "--folder", str(folder)]) == 0
    out = capsys.readouterr().out
    assert f"report: {folder / 'index.html'}" in out
    assert "::error title=load" in out
    assert main(["report", "--folder", str(folder), "--strict"]) == 1


def test_strict_is_content_with_good_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    write(tmp_path, "benchmarks", checks=[Check("a", ok=True)])

    assert main(["report", "--folder", str(tmp_path), "--strict"]) == 0


def test_a_missing_folder_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--folder", str(tmp_path / "none")]) == 2
    assert "run what writes a report first" in capsys.readouterr().err


def test_the_schema_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize(
    ("page", "found"),
    [
        pytest.param('<script src="https://a.b/c.js">', ["https://a.b/c.js"], id="script"),
        pytest.param("<link rel=stylesheet href='//a.b/c.css'>", ["//a.b/c.css"], id="style"),
        pytest.param("<style>@import url(http://a.b/c)</style>", ["http://a.b/c"], id="import"),
        pytest.param('<style>p { background: url("http://a.b/c") }</style>', ["http://a.b/c"], id="background"),
        pytest.param('<image xlink:href="http://a.b/c"/>', ["http://a.b/c"], id="picture in SVG"),
        pytest.param('<a href="https://a.b/c">', [], id="a link is no request"),
        pytest.param('<svg xmlns="http://www.w3.org/2000/svg">', [], id="a name space is no request"),
    ],
)
def test_requests_of_a_page_are_found(page: str, found: list[str]) -> None:
    assert external_requests(page) == found
