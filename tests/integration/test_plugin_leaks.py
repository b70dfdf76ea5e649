"""The leak check in a project that switches it on, and as a fixture in one that does not."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable", "-rfE", "--tb=short")

BACKENDS = """
import pytest

@pytest.fixture(params=[("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True}), ("trio", {})],
                ids=["asyncio", "uvloop", "trio"])
def anyio_backend(request): return request.param
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\neino_leak_check = true\nanyio_mode = auto\n")
    pytester.makeconftest(BACKENDS)
    return pytester


def test_tests_that_clean_up_pass(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import anyio, pytest

        async def numbers():
            for number in range(3): yield number

        @pytest.fixture
        async def service():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                yield tasks
                tasks.cancel_scope.cancel()

        async def test_streams():
            assert [number async for number in numbers()] == [0, 1, 2]

        async def test_threads(): await anyio.to_thread.run_sync(int)

        async def test_a_fixture_may_hold_tasks(service): await anyio.lowlevel.checkpoint()

        async def test_sockets():
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            await listener.aclose()

        def test_sync(tmp_path): (tmp_path / "a").write_text("b")
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=4 * 3 + 1)


def test_what_a_coroutine_test_leaves_in_its_loop_fails_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio
        KEPT = []

        async def numbers():
            for number in range(3): yield number

        async def test_generator():
            KEPT.append(numbers())
            await anext(KEPT[-1])

        async def test_task(anyio_backend_name):
            if anyio_backend_name == "trio":
                import trio
                trio.lowlevel.spawn_system_task(trio.sleep_forever, name="orphan")
            else:
                KEPT.append(asyncio.create_task(asyncio.sleep(60), name="orphan"))
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(["*async generator numbers first iterated at *.py:9 (in test_generator), never closed"])
    result.stdout.fnmatch_lines(["*task 'orphan' still runs sleep*, waiting at *"])


def test_what_a_test_leaves_in_the_process_is_an_error_after_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import socket, threading
        KEPT = []

        def test_socket():
            KEPT.append(socket.socket())

        def test_thread():
            KEPT.append(threading.Event())
            threading.Thread(target=KEPT[-1].wait, args=(5,), name="stray", daemon=True).start()

        def test_afterwards():
            KEPT[0].close()
            KEPT[1].set()
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*socket * is open: ('0.0.0.0', 0)", "*thread 'stray' still runs, at *"])


def test_a_test_that_fails_is_not_blamed_for_leaks_as_well(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import socket, pytest
        KEPT = []

        async def numbers(): yield 1

        async def test_async():
            KEPT.append(numbers())
            await anext(KEPT[-1])
            raise KeyError("the real reason")

        def test_sync():
            KEPT.append(socket.socket())
            raise KeyError("the real reason")

        def test_skipped():
            KEPT.append(socket.socket())
            pytest.skip("not today")

        def test_end():
            for each in KEPT:
                if hasattr(each, "close"): each.close()
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(failed=4, skipped=1, passed=1)
    result.stdout.no_fnmatch_line("*LeakError*")


def test_a_marker_with_a_reason_allows_leaks(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        KEPT = []

        async def numbers(): yield 1

        @pytest.mark.allow_leaks("the generator is closed by the next test")
        async def test_it():
            KEPT.append(numbers())
            await anext(KEPT[-1])
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=3)


@pytest.mark.parametrize("marker", ["allow_leaks", "allow_leaks('')", "allow_leaks(reason=7)"])
def test_a_marker_without_a_reason_is_refused(project: pytest.Pytester, marker: str) -> None:
    project.makepyfile(f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n")

    result = project.runpytest(*QUIET)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *::test_it: allow_leaks needs a reason: @pytest.mark.allow_leaks('why')"])


def test_every_example_of_a_property_is_checked(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from hypothesis import given, settings, strategies as st
        KEPT = []

        async def numbers():
            yield 1
            yield 2

        @settings(max_examples=20, deadline=None, database=None)
        @given(st.integers(0, 3))
        async def test_leaks(number):
            if number == 2:
                KEPT.append(numbers())
                await anext(KEPT[-1])

        @settings(max_examples=5, deadline=None, database=None)
        @given(st.integers())
        async def test_clean(number):
            assert [each async for each in numbers()] == [1, 2]
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(failed=3, passed=3)
    # The words are those of Hypothesis: the first of newer releases, the second of older ones.
    result.stdout.re_match_lines([r".*(Failing test case|Falsifying example): ", r".*number=2"])


def test_threads_that_last_by_design_can_be_named(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\neino_leak_check = true\neino_leak_ignore_threads = pool-*\n")
    project.makepyfile(
        """
        import threading
        STOP = threading.Event()

        def test_pool():
            threading.Thread(target=STOP.wait, args=(5,), name="pool-1", daemon=True).start()

        def test_end(): STOP.set()
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=2)


def test_the_fixture_works_where_the_setting_is_off(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    pytester.makeconftest(BACKENDS)
    pytester.makepyfile(
        """
        import socket, pytest
        KEPT = []

        async def numbers(): yield 1

        async def test_unchecked():
            KEPT.append(numbers())
            await anext(KEPT[-1])

        async def test_checked(leak_check):
            KEPT.append(numbers())
            await anext(KEPT[-1])

        def test_at_once(leak_check):
            leak_check.check()
            opened = socket.socket()
            with pytest.raises(AssertionError, match="socket"):
                leak_check.check()
            opened.close()

        def test_too_late(request):
            request.getfixturevalue("leak_check")
        """
    )

    result = pytester.runpytest(*QUIET)

    result.assert_outcomes(passed=4, failed=4)
    result.stdout.fnmatch_lines(["E *::test_too_late: ask for leak_check by parameter or usefixtures, to be watched"])


def test_libraries_may_keep_their_own_files_open(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio
        KEPT = []
        def test_it(): KEPT.append(open(asyncio.__file__))
        def test_end(): KEPT[0].close()
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=2)
