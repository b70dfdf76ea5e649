"""Time limits, retries and answers for errors, around any tool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated, Any, Literal

import anyio
import pytest

from eino import RetryPolicy
from eino.components import StreamingTool, ToolOption, tool, tool_error_handler, tool_retry, tool_timeout
from eino.errors import BuildError, ControlSignal, RunCancelledError, ToolArgumentsError, ToolError
from eino.schema import ToolInfo
from eino_fixtures import VirtualClock

NOW = RetryPolicy(max_attempts=3, base_s=0.0)


class Flaky:
    """A tool without a function: fails with each of `errors`, then answers."""

    info = ToolInfo(name="flaky")

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def run(self, arguments: str) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return arguments


class FlakyStream(Flaky):
    """The same, streaming: gives `before` pieces before it fails."""

    def __init__(self, *errors: Exception, before: int = 0) -> None:
        super().__init__(*errors)
        self.before = before
        self.closed = 0

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        self.calls += 1
        try:
            if self.errors:
                for number in range(self.before):
                    yield str(number)
                raise self.errors.pop(0)
            yield "a"
            yield "b"
        finally:
            self.closed += 1


class Endless(FlakyStream):
    """Waits for ever, in `run` and after the first piece."""

    async def run(self, arguments: str) -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async def stream(self, arguments: str) -> AsyncIterator[str]:
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            self.closed += 1


def failed(cause: Exception) -> ToolError:
    error = ToolError("it failed")
    error.__cause__ = cause
    return error


def ring(*errors: Exception) -> Exception:
    """Return the first of errors of which each is caused by the next one, and the last by the first."""
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % len(errors)]
    return errors[0]


async def pieces(streaming: Any) -> list[Any]:
    return [piece async for piece in streaming.stream("{}")]


@pytest.mark.parametrize("cause", [TimeoutError("late"), ConnectionError("gone"), failed(TimeoutError("late"))])
async def test_what_may_pass_is_tried_again(cause: Exception) -> None:
    flaky = Flaky(cause, failed(cause))

    assert await tool_retry(flaky, NOW).run("{}") == "{}"
    assert flaky.calls == 3


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        pytest.param(ring(ToolError("itself")), 1, id="its own cause"),
        pytest.param(ring(ToolError("one"), ToolError("two")), 1, id="two that cause each other"),
        pytest.param(ring(ToolError("one"), TimeoutError("late")), 2, id="two of which one may pass"),
    ],
)
async def test_errors_that_cause_each_other_are_judged_once(error: Exception, calls: int) -> None:
    """What is worth no other try is raised; the other is called again."""
    flaky = Flaky(error)

    with nullcontext() if calls > 1 else pytest.raises(ToolError):
        await tool_retry(flaky, NOW).run("{}")
    assert flaky.calls == calls


@pytest.mark.parametrize(
    "error", [ToolArgumentsError("no"), ValueError("no"), ControlSignal("ask"), RunCancelledError("x")]
)
@pytest.mark.parametrize("kind", [Flaky, FlakyStream])
async def test_what_stays_wrong_and_what_is_no_failure_is_raised_at_once(error: Exception, kind: type[Flaky]) -> None:
    always = RetryPolicy(max_attempts=3, base_s=0.0, retry_on=lambda e: not isinstance(e, (ValueError, ToolError)))
    flaky = kind(error)
    retried: Any = tool_retry(flaky, always)

    with pytest.raises(type(error)) as caught:
        await (pieces(retried) if kind is FlakyStream else retried.run("{}"))
    assert caught.value is error
    assert flaky.calls == 1


async def test_the_last_error_says_how_often_the_tool_was_called() -> None:
    with pytest.raises(TimeoutError) as caught:
        await tool_retry(Flaky(*[TimeoutError() for _ in range(5)]), NOW).run("{}")

    assert caught.value.__notes__ == ["try 3 of at most 3"]


async def test_a_stream_is_tried_again_while_it_gave_nothing() -> None:
    flaky = FlakyStream(TimeoutError(), TimeoutError())
    retried = tool_retry(flaky, NOW)

    assert isinstance(retried, StreamingTool)
    assert await pieces(retried) == ["a", "b"]
    assert (flaky.calls, flaky.closed) == (3, 3)


async def test_a_stream_that_gave_something_is_not_tried_again() -> None:
    flaky = FlakyStream(TimeoutError(), before=1)

    with pytest.raises(TimeoutError):
        await pieces(tool_retry(flaky, NOW))
    assert (flaky.calls, flaky.closed) == (1, 1)


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
"""For tests whose time is virtual."""


@BACKENDS
@pytest.mark.parametrize("streaming", [False, True])
def test_a_call_that_takes_too_long_is_cancelled(streaming: bool, backend: Literal["asyncio", "trio"]) -> None:
    """At the second that was given; a stream's time runs from its first pull."""
    endless = Endless()
    timed: Any = tool_timeout(endless, 90)

    async def main() -> float:
        with pytest.raises(ToolError, match=r"tool 'flaky' did not finish within 90 s") as caught:
            await (pieces(timed) if streaming else timed.run("{}"))
        assert caught.value.retryable
        return anyio.current_time()

    assert VirtualClock().run(main, backend=backend) == 90.0
    assert endless.closed == streaming


