"""Samples by node, the flame graph, the files of a profile, and the ways to ask for one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio.lowlevel
import pytest

from eino import END, START, Chain, Graph
from eino_harness.cli import main
from eino_harness.profile import Flame, Profile, Recorder, Sampler, flame_of, profile_table, recording, write_profile
from eino_harness.profile.flame import flame_svg
from eino_harness.profile.sampling import OUTSIDE
from eino_harness.report.page import external_requests

LONG_S, SHORT_S = 0.06, 0.02


def busy(seconds: float) -> None:
    """Compute for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def busy_node(seconds: float):
    async def compute(value: int) -> int:
        for _ in range(4):
            busy(seconds / 4)
            await anyio.lowlevel.checkpoint()
        return value

    return compute


def app() -> Graph[int, dict[str, int]]:
    inner = Chain[int, int]()
    inner.append_lambda(busy_node(LONG_S), key="deep")
    graph = Graph[int, dict[str, int]]()
    graph.add_graph_node("sub", inner, output_key="a")
    graph.add_lambda_node("flat", busy_node(SHORT_S), output_key="b")
    graph.add_edge(START, "sub").add_edge(START, "flat").add_edge("sub", END).add_edge("flat", END)
    return graph


async def profiled() -> Profile:
    runnable = app().compile(name="app")
    recorder, sampler = Recorder(), Sampler()
    with recording(recorder):
        sampler.start()
        await runnable.invoke(1)
        sampler.stop()
    return Profile.of("app", recorder, sampler)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_samples_stand_at_their_nodes_across_tasks() -> None:
    """The nodes run in tasks of their own, in turn; each still has its samples, below its graph."""
    flame = (await profiled()).flame

    deep, flat = flame.children["sub"].children["deep"], flame.children["flat"]
    assert deep.is_node
    assert deep.seconds > 0
    assert flat.seconds > 0
    assert any(name.startswith("compute ") for _, each in deep.walk() for name in [each.name])
    assert flame.seconds == pytest.approx(sum(child.seconds for child in flame.children.values()))


async def test_the_files_of_a_profile(tmp_path: Path, anyio_backend: object) -> None:
    paths = {path.name: path for path in write_profile(await profiled(), tmp_path / "profile")}

    assert set(paths) == {"latest.json", "table.txt", "speedscope.json", "pyinstrument.html", "index.html"}
    page = paths["index.html"].read_text()
    assert external_requests(page) == []
    assert external_requests(paths["pyinstrument.html"].read_text()) == []
    assert '<a href="speedscope.json">' in page
    names = {frame["name"] for frame in json.loads(paths["speedscope.json"].read_text())["shared"]["frames"]}
    assert {"node:sub/deep", "node:flat"} <= names
    data = json.loads(paths["latest.json"].read_text())
    times = {"/".join(node["path"]): node for node in data["nodes"]}
    assert times["app/sub/deep"]["own_cpu_s"] == pytest.approx(LONG_S, rel=0.25)
    assert times["app/flat"]["own_cpu_s"] == pytest.approx(SHORT_S, rel=0.5)
    assert data["overhead"]["overhead_s"] == pytest.approx(data["overhead"]["end_to_end_s"])
    assert 0 < data["overhead"]["framework_s"] < data["overhead"]["end_to_end_s"]


async def test_the_table_shows_the_nesting(anyio_backend: object) -> None:
    lines = profile_table(await profiled())

    assert lines[0].split() == ["node", "kind", "calls", "wall", "ms", "self", "ms", "CPU", "ms", "own", "CPU", "ms"]
    assert lines[2].startswith("app ")
    assert any(line.startswith("    deep ") for line in lines)
    assert any(line.startswith("framework overhead (end to end minus these)") for line in lines)


def test_a_flame_graph_is_an_svg_with_every_wide_frame() -> None:
    root = Flame("all", 1.0)
    root.child("node", is_node=True).seconds = 0.9
    root.children["node"].child("<function> file.py").seconds = 0.5
    root.child(OUTSIDE).seconds = 0.1
    root.children["node"].child("a blink").seconds = 0.0001

    svg = flame_svg(root)
    titles = [each.text for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]

    assert titles == [
        "all: 1,000.0 ms, 100.0%",
        "node: 900.0 ms, 90.0%",
        "<function> file.py: 500.0 ms, 50.0%",
        "outside of nodes: 100.0 ms, 10.0%",
    ]
    assert flame_svg(Flame("nothing")) == ""


def test_labels_end_inside_their_frame() -> None:
    root = Flame("all", 1.0)
    root.child("a" * 300, is_node=True).seconds = 0.1

    svg = ET.fromstring(flame_svg(root))

    width = 112 - 0.5
    (label,) = [each.text or "" for each in svg.iter("{http://www.w3.org/2000/svg}text") if "…" in (each.text or "")]
    assert len(label) * 6 < width


