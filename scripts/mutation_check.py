"""Plants deliberate defects in a copy of the tree, one at a time, and shows that the tests catch each.

    python scripts/mutation_check.py                       # all defects of scripts/mutations.toml
    python scripts/mutation_check.py --only journal-chain  # some of them; --list names them
    python scripts/mutation_check.py --keep                # take over the results of defects that are not run now

A defect is a text of one file and what stands in its place. The tests that are to catch it run with `-x` and a limit of
time; they have to pass on the copy without a defect first. A defect whose text is not found exactly once is refused:
the list must follow the code. Writes `latest.json`, `latest.md` and `index.html` to `reports/mutation/`.

Exit codes: 0 all were caught, 1 one survived, 2 the list or the command line is wrong, or the tests fail as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

ROOT: Final = Path(__file__).resolve().parents[1]
LIST: Final = ROOT / "scripts" / "mutations.toml"
FIELDS: Final = frozenset({"id", "file", "why", "tests", "old", "new"})
BASELINE_LIMIT_S: Final = 900.0
HANGS_S: Final = 45.0
"""A test that takes longer than so many seconds hangs: pytest shows where, and ends."""

Verdict = Literal["caught", "hung", "survived", "unfit"]
"""`hung`: the tests did not end in time, which is caught too. `unfit`: the tests could not even be collected."""

CAUGHT: Final = frozenset[Verdict]({"caught", "hung"})


class ListError(Exception):
    """The list of defects does not fit the code, or cannot be read."""


@dataclass(frozen=True)
class Mutation:
    """One deliberate defect."""

    id: str
    file: str
    """Path from the root of the repository."""
    why: str
    """What goes wrong with it."""
    tests: tuple[str, ...]
    """Files of tests, or classes in them (`file.py::TestClass`), one of which is to catch it."""
    old: str
    new: str


@dataclass(frozen=True)
class Result:
    """What became of one defect."""

    id: str
    file: str
    why: str
    verdict: Verdict
    by: str
    """The test that failed; for others, the last lines of what pytest said."""
    seconds: float
    commit: str


def read_list(path: Path) -> list[Mutation]:
    """Return the defects of a list.

    Raises:
        ListError: If it is no such list; the text names the entry.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ListError(f"{path}: {error}") from error
    sets: Mapping[str, list[str]] = data.get("sets", {})
    found: dict[str, Mutation] = {}
    for number, entry in enumerate(data.get("mutation", ()), 1):
        name = entry.get("id", f"number {number}")
        if set(entry) != FIELDS or not all(isinstance(value, str) for value in entry.values()):
            raise ListError(f"{path}: mutation {name!r} must have the texts {', '.join(sorted(FIELDS))}")
        if entry["tests"] not in sets:
            raise ListError(f"{path}: mutation {name!r}: there is no set of tests {entry['tests']!r} in [sets]")
        if name in found:
            raise ListError(f"{path}: there are two mutations {name!r}")
        if entry["old"] == entry["new"]:
            raise ListError(f"{path}: mutation {name!r} changes nothing")
        found[name] = Mutation(**{**entry, "tests": tuple(sets[entry["tests"]])})
    if not found:
        raise ListError(f"{path} has no [[mutation]]")
    return list(found.values())


def check_fit(mutations: Iterable[Mutation], root: Path) -> None:
    """Check that every defect can be planted.

    Raises:
        ListError: If a text is not found exactly once, or a file is missing; the text has all of them.
    """
    wrong = []
    for mutation in mutations:
        paths = (mutation.file, *(test.partition("::")[0] for test in mutation.tests))
        wrong += [f"{mutation.id}: there is no {path}" for path in paths if not (root / path).exists()]
        if (root / mutation.file).is_file():
            count = (root / mutation.file).read_text(encoding="utf-8").count(mutation.old)
            if count != 1:
                wrong.append(f"{mutation.id}: its old text is {count} times in {mutation.file}, not once")
    if wrong:
        raise ListError(
            "the list does not fit the code; change it where the code has changed:\n  " + "\n  ".join(wrong)
        )


def copy_tree(root: Path, target: Path, *, committed: bool) -> None:
    """Copy what git knows or would add, as it is now; or what is committed."""
    if committed:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(root), str(target)], check=True)
        return
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name)


