"""Messages that the Go original wrote for recorded provider calls are read, and written back key for key."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from eino.schema import Message, concat_messages, from_json, to_json

ROOT = Path(os.environ.get("EINO_SHARED_CASSETTES", Path(__file__).parents[3] / "shared" / "cassettes"))
ANSWERS = ROOT / "eino_ext_messages.json"

pytestmark = pytest.mark.skipif(
    not ANSWERS.exists(), reason=f"no recorded messages at {ROOT}; EINO_SHARED_CASSETTES may say where they lie"
)


def recorded() -> list[Any]:
    """Return one parameter for each recorded message."""
    if not ANSWERS.exists():
        return []
    cassettes = json.loads(ANSWERS.read_text(encoding="utf-8"))["cassettes"]
    return [
        pytest.param(answer["ok"], id=f"{name}[{position}]")
        for name, cassette in cassettes.items()
        for position, answer in enumerate(cassette["answers"])
        if "ok" in answer
    ]


def ordered(value: Any) -> Any:
    """Return JSON data in which the order of keys counts."""
    if isinstance(value, dict):
        return [(key, ordered(item)) for key, item in value.items()]
    return [ordered(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("written_by_go", recorded())
def test_message_comes_back_as_go_wrote_it(written_by_go: dict[str, Any]) -> None:
    """Every field is read, none is added, the order of the keys stays."""
    message = from_json(json.dumps(written_by_go), Message)

    assert ordered(json.loads(to_json(message))) == ordered(written_by_go)
    assert concat_messages([message]) == message


def test_there_are_recorded_messages() -> None:
    """An empty list of parameters would pass without testing anything."""
    assert len(recorded()) >= 20
