"""The tools of a node by the names that models may call them by, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, NamedTuple

from eino.components.tools import Tool
from eino.compose._tool_options import ToolAliases
from eino.errors import BuildError
from eino.schema.tool import ToolInfo

__all__ = ["ToolEntry", "ToolTable"]


class ToolEntry(NamedTuple):
    """One tool."""

    name: str
    tool: Tool
    streams: bool
    """Whether it can give its result piece by piece."""
    arguments: Mapping[str, tuple[str, ...]]
    """Aliases by argument."""


class ToolTable:
    """Tools and their aliases. It does not change.

    Raises:
        BuildError: If one is no tool, two have one name, or an alias is ambiguous or contradicts its tool.
    """

    def __init__(self, tools: Iterable[Tool], aliases: Mapping[str, ToolAliases]) -> None:
        if not isinstance(tools, Iterable):
            raise BuildError(f"tools={tools!r}: give a list of tools")
        self.tools = tuple(tools)
        self.aliases = aliases
        infos = _infos(self.tools)
        own = [_own_aliases(info, aliases) for info in infos]
        self._entries = {
            info.name: ToolEntry(info.name, tool, _streams(tool), _argument_aliases(info, each))
            for tool, info, each in zip(self.tools, infos, own, strict=True)
        }
        self._canonical = {name: name for name in self._entries}
        for info, each in zip(infos, own, strict=True):
            self._add_names(info.name, each.names)

    @property
    def names(self) -> list[str]:
        """The names of the tools, in their order."""
        return list(self._entries)

    def find(self, called: str) -> ToolEntry | None:
        """Return the tool that `called` names, by its own name or an alias; None if there is none."""
        name = self._canonical.get(called)
        return None if name is None else self._entries[name]

    def with_options(self, options: Mapping[str, Mapping[str, Any]]) -> ToolTable:
        """Return a table whose tools have options for one call.

        Raises:
            BuildError: If a name is no tool's, or the tool has no such options.
        """
        entries = dict(self._entries)
        for called, given in options.items():
            entry = self.find(called)
            if entry is None:
                raise BuildError(f"tool_options={{{called!r}: ...}}: there is no such tool; the tools are {self.names}")
            change = getattr(entry.tool, "with_options", None)
            if not callable(change):
                raise BuildError(
                    f"tool_options={{{called!r}: {dict(given)!r}}}: {entry.tool!r} takes no options; "
                    "a tool that does has a method `with_options(**options)` that returns a changed copy"
                )
            entries[entry.name] = entry._replace(tool=change(**given))
        changed = copy(self)  # what was checked stays true, and the descriptions are not made again
        changed.tools = tuple(entry.tool for entry in entries.values())
        changed._entries = entries
        return changed

    def _add_names(self, name: str, aliases: Iterable[str]) -> None:
        for alias in aliases:
            other = self._canonical.get(alias, name)
            if other != name:
                raise BuildError(
                    f"alias {alias!r} of tool {name!r} is already "
                    + (f"the name of tool {other!r}" if alias == other else f"an alias of tool {other!r}")
                    + "; choose another one"
                )
            self._canonical[alias] = name


def _infos(tools: tuple[Tool, ...]) -> list[ToolInfo]:
    infos = [_info(position, tool) for position, tool in enumerate(tools)]
    seen: dict[str, int] = {}
    for position, info in enumerate(infos):
        first = seen.setdefault(info.name, position)
        if first != position:
            raise BuildError(
                f"two tools are named {info.name!r}: tool {first}, {tools[first]!r}, and tool {position}, "
                f"{tools[position]!r}; give one of them another name"
            )
    return infos


def _info(position: int, tool: object) -> ToolInfo:
    info = getattr(tool, "info", None)
    if not isinstance(info, ToolInfo) or not callable(getattr(tool, "run", None)) or isinstance(tool, type):
        raise BuildError(
            f"tool {position}, {tool!r}, is no tool: it needs `info`, a ToolInfo, and `async def run(arguments)`; "
            "make one of a function with @tool or as_tool(function)"
        )
    if not info.name:
        raise BuildError(f"tool {position}, {tool!r}, has no name; a model calls tools by name")
    return info


def _streams(tool: object) -> bool:
    return callable(getattr(tool, "stream", None))


def _own_aliases(info: ToolInfo, aliases: Mapping[str, ToolAliases]) -> ToolAliases:
    own = aliases.get(info.name, _NONE)
    if not isinstance(own, ToolAliases):
        raise BuildError(f"aliases={{{info.name!r}: {own!r}}}: give ToolAliases(names=[...], arguments={{...}})")
    return own


_NONE = ToolAliases()


def _argument_aliases(info: ToolInfo, aliases: ToolAliases) -> Mapping[str, tuple[str, ...]]:
    schema = info.parameters or {}
    properties = schema.get("properties", {})
    owner: dict[str, str] = {}
    for key, names in aliases.arguments.items():
        where = f"argument alias of tool {info.name!r}: "
        if not key or "." in key:
            raise BuildError(f"{where}{key!r} is no top-level argument; only those can have aliases")
        if key not in properties and schema.get("additionalProperties") is False:
            raise BuildError(f"{where}the tool has no argument {key!r}; its arguments are {list(properties)}")
        for name in names:
            if name in properties:
                raise BuildError(f"{where}{name!r} cannot stand for {key!r}, because the tool has an argument {name!r}")
            if owner.setdefault(name, key) != key:
                raise BuildError(f"{where}{name!r} cannot stand for {key!r} and {owner[name]!r} at once; choose one")
    return {key: tuple(names) for key, names in aliases.arguments.items()}
