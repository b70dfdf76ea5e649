"""Turns a generated JSON schema into what model providers want: no references, no titles, closed objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["plain_schema"]

_ONE = (
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedProperties",
)
"""Keywords whose value is a schema."""
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas."""
_NAMED = ("dependentSchemas", "patternProperties", "properties")
"""Keywords whose value maps names to schemas."""
_DROPPED = ("$defs", "$schema", "definitions", "discriminator", "title")
"""Titles repeat the names; a discriminator speaks of references that are gone."""

_Schema = dict[str, Any]


def plain_schema(schema: Mapping[str, Any]) -> _Schema:
    """Return `schema` with references inlined, without titles, and with objects that allow no other properties.

    Only a type that contains itself keeps a reference, to `$defs` of the result. The argument is not changed.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    plain = _Plain(definitions)
    result: _Schema = plain.schema(schema, ())
    if plain.recursive:
        result["$defs"] = plain.definitions()
    return result


class _Plain:
    """One conversion: the definitions of the schema, and those that turned out to contain themselves."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.recursive: list[str] = []

    def definitions(self) -> _Schema:
        """Return the definitions that references are left to; converting one may find another."""
        done: _Schema = {}
        while pending := [name for name in self.recursive if name not in done]:
            done[pending[0]] = self.schema(self._definitions[pending[0]], (pending[0],))
        return {name: done[name] for name in sorted(done)}

    def schema(self, schema: object, inside: tuple[str, ...]) -> Any:
        if not isinstance(schema, Mapping):
            return schema  # true and false are schemas too
        if "$ref" in schema:
            return self._resolved(schema, inside)
        plain = {key: self._keyword(key, value, inside) for key, value in schema.items() if key not in _DROPPED}
        if "properties" in plain:
            plain.setdefault("additionalProperties", False)
        return {"type": plain.pop("type"), **plain} if "type" in plain else plain

    def _keyword(self, key: str, value: object, inside: tuple[str, ...]) -> object:
        if key in _ONE:
            return self.schema(value, inside)
        if key in _MANY:
            return [self.schema(item, inside) for item in cast("list[object]", value)]
        if key in _NAMED:
            return {name: self.schema(item, inside) for name, item in cast("Mapping[str, object]", value).items()}
        return value

    def _resolved(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> _Schema:
        """Return what a reference points to, with what stands beside it (a description, a default) on top."""
        name = str(schema["$ref"]).rpartition("/")[2]
        beside = {key: value for key, value in schema.items() if key != "$ref" and key not in _DROPPED}
        if name not in self._definitions:
            return dict(schema)
        if name in inside:
            if name not in self.recursive:
                self.recursive.append(name)
            return {"$ref": f"#/$defs/{name}", **beside}
        return {**self.schema(self._definitions[name], (*inside, name)), **beside}
