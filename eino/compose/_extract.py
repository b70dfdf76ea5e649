"""Takes the value of one field mapping out of what a predecessor gave."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, get_origin

from eino.compose._field_types import PathError, type_at
from eino.compose._records import record_of
from eino.compose.checks import Fit, assignable, fits_at_run_time, members_of, normalise, type_text
from eino.compose.failures import error_text
from eino.compose.field_mapping import FieldMapping, FieldPath, path_text
from eino.compose.signature import callable_name, read_signature
from eino.errors import BuildError, RunError

__all__ = ["ABSENT", "Take", "take_of"]


_REMEMBERED = 1024  # types and paths, as in `_field_types`


class _Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final[Any] = _Absent()
"""Stands where a mapping has no such key, or a part of an input has no value."""


class Take(NamedTuple):
    """How the value of a mapping is taken."""

    of_value: Callable[[Any], Any]
    """Out of a whole output."""
    of_chunk: Callable[[Any], Any]
    """Out of a chunk of a stream; `ABSENT` if it does not have the key."""
    absent: Callable[[], RunError]
    """Makes the error for a key that is not there."""


def take_of(mapping: FieldMapping, key: str, given: Any, wanted: Any) -> Take:
    """Return how to take a mapping's value, checked as far as types tell.

    Args:
        mapping: Where from, and where to.
        key: The node that gets it.
        given: Type of the predecessor's output.
        wanted: Type of what the value becomes.

    Raises:
        BuildError: If the output has no such field, or its type can never fit.
    """
    found = _found_type(mapping, key, given)
    fit = assignable(found, wanted)
    if fit is Fit.NEVER:
        raise BuildError(
            f"field mapping {mapping} of node[{key}]: field[{type_text(found)}]-[{type_text(wanted)}] is absolutely "
            "not assignable: map another field, or convert it with to_field(..., extract=...)"
        )
    read = _Extraction(mapping, key) if mapping.extract is not None else _reading(_Path(mapping, key, given), given)
    check = _check(mapping, key, wanted) if fit is Fit.MAY else None

    def absent() -> RunError:
        return RunError(
            f"field mapping from a map key, but key not found in input. key={mapping.from_path[-1]}: "
            f"mapping {mapping} of node[{key}]; let node[{mapping.from_key}] give it, or map another key"
        )

    def of_value(output: Any) -> Any:
        value = read(output)
        if value is ABSENT:
            raise absent()
        return value if check is None else check(value)

    def of_chunk(chunk: Any) -> Any:
        value = read(chunk)
        return value if check is None or value is ABSENT else check(value)

    return Take(of_value, of_chunk, absent)


def _found_type(mapping: FieldMapping, key: str, given: Any) -> Any:
    """Return the type of the value that a mapping takes."""
    if mapping.extract is not None:
        signature = read_signature(mapping.extract, role="the extractor of a field mapping", strict=False)
        if assignable(given, signature.input_type) is Fit.NEVER:
            raise BuildError(
                f"field mapping {mapping} of node[{key}]: extract={callable_name(mapping.extract)} takes "
                f"{type_text(signature.input_type)}, but node[{mapping.from_key}] gives {type_text(given)}"
            )
        return signature.output_type
    try:
        return type_at(given, mapping.from_path)
    except PathError as error:
        raise BuildError(f"field mapping {mapping} of node[{key}]: node[{mapping.from_key}]: {error}") from None


def _check(mapping: FieldMapping, key: str, wanted: Any) -> Callable[[Any], Any] | None:
    """Return a test of values whose type was not known before."""
    test = fits_at_run_time(wanted)
    if test is None:
        return None
    shown = type_text(wanted)

    def check(value: Any) -> Any:
        if test(value):
            return value
        raise RunError(
            f"runtime check failed for mapping {mapping}, field[{_shown_class(value)}]-[{shown}] is absolutely not "
            f"assignable: node[{key}] got {value!r:.200}; map another field, or convert it with "
            "to_field(..., extract=...)"
        )

    return check


def _shown_class(value: Any) -> str:
    return "None" if value is None else type(value).__qualname__


class _Extraction:
    """Calls the program's own extractor."""

    def __init__(self, mapping: FieldMapping, key: str) -> None:
        self._extract: Any = mapping.extract
        self._where = f"mapping {mapping} of node[{key}]"

    def __call__(self, output: Any) -> Any:
        try:
            return self._extract(output)
        except Exception as error:
            raise RunError(f"extract={callable_name(self._extract)} of {self._where}: {error_text(error)}") from error


