"""What wrappers of chat models share: how they look from outside, and how streams are handed on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Sequence
from typing import Literal, Self, TypeAlias, TypeVar

from eino.components._closing import Closing
from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions, ToolLike
from eino.errors import BuildError

__all__ = ["ChatModelWrapper", "Streaming", "check_streaming", "resolved", "show_model"]

T = TypeVar("T")

Streaming: TypeAlias = Literal["live", "buffered", "restart"]
"""What a wrapper does with a stream that may have to start over.

`"live"`: chunks are handed on as they come, and nothing is tried again after the first. `"buffered"`: chunks are held
back until the answer is whole. `"restart"`: chunks are handed on as they come, and those of the next try follow those
of the broken one: for a consumer that hears of it and throws away what it has.
"""


class ChatModelWrapper(Closing):
    """A chat model made of others: it offers them the same tools, closes them, and is told to handlers as they are."""

    def __init__(self, models: Sequence[ChatModel]) -> None:
        for model in models:
            if isinstance(model, type) or not isinstance(model, ChatModel):
                raise BuildError(f"{model!r} is no chat model: it needs `generate` and `stream`")
        self._models = tuple(models)
        self._bound = NO_MODEL_OPTIONS

    @property
    def self_instrumented(self) -> bool:
        """Whether the wrapped models fire their own callbacks, so that nobody else must."""
        return all(bool(getattr(model, "self_instrumented", False)) for model in self._models)

    @property
    def type_name(self) -> str:
        """The name of the first model's implementation, as callbacks show it."""
        named = getattr(self._models[0], "type_name", None)
        return named if isinstance(named, str) else type(self._models[0]).__name__.removesuffix("ChatModel")

    def with_tools(self, tools: Sequence[ToolLike]) -> Self:
        """Return a copy that may call `tools`; they are offered with every call, to any model.

        Raises:
            TypeError: If one is no tool.
            ValueError: If one has no name, or two have the same one.
        """
        twin = copy.copy(self)
        twin._bound = self._bound.merge(ModelOptions(tools=tools))
        return twin

    async def aclose(self) -> None:
        """Close the wrapped models, those that can be closed."""
        for model in self._models:
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()


def check_streaming(owner: str, streaming: object) -> None:
    """Refuse a way of streaming that does not exist.

    Raises:
        BuildError: If it is none of the three.
    """
    if streaming not in ("live", "buffered", "restart"):
        raise BuildError(f"{owner}(streaming={streaming!r}): it must be 'live', 'buffered' or 'restart'")


def show_model(model: object) -> str:
    """Return how an error text calls a model; its `repr` where it has one of its own."""
    kind = type(model)
    return f"{model!r:.200}" if kind.__repr__ is not object.__repr__ else kind.__name__


async def resolved(value: T | Awaitable[T]) -> T:
    """Return `value`, awaited if it must be."""
    if inspect.isawaitable(value):
        return await value
    return value
