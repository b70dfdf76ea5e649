"""What the program says about a tool beside its function."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final, TypedDict

import msgspec

from eino.components._signature import FunctionKind, ToolSignature
from eino.errors import BuildError
from eino.schema._adapters import parameters_of
from eino.schema.tool import ToolInfo

__all__ = ["BY_NAME", "Settings", "ToolSettings", "check_settings", "checked_name"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What all providers accept as a name. Source: OpenAI API reference, chat completions, `tools[].function.name`."""
BY_NAME: Final = object()
"""The arguments are a JSON object whose properties are the function's parameters."""


class ToolSettings(TypedDict, total=False):
    """Keyword arguments of `as_tool` and `@tool(...)`."""

    name: str
    """What a model calls the tool by; the function's name if not given."""
    description: str
    """What a model reads about it; the docstring without its sections if not given."""
    parameters: Mapping[str, Any] | type[Any]
    """What a model reads about the parameters instead of what the signature says: named `ParameterInfo`, a type, or a
    JSON schema. The arguments are checked against the signature all the same; what a `**` parameter receives is not."""
    arguments: Any
    """The type of the arguments as a whole, for a function that takes them as its first parameter."""
    extra: Mapping[str, Any]
    """Provider-specific entries of the description."""
    info: ToolInfo
    """The whole description; `name`, `description`, `parameters` and `extra` must not be given then."""
    threaded: bool
    """Whether to call a plain function in a worker thread, because it blocks."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`ToolSettings` with defaults for what was not given."""

    name: str | None = None
    description: str | None = None
    parameters: Mapping[str, Any] | type[Any] | None = None
    arguments: Any = BY_NAME
    extra: Mapping[str, Any] = {}
    info: ToolInfo | None = None
    threaded: bool = False


def check_settings(function: object, settings: Settings, signature: ToolSignature) -> None:
    """Refuse settings that contradict each other or the function.

    Raises:
        BuildError: If they do.
    """
    described = (settings.name, settings.description, settings.parameters)
    if settings.info is not None and (settings.extra or any(each is not None for each in described)):
        raise BuildError(f"the tool of {function!r} has info= and parts of it; give one or the other")
    if signature.takes_any and settings.info is None and settings.parameters is None:
        raise BuildError(f"{function!r} takes any keyword; say what a model may give with parameters=")
    if settings.arguments is not BY_NAME:
        _check_whole(function, signature)
    if settings.threaded and signature.kind is not FunctionKind.PLAIN:
        raise BuildError(f"{function!r} is {signature.kind.value}; only plain functions run in a thread")


def _check_whole(function: Any, signature: ToolSignature) -> None:
    parameters = parameters_of(function)
    others = [name for name in signature.arguments[1:] if parameters[name].default is inspect.Parameter.empty]
    if not signature.arguments or others:
        raise BuildError(
            f"{function!r} cannot take its arguments as a whole (arguments=...): it needs one parameter for them, and a"
            f" default for each other one; it has {', '.join(signature.arguments) or 'none'}"
        )


def checked_name(function: object, settings: Settings) -> str:
    """Return the tool's name.

    Raises:
        BuildError: If models do not accept it.
    """
    given = settings.info.name if settings.info is not None else settings.name
    name = given if given is not None else _own_name(function)
    if not _NAME.fullmatch(name):
        raise BuildError(
            f"{name!r} is no name for a tool: models accept letters, digits, '_' and '-', 1 to 64 of them;"
            " give one with @tool(name=...)"
        )
    return name


def _own_name(function: object) -> str:
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", None)
    return str(name or type(function).__name__)
