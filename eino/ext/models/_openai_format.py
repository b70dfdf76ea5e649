"""`response_format` for structured output. Pure.

Source: https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas".
"""

from __future__ import annotations

from typing import Any, Final

from eino.components.structured_output import object_schema, schema_name
from eino.errors import BuildError

__all__ = ["response_format"]

_DROPPED: Final = ("default", "title")
"""What strict schemas must not have, and nobody misses."""


def response_format(of: Any, *, name: str = "", strict: bool | None = None) -> dict[str, Any]:
    """Return the `response_format` that makes an OpenAI-compatible model answer with JSON of a type.

    Args:
        of: A pydantic model, a dataclass, a TypedDict or any other type that has a JSON schema. One that is no object
            comes under the key `value`.
        name: Name of the schema; unless given, that of the type.
        strict: Whether the server must keep to the schema. Strict schemas have no optional fields, so each field
            becomes required, and no mappings with free keys. None: strict if the type allows it.

    Raises:
        BuildError: If the type has no JSON schema, or none that can be strict although it must.
    """
    schema, _ = object_schema(of)
    if strict is not False:
        try:
            schema, strict = _strict(schema, "$"), True
        except _NotStrictError as error:
            if strict:
                raise BuildError(f"{of!r} has no strict JSON schema: {error}; give strict=False") from error
    described = {"description": schema["description"]} if "description" in schema else {}
    return {
        "type": "json_schema",
        "json_schema": {"name": name or schema_name(of), **described, "schema": schema, "strict": bool(strict)},
    }


class _NotStrictError(Exception):
    """A schema says something that strict schemas cannot."""


def _strict(schema: Any, path: str) -> Any:
    """Return `schema` in its strict form: every field required, nothing else allowed."""
    if isinstance(schema, list):
        return [_strict(part, f"{path}[{place}]") for place, part in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and "properties" not in schema:
        raise _NotStrictError(f"the mapping at {path} has free keys")
    if not schema.keys() - {"description", *_DROPPED}:
        raise _NotStrictError(f"anything is allowed at {path}")
    strict: dict[str, Any] = {}
    for name, part in schema.items():
        if name in ("properties", "$defs"):
            strict[name] = {key: _strict(value, f"{path}.{key}") for key, value in part.items()}
        elif name in ("anyOf", "oneOf", "items", "prefixItems"):
            strict["anyOf" if name == "oneOf" else name] = _strict(part, f"{path}.{name}")
        elif name not in (*_DROPPED, "discriminator"):
            strict[name] = part
    if "properties" in schema:
        strict |= {"required": list(schema["properties"]), "additionalProperties": False}
    return strict