def test_nothing_sampled_is_an_empty_tree() -> None:
    assert flame_of(Sampler().profiler, "x").children == {}


SCRIPT = """
import asyncio, sys
from eino import Chain

async def one(value: int) -> int:
    return value + 1

chain = Chain[int, int]()
chain.append_lambda(one, key="first")
runnable = chain.compile(name="app")

async def run():
    return await runnable.invoke(1)

def run_sync():
    return runnable.invoke_sync(1)

def nothing():
    pass

async def fails():
    raise ValueError("broken")

async def needs(value):
    pass

number = 1

if __name__ == "__main__":
    assert asyncio.run(run()) == 2
    sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else None)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    name = "profiled_app_" + tmp_path.name.replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / f"{name}.py"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_command_profiles_a_function(project: Path, capsys: pytest.CaptureFixture[str], backend: str) -> None:
    arguments = ["profile", f"{project.stem}:run", "--backend", backend, "--repeats", "3", "--out", "out"]

    assert main(arguments) == 0

    out = capsys.readouterr().out
    first = next(line for line in out.splitlines() if line.startswith("  first"))
    assert first.split()[1:3] == ["Lambda", "3"]
    assert "end to end, 3 runs" in out
    assert (project.parent / "out" / "index.html").exists()


def test_a_function_that_starts_its_own_thread_is_told_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", f"{project.stem}:run_sync", "--out", "out"]) == 0
    assert "  first" in capsys.readouterr().out


def test_the_command_profiles_a_script(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(project), "--out", "out", "--arguments=0"]) == 0

    out = capsys.readouterr().out
    assert "  first" in out
    assert "times hold the cost of sampling" in out
    assert json.loads((project.parent / "out" / "latest.json").read_text())["kind"] == "profile"


def test_a_program_without_a_graph_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", f"{project.stem}:nothing", "--out", "out"]) == 0
    assert "No graph ran." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "says"),
    [
        pytest.param("missing.py", "there is no script", id="no script"),
        pytest.param("nothing", "is neither a script nor a MODULE:FUNCTION", id="no colon"),
        pytest.param("no_such_module_at_all:main", "cannot be imported", id="no module"),
        pytest.param("{app}:missing", "has no attribute 'missing'", id="no function"),
        pytest.param("{app}:number", "is 1, not a function", id="not callable"),
        pytest.param("{app}:needs", "needs the arguments value", id="arguments"),
    ],
)
def test_what_cannot_be_profiled_is_a_usage_error(
    project: Path, capsys: pytest.CaptureFixture[str], target: str, says: str
) -> None:
    assert main(["profile", target.replace("{app}", project.stem), "--out", "out"]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--arguments=x"]])
def test_a_function_takes_no_arguments(project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["profile", f"{project.stem}:run", *arguments]) == 2
    assert "a function takes no arguments here" in capsys.readouterr().err


def test_a_program_that_fails_gives_no_profile(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", f"{project.stem}:fails", "--out", "out"]) == 1
    assert "ValueError: broken" in capsys.readouterr().err
    assert main(["profile", str(project), "--out", "out", "--arguments", "3"]) == 1
    assert not (project.parent / "out").exists()


TESTS = """
from eino import Chain

async def one(value: int) -> int:
    return value + 1

chain = Chain[int, int]()
chain.append_lambda(one, key="first")
runnable = chain.compile(name="app")

async def test_one():
    assert await runnable.invoke(1) == 2

async def test_two():
    assert await runnable.invoke(2) == 3
"""


def test_pytest_profiles_the_graphs_of_the_tests(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\neino_profile_report = out\n")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    pytester.makepyfile(TESTS)

    result = pytester.runpytest("--profile-nodes", "-p", "no:randomly", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*= nodes =*", "app *Run *2 *", "  first *Lambda *2 *", "report: *index.html"])
    assert (pytester.path / "out" / "speedscope.json").exists()


def test_tests_without_graphs_have_no_profile(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_none(): pass")

    result = pytester.runpytest("--profile-nodes", "-p", "no:cacheprovider")

    result.stdout.fnmatch_lines(["no graph ran"])
    assert not (pytester.path / "reports").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        pytest.param(["-n1"], "several processes", id="xdist"),
        pytest.param(["--benchmark"], "cannot be used together", id="benchmarks"),
    ],
)
def test_what_would_spoil_the_profile_is_refused(pytester: pytest.Pytester, flags: list[str], says: str) -> None:
    pytester.makepyfile("def test_none(): pass")

    result = pytester.runpytest("--profile-nodes", *flags)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{says}*"])
