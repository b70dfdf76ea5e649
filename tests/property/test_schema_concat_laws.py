"""Laws of joining: chunks give back their message, however they are cut and grouped."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eino.schema import Message, assistant_message, concat, concat_messages, to_json
from eino_fixtures import strategies
from eino_fixtures.strategies import ChunkedMessage


@given(strategies.chunkings())
@settings(max_examples=300)
def test_chunks_join_to_the_message_that_they_were_cut_from(case: ChunkedMessage) -> None:
    """Whatever is cut, nothing is lost, doubled or reordered."""
    assert concat_messages(case.chunks) == case.message
    if len(case.chunks) > 1:  # a single chunk is the value: nothing is joined
        assert concat(case.chunks) == case.message


@given(strategies.chunkings(), st.data())
def test_joining_is_associative(case: ChunkedMessage, data: st.DataObject) -> None:
    """A reader that joins early (a handler, a checkpoint) sees the same message as one that joins late."""
    cut = data.draw(st.integers(1, len(case.chunks)))

    early = concat_messages([concat_messages(case.chunks[:cut]), *case.chunks[cut:]])

    assert early == case.message


@given(strategies.chunkings())
def test_joining_changes_no_chunk(case: ChunkedMessage) -> None:
    """Chunks are shared with other readers of the stream."""
    before = [to_json(chunk) for chunk in case.chunks]

    concat_messages(case.chunks)

    assert [to_json(chunk) for chunk in case.chunks] == before


@given(strategies.streamed_messages())
def test_a_joined_message_is_left_as_it_is(message: Message) -> None:
    """Joining is idempotent, and an empty chunk is neutral on either side."""
    empty = Message(role="", content="")

    assert concat_messages([message]) == message
    assert concat_messages([empty, message, empty]) == message


@given(st.lists(strategies.texts(), min_size=1, max_size=120), st.integers(0, 149), strategies.streamed_messages())
def test_long_streams_of_text_join_like_short_ones(texts: list[str], position: int, odd: Message) -> None:
    """Long streams are looked at as a whole: one chunk that carries more must not get lost in the middle."""
    chunks = [assistant_message(text) for text in (texts * 100)[:150]]
    odd = odd.replace(role="assistant")
    chunks.insert(position, odd)

    joined = concat_messages(chunks)

    pairwise = chunks[0]
    for chunk in chunks[1:]:
        pairwise = concat_messages([pairwise, chunk])
    assert joined == pairwise


@given(st.lists(st.dictionaries(st.sampled_from("abc"), strategies.texts(4), max_size=3), min_size=1, max_size=5))
def test_mappings_of_texts_join_key_by_key(chunks: list[dict[str, str]]) -> None:
    """Joining mappings is joining each key's texts in order."""
    keys = {key for chunk in chunks for key in chunk}

    joined: dict[str, Any] = concat(chunks)

    assert joined == {key: "".join(chunk.get(key, "") for chunk in chunks) for key in keys}
