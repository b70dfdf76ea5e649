"""The desk with the answers that a provider really sent, from a cassette: no key, no network, the same each time.

`record.py` in this folder recorded it. With a key, `pytest --record-mode=rewrite` records it from the provider itself.
"""

import os

import pytest
from support_desk import build_desk

from eino.ext.models.openai import OpenAIChatModel


@pytest.mark.cassette("where_is_a1.yaml")
async def test_where_is_a1(cassette):
    async with OpenAIChatModel(model="gpt-4o-mini", api_key=os.environ.get("OPENAI_API_KEY", "not needed")) as model:
        chunks = [chunk async for chunk in build_desk(model).stream("Where is my order A1?")]

    assert "tomorrow" in "".join(chunks)
    assert len(chunks) > 1  # the recording keeps the pieces in which the answer came
    assert cassette.play_count == 2  # the question, and the result of the tool
