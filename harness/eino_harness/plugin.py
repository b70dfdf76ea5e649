"""The pytest plugin: virtual time, network guard, leak check, fakes and `pytest --benchmark`.

Loaded by its entry point wherever eino is installed, so it costs next to nothing until it is asked for something:
this module imports only pytest, and each feature imports its own code on first use.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from eino_harness._fakes import PASSED, completed, numbered_runs

if TYPE_CHECKING:
    from eino_fixtures import ScriptedChatModel
    from eino_fixtures.cassettes import CassetteInUse
    from eino_fixtures.clock import VirtualClock
    from eino_fixtures.provider_server import ProviderServer
    from eino_fixtures.tools import FakeTool
    from eino_harness._abenchmark import AsyncBenchmark
    from eino_harness._leak_hooks import LeakCheck
    from eino_harness.trace import Trace

pytest.register_assert_rewrite("eino_fixtures", "eino_harness.conformance")

_MARKERS = (
    "cassette(file=None, **options): answer this test's HTTP requests from a recorded file (options of use_cassette).",
    "allow_leaks(reason): this test may leave tasks, generators, threads and sockets behind.",
    "allow_network(hosts=None): this test may reach these hosts, or any if none are named.",
    "instructions(calls=100): this benchmark counts for `eino-harness instructions`, over so many calls.",
    "workload(id, work, variant=, role=, unit=, per=, goal_us=, goal_ratio=, gate_ratio=): what a benchmark measures.",
)

_LASTING_THREADS = ["Trio thread *", "eino-*"]
"""Threads that serve the whole process by design: trio's cache, and the loop behind `invoke_sync`."""

_RECORD_MODES = ("none", "once", "new_episodes", "all", "rewrite")


