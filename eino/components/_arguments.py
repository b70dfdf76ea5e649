"""Turns the arguments of a tool call, JSON text, into what the tool's function takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from eino.components._docstring import describe
from eino.components._signature import ToolSignature
from eino.errors import ToolArgumentsError
from eino.schema._adapters import adapter_schema, argument_adapter, type_adapter, type_schema
from eino.schema._problems import cut, place_text, problems, shown
from eino.schema._value import Value

__all__ = ["ByName", "Whole"]

_MAX_PROBLEMS = 10


class ByName:
    """Each JSON property is the parameter of that name."""

    def __init__(self, name: str, function: Callable[..., Any], signature: ToolSignature) -> None:
        self._name = name
        self._function = function
        self._signature = signature

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters.

        Raises:
            BuildError: If an annotation has none.
        """
        return adapter_schema(self._adapter, f"the parameters of tool {self._name!r}")

    @cached_property
    def _adapter(self) -> Any:
        signature = self._signature
        hints = {name: hint for name, hint in signature.hints.items() if name not in signature.hidden}
        return argument_adapter(
            self._function, hints, descriptions=describe(self._function)[1], exclude=signature.hidden
        )

    @cached_property
    def _decode(self) -> Callable[[str], Any]:
        return self._adapter.validator.validate_json  # type: ignore[no-any-return]  # without the adapter's own options

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the keyword arguments that the JSON text holds, checked and converted.

        Raises:
            ToolArgumentsError: If it does not hold them; the text is written for the model that wrote the arguments.
        """
        if not self._signature.arguments and isinstance(arguments, str) and not arguments.strip():
            return {}  # some providers send nothing for a tool that takes nothing
        return _validated(self._name, self._decode, arguments, self.schema)  # type: ignore[no-any-return]  # the adapter's functions return a dict


class Whole:
    """The JSON as a whole, of one type, is the first parameter."""

    def __init__(self, name: str, of: Any, signature: ToolSignature) -> None:
        self._name = name
        self._type = of
        self._parameter = signature.arguments[0]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the type.

        Raises:
            BuildError: If it has none.
        """
        return type_schema(self._type)

    @cached_property
    def _decode(self) -> Callable[[str], Any]:
        of = self._type
        if isinstance(of, type) and issubclass(of, msgspec.Struct) and not issubclass(of, Value):
            return msgspec.json.Decoder(of).decode
        return type_adapter(of).validate_json

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the first parameter with what the JSON text holds.

        Raises:
            ToolArgumentsError: If it does not hold the type; the text is written for the model.
        """
        return {self._parameter: _validated(self._name, self._decode, arguments, self.schema)}


def _validated(name: str, decode: Callable[[str], Any], arguments: str, schema: Mapping[str, Any]) -> Any:
    if not isinstance(arguments, str):
        raise ToolArgumentsError(f"tool {name!r}: the arguments must be JSON text, got {type(arguments).__name__}")
    try:
        return decode(arguments)
    except Exception as error:
        raise ToolArgumentsError(_repair_text(name, error, arguments, schema)) from error


def _repair_text(name: str, error: Exception, arguments: str, schema: Mapping[str, Any]) -> str:
    found = problems(error)
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        return _no_json(name, str(error), arguments)
    if not found:
        return f"tool {name!r}: the arguments do not fit: {error}; got {cut(arguments)}; expected {_brief(schema)}"
    if found[0]["type"] == "json_invalid":
        return _no_json(name, found[0]["msg"], arguments)
    if any(each["type"] in ("arguments_type", "unexpected_positional_argument") for each in found):
        return f"tool {name!r}: the arguments must be one JSON object, got {cut(arguments)}; {_known(schema)}"
    lines = [_problem(each, schema) for each in found[:_MAX_PROBLEMS]]
    if len(found) > _MAX_PROBLEMS:
        lines.append(f"- and {len(found) - _MAX_PROBLEMS} more")
    return "\n".join((f"tool {name!r}: the arguments do not fit; correct them and call the tool again:", *lines))


def _no_json(name: str, reason: str, arguments: str) -> str:
    reason = reason.removeprefix("Invalid JSON: ")
    return f"tool {name!r}: the arguments are not valid JSON: {reason}; got {cut(arguments)}; send one JSON object"


def _problem(problem: Any, schema: Mapping[str, Any]) -> str:
    place = place_text(problem["loc"]) or "arguments"
    match problem["type"]:
        case "missing_keyword_only_argument" | "missing":
            return f"- {place}: missing; expected {_brief(_schema_at(schema, problem['loc']))}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"- {place}: unknown; {_known(_schema_at(schema, problem['loc'][:-1]))}"
        case _:
            expected = _brief(_schema_at(schema, problem["loc"]))
            return f"- {place}: {problem['msg']}; got {shown(problem['input'])}; expected {expected}"


def _known(schema: Mapping[str, Any]) -> str:
    names = list(schema.get("properties", {}))
    return f"the parameters are {', '.join(names)}" if names else "there are no parameters"


def _schema_at(schema: Mapping[str, Any], location: tuple[int | str, ...]) -> Mapping[str, Any]:
    """Return the schema of the value at `location`, or of the innermost place on the way that has one."""
    for part in location:
        inner = schema.get("properties", {}).get(part) if isinstance(part, str) else schema.get("items")
        if not isinstance(inner, Mapping):
            break
        schema = inner
    return schema


def _brief(schema: Mapping[str, Any]) -> str:
    return shown({key: value for key, value in schema.items() if key not in ("description", "default", "$defs")}, 300)
