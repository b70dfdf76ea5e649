"""Metadata filters, and the exact search against a plain computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino.errors import InvalidRequestError
from eino.ext.vectors._filters import metadata_filter
from eino.ext.vectors._table import VectorTable

METADATA = {
    "lang": "en",
    "year": 2020,
    "score": 0.5,
    "draft": False,
    "none": None,
    "tags": ["a", 1],
    "author": {"name": "Ada", "born": 1815},
    "dotted.key": "yes",
    "title": "On Computing",
}


@pytest.mark.parametrize(
    ("dsl", "passes"),
    [
        ({}, True),
        ({"lang": "en"}, True),
        ({"lang": "de"}, False),
        ({"year": 2020.0}, True),
        ({"draft": False}, True),
        ({"draft": 0}, False),
        ({"year": True}, False),
        ({"none": None}, True),
        ({"missing": None}, False),
        ({"year": "2020"}, False),
        ({"tags": ["a", 1]}, True),
        ({"author.name": "Ada"}, True),
        ({"author.name.first": "Ada"}, False),
        ({"lang.name": "Ada"}, False),
        ({"dotted.key": "yes"}, True),
        ({"year": {"$eq": 2020}}, True),
        ({"year": {"$ne": 2020}}, False),
        ({"missing": {"$ne": 2020}}, True),
        ({"year": {"$gt": 2019, "$lte": 2020}}, True),
        ({"year": {"$gt": 2020}}, False),
        ({"score": {"$lt": 1}}, True),
        ({"lang": {"$gte": "ea"}}, True),
        ({"lang": {"$gt": 3}}, False),
        ({"missing": {"$lt": 3}}, False),
        ({"draft": {"$lt": 3}}, False),
        ({"lang": {"$in": ["de", "en"]}}, True),
        ({"lang": {"$in": []}}, False),
        ({"lang": {"$nin": {"de"}}}, True),
        ({"missing": {"$nin": ["de"]}}, True),
        ({"year": {"$exists": True}}, True),
        ({"missing": {"$exists": False}}, True),
        ({"tags": {"$contains": "a"}}, True),
        ({"tags": {"$contains": True}}, False),
        ({"title": {"$contains": "Comp"}}, True),
        ({"title": {"$contains": 1}}, False),
        ({"year": {"$contains": 2}}, False),
        ({"$and": [{"lang": "en"}, {"year": 2020}]}, True),
        ({"$or": [{"lang": "de"}, {"year": 2020}]}, True),
        ({"$not": {"lang": "de"}}, True),
        ({"$not": {"$or": [{"lang": "en"}, {"missing": 1}]}}, False),
        ({"lang": "en", "$not": {"draft": True}}, True),
    ],
    ids=repr,
)
def test_a_filter_passes_what_it_says(dsl: dict[str, Any], passes: bool) -> None:
    assert metadata_filter(dsl)(METADATA) is passes


@pytest.mark.parametrize(
    ("dsl", "text"),
    [
        ("lang = en", "a filter must be a mapping"),
        ({"lang": {"$regex": "e.*"}}, "the field 'lang' has the unknown operator '$regex'; use one of $eq"),
        ({"lang": {}}, "the filter of the field 'lang' is empty"),
        ({"$xor": []}, "'$xor' is no field"),
        ({3: 1}, "3 is no field"),
        ({"$or": []}, "$or needs a list of filters, at least one"),
        ({"$and": "x"}, "$and needs a list"),
        ({"$not": 3}, "a filter must be a mapping"),
        ({"lang": {"$in": "en"}}, "$in of the field 'lang' needs a list of values, got 'en'"),
        ({"year": {"$gt": None}}, "$gt of the field 'year' needs a value with an order, got None"),
        ({"year": {"$gt": float("nan")}}, "needs a value with an order"),
    ],
    ids=repr,
)
def test_what_is_no_filter_is_refused_with_the_place(dsl: Any, text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        metadata_filter(dsl)

    assert text in str(caught.value)


def test_a_filter_without_end_is_refused() -> None:
    dsl: dict[str, Any] = {"a": 1}
    for _ in range(100):
        dsl = {"$not": dsl}

    with pytest.raises(InvalidRequestError, match="nested more than 32 levels"):
        metadata_filter(dsl)


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=60),
    query=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    top_k=st.none() | st.integers(1, 70),
    least=st.none() | st.integers(-9, 9),
    refused=st.sets(st.integers(0, 59)),
    gone=st.sets(st.integers(0, 59)),
)
def test_a_search_finds_what_a_plain_computation_finds(  # noqa: PLR0917 - Hypothesis passes by name
    rows: list[tuple[int, int]],
    query: tuple[int, int],
    top_k: int | None,
    least: int | None,
    refused: set[int],
    gone: set[int],
) -> None:
    """For any vectors, limits and filters: the same keys in the same order."""
    table: VectorTable[int] = VectorTable(2)
    for key, row in enumerate(rows):
        table.upsert([key], np.array([row], np.float32))
    table.delete(list(gone))

    found = table.search(
        np.array(query, np.float32),
        "dot",
        top_k=top_k,
        score_threshold=least,
        accept=(lambda keys: [key not in refused for key in keys]) if refused else None,
    )

    products = {key: float(np.dot(row, query)) for key, row in enumerate(rows) if key not in gone}
    allowed = [key for key in products if key not in refused and (least is None or products[key] >= least)]
    expected = sorted(allowed, key=lambda key: -products[key])[:top_k]
    assert found == [(key, products[key]) for key in expected]
