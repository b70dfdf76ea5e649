"""Makes the input of a node with field mappings: from the leaves up, so that classes may be frozen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from eino.compose._extract import ABSENT, Take
from eino.compose._field_types import Container
from eino.compose.failures import error_text
from eino.compose.field_mapping import FieldPath, path_text
from eino.compose.input_maker import Arrived, Bind, MergeReaders
from eino.errors import ConcatError, RunError
from eino.schema._concat import ConcatRegistry
from eino.schema.stream import DROP, StreamReader

__all__ = ["FieldInput", "Leaf", "Part", "WholeInput"]


class Leaf(NamedTuple):
    """One value of an input: where it comes from."""

    source: int
    take: Take


class Part:
    """A value that is made of others: the input itself, or something inside it."""

    __slots__ = ("_container", "_inner", "_key", "_leaves", "_path")

    def __init__(
        self,
        container: Container,
        leaves: Sequence[tuple[str, int]],
        inner: Sequence[tuple[str, Part]],
        path: FieldPath,
        key: str,
    ) -> None:
        """Describe a value.

        Args:
            container: What is made.
            leaves: Names whose values come from slots, with the slot.
            inner: Names whose values are made themselves.
            path: Where in the input it lies.
            key: The node.
        """
        self._container = container
        self._leaves = tuple(leaves)
        self._inner = tuple(inner)
        self._path = path
        self._key = key

    def build(self, slots: Sequence[Any]) -> Any:
        """Return the value, or `ABSENT` if nothing arrived for it; the input itself is always made.

        Raises:
            RunError: If something required did not arrive, or the class refuses what did.
        """
        values = {name: slots[slot] for name, slot in self._leaves if slots[slot] is not ABSENT}
        for name, part in self._inner:
            value = part.build(slots)
            if value is not ABSENT:
                values[name] = value
        if not values and self._path:
            return ABSENT
        make = self._container.make
        if make is None:
            return values
        try:
            return make(values)
        except Exception as error:
            raise self._failure(error, values) from error

    def can_be_in_chunks(self, concat: ConcatRegistry) -> bool:
        """Return whether what a chunk of a stream brings makes a value by itself, and such values can be joined."""
        container = self._container
        makes = container.make is None or (not container.required and concat.joins(container.cls))
        return makes and all(part.can_be_in_chunks(concat) for _, part in self._inner)

    def _failure(self, error: Exception, values: Mapping[str, Any]) -> RunError:
        shown = self._container.shown
        at = f" at [{path_text(self._path)}]" if self._path else ""
        missing = sorted(self._container.required - values.keys())
        if missing:
            return RunError(
                f"no value arrived for required field[{missing[0]}] of type[{shown}]{at} of node[{self._key}]: what "
                "gives it was skipped; give the field a default, or the node a static value for it"
            )
        return RunError(
            f"type[{shown}]{at} of node[{self._key}] cannot be made of {sorted(values)}: {error_text(error)}"
        )


class FieldInput:
    """The input of a node whose parts are mapped."""

    makes_of_nothing = True

    def __init__(
        self,
        key: str,
        root: Part,
        *,
        paths: Sequence[FieldPath],
        leaves: Mapping[int, Leaf],
        static: Mapping[int, Any],
        concat: ConcatRegistry,
    ) -> None:
        """Describe an input. Each of its parts has a slot.

        Args:
            key: The node.
            root: What is made of the slots.
            paths: Where the value of each slot goes.
            leaves: What fills slots from outputs.
            static: What fills the others.
            concat: How chunks are joined, where an input cannot be made of each.
        """
        self._key = key
        self._root = root
        self._paths = tuple(paths)
        self._blank = [ABSENT] * len(paths)
        self._template = [static.get(slot, ABSENT) for slot in range(len(paths))]
        self._has_static = bool(static)
        self._fills = tuple((slot, leaf.source, leaf.take.of_value) for slot, leaf in leaves.items())
        self._by_source: dict[int, list[tuple[int, Take]]] = {}
        for slot, leaf in leaves.items():
            self._by_source.setdefault(leaf.source, []).append((slot, leaf.take))
        self._concat = concat

    def of_values(self, arrived: Arrived) -> Any:
        """Return the input made of the outputs that arrived."""
        outputs = dict(arrived)
        slots = self._template.copy()
        for slot, source, take in self._fills:
            if source in outputs:
                slots[slot] = take(outputs[source])
        return self._root.build(slots)

    def of_streams(self, arrived: Arrived, bind: Bind, merge: MergeReaders) -> StreamReader[Any]:
        """Return the input as a stream.

        Where the input is made of dicts, each chunk of a predecessor makes one of it. An instance of a class cannot be
        made of a part of its fields: their chunks are joined, and one instance comes at the end.
        """
        if not arrived:
            return StreamReader.from_iterable((self.of_values(()),))
        parts = [(source, _slots_of(reader, self._by_source[source], bind)) for source, reader in arrived]
        merged = merge(parts)
        if self._root.can_be_in_chunks(self._concat):
            return self._chunk_by_chunk(merged, bind)
        return self._joined(merged, bind)

    def _chunk_by_chunk(self, reader: StreamReader[dict[int, Any]], bind: Bind) -> StreamReader[Any]:
        first = True

        def build(filled: dict[int, Any]) -> Any:
            nonlocal first
            slots = (self._template if first else self._blank).copy()
            first = False
            for slot, value in filled.items():
                slots[slot] = value
            return self._root.build(slots)

        def static() -> Any:
            return build({}) if first and self._has_static else DROP

        return reader.map(bind(build), on_end=_at_end(static, bind))

    def _joined(self, reader: StreamReader[dict[int, Any]], bind: Bind) -> StreamReader[Any]:
        columns: dict[int, list[Any]] = {}
        failed = False

        def collect(filled: dict[int, Any]) -> Any:
            for slot, value in filled.items():
                columns.setdefault(slot, []).append(value)
            return DROP

        def note(error: Exception) -> Exception:
            nonlocal failed
            failed = True
            return error

        def build() -> Any:
            if failed or not (columns or self._has_static):
                return DROP
            slots = self._template.copy()
            for slot, chunks in columns.items():
                slots[slot] = self._join(slot, chunks)
            return self._root.build(slots)

        return reader.map(bind(collect), on_error=note, on_end=_at_end(build, bind))

    def _join(self, slot: int, chunks: list[Any]) -> Any:
        try:
            return self._concat.concat(chunks)
        except ConcatError as error:
            raise ConcatError(f"the chunks for field[{path_text(self._paths[slot])}]: {error}") from error


class WholeInput:
    """The input of a node that gets one value: an output that must be checked, or one part of it."""

    makes_of_nothing = False

    def __init__(self, take: Take | None, check: Callable[[Any], Any] | None = None) -> None:
        """Describe an input: a mapping takes it, or it is checked."""
        self._take = take
        self._check = check

    def of_values(self, arrived: Arrived) -> Any:
        """Return the value taken out of the output that arrived, or checked."""
        ((_, output),) = arrived
        if self._take is not None:
            return self._take.of_value(output)
        return output if self._check is None else self._check(output)

    def of_streams(self, arrived: Arrived, bind: Bind, merge: MergeReaders) -> StreamReader[Any]:
        """Return the same of each chunk; those that lack the key are left out."""
        ((source, reader),) = arrived
        if self._take is None:
            return merge([(source, reader if self._check is None else reader.map(bind(self._check)))])
        taken = _slots_of(reader, [(0, self._take)], bind)
        return merge([(source, taken.map(bind(_only_slot)))])


def _only_slot(filled: dict[int, Any]) -> Any:
    return filled[0]


def _slots_of(reader: StreamReader[Any], takes: list[tuple[int, Take]], bind: Bind) -> StreamReader[dict[int, Any]]:
    """Return the slots that each chunk fills; chunks that fill none are left out.

    A chunk may lack a key that is mapped, because others bring it; that no chunk had it is an error at the end.
    """
    unseen = dict(takes)
    began = failed = False

    def fill(chunk: Any) -> Any:
        nonlocal began
        began = True
        filled = {slot: value for slot, take in takes if (value := take.of_chunk(chunk)) is not ABSENT}
        if unseen:
            for slot in filled:
                unseen.pop(slot, None)
        return filled or DROP

    def note(error: Exception) -> Exception:
        nonlocal failed
        failed = True
        return error

    def all_seen() -> Any:
        if unseen and began and not failed:
            raise next(iter(unseen.values())).absent()
        return DROP

    return reader.map(bind(fill), on_error=note, on_end=_at_end(all_seen, bind))


def _at_end(function: Callable[[], Any], bind: Bind) -> Callable[[], Any]:
    """Return `function` for the end of a stream, where an exception to deliver is returned."""
    bound = bind(lambda _: function())

    def at_end() -> Any:
        try:
            return bound(None)
        except Exception as error:
            return error

    return at_end
