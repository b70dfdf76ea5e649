"""What an agent is, and how one is made of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from eino.adk.events import AgentEvent
from eino.errors import BuildError
from eino.schema.codec import register
from eino.schema.message import Message

__all__ = ["Agent", "AgentFunction", "AgentInput", "FunctionAgent", "agent", "checked_name"]


@register("eino.adk.AgentInput")
class AgentInput(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent begins its turn with."""

    messages: tuple[Message, ...] = ()
    """The conversation as this agent is to see it."""
    streaming: bool = False
    """Whether messages are wanted chunk by chunk."""


@runtime_checkable
class Agent(Protocol):
    """A program that chooses its own steps, and tells of them as events.

    An agent does not change: any number of runs, and of trees, may share it. It may ask with `interrupt()`, use
    session values, and run other agents: `async for event in inner.run(input): yield event`. What it raises ends the
    run with an error event.
    """

    @property
    def name(self) -> str:
        """Names the agent in events, transfers and addresses."""
        ...

    @property
    def description(self) -> str:
        """Says to other agents what it is good for."""
        ...

    def run(self, input: AgentInput, /) -> AsyncIterator[AgentEvent]:  # noqa: A002 - the field's word
        """Yield the events of one turn; an async generator will do."""
        ...


AgentFunction: TypeAlias = Callable[[AgentInput], AsyncIterator[AgentEvent]]
"""An async generator function that yields the events of one turn."""


class FunctionAgent:
    """An agent whose turn is an async generator function; made by `@agent`."""

    def __init__(self, function: AgentFunction, *, name: str, description: str = "") -> None:
        """Make an agent of `function(input)`.

        Raises:
            BuildError: If it is no async generator function, or the name cannot be used.
        """
        target = function.func if isinstance(function, functools.partial) else function
        call = getattr(target, "__call__", target)  # noqa: B004 - an object may be called like a function
        if not inspect.isasyncgenfunction(target) and not inspect.isasyncgenfunction(call):
            raise BuildError(
                f"agent {name!r}: {function!r} must be an async generator function: `async def run(input): yield ...`"
            )
        self._function = function
        self.name = checked_name(name)
        self.description = description

    def run(self, input: AgentInput, /) -> AsyncIterator[AgentEvent]:  # noqa: A002 - the field's word
        """Yield the events of one turn."""
        return self._function(input)

    def __repr__(self) -> str:
        return f"FunctionAgent({self.name!r})"


def agent(*, name: str | None = None, description: str | None = None) -> Callable[[AgentFunction], FunctionAgent]:
    """Return a decorator that makes an agent of an async generator function.

    ```python
    @agent(description="Says what it hears.")
    async def echo(input: AgentInput) -> AsyncIterator[AgentEvent]:
        yield message_event(assistant_message(input.messages[-1].content))
    ```

    Args:
        name: The function's name, if not given.
        description: The first line of its docstring, if not given.

    Raises:
        BuildError: If the function is no async generator function, or the name cannot be used.
    """

    def made(function: AgentFunction) -> FunctionAgent:
        text = description if description is not None else (inspect.getdoc(function) or "").partition("\n")[0]
        called: str = name if name is not None else getattr(function, "__name__", "")
        return FunctionAgent(function, name=called, description=text)

    return made


_SEPARATORS = frozenset("/:;")


def checked_name(name: str) -> str:
    """Return the name of an agent.

    Raises:
        BuildError: If it is no text, or has a character that separates addresses.
    """
    if not isinstance(name, str) or not name or not _SEPARATORS.isdisjoint(name):
        raise BuildError(f"an agent's name is a text without '/', ':' and ';', got {name!r}")
    return name