def _reading(path: _Path, given: Any) -> Callable[[Any], Any]:
    """Return the fastest way to read what lies at a path in values of a type."""
    names = path.mapping.from_path
    if not names:
        return lambda output: output
    if _only_attributes(given, names):
        get = operator.attrgetter(".".join(names))

        def attribute(output: Any) -> Any:
            try:
                return get(output)
            except AttributeError:  # None on the way, or not of the type that it should be
                return path.read(output)

        return attribute
    if len(names) == 1:
        (name,) = names

        def item(output: Any) -> Any:
            return output.get(name, ABSENT) if output.__class__ is dict else path.read(output)

        return item
    return path.read


def _only_attributes(annotation: Any, names: FieldPath) -> bool:
    """Return whether all names are declared fields of classes."""
    try:
        return _all_fields(annotation, names)
    except TypeError:  # an annotation that cannot be hashed
        return _all_fields.__wrapped__(annotation, names)


@functools.lru_cache(maxsize=_REMEMBERED)
def _all_fields(annotation: Any, names: FieldPath) -> bool:
    for depth, name in enumerate(names):
        members = [each for each in members_of(normalise(annotation)) if each is not type(None)]
        cls = get_origin(members[0]) or members[0] if len(members) == 1 else None
        if not isinstance(cls, type) or issubclass(cls, Mapping):
            return False
        record = record_of(cls)
        if record is None or name not in record.readable:
            return False
        annotation = type_at(annotation, names[depth : depth + 1])
    return True


class _Path:
    """Reads what lies at a path, step by step, and says what is wrong where it cannot."""

    def __init__(self, mapping: FieldMapping, key: str, given: Any) -> None:
        self.mapping = mapping
        self._key = key
        self._given = given

    def read(self, output: Any) -> Any:
        """Return the value at the path, or `ABSENT` if a mapping on the way does not have the key."""
        value = output
        for depth, name in enumerate(self.mapping.from_path):
            if isinstance(value, Mapping):
                if name not in value:
                    return ABSENT
                value = value[name]
            elif value is None:
                raise self._none(depth)
            else:
                value = self._attribute(value, name)
        return value

    def _none(self, depth: int) -> RunError:
        names = self.mapping.from_path
        expected = type_at(self._given, names[:depth])
        members = [each for each in members_of(expected) if each is not type(None)]
        cls = (get_origin(members[0]) or members[0]) if members else None
        kind = "map type" if isinstance(cls, type) and issubclass(cls, Mapping) else "type"
        where = f"{path_text(names[:depth])!r} in the output" if depth else "the output"
        return RunError(
            f"intermediate source value on path=[{' '.join(names)}] is nil for {kind} [{type_text(expected)}]: "
            f"{where} of node[{self.mapping.from_key}] is None, mapping {self.mapping} of node[{self._key}]; "
            "give a value there, or take it with to_field(..., extract=...), which can say what None means"
        )

    def _attribute(self, value: Any, name: str) -> Any:
        cls = type(value)
        record = record_of(cls)
        where = f"mapping {self.mapping} of node[{self._key}]"
        if record is None:
            raise RunError(
                "field mapping from an interface type, but actual type is not struct, struct ptr or map, actual: "
                f"{cls.__qualname__}: {where} reads {name!r} of {value!r:.200}"
            )
        if name.startswith("_"):
            raise RunError(
                f"type[{cls.__qualname__}] has an unexported field[{name}]: {where}; names with a leading underscore "
                "belong to the class alone"
            )
        try:
            if name in record.readable or (record.has_more and not callable(getattr(cls, name, None))):
                return getattr(value, name)
        except AttributeError:
            pass
        fields = ", ".join(each for each in record.readable if not each.startswith("_")) or "none"
        raise RunError(f"type[{cls.__qualname__}] has no field[{name}]: {where}; its fields are {fields}")