async def test_a_call_in_time_gives_its_result() -> None:
    assert await tool_timeout(Flaky(), 60).run("{}") == "{}"
    assert await pieces(tool_timeout(FlakyStream(), 60)) == ["a", "b"]


@BACKENDS
def test_a_timeout_is_tried_again(backend: Literal["asyncio", "trio"]) -> None:
    late = tool_timeout(Endless(), 90)

    async def main() -> float:
        with pytest.raises(ToolError) as caught:
            await tool_retry(late, RetryPolicy(max_attempts=2, base_s=0.0)).run("{}")
        assert caught.value.__notes__ == ["try 2 of at most 2"]
        return anyio.current_time()

    assert VirtualClock().run(main, backend=backend) == 180.0


async def test_policies_by_name() -> None:
    flaky = Flaky(ValueError("broken"), ValueError())

    assert tool_error_handler(flaky, "raise") is flaky
    told = tool_error_handler(flaky, "return_to_model")
    assert [await told.run("{}") for _ in range(3)] == ["Error: broken", "Error: ValueError", "{}"]


@tool
def greet(name: str, mark: Annotated[str, ToolOption()] = "!") -> str:
    """Greet."""
    return name + mark


async def test_options_reach_the_tool_inside() -> None:
    wrapped: Any = tool_timeout(tool_retry(tool_error_handler(greet, "return_to_model")), 60)

    assert await wrapped.with_options(mark="?").run('{"name": "Ada"}') == "Ada?"
    assert await wrapped.run('{"name": "Ada"}') == "Ada!"
    assert (wrapped.info, wrapped.type_name, wrapped.self_instrumented) == (greet.info, "Greet", False)
    assert repr(wrapped) == "tool_timeout(tool_retry(tool_error_handler(FunctionTool('greet'))), 60)"


def test_options_for_a_tool_without_options_are_refused() -> None:
    wrapped: Any = tool_retry(Flaky())

    with pytest.raises(BuildError, match="takes no options, got mark"):
        wrapped.with_options(mark="?")


def test_a_changed_copy_shares_what_checks_the_arguments() -> None:
    assert greet.with_options(mark="?")._reader is greet._reader


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tool_timeout("x", 1), r"tool_timeout\('x'\): give a tool"),  # type: ignore[arg-type]  # is the test
        (lambda: tool_retry(3), r"tool_retry\(3\)"),  # type: ignore[arg-type]  # is the test
        (lambda: tool_error_handler(None, "raise"), "give a tool"),  # type: ignore[arg-type]  # is the test
        (lambda: tool_error_handler(greet, "no"), "handler='no'"),  # type: ignore[arg-type]  # is the test
        (lambda: tool_timeout(greet, 0), "timeout_s=0"),
        (lambda: tool_timeout(greet, float("nan")), "timeout_s=nan"),
        (lambda: tool_timeout(greet, True), "timeout_s=True"),
        (lambda: tool_retry(greet, 3), "policy=3"),  # type: ignore[arg-type]  # is the test
    ],
)
def test_wrong_settings_are_refused(make: Any, says: str) -> None:
    with pytest.raises(BuildError, match=says):
        make()
