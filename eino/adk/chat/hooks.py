"""The middlewares of a chat agent, by hook: what nobody overrides is not called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from eino.adk.chat.errors import MiddlewareError
from eino.adk.middleware import Middleware, SendsModelEvents, SendsToolEvents
from eino.compose.tools_node import ToolMiddleware
from eino.errors import BuildError, ControlSignal, RunCancelledError

__all__ = ["Hooks", "Named"]

_SIGNALS: Final = (ControlSignal, RunCancelledError)


class Named:
    """One hook of one middleware; its errors say whose they are."""

    __slots__ = ("_hook", "_what")

    def __init__(self, position: int, middleware: Middleware, name: str) -> None:
        self._hook: Callable[[Any], Awaitable[Any]] = getattr(middleware, name)
        self._what = f"middlewares[{position}] ({type(middleware).__name__}).{name}"

    async def __call__(self, value: Any, kind: type | None = None) -> Any:
        """Return what the hook returns.

        Raises:
            MiddlewareError: If it fails, or does not return a `kind`.
        """
        try:
            result = await self._hook(value)
        except _SIGNALS:
            raise
        except Exception as error:
            raise MiddlewareError(f"{self._what} failed: {type(error).__name__}: {error}") from error
        if kind is not None and not isinstance(result, kind):
            raise MiddlewareError(
                f"{self._what} returned {result!r:.200}: it must return its argument or another {kind.__name__}"
            )
        return result


class Hooks:
    """What the middlewares of an agent override, in their order.

    Attributes:
        model_sender: How many of the wrappers of the model are around the place at which events are made.
    """

    def __init__(self, middlewares: Sequence[Middleware]) -> None:
        """Sort them.

        Raises:
            BuildError: If one is no middleware, or events are sent at two places.
        """
        if isinstance(middlewares, Middleware) or not isinstance(middlewares, Sequence):
            raise BuildError(f"middlewares={middlewares!r}: give a list of them")
        for position, middleware in enumerate(middlewares):
            if not isinstance(middleware, Middleware):
                raise BuildError(f"middlewares[{position}] is {middleware!r}: derive it from eino.adk.Middleware")
        self.all = tuple(middlewares)
        self.before_agent = self._named("before_agent")
        self.after_agent = self._named("after_agent")
        self.before_model = self._named("before_model")
        self.after_model = self._named("after_model")
        self.wrap_model = self._named("wrap_model")
        self.model_sender = self._place(SendsModelEvents, "wrap_model")
        self._tool_sender = self._place(SendsToolEvents, "wrap_tool")

    def tool_middlewares(self, sender: ToolMiddleware) -> list[ToolMiddleware]:
        """Return what each tool call passes, with `sender` at its place."""
        wraps: list[ToolMiddleware] = [each.wrap_tool for each in self.all if _overrides(each, "wrap_tool")]
        return [*wraps[: self._tool_sender], sender, *wraps[self._tool_sender :]]

    def quiet_tool_middlewares(self, sender: ToolMiddleware) -> list[ToolMiddleware]:
        """Return the same without `sender` where it is outermost: what it would send is sent behind it as well."""
        passed = self.tool_middlewares(sender)
        return passed if self._tool_sender else passed[1:]

    def _named(self, name: str) -> tuple[Named, ...]:
        return tuple(Named(i, each, name) for i, each in enumerate(self.all) if _overrides(each, name))

    def _place(self, marker: type[Middleware], hook: str) -> int:
        places = [position for position, each in enumerate(self.all) if isinstance(each, marker)]
        if len(places) > 1:
            raise BuildError(f"middlewares has {marker.__name__}() at {places}: events are sent at one place")
        return sum(_overrides(each, hook) for each in self.all[: places[0]]) if places else 0


def _overrides(middleware: Middleware, name: str) -> bool:
    return getattr(type(middleware), name) is not getattr(Middleware, name) or name in vars(middleware)