@pytest.hookimpl(trylast=True)
def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our flags and settings, after pytest-benchmark added its own."""
    group = parser.getgroup("eino", "eino: benchmarks and determinism")
    flags = {
        "--benchmark": ("eino_benchmark", "Collect bench_*.py and run only benchmarks, each beside its floor."),
        "--benchmark-smoke": ("eino_benchmark_smoke", "Like --benchmark, a few rounds each: shows that they run."),
        "--benchmark-memory": ("eino_benchmark_memory", "Run the benchmarks once, and track what they allocate."),
        "--profile-nodes": ("eino_profile_nodes", "Profile the graphs that the tests run, node by node."),
    }
    for flag, (dest, text) in flags.items():
        try:
            group.addoption(flag, action="store_true", default=False, dest=dest, help=text)
        except (ValueError, argparse.ArgumentError):  # another plugin has taken the flag: then it is theirs
            continue
    parser.addini(
        "eino_benchmark_paths", "folders with bench_*.py for --benchmark", type="args", default=["benchmarks"]
    )
    parser.addini("eino_benchmark_report", "folder for the reports of --benchmark", default="reports/benchmarks")
    parser.addini("eino_memory_report", "folder for the report of --benchmark-memory", default="reports/memory")
    parser.addini("eino_profile_report", "folder for the report of --profile-nodes", default="reports/profile")
    with contextlib.suppress(
        ValueError, argparse.ArgumentError
    ):  # pytest-recording has the same flag: it counts for us
        group.addoption("--record-mode", choices=_RECORD_MODES, default=None, help="What cassettes may record: none.")
    group.addoption(
        "--trace-update", action="store_true", default=False, help="Write the traces that tests compare with."
    )
    parser.addini("eino_block_network", "let tests reach this machine only", type="bool", default=False)
    parser.addini("eino_allowed_hosts", "hosts that every test may reach: names, addresses, networks", type="args")
    parser.addini("eino_leak_check", "check every test for leaks", type="bool", default=False)
    parser.addini(
        "eino_leak_ignore_threads", "patterns of thread names that may stay", type="args", default=_LASTING_THREADS
    )
    parser.addini(
        "eino_virtual_backends", "event loops for tests in virtual time", type="args", default=["asyncio", "trio"]
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch on what the command line and the settings ask for, before pytest-benchmark reads its options."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    option = config.option
    benchmarking = getattr(option, "eino_benchmark", False) or getattr(option, "eino_benchmark_smoke", False)
    if benchmarking:
        from eino_harness._benchmark_run import start as start_benchmark_run

        start_benchmark_run(config)
    if getattr(option, "eino_benchmark_memory", False):
        from eino_harness.bench.memory import start as start_memory_run

        start_memory_run(config)
    if getattr(option, "eino_profile_nodes", False):
        from eino_harness._profile_run import start as start_profile_run

        start_profile_run(config)
    if config.getini("eino_block_network"):
        from eino_harness._network_hooks import start as start_network_guard

        start_network_guard(config)
    tracking = getattr(option, "eino_benchmark_memory", False)
    if config.getini("eino_leak_check") and not (benchmarking or tracking):
        from eino_harness._leak_hooks import EveryTest

        config.pluginmanager.register(EveryTest(), "eino-leak-check")
    if config.pluginmanager.hasplugin("benchmark"):
        from eino_harness._unawaited import refuse as refuse_coroutines

        config.add_cleanup(refuse_coroutines())


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is switched on, in one line; nothing when nothing is."""
    on = []
    if config.getini("eino_block_network"):
        hosts = config.getini("eino_allowed_hosts")
        on.append("network blocked" + (f" but for {', '.join(hosts)}" if hosts else ""))
    if config.getini("eino_leak_check"):
        on.append("leak check")
    return f"eino: {', '.join(on)}" if on else None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Let the marker `cassette` ask for the fixture, whether it stands at the test, its class or its module."""
    if not collector.istestfunction(obj, name):
        return
    own = getattr(obj, "pytestmark", ())
    if any(mark.name == "cassette" for mark in own) or collector.get_closest_marker("cassette"):
        pytest.mark.usefixtures("cassette")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a coroutine test that asks for `virtual_clock` in virtual time, unless it chooses its backends itself."""
    names = metafunc.fixturenames
    if "virtual_clock" not in names or "anyio_backend" not in names:
        return
    own = metafunc.definition.iter_markers("parametrize")
    if any("anyio_backend" in str(marker.args[:1]) for marker in own):
        return
    from eino_fixtures.clock import virtual_backends

    backends = virtual_backends(metafunc.config.getini("eino_virtual_backends"))
    metafunc.definition.add_marker(pytest.mark.parametrize("anyio_backend", backends))


@pytest.fixture
def virtual_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """The clock of the test's event loop: `now()`, `await advance(s)`, `await settle()`, `hold()`.

    A coroutine test that asks for it runs on asyncio and trio (ini `eino_virtual_backends`), both in virtual time; a
    synchronous test gets a clock whose `run(async_fn)` runs in virtual time.
    """
    import inspect

    from eino_fixtures.clock import VirtualClock, VirtualOptions

    if "anyio_backend" not in request.fixturenames:
        if inspect.iscoroutinefunction(request.function):
            raise pytest.UsageError(
                f"{request.node.nodeid}: virtual_clock needs a test that anyio runs: set anyio_mode = auto, or mark it "
                "with @pytest.mark.anyio"
            )
        return VirtualClock()
    backend = request.getfixturevalue("anyio_backend")
    options = backend[1] if isinstance(backend, tuple) else None
    if not isinstance(options, VirtualOptions):
        raise pytest.UsageError(
            f"{request.node.nodeid}: virtual_clock needs a virtual backend, got {backend!r}: parametrize anyio_backend "
            "with eino_fixtures.clock.virtual_backends(), or leave it out"
        )
    return options.clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let fixtures know whether their test passed."""
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture
def scripted_model(request: pytest.FixtureRequest) -> Iterator[type[ScriptedChatModel]]:
    """Makes chat models that answer from a script: `scripted_model(["hello", tool_call("search", ...)])`.

    When the test has passed, a step that was not used fails it, and so does a call without a step.
    """
    from eino_fixtures import ScriptedChatModel

    with completed(request, ScriptedChatModel) as make:
        yield cast("type[ScriptedChatModel]", make)


@pytest.fixture
def fake_tool(request: pytest.FixtureRequest) -> Iterator[Callable[..., FakeTool]]:
    """Makes tools that record their calls: `fake_tool("search", returns="...")`, `fake_tool("search", script=[...])`.

    When the test has passed, a result of a script that was not used fails it, and so does a call without one.
    """
    from eino_fixtures.tools import fake_tool as make_fake_tool

    with completed(request, make_fake_tool) as make:
        yield make


@pytest.fixture
def cassette_dir(request: pytest.FixtureRequest) -> Path:
    """The folder of this test's cassette: `cassettes/<module>/` beside the test file. Redefine it to share one."""
    return request.path.parent / "cassettes" / request.path.stem


