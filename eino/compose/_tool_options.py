"""What a program may tell a tools node beside its tools: aliases, and options of one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._options import Options
from eino.components.tools import Tool
from eino.errors import BuildError

__all__ = ["NO_TOOLS_OPTIONS", "ToolAliases", "ToolsOptions"]


class ToolAliases(msgspec.Struct, frozen=True, kw_only=True):
    """Other names for one tool and for its arguments, for models that call them by what they are used to.

    Raises:
        BuildError: If a field does not hold what it should.
    """

    names: Sequence[str] = ()
    """Further names of the tool; kept as a tuple."""
    arguments: Mapping[str, Sequence[str]] = {}
    """By name of a top-level argument, the names that also stand for it. The argument itself wins where both come;
    of several aliases, the first."""

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise BuildError(f"ToolAliases(arguments={self.arguments!r}): give a mapping of argument to its aliases")
        arguments = {key: _names(f"arguments[{key!r}]", names) for key, names in self.arguments.items()}
        msgspec.structs.force_setattr(self, "names", _names("names", self.names))
        msgspec.structs.force_setattr(self, "arguments", arguments)


def _names(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BuildError(f"ToolAliases: {field} must be a sequence of names, got {value!r}")
    for name in value:
        if not isinstance(name, str) or not name:
            raise BuildError(f"ToolAliases: {field} has the alias {name!r}; an alias is a string that is not empty")
    return tuple(value)


class ToolsOptions(Options, frozen=True, kw_only=True):
    """Options of one call of a tools node: `options={"tools": ToolsOptions(...)}`, by the node's key."""

    tools: Sequence[Tool] | UnsetType | None = UNSET
    """Tools in place of the node's own; kept as a tuple. None offers none. The node's aliases hold for those that are
    still there."""
    aliases: Mapping[str, ToolAliases] | UnsetType | None = UNSET
    """Aliases in place of the node's own, by name of the tool; None for none."""
    tool_options: Mapping[str, Mapping[str, Any]] | UnsetType | None = UNSET
    """By name of a tool, what its `with_options` gets; merged name by name with the level below."""

    def __post_init__(self) -> None:
        if isinstance(self.tools, Iterable):
            msgspec.structs.force_setattr(self, "tools", tuple(self.tools))
        for name in ("aliases", "tool_options"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                msgspec.structs.force_setattr(self, name, dict(value))

    def merge(self, over: Self | None) -> Self:
        """Return these options with what `over` gives on top; options of one tool are merged name by name.

        Raises:
            TypeError: If `over` is of another class.
        """
        merged = Options.merge(self, over)
        if over is None or not isinstance(self.tool_options, Mapping) or not isinstance(over.tool_options, Mapping):
            return merged
        below, above = self.tool_options, over.tool_options
        both = {name: {**below.get(name, {}), **above.get(name, {})} for name in {**below, **above}}
        return msgspec.structs.replace(merged, tool_options=both)


NO_TOOLS_OPTIONS: Final = ToolsOptions()
"""Nothing given: the node's own settings hold."""
