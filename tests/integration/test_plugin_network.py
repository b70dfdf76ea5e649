"""The network guard in a project that switches it on."""

from __future__ import annotations

import pytest

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\neino_block_network = true\nanyio_mode = auto\n")
    return pytester


def test_a_test_that_reaches_out_fails_and_says_what_to_do(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import socket
        def test_it(): socket.create_connection(("api.example.com", 443))
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *NetworkBlockedError: the network is blocked in tests*'api.example.com'*allow_network*"]
    )


def test_fixtures_are_guarded_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest, socket

        @pytest.fixture(scope="session")
        def service(): return socket.getaddrinfo("api.example.com", 443)

        def test_it(service): pass
        """
    )

    project.runpytest(*QUIET).assert_outcomes(errors=1)


def test_the_guards_error_is_shown_even_when_a_client_wraps_it(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    project.makepyfile(
        """
        import socket

        def test_cause():
            try:
                socket.getaddrinfo("api.example.com", 443)
            except RuntimeError as error:
                raise ConnectionError("could not connect") from error

        def test_group():
            try:
                socket.getaddrinfo("api.example.com", 443)
            except RuntimeError as error:
                raise ExceptionGroup("all attempts failed", [error])

        def test_unrelated():
            raise ExceptionGroup("something else", [ValueError()])
        """
    )

    result = project.runpytest(*QUIET, "-rf", "--tb=line")

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "FAILED *test_cause - eino_harness.errors.NetworkBlockedError*",
            "FAILED *test_group - eino_harness.errors.NetworkBlockedError*",
            "FAILED *test_unrelated - ValueError*",
        ]
    )


def test_a_marker_lifts_the_block_for_one_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from eino_harness._network import _active

        def permitted(host): return _active[-1].policy.permits(host)

        @pytest.mark.allow_network
        def test_everything(): assert permitted("api.example.com")

        @pytest.mark.allow_network(hosts=["*.example.com", "10.0.0.0/8"])
        def test_named():
            assert permitted("api.example.com") and permitted("10.1.2.3")
            assert not permitted("api.example.org")

        def test_others(): assert not permitted("api.example.com")

        @pytest.fixture
        def in_fixture(): return permitted("api.example.com")

        @pytest.mark.allow_network
        def test_fixtures_of_the_test(in_fixture): assert in_fixture
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=4)


def test_the_setting_allows_hosts_for_every_test(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\neino_block_network = true\neino_allowed_hosts = db.internal 10.0.0.0/8\n")
    project.makepyfile(
        """
        import pytest
        from eino_harness._network import _active

        def test_set(): assert _active[-1].policy.permits("db.internal") and _active[-1].policy.permits("10.9.9.9")

        @pytest.mark.allow_network(hosts=["api.example.com"])
        def test_the_marker_adds(): assert _active[-1].policy.permits("db.internal")
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("allow_network('api.example.com')", "allow_network takes hosts=[[]...] or nothing, got ('api.example.com',)*"),
        ("allow_network(hosts='api.example.com')", "allow_network takes hosts=[[]...] or nothing*"),
        ("allow_network(host=['api.example.com'])", "allow_network takes hosts=[[]...] or nothing*"),
        ("allow_network(hosts=[''])", "allow_network: a host must be a name, an IP address or a network, got ''"),
        ("allow_network(hosts=7)", "allow_network takes hosts=[[]...] or nothing, got () {'hosts': 7}"),
    ],
)
def test_a_marker_that_makes_no_sense_stops_before_anything_runs(
    project: pytest.Pytester, marker: str, message: str
) -> None:
    project.makepyfile(test_it=f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n")

    result = project.runpytest(*QUIET)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: test_it.py::test_it: {message}"])


def test_a_setting_that_makes_no_sense_is_refused(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\neino_block_network = true\neino_allowed_hosts = ' '\n")

    result = project.runpytest(*QUIET)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: eino_allowed_hosts: a host must be a name, an IP address or a network, got ' '"]
    )


def test_without_the_setting_nothing_is_touched(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import socket, pytest

        @pytest.mark.allow_network
        def test_it(): assert "guard" not in socket.getaddrinfo.__code__.co_filename
        """
    )

    result = pytester.runpytest_subprocess(*QUIET, "--strict-markers")

    result.assert_outcomes(passed=1)


def test_the_network_is_back_after_the_session(project: pytest.Pytester) -> None:
    import socket

    before = socket.getaddrinfo
    project.makepyfile("def test_it(): pass")

    project.runpytest(*QUIET).assert_outcomes(passed=1)

    assert socket.getaddrinfo is before