@pytest.fixture
def cassette(request: pytest.FixtureRequest, cassette_dir: Path) -> Iterator[CassetteInUse]:
    """Answers the test's HTTP requests from `<test>.yaml`, or the file that `@pytest.mark.cassette("x.yaml")` names.

    `--record-mode=once` records what is missing. When the test has passed, a recorded call that was not asked for
    fails it, and so does a request that was not recorded.
    """
    from eino_harness._cassette_fixture import open_cassette

    with open_cassette(request, cassette_dir) as used:
        yield used


@pytest.fixture
def provider_server(request: pytest.FixtureRequest) -> Iterator[ProviderServer]:
    """A running provider on loopback, with an empty script: `provider_server.add(...)`, `provider_server.openai_url`.

    When the test has passed, an answer that was not asked for fails it, and so does a request without an answer.
    """
    from eino_fixtures.provider_server import ProviderServer

    with completed(request, ProviderServer) as make, make() as server:
        yield server


@pytest.fixture
def ids() -> Iterator[Callable[[int], str]]:
    """Numbers the runs of this test from 1, in the order they begin: the id of the first is `ids(1) == "run-1"`."""
    with numbered_runs("run") as run_id:
        yield run_id


@pytest.fixture
def trace(request: pytest.FixtureRequest) -> Iterator[Trace]:
    """Hears runs: `callbacks=[trace]`, then `await trace.text()`, or `await trace.check()` against the kept text.

    That is `traces/<module>/<test>.txt` beside the test file, one for all event loops; `--trace-update` writes it.
    """
    from eino_harness.trace import Trace, file_of

    recording = Trace(path=file_of(request), update=request.config.getoption("--trace-update"))
    yield recording
    recording.close()


@pytest.fixture
def leak_check(request: pytest.FixtureRequest) -> Iterator[LeakCheck]:
    """Fails a test that passed but left tasks, async generators, threads, sockets, files or pipes open.

    The setting `eino_leak_check = true` gives it to every test. `leak_check.check()` compares at once.
    """
    from eino_harness._leak_hooks import open_leak_check

    with open_leak_check(request) as check:
        yield check


@pytest.fixture(params=["asyncio"])
def abenchmark(request: pytest.FixtureRequest, benchmark: Any) -> Iterator[AsyncBenchmark]:
    """Times functions inside a running event loop: `abenchmark(fn)`, `abenchmark.compare(subject=..., floor=...)`.

    Other loops: `@pytest.mark.parametrize("abenchmark", ["asyncio", "uvloop", "trio"], indirect=True)`.
    """
    if request.config.pluginmanager.hasplugin("eino_harness.bench.counting"):
        from eino_harness.bench.counting import open_counted

        with open_counted(request, benchmark) as counted:
            yield cast("AsyncBenchmark", counted)
        return
    if request.config.pluginmanager.hasplugin("eino-memory-run"):
        from eino_harness.bench.memory import open_memory

        with open_memory(request, benchmark) as tracked:
            yield cast("AsyncBenchmark", tracked)
        return
    from eino_harness._abenchmark import open_benchmark

    with open_benchmark(request, benchmark) as opened:
        yield opened
