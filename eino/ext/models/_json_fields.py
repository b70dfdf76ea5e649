"""Reading what a service answers in JSON, leniently: a field of the wrong type counts as absent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from eino.ext.models._service_errors import Place, unreadable

__all__ = ["JSONObject", "count_of", "object_of", "text_of"]

JSONObject: TypeAlias = Mapping[str, Any]

_decode: Final = msgspec.json.Decoder().decode


def object_of(body: bytes, place: Place, content_type: str) -> dict[str, Any]:
    """Return the JSON object that a whole response is.

    Raises:
        InvalidResponseError: If it is none.
    """
    try:
        payload = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(place, f"no JSON ({error})", content_type, body) from error
    if not isinstance(payload, dict):
        raise unreadable(place, f"a JSON {type(payload).__name__} instead of an object", content_type, body)
    return payload


def text_of(fields: JSONObject, name: str) -> str:
    """Return the text under `name`; empty when there is none."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def count_of(fields: object, name: str) -> int:
    """Return the count under `name`; 0 when there is none, or `fields` is no object."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return int(value) if isinstance(value, int | float) and value > 0 else 0
