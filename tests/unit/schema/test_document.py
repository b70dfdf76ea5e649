"""Documents and what lies under the reserved keys of their metadata."""

from __future__ import annotations

from typing import Any

import pytest

from eino.schema import Document, from_json, to_json


def test_properties_read_what_the_methods_set() -> None:
    """Each `with_` method returns a new document; all lie in the metadata under the Go original's keys."""
    plain = Document(id="d", content="text")

    document = (
        plain.with_sub_indexes(("a", "b"))
        .with_score(0.5)
        .with_extra_info("more")
        .with_dsl_info({"term": {"x": 1}})
        .with_dense_vector((0.1, 0.2))
        .with_sparse_vector({3: 0.5})
        .with_metadata(source="web")
    )

    assert plain.metadata == {}
    assert document.metadata == {
        "_sub_indexes": ["a", "b"],
        "_score": 0.5,
        "_extra_info": "more",
        "_dsl": {"term": {"x": 1}},
        "_dense_vector": [0.1, 0.2],
        "_sparse_vector": {3: 0.5},
        "source": "web",
    }
    assert document.sub_indexes == ("a", "b")
    assert document.score == 0.5
    assert document.extra_info == "more"
    assert document.dsl_info == {"term": {"x": 1}}
    assert document.dense_vector == (0.1, 0.2)
    assert document.sparse_vector == {3: 0.5}
    assert str(document) == "text"


def test_properties_survive_json() -> None:
    """JSON turns the dimensions of a sparse vector into texts; the property does not care."""
    document = Document(content="x").with_sparse_vector({7: 1.5}).with_dense_vector([1]).with_score(1)

    read = from_json(to_json(document), Document)

    assert read.sparse_vector == {7: 1.5}
    assert read.dense_vector == (1.0,)
    assert read.score == 1.0


@pytest.mark.parametrize("wrong", [None, True, "x", object(), [object()], {"a": "b"}, [True]])
def test_missing_and_wrongly_typed_entries_read_as_nothing(wrong: Any) -> None:
    """A property never raises: other programs write metadata too."""
    keys = ["_sub_indexes", "_score", "_extra_info", "_dsl", "_dense_vector", "_sparse_vector"]
    for document in (Document(content=""), Document(content="", metadata=dict.fromkeys(keys, wrong))):
        assert document.sub_indexes == ()
        assert document.score == 0.0
        assert document.extra_info == ("x" if document.metadata and wrong == "x" else "")
        assert document.dsl_info == ({"a": "b"} if document.metadata and wrong == {"a": "b"} else {})
        assert document.dense_vector == ()
        assert document.sparse_vector == {}


def test_a_single_text_is_no_list_of_indexes() -> None:
    """A common mistake that would give one index a letter."""
    with pytest.raises(TypeError, match="got the single text 'news'"):
        Document(content="").with_sub_indexes("news")
