"""The judge of the fault campaign: a sound run is passed, and each broken promise is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eino import GraphInterrupt, MemoryStore
from eino.compose.journal import Journal
from eino_harness.faults.judge import finished_by, tally_of, violations_of
from eino_harness.faults.ledger import Ledger, Line
from eino_harness.faults.workload import EFFECTS, EXPECTED, INPUT, NAME, ONCE, PREDECESSORS, build


def effect(name: str, life: int = 1, key: str = "") -> Line:
    return {"is": "effect", "life": life, "name": name, "key": key or f"key of {name}"}


def result(value: str = EXPECTED, life: int = 1) -> Line:
    return {"is": "result", "life": life, "value": value}


SOUND = [effect(name) for name in EFFECTS]
AT = {name: at for at, name in enumerate(EFFECTS)}


def upto(name: str) -> list[Line]:
    return SOUND[: AT[name] + 1]


def after(name: str, life: int) -> list[Line]:
    return [effect(each, life) for each in EFFECTS[AT[name] + 1 :]]


def test_a_sound_run_is_passed() -> None:
    assert violations_of([*SOUND, result()], {}, 1) == []


def test_work_that_was_in_flight_may_be_repeated() -> None:
    """The worker died when `join` had happened, and was not recorded yet."""
    lines = [*upto("join"), effect("join", 2), *after("join", 2), result(life=2)]

    assert violations_of(lines, {1: [], 2: ["left", "right"]}, 2) == []
    assert tally_of(lines).repeated == tally_of(lines).worst == 1


@pytest.mark.parametrize(
    ("lines", "finished", "lives", "words"),
    [
        pytest.param(SOUND, {}, 1, "the run gave no result", id="no result"),
        pytest.param([*SOUND, result("else")], {}, 1, "the run gave 'else'", id="another result"),
        pytest.param([*SOUND[:-1], result()], {}, 1, "book never ran", id="a step left out"),
        pytest.param([*SOUND, effect("rest"), result()], {}, 1, "rest is no work of this graph", id="a strange step"),
        pytest.param(
            [*SOUND, effect(ONCE, 2), result(life=2)], {}, 2, "pay happened 2 times, which must happen once", id="twice"
        ),
        pytest.param(
            [*upto("report"), effect("model:0", 2), *after("report", 2), result()],
            {},
            2,
            "life 2 ran model:0 again, though look:0a had built on it",
            id="a finished step again",
        ),
        pytest.param(
            [*upto("right"), effect("left", 2), *after("right", 2), result()],
            {2: ["left"]},
            2,
            "life 2 ran left again, though the store had said that it was finished",
            id="a recorded branch again",
        ),
        pytest.param(
            [SOUND[1], SOUND[0], *SOUND[2:], result()], {}, 1, "ran look:0a before model:0", id="before its input"
        ),
        pytest.param(
            [*upto("x"), effect("x", key="other"), *after("x", 1), result()],
            {},
            2,
            "x ran under 2 idempotency keys",
            id="another key",
        ),
        pytest.param(
            [*SOUND[:-1], effect("book", key="key of join"), result()],
            {},
            1,
            "idempotency key 'key of join' stands for 2 pieces",
            id="a key twice",
        ),
        pytest.param(
            [*SOUND, {"is": "error", "life": 1, "type": "KeyError", "text": "x", "typed": False}, result()],
            {},
            1,
            "life 1 failed: KeyError: x",
            id="an error",
        ),
        pytest.param(
            [*upto("w"), *(effect(name, 2) for name in ("left", "right", "x", "y", "z")), *after("w", 2), result()],
            {},
            2,
            "life 2 repeated 5 pieces of work, more than the 4 that can be in flight",
            id="too much again",
        ),
    ],
)
def test_each_broken_promise_is_named(lines: Sequence[Line], finished: Any, lives: int, words: str) -> None:
    assert any(words in text for text in violations_of(lines, finished, lives))


def test_only_a_clear_error_is_forgiven() -> None:
    """A worker whose store was disturbed may fail, but with an error of eino."""
    error = {"is": "error", "life": 1, "type": "X", "text": "x", "typed": True}

    assert violations_of([error, *SOUND, result()], {}, 2, frozenset({1})) == []
    assert violations_of([{**error, "typed": False}, *SOUND, result()], {}, 2, frozenset({1})) != []
    assert violations_of([{**error, "life": 2}, *SOUND, result()], {}, 2, frozenset({1})) != []


async def test_what_is_finished_is_read_from_the_records() -> None:
    """At each effect, the store says that all is finished that it builds on, and not the work itself."""
    store = MemoryStore()
    early: list[str] = []

    async def look(name: str, key: str, output: str) -> None:
        journal = await Journal.peek(store, "r")
        assert journal is not None
        finished = finished_by(journal.entries)
        assert finished.issuperset(each for each in PREDECESSORS[name] if not each.startswith("model"))
        if name in finished:
            early.append(name)

    runnable = build(look).compile(name=NAME, checkpoint_store=store, durability="step", keep=True)
    with pytest.raises(GraphInterrupt) as stop:
        await runnable.invoke(INPUT, checkpoint_id="r")
    assert await runnable.invoke(checkpoint_id="r", resume={stop.value.contexts[0].id: "yes"}) == EXPECTED
    assert early == []


def test_lines_of_the_ledger_are_whole_or_not_there(tmp_path: Path) -> None:
    """All have one length that divides a page, so that a kill never leaves half a line; a longer one is refused."""
    ledger = Ledger(tmp_path / "ledger", life=3)
    assert ledger.lines() == []
    ledger.note("effect", name="ä" * 20)

    assert ledger.lines() == [{"is": "effect", "life": 3, "name": "ä" * 20}]
    assert (tmp_path / "ledger").stat().st_size == 1024
    with pytest.raises(ValueError, match="at most 1023 bytes"):
        ledger.note("effect", name="x" * 1024)
