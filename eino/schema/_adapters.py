"""What validates JSON for a function or a type, and what it accepts as JSON schema. Imports pydantic when used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from eino.errors import BuildError
from eino.schema._json_schema import plain_schema
from eino.schema._value import Value

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

__all__ = ["adapter_schema", "argument_adapter", "parameters_of", "type_adapter", "type_schema"]


def argument_adapter(
    function: Callable[..., Any],
    hints: Mapping[str, Any],
    *,
    descriptions: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
) -> TypeAdapter[dict[str, Any]]:
    """Return what validates JSON arguments for `function` and gives them as a dict of keyword arguments.

    The function is not called. All its parameters count as keywords, so that only a JSON object is accepted.

    Args:
        function: The function whose parameters, kinds and defaults hold.
        hints: Resolved annotations by parameter name.
        descriptions: What a model reads about a parameter, unless its annotation has a description.
        exclude: Names of parameters that the arguments do not contain.

    Raises:
        BuildError: If an annotation is a type that pydantic does not know, or there is a `*` parameter.
    """
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    def collect(**arguments: Any) -> dict[str, Any]:
        return arguments

    parameters = [_keyword(function, each) for name, each in parameters_of(function).items() if name not in exclude]
    collect.__name__ = getattr(function, "__name__", "function")
    collect.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
    collect.__annotations__ = {
        each.name: _described(hints.get(each.name, Any), (descriptions or {}).get(each.name)) for each in parameters
    }
    try:
        return TypeAdapter[dict[str, Any]](collect)  # type: ignore[arg-type]  # a function is read by its signature
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise BuildError(f"the parameters of {function!r} cannot be read from JSON: {error.message}") from error


def type_schema(of: Any) -> dict[str, Any]:
    """Return the plain JSON schema of a type.

    Raises:
        BuildError: If the type has none.
    """
    if isinstance(of, type) and issubclass(of, msgspec.Struct) and not issubclass(of, Value):
        return _struct_schema(of)
    return adapter_schema(type_adapter(of), repr(of))


def adapter_schema(adapter: TypeAdapter[Any], what: str) -> dict[str, Any]:
    """Return the plain JSON schema of what `adapter` accepts; `what` it is names it in the error.

    Raises:
        BuildError: If it has none.
    """
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        return plain_schema(adapter.json_schema(schema_generator=_quiet_generator()))
    except PydanticInvalidForJsonSchema as error:
        raise BuildError(f"{what} have no JSON schema: {error.message}; use types that JSON knows") from error


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of `function` by name.

    Raises:
        BuildError: If it does not say what it takes, as some built-in functions do not.
    """
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise BuildError(f"{function!r} does not say what it takes: {error}; wrap it in a function") from error


def _keyword(function: Callable[..., Any], parameter: inspect.Parameter) -> inspect.Parameter:
    if parameter.kind is parameter.VAR_POSITIONAL:
        raise BuildError(
            f"*{parameter.name} of {function!r} cannot be described: JSON arguments have names; use a list"
        )
    return parameter if parameter.kind is parameter.VAR_KEYWORD else parameter.replace(kind=parameter.KEYWORD_ONLY)


@cache
def _quiet_generator() -> type[GenerateJsonSchema]:
    """Return pydantic's generator without its warning about defaults that JSON cannot express: they are left out."""
    from pydantic.json_schema import GenerateJsonSchema

    class QuietGenerator(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as pydantic declares it

    return QuietGenerator


def _struct_schema(of: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        return plain_schema(msgspec.json.schema(of))
    except TypeError as error:
        raise BuildError(f"{of!r} has no JSON schema: {error}") from error


def type_adapter(of: Any) -> TypeAdapter[Any]:
    """Return what validates JSON for the type `of`.

    Raises:
        BuildError: If pydantic does not know the type.
    """
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError

    try:
        return TypeAdapter(of)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise BuildError(f"{of!r} cannot be read from JSON: {error.message}; use a model or a dataclass") from error


def _described(hint: Any, description: str | None) -> Any:
    from pydantic.fields import FieldInfo

    metadata = getattr(hint, "__metadata__", ())
    if not description or any(isinstance(item, FieldInfo) and item.description for item in metadata):
        return hint
    from pydantic import Field

    return Annotated[hint, Field(description=description)]
