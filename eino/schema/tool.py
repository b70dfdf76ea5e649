"""Tools as a model sees them: what they are called with, described by, and what they return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from eino.schema._value import Value

__all__ = [
    "DataType",
    "FunctionCall",
    "ParameterInfo",
    "ToolArgument",
    "ToolCall",
    "ToolChoice",
    "ToolInfo",
    "tool_call",
]

ToolChoice = Literal["forbidden", "allowed", "forced"]
"""Whether a model may (`allowed`), must (`forced`) or must not (`forbidden`) call tools."""

DataType = Literal["object", "number", "integer", "string", "array", "null", "boolean"]
"""The type of a parameter, named as in JSON schema."""


class FunctionCall(Value, frozen=True, kw_only=True):
    """The function that a model wants to call."""

    name: str = ""
    arguments: str = ""
    """JSON text; in a chunk of a stream, a piece of it."""


def _function_type() -> str:
    return "function"


class ToolCall(Value, frozen=True, kw_only=True):
    """A call that a model asks for, or a streamed piece of one. `tool_call` is the short way to write it."""

    index: int | None = None
    """Which call of the message a streamed piece belongs to. None (not streamed) and 0 are different things."""
    # A factory is never omitted from the JSON form, a plain default would be.
    id: str = msgspec.field(default_factory=str)
    type: str = msgspec.field(default_factory=_function_type)
    function: FunctionCall = msgspec.field(default_factory=FunctionCall)
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.name

    @property
    def arguments(self) -> str:
        """The arguments of the function as JSON text."""
        return self.function.arguments


def tool_call(
    name: str,
    arguments: str | Mapping[str, Any] = "",
    *,
    id: str = "",  # noqa: A002 - the field's name in every provider's API
    index: int | None = None,
    type: str = "function",  # noqa: A002 - the field's name in every provider's API
    extra: Mapping[str, Any] | None = None,
) -> ToolCall:
    """Return a `ToolCall`; arguments given as a mapping become JSON text.

    Raises:
        TypeError: If an argument has the wrong type, or the arguments have no JSON form.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a tool call must be a string, got {name!r}")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
        raise TypeError(f"the index of tool call {name!r} must be a whole number or None, got {index!r}")
    function = FunctionCall(name=name, arguments=_arguments_text(name, arguments))
    return ToolCall(index=index, id=id, type=type, function=function, extra=dict(extra or {}))


def _arguments_text(name: str, arguments: str | Mapping[str, Any]) -> str:
    if isinstance(arguments, str):
        return arguments
    if not isinstance(arguments, Mapping):
        raise TypeError(f"the arguments of tool call {name!r} must be JSON text or a mapping, got {arguments!r}")
    try:
        return msgspec.json.encode(dict(arguments)).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the arguments of tool call {name!r} have no JSON form: {error}; pass JSON text") from error


class ParameterInfo(Value, frozen=True, kw_only=True, omit_defaults=False, rename="pascal"):
    """One parameter of a tool, as an easy alternative to JSON schema."""

    type: DataType
    elem_info: ParameterInfo | None = None
    """The type of the elements, for arrays."""
    sub_params: dict[str, ParameterInfo] | None = None
    """The members, for objects."""
    desc: str = ""
    """What the model reads about the parameter."""
    enum: tuple[str, ...] | None = None
    """The allowed values, for strings."""
    required: bool = False


class ToolInfo(Value, frozen=True, kw_only=True):
    """What a model reads about a tool.

    The parameters come as a JSON schema (`json_schema=`) or as named `ParameterInfo` (`params=`), never both; neither
    means that the tool takes no input. `parameters` is the JSON schema in every case.
    """

    name: str = ""
    description: str = msgspec.field(default="", name="desc")
    """How, when and why to use the tool."""
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    has_params_one_of: bool = False
    """Whether the tool takes parameters; set by construction. Tells an empty set of `params` from none."""
    params: dict[str, ParameterInfo] = msgspec.field(default_factory=dict)
    json_schema: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.json_schema is None and not self.params:
            return
        if self.json_schema is not None and self.params:
            raise ValueError(f"tool {self.name!r} has both params and json_schema; give one of them")
        if not self.has_params_one_of:
            msgspec.structs.force_setattr(self, "has_params_one_of", True)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """The JSON schema of the parameters, or None for a tool without input. Keys of `params` come out sorted."""
        if not self.has_params_one_of:
            return None
        return _object_schema(self.params) if self.json_schema is None else self.json_schema


def _object_schema(params: Mapping[str, ParameterInfo]) -> dict[str, Any]:
    names = sorted(params)
    return {
        "type": "object",
        "properties": {name: _parameter_schema(params[name]) for name in names},
        "required": [name for name in names if params[name].required],
    }


def _parameter_schema(info: ParameterInfo) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": info.type}
    if info.desc:
        schema["description"] = info.desc
    if info.enum:
        schema["enum"] = list(info.enum)
    if info.elem_info is not None:
        schema["items"] = _parameter_schema(info.elem_info)
    if info.sub_params:
        schema |= _object_schema(info.sub_params) | {"type": info.type}
    return schema


class ToolArgument(Value, frozen=True, kw_only=True):
    """What a tool receives that works on the whole call instead of parsed arguments."""

    text: str = ""
    """The arguments as JSON text."""
