"""The fixtures around fakes, the settings' header line, and what the plugin costs who does not use it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eino_fixtures.cassettes import RECORD_MODES
from eino_harness import plugin

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "--benchmark-disable")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nanyio_mode = auto\n")
    return pytester


def test_a_scripted_model_must_be_used_up(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from eino.schema import user_message

        @pytest.fixture
        def anyio_backend(): return "asyncio"

        async def test_used_up(scripted_model):
            first, second = scripted_model(["hello"]), scripted_model(["bye"], delay_s=0)
            assert (await first.generate([user_message("hi")])).content == "hello"
            assert (await second.generate([user_message("hi")])).content == "bye"

        async def test_left_over(scripted_model):
            await scripted_model(["hello"]).generate([user_message("hi")])
            scripted_model(["never asked for"])

        async def test_failed(scripted_model):
            scripted_model(["never asked for"])
            raise KeyError("the real reason")

        async def test_skipped(scripted_model):
            scripted_model(["never asked for"])
            pytest.skip("not today")

        async def test_one_call_too_many(scripted_model):
            model = scripted_model([])
            with pytest.raises(AssertionError):
                await model.generate([user_message("hi")])
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(passed=3, failed=1, skipped=1, errors=2)
    result.stdout.fnmatch_lines(
        ["E *UnusedStepsError: 1 of 1 steps *", "E *'never asked for'", "E *UnexpectedCallError: *"]
    )


def test_a_fake_tool_with_a_script_must_be_used_up(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def anyio_backend(): return "asyncio"

        async def test_fixed_result(fake_tool):
            tool = fake_tool("search", returns="found")
            assert await tool.run("{}") == "found"
            assert tool.calls[0].parsed == {}

        async def test_left_over(fake_tool):
            assert await fake_tool("search", script=["one", "two"]).run("{}") == "one"
        """
    )

    result = project.runpytest(*QUIET)

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *UnusedStepsError: *"])


ASK = """
import httpx
import pytest
from eino_fixtures.provider_server import ProviderServer

HOST = "http://api.example.com"

def ask(url, text):
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(f"{url}/v1/chat/completions", json=body).json()
    return answer["choices"][0]["message"]["content"]
"""


@pytest.fixture
def recorded(project: pytest.Pytester) -> pytest.Pytester:
    """A project whose test was recorded against a server that is gone now."""
    project.makeini("[pytest]\neino_block_network = true\n")
    project.makepyfile(
        test_calls=ASK
        + """
@pytest.mark.cassette(rewrite_hosts={"http://127.0.0.1": HOST})
def test_record():
    with ProviderServer(["hello", "goodbye"]) as server:
        assert ask(server.url, "hi") == "hello"
        assert ask(server.url, "bye") == "goodbye"
"""
    )
    project.runpytest(*QUIET, "--record-mode=once").assert_outcomes(passed=1)
    file = project.path / "cassettes" / "test_calls" / "test_record.yaml"
    assert file.exists()
    port = file.read_text().partition("http://api.example.com:")[2].partition("/")[0]
    (project.path / "test_calls.py").write_text(ASK.replace(".com", f".com:{port}"))
    return project


def add_tests(project: pytest.Pytester, text: str) -> None:
    path = project.path / "test_calls.py"
    path.write_text(path.read_text() + text)


def test_a_cassette_answers_without_a_network(recorded: pytest.Pytester) -> None:
    add_tests(
        recorded,
        """
def test_record(cassette):
    assert ask(HOST, "hi") == "hello"
    assert ask(HOST, "bye") == "goodbye"
    assert cassette.play_count == 2

@pytest.mark.cassette("test_record.yaml", allow_unplayed=True)
class TestNamed:
    def test_by_name(self):
        assert ask(HOST, "hi") == "hello"

    @pytest.mark.parametrize("text", ["hi", "bye"])
    def test_parametrised(self, text):
        assert ask(HOST, text) in {"hello", "goodbye"}
""",
    )

    recorded.runpytest(*QUIET, "--strict-markers").assert_outcomes(passed=4)


def test_what_a_cassette_does_not_hold_fails_the_test(recorded: pytest.Pytester) -> None:
    add_tests(
        recorded,
        """
@pytest.mark.cassette("test_record.yaml")
def test_unplayed():
    assert ask(HOST, "hi") == "hello"

@pytest.mark.cassette("test_record.yaml", allow_unplayed=True)
def test_another_prompt():
    ask(HOST, "something else")

@pytest.mark.cassette("test_record.yaml")
def test_failed():
    raise KeyError("the real reason")

def test_missing(cassette):
    ask(HOST, "hi")
""",
    )

    result = recorded.runpytest(*QUIET, "--tb=short")

    result.assert_outcomes(passed=1, failed=2, errors=2)
    result.stdout.fnmatch_lines(["E *CassetteError: *test_missing.yaml' does not exist*", "E *--record-mode=once"])
    result.stdout.fnmatch_lines(["E *UnplayedCallsError: 1 calls of cassette *"])
    result.stdout.fnmatch_lines(["E *CassetteMissError: *"])


