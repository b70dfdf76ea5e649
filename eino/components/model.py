"""Chat models: what calls a language model, and the options of a call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Protocol, Self, TypeAlias, runtime_checkable

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._options import Options
from eino.schema.message import Message
from eino.schema.tool import ToolChoice, ToolInfo

__all__ = [
    "NO_MODEL_OPTIONS",
    "ChatModel",
    "DescribesTool",
    "ModelOptions",
    "ToolCallingChatModel",
    "ToolLike",
    "tool_infos",
]


class DescribesTool(Protocol):
    """Anything that says how a model should see it as a tool, such as what `@tool` makes."""

    @property
    def info(self) -> ToolInfo:
        """What a model reads about the tool."""
        ...


ToolLike: TypeAlias = ToolInfo | DescribesTool
"""A tool or its description."""


class ModelOptions(Options, frozen=True, kw_only=True):
    """Options of one call of a chat model; see `Options` for the order in which levels are merged.

    Every field may be left out (the level below decides), or be `None` (not sent, so the provider decides).
    """

    model: str | UnsetType | None = UNSET
    """Name of the model at the provider."""
    temperature: float | UnsetType | None = UNSET
    """How much chance there is in the answer; 0.0 is least. The range is the provider's."""
    top_p: float | UnsetType | None = UNSET
    """Share of the probability mass that tokens are drawn from, above 0.0 and up to 1.0."""
    max_tokens: int | UnsetType | None = UNSET
    """Most tokens that the answer may have."""
    stop: Sequence[str] | UnsetType | None = UNSET
    """Texts at which the answer ends; kept as a tuple."""
    tools: Sequence[ToolLike] | UnsetType | None = UNSET
    """Tools that the model may call, kept as a tuple of `ToolInfo`; `()` offers none, even to a model that has some."""
    tool_choice: ToolChoice | UnsetType | None = UNSET
    """Whether the model may (`"allowed"`), must (`"forced"`) or must not (`"forbidden"`) call tools."""
    allowed_tools: Sequence[str] | UnsetType | None = UNSET
    """Names of the tools that the choice is restricted to, kept as a tuple; all are still shown to the model."""
    response_format: Mapping[str, Any] | UnsetType | None = UNSET
    """The form of the answer, as the provider's API spells it; replaces the level below as a whole."""
    extra_fields: Mapping[str, Any] | UnsetType | None = UNSET
    """Further fields of the provider's request, sent as they are; merged key by key with the level below."""

    def __post_init__(self) -> None:
        for name in ("stop", "allowed_tools"):
            value = getattr(self, name)
            if value is not UNSET and value is not None:
                msgspec.structs.force_setattr(self, name, _texts(name, value))
        if self.tools is not UNSET and self.tools is not None:
            msgspec.structs.force_setattr(self, "tools", tool_infos(self.tools))
        if isinstance(self.extra_fields, Mapping):
            msgspec.structs.force_setattr(self, "extra_fields", dict(self.extra_fields))

    @property
    def offered_tools(self) -> tuple[ToolInfo, ...]:
        """The tools that the model may call; empty when none were given."""
        return tool_infos(self.tools) if isinstance(self.tools, tuple) else ()


NO_MODEL_OPTIONS: Final = ModelOptions()
"""Nothing given: the model's own settings hold."""


@runtime_checkable
class ChatModel(Protocol):
    """Answers a conversation.

    Implementations allow concurrent calls, never change the messages, let cancellation through, and raise the
    `ComponentError` classes of `eino.errors`.
    """

    async def generate(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> Message:
        """Return the whole answer, a message with the role `assistant`.

        Raises:
            ComponentError: If the model cannot answer; the class says why.
        """
        ...

    def stream(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> AsyncIterator[Message]:
        """Return the answer in chunks, as the model makes them; `concat_messages` joins them into the whole.

        Nothing happens before the first pull. Closing the iterator early ends the request.

        Raises:
            ComponentError: While iterating, if the model cannot answer.
            StreamBrokenError: While iterating, if the answer breaks off; `partial` has what had arrived.
        """
        ...


@runtime_checkable
class ToolCallingChatModel(ChatModel, Protocol):
    """A chat model that can ask for tool calls."""

    def with_tools(self, tools: Sequence[ToolLike]) -> Self:
        """Return a copy that may call `tools`, instead of those that it had; the model itself does not change."""
        ...


def tool_infos(tools: Sequence[ToolLike]) -> tuple[ToolInfo, ...]:
    """Return what a model reads about each of `tools`.

    Raises:
        TypeError: If one is neither a `ToolInfo` nor has one as `info`.
        ValueError: If one has no name, or two have the same one.
    """
    infos = tuple(_tool_info(position, item) for position, item in enumerate(tools))
    names = [info.name for info in infos]
    for position, name in enumerate(names):
        if not name:
            raise ValueError(f"tool {position} has no name; a model calls tools by name")
        if name in names[:position]:
            raise ValueError(f"two tools are named {name!r}; a model could not tell them apart")
    return infos


def _tool_info(position: int, item: object) -> ToolInfo:
    info = item if isinstance(item, ToolInfo) else getattr(item, "info", None)
    if not isinstance(info, ToolInfo):
        raise TypeError(
            f"tool {position} must be a ToolInfo or have one as `info`, got {item!r}; make tools with @tool"
        )
    return info


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a sequence of strings, got {value!r}")
    texts = tuple(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} must hold strings only, got {text!r}")
    return texts
