"""Short, secret-free text of schema values for `repr`: what is long, binary or free-form is only counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

TEXT_LIMIT: Final = 60
"""Characters of a text that `repr` shows; more would flood logs and error messages."""
ITEMS_LIMIT: Final = 6
"""Elements of a sequence that `repr` shows."""

_OPAQUE: Final = frozenset({"base64_data", "signature"})
_FREE_FORM: Final = frozenset({"extra", "metadata"})
_ADDRESSES: Final = frozenset({"url", "uri"})


class Shown:
    """A text that is its own `repr`, for printers that ask for the fields of a value one by one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def shown_fields(value: msgspec.Struct) -> list[tuple[str, Shown]]:
    """Return name and text of the fields that differ from their defaults."""
    items = [(field, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
    return [(field.name, Shown(_show(field.name, item))) for field, item in items if not _is_default(field, item)]


def show_fields(value: msgspec.Struct) -> str:
    """Return `Type(field=...)` with the fields that differ from their defaults."""
    shown = ", ".join([f"{name}={text!r}" for name, text in shown_fields(value)])
    return f"{type(value).__name__}({shown})"


def show_text(text: str) -> str:
    """Return the `repr` of `text`, cut after `TEXT_LIMIT` characters with the full length behind it."""
    if len(text) <= TEXT_LIMIT:
        return repr(text)
    return f"{text[:TEXT_LIMIT]!r}...({len(text)} chars)"


def show_address(url: str) -> str:
    """Return `url` without what may hold credentials: user info, query, fragment and the body of a data URL."""
    from urllib.parse import urlsplit  # slow to import, and few programs print an address

    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return f"<unreadable address, {len(url)} chars>"
    if parts.scheme == "data":
        return f"<data address, {len(url)} chars>"
    hidden = "?..." if parts.query or parts.fragment else ""
    return show_text(parts._replace(netloc=host, query="", fragment="").geturl() + hidden)


def _is_default(field: msgspec.structs.FieldInfo, item: object) -> bool:
    if field.default is not msgspec.NODEFAULT:
        return bool(item == field.default)
    return field.default_factory is dict and item == {}


def _show(name: str, item: object) -> str:
    if isinstance(item, str):
        return _show_str(name, item)
    if name in _FREE_FORM and isinstance(item, Mapping):
        return f"<{len(item)} keys>" if len(item) != 1 else "<1 key>"
    if isinstance(item, Mapping):
        return _show_mapping(item)
    if isinstance(item, tuple):
        return _show_tuple(name, item)
    return repr(item)


def _show_str(name: str, item: str) -> str:
    if name in _OPAQUE:
        return f"<{len(item)} chars>"
    return show_address(item) if name in _ADDRESSES else show_text(item)


def _show_mapping(item: Mapping[object, object]) -> str:
    keys = [show_text(str(key)) for key in list(item)[:ITEMS_LIMIT]]
    more = f", ... {len(item)} in all" if len(item) > ITEMS_LIMIT else ""
    return f"{{{', '.join(f'{key}: ...' for key in keys)}{more}}}"


def _show_tuple(name: str, items: tuple[object, ...]) -> str:
    shown = [_show(name, item) for item in items[:ITEMS_LIMIT]]
    if len(items) > ITEMS_LIMIT:
        shown.append(f"... {len(items)} in all")
    return f"({', '.join(shown)}{',' if len(items) == 1 else ''})"