def environment(tree: Path, root: Path) -> dict[str, str]:
    """Return what the tests in a copy get: the copy's packages first, no byte code, fixed seeds."""
    shared = root.parent / "shared" / "cassettes"
    paths = [str(tree), str(tree / "harness"), str(tree / "fixtures")]
    extra = {"EINO_SHARED_CASSETTES": str(shared)} if shared.is_dir() else {}
    fixed = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "CI": "true"}
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "GITHUB_ACTIONS")}
    return {**extra, **kept, **fixed}


def run_tests(tree: Path, root: Path, tests: Sequence[str], limit_s: float) -> tuple[int | None, str]:
    """Return the exit code of pytest in the tree, None if it had to be stopped, and what it printed."""
    options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
    command = [sys.executable, "-m", "pytest", *options, "-o", f"faulthandler_timeout={HANGS_S:g}", *tests]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment(tree, root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, output


def judge(code: int | None, output: str) -> tuple[Verdict, str]:
    """Return what a run of pytest says about a defect, and the test that caught it."""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    if code == 0:
        return "survived", ""
    if code == 1 and failed is not None:
        return "caught", failed[1]
    if code is None or (code not in (2, 3, 4, 5) and "Timeout" in output):
        running = re.findall(r'File "([^"]*/tests/[^"]+)", line \d+ in (test_\w+)', output)
        return "hung", "::".join(running[-1]).partition("/tests/")[2] if running else "no test ended in time"
    return "unfit", " ".join(output.split()[-40:])


def try_out(mutation: Mutation, tree: Path, root: Path, limit_s: float, commit: str) -> Result:
    """Plant a defect in the tree, run the tests, and take it out again."""
    path = tree / mutation.file
    before = path.read_text(encoding="utf-8")
    began = time.perf_counter()
    try:
        path.write_text(before.replace(mutation.old, mutation.new), encoding="utf-8")
        verdict, by = judge(*run_tests(tree, root, mutation.tests, limit_s))
    finally:
        path.write_text(before, encoding="utf-8")
    return Result(mutation.id, mutation.file, mutation.why, verdict, by, time.perf_counter() - began, commit)


def commit_of(root: Path) -> str:
    """Return the commit that is tried, with `+changes` where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout

    return git("rev-parse", "--short", "HEAD").strip() + ("+changes" if git("status", "--porcelain") else "")


def earlier_results(folder: Path) -> dict[str, Result]:
    """Return the results of the last report, by id; none if there is no report."""
    try:
        rows = json.loads((folder / "latest.json").read_text(encoding="utf-8"))["results"]
        return {row["id"]: Result(**row) for row in rows if row["verdict"] in get_args(Verdict)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def known_passing(folder: Path, commit: str) -> set[str]:
    """Return the tests that passed without a defect at this commit, so that slices of the list need not repeat them."""
    try:
        noted = json.loads((folder / "passing.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(noted["tests"]) if noted["commit"] == commit and "+" not in commit else set()


def note_passing(folder: Path, commit: str, tests: Iterable[str]) -> None:
    """Note which tests passed without a defect."""
    folder.mkdir(parents=True, exist_ok=True)
    noted = {"commit": commit, "tests": sorted(tests)}
    (folder / "passing.json").write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


def write_report(results: Sequence[Result], folder: Path) -> None:
    """Write the report in its three forms."""
    from eino_harness.report import Check, report_data

    caught = [result for result in results if result.verdict in CAUGHT]
    data = report_data(
        "mutation",
        "Mutation check",
        summary={
            "defects": str(len(results)),
            "caught": str(len(caught)),
            "time": f"{sum(result.seconds for result in results):.0f} s",
        },
        checks=[
            Check(
                name=f"{result.id}: {result.why}",
                ok=result.verdict in CAUGHT,
                text=result.by or f"no test noticed that {result.file} is wrong",
                seconds=round(result.seconds, 2),
            )
            for result in results
        ],
        note="Deliberate defects, planted one at a time in a copy of the tree; the tests must catch each.",
        details={"results": [asdict(result) for result in results]},
    )
    data["commit"] = ", ".join(dict.fromkeys(result.commit for result in results))  # of what was tried
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / "latest.md").write_text(_markdown(results, data), encoding="utf-8")
    (folder / "index.html").write_text(_page(results, data), encoding="utf-8")


_HEAD: Final = ("defect", "what goes wrong", "file", "verdict", "by", "s")


def _rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    return [(each.id, each.why, each.file, each.verdict, each.by, f"{each.seconds:.1f}") for each in results]


def _headline(results: Sequence[Result]) -> str:
    return f"{sum(each.verdict in CAUGHT for each in results)} of {len(results)} deliberate defects are caught"


def _markdown(results: Sequence[Result], data: Mapping[str, Any]) -> str:
    lines = ["# Mutation check", "", f"{_headline(results)} (commit {data['commit']}, {data['created']}).", ""]
    table = [_HEAD, ("---",) * len(_HEAD), *_rows(results)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in table]
    return "\n".join(lines) + "\n"


def _page(results: Sequence[Result], data: Mapping[str, Any]) -> str:
    from eino_harness.report.page import page_environment

    template = page_environment(Path(__file__).parent).get_template("mutation_report.html")
    return template.render(data=data, headline=_headline(results), results=results, caught=CAUGHT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="mutation_check.py",
        description="Plants deliberate defects in a copy of the tree and shows that the tests catch each.",
        epilog="Exit codes: 0 all were caught, 1 one survived, 2 the list or the command line is wrong.",
    )
    parser.add_argument("--mutations", type=Path, default=LIST, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the tree; default: this repository")
    parser.add_argument("--only", nargs="+", default=(), metavar="ID", help="plant these only")
    parser.add_argument("--keep", action="store_true", help="keep the last results of those that are not planted now")
    parser.add_argument(
        "--missing", action="store_true", help="with --keep: plant those that were not caught last time"
    )
    parser.add_argument(
        "--committed", action="store_true", help="copy what is committed, not the files as they are now"
    )
    parser.add_argument("--limit-s", type=float, default=180.0, metavar="S", help="time for each; default: %(default)g")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "mutation", metavar="DIR")
    parser.add_argument("--list", action="store_true", help="check that the list fits the code, name the defects, stop")
    given = parser.parse_args(arguments)
    try:
        mutations = read_list(given.mutations)
        check_fit(mutations, given.root)
        chosen = _chosen(mutations, given)
        if not given.list:
            return _run(mutations, chosen, given)
    except ListError as error:
        print(f"mutation_check: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{mutation.id:32} {mutation.why}" for mutation in mutations))
    return 0


def _chosen(mutations: Sequence[Mutation], given: argparse.Namespace) -> list[Mutation]:
    known = {mutation.id for mutation in mutations}
    if unknown := sorted(set(given.only) - known):
        raise ListError(f"--only {unknown[0]}: there is no such mutation; --list names them")
    if given.missing:
        earlier = earlier_results(given.out)
        return [each for each in mutations if each.id not in earlier or earlier[each.id].verdict not in CAUGHT]
    return [mutation for mutation in mutations if not given.only or mutation.id in given.only]


def _run(mutations: Sequence[Mutation], chosen: Sequence[Mutation], given: argparse.Namespace) -> int:
    results = earlier_results(given.out) if given.keep else {}
    with tempfile.TemporaryDirectory(prefix="eino-mutation-") as folder:
        tree = Path(folder) / "eino"
        copy_tree(given.root, tree, committed=given.committed)
        check_fit(chosen, tree)
        commit = commit_of(tree if given.committed else given.root)
        passing = known_passing(given.out, commit) if given.keep else set()
        tests = sorted({path for mutation in chosen for path in mutation.tests} - passing)
        code, output = (
            run_tests(tree, given.root, tests, BASELINE_LIMIT_S) if tests else (0, "known since the last run")
        )
        if code != 0:
            print(f"mutation_check: the tests fail without any defect:\n{output[-4000:]}", file=sys.stderr)
            return 2
        print(f"without a defect all tests pass: {output.strip().splitlines()[-1]}", flush=True)
        note_passing(given.out, commit, passing.union(tests))
        for mutation in chosen:
            result = results[mutation.id] = try_out(mutation, tree, given.root, given.limit_s, commit)
            print(f"{result.verdict:9} {result.seconds:6.1f} s  {result.id}: {result.by}", flush=True)
            write_report([results[each.id] for each in mutations if each.id in results], given.out)
    shown = [results[each.id] for each in mutations if each.id in results]
    print(f"{_headline(shown)}; report: {given.out}")
    return 0 if all(result.verdict in CAUGHT for result in shown) else 1


if __name__ == "__main__":
    sys.exit(main())
