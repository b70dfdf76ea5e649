"""JSON objects one after another, in any pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino.ext.models._json_stream import JSONObjects, ObjectTooLongError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(body: bytes, size: int) -> tuple[list[Any], bytes]:
    """Return the objects in a body that comes in pieces of `size`, and what is left."""
    objects = JSONObjects()
    found = [
        json.loads(each) for place in range(0, len(body), size) for each in objects.feed(body[place : place + size])
    ]
    return found, objects.unfinished


@given(
    st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=4),
    st.sampled_from([("[", ",\r\n", "]"), ("", "\n", "\n"), ("", "", "")]),
    st.booleans(),
    st.integers(1, 40),
)
def test_objects_come_out_as_they_went_in(
    objects: list[Any], marks: tuple[str, str, str], readable: bool, size: int
) -> None:
    """Braces and quotes in texts, escapes, nesting, cuts anywhere."""
    start, between, end = marks
    texts = [json.dumps(each, ensure_ascii=not readable, indent=2 if readable else None) for each in objects]

    assert read((start + between.join(texts) + end).encode(), size) == (objects, b"")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_beginning_without_an_end_is_known(size: int) -> None:
    assert read(b'[{"a": 1}, {"b": "}', size) == ([{"a": 1}], b'{"b": "}')


def test_what_is_no_object_is_skipped() -> None:
    assert read(b'} "x" [1, 2] {"a": [{}]} null', 100) == ([{"a": [{}]}], b"")


def test_an_endless_object_is_refused() -> None:
    """Before it exhausts memory."""
    objects = JSONObjects(max_object_bytes=10)

    with pytest.raises(ObjectTooLongError, match="longer than 10 bytes"):
        objects.feed(b'{"a": "0123456789')
