"""Fields of the wrong type count as absent."""

from __future__ import annotations

import pytest

from eino.errors import InvalidResponseError
from eino.ext.models._json_fields import count_of, object_of, text_of
from eino.ext.models._service_errors import Place


@pytest.mark.parametrize(
    ("value", "text"),
    [("word", "word"), ("", ""), (None, ""), (7, ""), (["word"], "")],
)
def test_text_is_a_text_or_empty(value: object, text: str) -> None:
    """Nothing is made a text that is none."""
    assert text_of({"name": value}, "name") == text
    assert text_of({}, "name") == ""


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        pytest.param({"name": 3}, 3, id="a count"),
        pytest.param({"name": 3.0}, 3, id="written as a float"),
        pytest.param({"name": -3}, 0, id="below 0"),
        pytest.param({"name": "3"}, 0, id="a text"),
        pytest.param({}, 0, id="absent"),
        pytest.param(None, 0, id="no object"),
        pytest.param([3], 0, id="a list"),
    ],
)
def test_count_is_a_whole_number_or_0(fields: object, count: int) -> None:
    """What is no count counts nothing, also where there is no object."""
    assert count_of(fields, "name") == count


def test_object_is_read() -> None:
    """A body that is an object is that object."""
    assert object_of(b'{"a": [1]}', Place("m", "host"), "application/json") == {"a": [1]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(b"<html>", "no JSON", id="no JSON"),
        pytest.param(b'"\xff"', "no JSON", id="no UTF-8"),
        pytest.param(b"[1]", "a JSON list instead of an object", id="a list"),
        pytest.param(b"null", "a JSON NoneType instead of an object", id="null"),
    ],
)
def test_body_that_is_no_object_is_shown(body: bytes, why: str) -> None:
    """The error says who answered, why it is none, and as what it came."""
    with pytest.raises(InvalidResponseError, match=f"what came back for model 'm' at host is no answer: {why}.*text/x"):
        object_of(body, Place("m", "host"), "text/x")
