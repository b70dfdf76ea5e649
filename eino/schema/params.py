"""The parameters of a tool as JSON schema, from a signature, a model, `ParameterInfo`, or a schema.

    ToolInfo(name="search", description="Search the web.", json_schema=params_from_model(SearchRequest))

What comes from Python types has its references inlined and closed objects; a parameter is required if it has no
default. pydantic reads the types, and is imported when the first schema is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, cast, get_type_hints

from eino.errors import BuildError
from eino.schema._adapters import adapter_schema, argument_adapter, parameters_of, type_schema
from eino.schema.tool import ParameterInfo, ToolInfo

__all__ = ["params_from_dict", "params_from_model", "params_from_signature", "params_schema"]


def params_from_dict(params: Mapping[str, ParameterInfo]) -> dict[str, Any]:
    """Return the JSON schema of named parameters: properties sorted by name, the required ones listed in that order.

    Raises:
        BuildError: If a value is no `ParameterInfo`.
    """
    for name, info in params.items():
        if not isinstance(info, ParameterInfo):
            raise BuildError(f"parameter {name!r} must be a ParameterInfo, got {info!r}")
    return cast("dict[str, Any]", ToolInfo(params=dict(params), has_params_one_of=True).parameters)


def params_from_model(model: type[Any]) -> dict[str, Any]:
    """Return the JSON schema of a pydantic model, a dataclass, a TypedDict or a msgspec struct.

    Raises:
        BuildError: If the type has no JSON schema, or its JSON form is no object.
    """
    schema = type_schema(model)
    if schema.get("type") != "object":
        raise BuildError(f"the parameters of a tool are an object, but {model!r} is {schema.get('type', schema)!r}")
    return schema


def params_from_signature(function: Callable[..., Any], *, exclude: Collection[str] = ()) -> dict[str, Any]:
    """Return the JSON schema of what `function` takes; a parameter without a default is required.

    Args:
        function: A function with annotations; a parameter without one takes any JSON value.
        exclude: Names of parameters that no caller gives by name.

    Raises:
        BuildError: If an annotation cannot be resolved or has no JSON schema.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise BuildError(f"an annotation of {function!r} cannot be resolved: {error}; import the name") from error
    hints = {name: hint for name, hint in hints.items() if name not in exclude}
    schema = adapter_schema(argument_adapter(function, hints, exclude=exclude), f"the parameters of {function!r}")
    if any(each.kind is each.VAR_KEYWORD for each in parameters_of(function).values()):
        schema["additionalProperties"] = True
    return schema


def params_schema(parameters: Mapping[str, Any] | type[Any]) -> dict[str, Any]:
    """Return the JSON schema that `parameters` stand for: named `ParameterInfo`, a type, or a schema (as it is).

    Raises:
        BuildError: If it is none of these, or has no JSON schema.
    """
    if isinstance(parameters, type):
        return params_from_model(parameters)
    if not isinstance(parameters, Mapping):
        raise BuildError(f"parameters must be a type, named ParameterInfo or a JSON schema, got {parameters!r}")
    if not parameters or any(isinstance(value, ParameterInfo) for value in parameters.values()):
        return params_from_dict(parameters)
    return dict(parameters)