def test_a_failed_test_records_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(
        ASK
        + """
def test_it(cassette):
    with ProviderServer(["hello"]) as server:
        ask(server.url, "hi")
    raise KeyError("the real reason")
"""
    )

    project.runpytest(*QUIET, "--record-mode=once").assert_outcomes(failed=1)

    assert not list(project.path.rglob("*.yaml"))


def test_the_network_is_open_only_while_calls_are_recorded(recorded: pytest.Pytester) -> None:
    add_tests(
        recorded,
        """
from eino_harness._network import _active

def permitted(): return _active[-1].policy.permits("api.example.com")

@pytest.mark.cassette("test_record.yaml", allow_unplayed=True)
def test_replayed(): assert not permitted()

@pytest.mark.cassette("test_record.yaml", record_mode="new_episodes")
def test_recorded(): assert permitted()

def test_others(): assert not permitted()
""",
    )

    recorded.runpytest(*QUIET).assert_outcomes(passed=3)
    recorded.runpytest(*QUIET, "--record-mode=once").assert_outcomes(passed=3)


@pytest.mark.parametrize("arguments", ["'a.yaml', 'b.yaml'", "7", "match='body'"])
def test_a_cassette_marker_that_makes_no_sense_is_refused(project: pytest.Pytester, arguments: str) -> None:
    project.makepyfile(f"import pytest\n@pytest.mark.cassette({arguments})\ndef test_it(): pass\n")

    result = project.runpytest(*QUIET)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["E *::test_it: the marker cassette takes one file name, and by name *match_on*; got *"]
    )


def test_a_project_may_keep_its_cassettes_elsewhere(recorded: pytest.Pytester) -> None:
    recorded.makeconftest(
        """
        import pytest
        @pytest.fixture
        def cassette_dir(request): return request.config.rootpath / "shared"
        """
    )
    (recorded.path / "cassettes" / "test_calls").rename(recorded.path / "shared")
    add_tests(
        recorded, "\n@pytest.mark.cassette('test_record.yaml', allow_unplayed=True)\ndef test_it(): ask(HOST, 'hi')\n"
    )

    recorded.runpytest(*QUIET).assert_outcomes(passed=1)


def test_the_record_modes_are_those_of_the_cassettes() -> None:
    assert plugin._RECORD_MODES == RECORD_MODES


def test_pytest_recordings_flag_counts_where_it_is_installed(pytester: pytest.Pytester) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(
        recording="def pytest_addoption(parser): parser.addoption('--record-mode', dest='record_mode', default=None)",
        test_it="def test_it(pytestconfig): assert pytestconfig.getoption('--record-mode') == 'rewrite'",
    )

    pytester.runpytest("-p", "recording", "--record-mode=rewrite", *QUIET).assert_outcomes(passed=1)


def test_a_provider_server_runs_for_one_test_and_must_be_used_up(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import json
        import urllib.request

        def ask(server):
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
            request = urllib.request.Request(
                server.openai_url + "/chat/completions", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)

        def test_used_up(provider_server):
            provider_server.add("hello")
            assert ask(provider_server)["choices"][0]["message"]["content"] == "hello"
            assert provider_server.requests[0].json["model"] == "m"

        def test_left_over(provider_server):
            provider_server.add("hello", "never asked for")
            ask(provider_server)
        """
    )

    result = project.runpytest(*QUIET, "-o", "eino_block_network=true", "-o", "eino_leak_check=true")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *UnusedStepsError: *never asked for*"])


def test_run_ids_are_counted_from_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from eino import Chain, Handler

        class Note(Handler):
            def __init__(self): self.ids = []
            def on_start(self, info, value): self.ids.append(info.run_id)

        @pytest.mark.parametrize("again", [1, 2])
        def test_it(ids, again):
            note = Note()
            chain = Chain[int, int]()
            chain.append_lambda(lambda x: x + 1)
            chain.compile().invoke_sync(1, callbacks=[note])
            assert note.ids[0] == ids(1) == "run-1"
            assert note.ids[1] == ids(2)

        def test_without(again=None):
            from eino._run.ids import next_seq, run_id
            assert not run_id(next_seq()).startswith("run-")
        """
    )

    project.runpytest(*QUIET).assert_outcomes(passed=3)


def test_the_header_says_what_is_on(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    pytester.makeini("[pytest]\neino_block_network = true\neino_leak_check = true\neino_allowed_hosts = db.internal\n")
    pytester.runpytest(*QUIET).stdout.fnmatch_lines(["eino: network blocked but for db.internal, leak check"])

    pytester.makeini("[pytest]\n")
    pytester.runpytest(*QUIET).stdout.no_fnmatch_line("eino: *")


def test_every_marker_is_registered(project: pytest.Pytester) -> None:
    result = project.runpytest("--markers")

    for marker in ("workload(", "allow_network(", "allow_leaks(reason)", "cassette("):
        result.stdout.fnmatch_lines([f"@pytest.mark.{marker}*"])


def test_loading_the_plugin_imports_nothing_but_pytest() -> None:
    """It is loaded wherever eino is installed; what costs is imported when it is asked for."""
    script = (
        "import pytest, argparse, sys; before = set(sys.modules); import eino_harness.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert loaded == ["eino_harness", "eino_harness._fakes", "eino_harness.plugin"]
