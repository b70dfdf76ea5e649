"""The base of the option classes: one frozen class per component kind, merged in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
from msgspec import UNSET

__all__ = ["UNSET", "Options"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may tell a component for one call.

    A field that is not given is `UNSET` and leaves the decision to the level below; `None` decides: the component
    does not use this option at all, whatever the level below says. `extra_fields` is merged key by key, options inside
    options (`LoaderOptions.parser`) field by field; every other field is replaced as a whole.

    The levels, from the lowest to the highest:

    1. the component's own constructor;
    2. what a changed copy was made with (`model.with_tools(...)`);
    3. the call options of a graph run for a kind of component: `options={ChatModel: ...}`;
    4. those for the components of one class: `options={OpenAIChatModel: ...}`;
    5. those for one node: `options={"model": ...}`;
    6. the `options` argument of a direct call, where there is no graph.
    """

    def merge(self, over: Self | None) -> Self:
        """Return these options with what `over` gives on top.

        Raises:
            TypeError: If `over` is of another class.
        """
        if over is None or over is self:
            return self
        kind = type(self).__name__
        if type(over) is not type(self):
            raise TypeError(f"cannot merge {type(over).__name__} into {kind}; give {kind}")
        changes = over.given()
        for name, value in changes.items():
            below = getattr(self, name)
            if name == "extra_fields" and isinstance(value, Mapping) and isinstance(below, Mapping):
                changes[name] = {**below, **value}
            elif isinstance(value, Options) and type(below) is type(value):
                changes[name] = below.merge(value)
        return msgspec.structs.replace(self, **changes) if changes else self

    def given(self) -> dict[str, Any]:
        """Return the fields that were given, `None` included."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in fields if value is not UNSET}

    def wanted(self) -> dict[str, Any]:
        """Return the fields that were given and are not switched off."""
        return {name: value for name, value in self.given().items() if value is not None}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.given().items())
        return f"{type(self).__name__}({shown})"
