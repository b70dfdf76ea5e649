"""The fixture `virtual_clock`: which tests run in virtual time, on which loops."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable", "-v")

TEST = """
import anyio

async def test_minute(virtual_clock):
    await anyio.sleep(60)
    assert virtual_clock.now() == 60.0
"""


def test_asking_for_the_fixture_is_enough(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makepyfile(TEST)

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_minute?asyncio-virtual? PASSED*", "*::test_minute?trio-virtual? PASSED*"])


def test_it_replaces_the_projects_own_backends_for_that_test_only(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makeconftest(
        """
        import pytest
        @pytest.fixture(params=[("asyncio", {"use_uvloop": True})], ids=["uvloop"])
        def anyio_backend(request): return request.param
        """
    )
    pytester.makepyfile(TEST + "\nasync def test_real(): pass\n")

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*::test_minute?trio-virtual? PASSED*", "*::test_real?uvloop? PASSED*"])


def test_other_parameters_are_multiplied_and_each_test_starts_at_zero(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makepyfile(
        """
        import anyio, pytest

        @pytest.fixture
        async def waited(virtual_clock):
            await anyio.sleep(5)
            yield virtual_clock.now()
            await anyio.sleep(5)

        @pytest.mark.parametrize("seconds", [10, 20])
        async def test_it(waited, virtual_clock, seconds):
            await anyio.sleep(seconds)
            assert (waited, virtual_clock.now()) == (5, 5 + seconds)
        """
    )

    pytester.runpytest(*QUIET).assert_outcomes(passed=4)


def test_the_backends_can_be_set(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\neino_virtual_backends = asyncio\n")
    pytester.makepyfile(TEST)

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_minute?asyncio-virtual? PASSED*"])


def test_a_test_may_choose_its_backends_itself(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makepyfile(
        """
        import anyio, pytest
        from eino_fixtures.clock import virtual_backends

        @pytest.mark.parametrize("anyio_backend", virtual_backends(["trio"]))
        async def test_virtual(virtual_clock):
            await anyio.sleep(60)
            assert virtual_clock.now() == 60.0

        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_real(virtual_clock): pass
        """
    )

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *::test_real?asyncio?: virtual_clock needs a virtual backend, got 'asyncio': *"])


def test_a_synchronous_test_gets_a_clock_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import anyio
        def test_it(virtual_clock):
            virtual_clock.run(anyio.sleep, 60, backend="trio")
            assert virtual_clock.now() == 60.0
        """
    )

    pytester.runpytest(*QUIET).assert_outcomes(passed=1)


def test_a_coroutine_test_that_anyio_does_not_run_is_refused(pytester: pytest.Pytester) -> None:
    """Another runner would use its own loop, on which the clock has no hold."""
    pytester.makepyfile(
        """
        import pytest
        async def test_it(virtual_clock): pass

        @pytest.mark.anyio
        async def test_marked(virtual_clock): assert virtual_clock.now() == 0
        """
    )

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *::test_it: virtual_clock needs a test that anyio runs: set anyio_mode = auto*"])
