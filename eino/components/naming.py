"""The name of a component's implementation, as callbacks and traces show it."""

from __future__ import annotations

import inspect

__all__ = ["camel_case", "type_name"]


def type_name(component: object) -> str:
    """Return the name of what implements `component`.

    Its own `type_name` if it has one; for a function its name (`""` for a lambda); else the name of its class.
    """
    own = getattr(component, "type_name", None)
    if isinstance(own, str):
        return own
    if inspect.isroutine(component):
        return "" if component.__name__ == "<lambda>" else component.__name__
    return type(component).__name__


def camel_case(name: str) -> str:
    """Return `name` in one word: `google_search_3` gives `GoogleSearch3`, `_HTTP_HOST_` gives `HttpHost`."""
    parts = name.replace("-", "_").split("_")
    return "".join(part.capitalize() if part.isupper() else part[:1].upper() + part[1:] for part in parts)
