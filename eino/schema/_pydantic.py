"""Schema values as pydantic fields. Imported only when pydantic asks, so `import eino` does not pay for it."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from pydantic_core import core_schema as cs

from eino.errors import CodecError
from eino.schema._json import from_builtins, without_index, without_nulls

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

    from eino.schema._value import Value

V = TypeVar("V", bound="Value")


def validator_schema(cls: type[V]) -> cs.CoreSchema:
    """Return how pydantic reads and writes `cls`: instances pass, mappings are read by the rules of the JSON form."""

    def read(value: Any) -> V:
        if isinstance(value, cls):
            return value
        try:
            return from_builtins(without_nulls(value), cls)
        except CodecError as error:
            raise ValueError(str(error)) from error

    return cs.no_info_plain_validator_function(
        read, serialization=cs.plain_serializer_function_ser_schema(_to_builtins, return_schema=cs.any_schema())
    )


def json_schema(cls: type[Value], handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the JSON schema of `cls`; the values inside it become definitions that models share."""
    shapes: dict[type, cs.CoreSchema] = {}
    reference = _shape_of(cls, shapes)
    return handler(cs.definitions_schema(reference, list(shapes.values())))


def _to_builtins(value: Value) -> Any:
    return msgspec.to_builtins(without_index(value))


def _shape_of(annotation: Any, shapes: dict[type, cs.CoreSchema]) -> cs.CoreSchema:
    """Return the pydantic schema of one annotation; only the kinds that schema values use occur."""
    simple = _SIMPLE.get(annotation)
    if simple is not None:
        return simple
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return _struct_shape(annotation, shapes)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return cs.literal_schema(list(arguments))
    if origin in (Union, types.UnionType):
        return cs.union_schema([_shape_of(argument, shapes) for argument in arguments])
    if origin is tuple:
        return cs.list_schema(_shape_of(arguments[0], shapes))
    return cs.dict_schema(cs.str_schema(), _shape_of(arguments[1], shapes))


_SIMPLE: dict[Any, cs.CoreSchema] = {
    Any: cs.any_schema(),
    type(None): cs.none_schema(),
    str: cs.str_schema(),
    int: cs.int_schema(),
    float: cs.float_schema(),
    bool: cs.bool_schema(),
}


def _struct_shape(cls: type[msgspec.Struct], shapes: dict[type, cs.CoreSchema]) -> cs.CoreSchema:
    name = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
    if cls not in shapes:
        shapes[cls] = cs.any_schema()  # holds the place while fields that refer back are looked at
        fields = {
            field.encode_name: cs.typed_dict_field(_shape_of(field.type, shapes), required=field.required)
            for field in msgspec.structs.fields(cls)
            if field.name != "index" or field.encode_name == "index"
        }
        config = cls.__struct_config__
        if config.tag is not None:
            kind = cs.typed_dict_field(cs.literal_schema([config.tag]), required=True)
            fields = {str(config.tag_field): kind, **fields}
        shapes[cls] = cs.typed_dict_schema(fields, ref=name, cls_name=cls.__name__)
    return cs.definition_reference_schema(name)
