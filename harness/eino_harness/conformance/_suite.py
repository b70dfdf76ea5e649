"""What the suites share: how a component is made, which checks are left out and why, and reports."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, cast

import anyio

from eino.errors import BuildError

__all__ = [
    "CONCURRENT_CALLS",
    "CheckResult",
    "Conformance",
    "ConformanceError",
    "ConformanceReport",
    "check_conformance",
    "require",
]

T = TypeVar("T")

CONCURRENT_CALLS: Final = 8
PATIENCE_S: Final = 30.0
"""A check that takes longer has failed: a component must not hang."""


class ConformanceError(AssertionError):
    """A component does not keep the contract of its kind."""


def require(kept: object, text: str) -> None:
    """Fail the check with `text` unless `kept`.

    Raises:
        ConformanceError: If the contract is not kept.
    """
    if not kept:
        raise ConformanceError(text)


class Conformance:
    """Base of the suites. A derived class says how the component is made; it cannot change the checks.

    Attributes:
        without: Checks and abilities that the component does not have, each with the reason. An ability leaves out
            all checks that need it.
    """

    without: ClassVar[Mapping[str, str]] = {}
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Checks by the ability that they need."""

    def __init_subclass__(cls, *, suite: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if suite:
            return
        known = {name for name in dir(cls) if name.startswith("test_")}
        for base in cls.__mro__[1:]:
            if base.__dict__.get("_is_suite"):
                changed = sorted(name for name in cls.__dict__ if name.startswith("test_") and hasattr(base, name))
                if changed:
                    raise BuildError(
                        f"{cls.__name__} replaces {', '.join(changed)}: checks are not changed; leave one out with "
                        f"without = {{{changed[0]!r}: 'the reason'}}"
                    )
        for name, reason in cls.without.items():
            if name not in known and name not in cls.abilities:
                choices = ", ".join(sorted({*cls.abilities, *known}))
                raise BuildError(f"{cls.__name__}.without names {name!r}, which is no check and no ability: {choices}")
            if not isinstance(reason, str) or not reason.strip():
                raise BuildError(f"{cls.__name__}.without[{name!r}] must say why, got {reason!r}")
            for check in cls.abilities.get(name, (name,)):
                setattr(cls, check, None)  # pytest passes over what cannot be called

    def make(self) -> Any:
        """Return a new component: itself, an awaitable, or an async context manager that closes it."""
        raise NotImplementedError(f"{type(self).__name__} must define make(), which returns the component to check")

    @asynccontextmanager
    async def component(self, make: Callable[[], Any] | None = None) -> AsyncIterator[Any]:
        """Give a new component for the block, and at most `PATIENCE_S` seconds to use it."""
        made = (make or self.make)()
        with anyio.move_on_after(PATIENCE_S) as scope:
            if isinstance(made, AbstractAsyncContextManager):
                async with made as component:
                    yield component
            else:
                yield await made if inspect.isawaitable(made) else made
        require(not scope.cancelled_caught, f"the check did not end within {PATIENCE_S:g} s")

    @classmethod
    def checks(cls) -> list[str]:
        """Return the names of the checks that apply, in order."""
        names = [name for base in reversed(cls.__mro__) for name in base.__dict__ if name.startswith("test_")]
        return [name for name in dict.fromkeys(names) if callable(getattr(cls, name))]


@dataclass(frozen=True)
class CheckResult:
    """How one check went."""

    name: str
    what: str
    """What the contract says."""
    error: Exception | None = None
    """Why it is not kept; None if it is."""
    seconds: float = 0.0
    """How long the check took."""

    @property
    def ok(self) -> bool:
        """Whether the contract is kept."""
        return self.error is None


@dataclass(frozen=True)
class ConformanceReport:
    """How all checks of a suite went."""

    suite: str
    results: tuple[CheckResult, ...]
    without: Mapping[str, str]
    """What was left out, with the reasons."""

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return not self.failed

    @property
    def score(self) -> int:
        """How many checks of a hundred passed, rounded down: 100 means all. What was left out does not count."""
        return 100 * (len(self.results) - len(self.failed)) // max(1, len(self.results))

    def markdown(self) -> str:
        """Return the report as a Markdown table."""
        rows = [
            f"| {result.what} | {'kept' if result.error is None else _one_line(result.error)} |"
            for result in self.results
        ]
        left_out = [f"| `{name}` | left out: {reason} |" for name, reason in self.without.items()]
        passed = len(self.results) - len(self.failed)
        head = f"# {self.suite}: {passed} of {len(self.results)} checks passed, {self.score} %"
        return "\n".join([head, "", "| contract | |", "|---|---|", *rows, *left_out, ""])


async def check_conformance(suite: type[Conformance]) -> ConformanceReport:
    """Run every check of `suite` on the running event loop, and return how they went."""
    results = []
    for name in suite.checks():
        run = cast("Callable[[], Awaitable[None]]", getattr(suite(), name))
        what = inspect.cleandoc(run.__doc__ or name).splitlines()[0]
        began = time.perf_counter()
        failure: Exception | None = None
        try:
            await run()
        except Exception as error:  # what a broken component raises is the result
            failure = error
        results.append(CheckResult(name, what, failure, time.perf_counter() - began))
    return ConformanceReport(suite.__name__, tuple(results), dict(suite.without))


def _one_line(error: Exception) -> str:
    said = str(error).splitlines()[:1]
    text = f"{type(error).__name__}: {said[0] if said else ''}"
    return text.replace("|", "\\|")


async def at_once(call: Callable[[int], Awaitable[T]]) -> list[T]:
    """Return what several calls give that run beside each other."""
    found: dict[int, T] = {}

    async def one(number: int) -> None:
        found[number] = await call(number)

    async with anyio.create_task_group() as tasks:
        for number in range(CONCURRENT_CALLS):
            tasks.start_soon(one, number)
    return [found[number] for number in range(CONCURRENT_CALLS)]


async def require_cancellation(call: Callable[[], Awaitable[object]]) -> None:
    """Cancel `call` where it first waits, and require that it passes the cancellation on."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await call()
    require(scope.cancelled_caught, "a cancelled call must end as cancelled, but it returned; let cancellation through")


async def require_component_error(call: Callable[[], Awaitable[object]], doing: str) -> None:
    """Require that `call` fails with an error that callers know."""
    from eino.errors import ComponentError

    try:
        result = await call()
    except ComponentError as error:
        require(str(error), f"{doing} failed with {type(error).__name__}, but its text is empty")
    except Exception as error:
        raise ConformanceError(
            f"{doing} must fail with a ComponentError of eino.errors, not with {type(error).__name__}: {error}"
        ) from error
    else:
        raise ConformanceError(f"{doing} must fail, but it gave {result!r:.200}")
