"""The base of every schema value: frozen, cheap, with a short and secret-free `repr`, usable as a pydantic field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec

from eino.schema._show import show_fields, shown_fields

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An immutable value whose JSON keys and omissions are those of the Go original.

    Frozen is shallow: the dictionaries in `extra` and metadata fields must not be changed by contract, since values
    are shared by fan-out, stream copies and checkpoints. Construction checks nothing (that is what makes it cheap);
    the constructor functions and the decoders do.
    """

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the fields in `changes` set to new values.

        Raises:
            TypeError: If a name is not a field of this type.
        """
        return msgspec.structs.replace(self, **changes)

    def __repr__(self) -> str:
        return show_fields(self)

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # msgspec's own would show everything, secrets too, in tracebacks that rich prints.
        return [*shown_fields(self)]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from eino.schema._pydantic import validator_schema

        return validator_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        from eino.schema._pydantic import json_schema

        return json_schema(cls, handler)


def always_written() -> tuple[Any, ...]:
    """Return the empty default of a field that is part of the JSON form even when empty.

    msgspec leaves out what equals a plain default, or what `tuple` and `dict` themselves would have made.
    """
    return ()
