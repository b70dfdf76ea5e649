"""Which types the codec knows, under which names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

from eino.errors import BuildError
from eino.schema._codec_scalars import READ
from eino.schema._codec_shapes import Shape, shape_of

__all__ = ["RegisteredType", "TypeRegistry", "Upgrade"]

Upgrade = Callable[[dict[str, Any], int], dict[str, Any]]
"""Takes the fields as an older version stored them, and that version; returns the fields of the current version."""

RESERVED_NAMES: Final = frozenset({*READ, "dict", "frozenset", "set", "tuple"})
"""Names under which the codec stores built-in types."""


@dataclasses.dataclass(frozen=True, slots=True)
class RegisteredType:
    """A type that can be stored."""

    cls: type
    name: str
    shape: Shape
    version: int = 1
    upgrade: Upgrade | None = None
    automatic: bool = False
    """Registered under its qualified name by the framework: gives way to any other registration."""


class TypeRegistry:
    """Types that can be stored, by class and by name. What is not found here is looked for in the parent."""

    def __init__(self, parent: TypeRegistry | None = None) -> None:
        self._parent = parent
        self._by_class: dict[type, RegisteredType] = {}
        self._by_name: dict[str, RegisteredType] = {}

    def add(
        self,
        cls: type,
        name: str,
        *,
        version: int = 1,
        aliases: Sequence[str] = (),
        upgrade: Upgrade | None = None,
        encode: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], Any] | None = None,
    ) -> Callable[[], None]:
        """Make values of `cls` storable under `name`; see `register`.

        Returns:
            A function that undoes it.

        Raises:
            BuildError: If a name or the class is taken, or `cls` cannot be taken apart.
        """
        _check_names(cls, (name, *aliases))
        _check_version(cls, version, upgrade)
        entry = RegisteredType(cls, name, _shape(cls, encode, decode), version, upgrade)
        return self._put(entry, (name, *aliases))

    def add_automatic(self, cls: type) -> None:
        """Make values of `cls` storable under its qualified name, unless it is registered already.

        Raises:
            BuildError: If `cls` cannot be taken apart.
        """
        if self.find_class(cls) is None:
            name = qualified_name(cls)
            self._put(RegisteredType(cls, name, _shape(cls, None, None), automatic=True), (name,))

    def add_schema_type(self, cls: type, shape: Shape) -> None:
        """Make one of the framework's own types storable as `eino.Name`."""
        name = f"eino.{cls.__name__}"
        self._put(RegisteredType(cls, name, shape), (name,))

    def find_class(self, cls: type) -> RegisteredType | None:
        """Return the entry of `cls` itself (not of a base class), or None."""
        found = self._by_class.get(cls)
        return self._parent.find_class(cls) if found is None and self._parent is not None else found

    def find_name(self, name: str) -> RegisteredType | None:
        """Return the entry stored under `name`, or under which it once was; or None."""
        found = self._by_name.get(name)
        return self._parent.find_name(name) if found is None and self._parent is not None else found

    def _put(self, entry: RegisteredType, names: Sequence[str]) -> Callable[[], None]:
        self._check_free(entry, names)
        self._by_class[entry.cls] = entry
        for name in names:
            self._by_name[name] = entry

        def undo() -> None:
            if self._by_class.get(entry.cls) is entry:
                del self._by_class[entry.cls]
            for name in names:
                if self._by_name.get(name) is entry:
                    del self._by_name[name]

        return undo

    def _check_free(self, entry: RegisteredType, names: Sequence[str]) -> None:
        known = self.find_class(entry.cls)
        if known is not None and not known.automatic:
            raise BuildError(
                f"{qualified_name(entry.cls)} is already registered as {known.name!r}, it cannot also be "
                f"{entry.name!r}; give old names as aliases of one registration"
            )
        for name in names:
            taken = self.find_name(name)
            # Running a notebook cell or a module again defines the same class anew: that is no conflict.
            if taken is None or taken.automatic or qualified_name(taken.cls) == qualified_name(entry.cls):
                continue
            raise BuildError(
                f"the name {name!r} of {qualified_name(entry.cls)} is already taken by {qualified_name(taken.cls)}; "
                "choose another name"
            )


def qualified_name(cls: type) -> str:
    """Return the module and name of `cls`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _check_names(cls: type, names: Sequence[str]) -> None:
    if not isinstance(cls, type):
        raise BuildError(f"only classes can be registered, got {cls!r}")
    for name in names:
        if not isinstance(name, str) or not name:
            raise BuildError(f"{qualified_name(cls)} must be registered under a name that is not empty, got {name!r}")
        if name in RESERVED_NAMES:
            raise BuildError(
                f"the name {name!r} is reserved for a built-in type; choose another for {cls.__qualname__}"
            )


def _check_version(cls: type, version: int, upgrade: Upgrade | None) -> None:
    if not isinstance(version, int) or version < 1:
        raise BuildError(f"the version of {qualified_name(cls)} must be a whole number of at least 1, got {version!r}")
    if upgrade is not None and version == 1:
        raise BuildError(f"{qualified_name(cls)} has an upgrade but version 1: there is nothing older to upgrade from")


def _shape(cls: type, encode: Callable[[Any], Any] | None, decode: Callable[[Any], Any] | None) -> Shape:
    if (encode is None) != (decode is None):
        raise BuildError(f"{qualified_name(cls)} needs both encode and decode, or neither")
    if encode is not None and decode is not None:
        return Shape(take=encode, build=decode)
    shape = shape_of(cls)
    if shape is None:
        raise BuildError(
            f"{qualified_name(cls)} cannot be taken apart: it is no dataclass, pydantic model, msgspec struct, named "
            "tuple or enum. Put @register above @dataclass, or give encode= and decode="
        )
    return shape
