"""What every test of eino shares: the backends that a coroutine test runs on, and what a skip means on CI.

The network is blocked and leaks fail a test: `[tool.pytest.ini_options]` in pyproject.toml switches both on.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator
from typing import TypeVar

# pytest forgets what a run inside the run (pytester) imported first, but the libraries do not: httpx would compare
# errors with the classes of an httpcore that nobody uses any more. So these are loaded before any inner run.
import httpcore  # noqa: F401
import httpcore2  # noqa: F401
import httpx  # noqa: F401
import httpx2  # noqa: F401
import hypothesis
import pytest
import vcr  # type: ignore[import-untyped]  # noqa: F401 - ships no types

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]

ALLOWED_SKIPS = ("needs Python ", "needs platform ")
"""How the reason of a skip begins that is no fault of a CI machine: the interpreter or the system is another one.

All else that a test needs (a database, recorded traffic, an optional library) is there on CI, so its absence is a
failure: a suite that skips what it cannot do looks green when it should not."""

# Deadlines in real time would make the tests fail on a busy machine.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each coroutine test on asyncio, asyncio with uvloop, and trio."""
    return request.param


@pytest.fixture(autouse=True, scope="session")
def no_xdist_worker() -> None:
    """Hide from pytest runs that tests start inside a worker of xdist that they are in one: it changes what they do."""
    os.environ.pop("PYTEST_XDIST_WORKER", None)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Where the PostgreSQL server for tests is; `EINO_POSTGRES_URL` names another one."""
    import psycopg

    url = os.environ.get("EINO_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL server: {error}")
    return url


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema of the test's own, which is dropped afterwards."""
    import psycopg

    name = f"eino_test_{secrets.token_hex(6)}"
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one on CI."""
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped test module into a failed one on CI."""
    return refuse_skip((yield))


def refuse_skip(report: Report) -> Report:
    """Return the report, failed where it was skipped on CI for a reason that `ALLOWED_SKIPS` does not know."""
    if not (report.skipped and os.environ.get("CI")) or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid} was skipped ({reason}), and CI skips nothing: install what the test needs, or begin the "
            f"reason with one of {ALLOWED_SKIPS} when the test can never run here"
        )
    return report
