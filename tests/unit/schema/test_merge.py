"""Merging values at a fan-in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest

from eino.errors import MergeError
from eino.schema import MERGE, MergeRegistry, merge_values, register_merge


class Cart:
    """A type that can be merged."""

    def __init__(self, *items: str) -> None:
        self.items = items


class GiftCart(Cart):
    """A class without a function of its own."""


def merge_carts(carts: Sequence[Cart]) -> Cart:
    """Put everything into one cart."""
    return Cart(*[item for cart in carts for item in cart.items])


def test_one_value_is_used_as_it_is() -> None:
    """Nothing is merged, so nothing needs to be registered."""
    value = object()

    assert merge_values([value]) is value


def test_no_value_is_an_error() -> None:
    """There is nothing to pass on."""
    with pytest.raises(MergeError, match="no value arrived"):
        merge_values([])


def test_mappings_are_united() -> None:
    """Any kinds of mappings; the result is a new dictionary."""
    first = {"a": 1}

    merged = merge_values([first, OrderedDict(b=2)])

    assert merged == {"a": 1, "b": 2}
    assert first == {"a": 1}


@pytest.mark.parametrize("other", [1, 2, None], ids=["same", "another", "none"])
def test_a_key_may_come_once(other: Any) -> None:
    """Which of two values wins would depend on timing."""
    with pytest.raises(MergeError, match=r"\(values merge map\) duplicated key \('a'\) found; give the predecessors"):
        merge_values([{"a": 1}, {"a": other}])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param([{"a": 1}, "x"], r"\(values merge map\) field type mismatch. expected: dict, got: str", id="map"),
        pytest.param(["x", "y"], r"\(mergeValues\) unsupported type: str; .*register_merge\(str\)", id="texts"),
        pytest.param(["x", {"a": 1}], r"\(mergeValues\) unsupported type: str", id="text first"),
    ],
)
def test_values_that_cannot_be_merged(values: list[Any], text: str) -> None:
    """The error names the types and the remedy."""
    with pytest.raises(MergeError, match=text):
        merge_values(values)


def test_registered_function_merges_its_type_and_what_derives_from_it() -> None:
    """A mix of a class and its base is merged by the function of the base."""
    registry = MergeRegistry(MERGE, {Cart: merge_carts})

    assert registry.merge([Cart("a"), Cart("b")]).items == ("a", "b")
    assert registry.merge([GiftCart("a"), GiftCart("b")]).items == ("a", "b")
    assert registry.merge([GiftCart("a"), Cart("b")]).items == ("a", "b")
    with pytest.raises(MergeError, match=r"\(values merge\) field type mismatch. expected: Cart, got: str"):
        registry.merge([Cart("a"), "b"])


def test_registered_function_replaces_the_union_of_mappings() -> None:
    """A graph may have its own rule for duplicate keys."""
    registry = MergeRegistry(MERGE)

    @registry.register(dict)
    def last_wins(values: Sequence[dict[str, int]]) -> dict[str, int]:
        return {key: item for value in values for key, item in value.items()}

    assert registry.merge([{"a": 1}, {"a": 2}]) == {"a": 2}
    assert last_wins([{"a": 3}]) == {"a": 3}


def test_global_registration_is_undone() -> None:
    """What a test registers does not reach the next one."""
    undo = register_merge(Cart, merge_carts)
    try:
        assert merge_values([Cart("a"), Cart("b")]).items == ("a", "b")
    finally:
        undo()
    with pytest.raises(MergeError, match="unsupported type: Cart"):
        merge_values([Cart("a"), Cart("b")])


def test_global_decorator() -> None:
    """`@register_merge(T)` is for all graphs."""

    class Own:
        pass

    @register_merge(Own)
    def first(values: Sequence[Own]) -> Own:
        return values[0]

    values = [Own(), Own()]
    assert merge_values(values) is first(values)


def test_supports_tells_what_can_be_merged() -> None:
    """Streams are interleaved, not merged: for them it is asked beforehand."""
    registry = MergeRegistry(MERGE, {Cart: merge_carts})

    assert registry.supports(Cart)
    assert registry.supports(GiftCart)
    assert registry.supports(OrderedDict)
    assert not registry.supports(str)
