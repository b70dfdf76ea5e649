"""`response_format` for structured output of Anthropic's models.

Source: https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs.
"""

from __future__ import annotations

from typing import Any

from eino.components.structured_output import object_schema
from eino.errors import BuildError

__all__ = ["response_format"]


def response_format(of: Any) -> dict[str, Any]:
    """Return the `response_format` that makes an Anthropic model answer with JSON of a type.

    Limits that the service does not know (lengths, ranges, patterns) are told to the model in descriptions.

    Args:
        of: A pydantic model, a dataclass, a TypedDict or any other type that has a JSON schema. One that is no object
            comes under the key `value`.

    Raises:
        BuildError: If the type has no JSON schema, or one that the service does not take: mappings with free keys,
            or a field that may be anything.
    """
    from anthropic import transform_schema

    schema, _ = object_schema(of)
    try:
        _refuse_free_keys(schema, "$")
        return {"type": "json_schema", "schema": transform_schema(schema)}
    except ValueError as error:
        raise BuildError(
            f"{of!r} has no JSON schema that this service takes: {error}; use StructuredOutput(model, type) instead"
        ) from error


def _refuse_free_keys(schema: Any, path: str) -> None:
    if isinstance(schema, list):
        for place, part in enumerate(schema):
            _refuse_free_keys(part, f"{path}[{place}]")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and "properties" not in schema:
        raise ValueError(f"the mapping at {path} has free keys")
    for name, part in schema.items():
        if name in ("properties", "$defs"):
            for key, value in part.items():
                _refuse_free_keys(value, f"{path}.{key}")
        elif name in ("anyOf", "oneOf", "allOf", "items"):
            _refuse_free_keys(part, f"{path}.{name}")
