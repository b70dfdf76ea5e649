"""Two plugins that want the same thing: the error says which, and what to drop."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable")

OTHER_RECORDER = """
import pytest

def pytest_configure(config):
    config.addinivalue_line("markers", "vcr: another recorder")

@pytest.fixture
def vcr_cassette():
    yield

@pytest.fixture
def vcr():
    yield
"""


@pytest.fixture
def with_vcr(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a plugin that looks like pytest-vcr."""
    pytester.makepyfile(pytest_vcr=OTHER_RECORDER)
    pytester.syspathinsert()
    return pytester


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.vcr\ndef test_it(cassette): pass",
        "@pytest.mark.cassette('a.yaml')\n@pytest.mark.vcr\ndef test_it(): pass",
        "def test_it(cassette, vcr_cassette): pass",
    ],
    ids=["marker", "two markers", "two fixtures"],
)
def test_a_test_with_two_recorders_is_refused(with_vcr: pytest.Pytester, test: str) -> None:
    with_vcr.makepyfile(test_two=f"import pytest\n\n{test}\n")

    result = with_vcr.runpytest(*QUIET, "-p", "pytest_vcr", "test_two.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*test_two.py::test_it has two recorders, ours and that of pytest-vcr*keep either*-p no:vcr*"]
    )


def test_each_recorder_alone_is_welcome(with_vcr: pytest.Pytester) -> None:
    with_vcr.makepyfile(
        test_one="import pytest\n\n@pytest.mark.vcr\ndef test_it(vcr): pass\n\ndef test_none(cassette): pass\n"
    )

    result = with_vcr.runpytest(*QUIET, "-p", "pytest_vcr", "test_one.py")

    result.assert_outcomes(passed=1, errors=1)  # the one with our fixture has no file yet
    result.stdout.no_fnmatch_line("*two recorders*")
    result.stdout.fnmatch_lines(["*with pytest: --record-mode=once*"])


@pytest.mark.parametrize("flag", ["--benchmark", "--benchmark-smoke"])
def test_benchmarks_in_several_processes_are_refused(pytester: pytest.Pytester, flag: str) -> None:
    result = pytester.runpytest("-p", "xdist", flag, "-n", "2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *cannot run in several processes at once*drop -n, or add -n0"])
