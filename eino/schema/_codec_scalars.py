"""Built-in values without parts that JSON does not have: how each is written and read."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from eino.errors import CodecError


def _write_datetime(value: dt.datetime) -> list[Any]:
    """Return the time on the wall, the zone's name if it has one, and the fold: an offset alone would lose the zone."""
    zone = getattr(value.tzinfo, "key", None)
    if isinstance(zone, str):
        return [value.replace(tzinfo=None).isoformat(), zone, value.fold]
    return [value.isoformat(), "", value.fold]


def _read_datetime(stored: list[Any]) -> dt.datetime:
    text, zone, fold = stored
    moment = dt.datetime.fromisoformat(text).replace(fold=fold)
    if not zone:
        return moment
    from zoneinfo import ZoneInfo  # slow to import, and few programs need it

    return moment.replace(tzinfo=ZoneInfo(zone))


def _write_time(value: dt.time) -> list[Any]:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise CodecError(f"the offset of {value!r} depends on a date: store a datetime, or a time without a zone")
    return [value.isoformat(), value.fold]


def _read_time(stored: list[Any]) -> dt.time:
    text, fold = stored
    return dt.time.fromisoformat(text).replace(fold=fold)


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _read_bytes(stored: str) -> bytes:
    return base64.b64decode(stored, validate=True)


WRITE: Final[Mapping[type, tuple[str, Callable[[Any], Any]]]] = {
    bytes: ("bytes", _write_bytes),
    complex: ("complex", repr),
    dt.date: ("date", dt.date.isoformat),
    dt.datetime: ("datetime", _write_datetime),
    dt.time: ("time", _write_time),
    dt.timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    decimal.Decimal: ("decimal", str),
    # Hexadecimal: Python refuses to write or read very long decimal numbers.
    int: ("int", hex),
    float: ("float", str),
    uuid.UUID: ("uuid", str),
}
"""Name and stored form by class. Numbers are written so only where JSON and msgpack cannot hold them."""

READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "bytes": _read_bytes,
    "complex": complex,
    "date": dt.date.fromisoformat,
    "datetime": _read_datetime,
    "time": _read_time,
    "timedelta": lambda stored: dt.timedelta(*stored),
    "decimal": decimal.Decimal,
    "int": lambda stored: int(stored, 16),
    "float": float,
    "uuid": uuid.UUID,
}
"""Reader by name."""
