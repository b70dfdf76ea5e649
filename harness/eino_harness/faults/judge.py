"""Decides whether a run came out right, from the ledger and from what is stored. Pure: no process, no clock, no store.

The ledger alone decides what ran: the engine's own records are believed only where they bind it ("this has ended").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eino.compose.journal import Entry
from eino_harness.faults.ledger import Line, of_kind
from eino_harness.faults.workload import EFFECTS, EXPECTED, MOST_IN_FLIGHT, NAME, ONCE, PREDECESSORS

__all__ = ["Tally", "finished_by", "tally_of", "violations_of"]

_PLACES: Final = {f"runnable:{NAME}": ("report", "left", "right", "join", "approve")} | {
    f"runnable:{NAME};node:nested": ("x", "y", "z", "w")
}
"""Nodes that run once, by the address of their graph."""


def _below(name: str) -> set[str]:
    before = PREDECESSORS[name]
    return {*before, *(below for each in before for below in _below(each))}


_ANCESTORS: Final = {name: _below(name) for name in EFFECTS} | {"nested": _below("x")}
"""All that a piece of work builds on, however far back."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How often the work of one run was done."""

    effects: int
    repeated: int
    """Effects beyond the first of each piece of work."""
    worst: int
    """Most pieces of work that one process repeated."""
    settled: int
    """How often an operator was asked whether `pay` had happened."""


def tally_of(lines: Sequence[Line]) -> Tally:
    """Return how often the work was done."""
    effects = of_kind(lines, "effect")
    repeats = _repeats_by_life(effects)
    return Tally(len(effects), sum(repeats.values()), max(repeats.values(), default=0), len(of_kind(lines, "settled")))


def violations_of(
    lines: Sequence[Line],
    finished: Mapping[int, Iterable[str]],
    lives: int,
    forgiven: frozenset[int] = frozenset(),
) -> list[str]:
    """Return what is wrong with a run that ended, in words; empty if nothing is.

    Args:
        lines: The ledger of the run.
        finished: What was finished for good, by the records that were stored, when each life began.
        lives: How many processes ran it.
        forgiven: Lives that may have ended with an error of eino, because their store was disturbed.
    """
    effects = of_kind(lines, "effect")
    return [
        *_wrong_results(lines, forgiven),
        *_wrong_counts(effects, lives),
        *_wrong_keys(effects),
        *_wrong_order(effects),
        *_repeated_though_finished(effects, finished),
    ]


def _wrong_results(lines: Sequence[Line], forgiven: frozenset[int]) -> list[str]:
    results = [line["value"] for line in (*of_kind(lines, "result"), *of_kind(lines, "stored result"))]
    errors = [
        f"life {line['life']} failed: {line['type']}: {line['text']}"
        for line in of_kind(lines, "error")
        if not (line["typed"] and line["life"] in forgiven)
    ]
    if not results:
        return [*errors, "the run gave no result"]
    return [*errors, *(f"the run gave {value!r}, not {EXPECTED!r}" for value in results if value != EXPECTED)]


def _wrong_counts(effects: Sequence[Line], lives: int) -> list[str]:
    counts = Counter(line["name"] for line in effects)
    found = [f"{name} never ran" for name in EFFECTS if not counts[name]]
    found += [f"{name} is no work of this graph" for name in counts if name not in PREDECESSORS]
    found += [f"{name} ran {count} times in {lives} processes" for name, count in counts.items() if count > lives]
    if counts[ONCE] > 1:
        found.append(f"{ONCE} happened {counts[ONCE]} times, which must happen once")
    in_life = Counter((line["life"], line["name"]) for line in effects)
    found += [f"life {life} ran {name} {count} times" for (life, name), count in in_life.items() if count > 1]
    found += [
        f"life {life} repeated {count} pieces of work, more than the {MOST_IN_FLIGHT} that can be in flight"
        for life, count in _repeats_by_life(effects).items()
        if count > MOST_IN_FLIGHT
    ]
    return found


def _repeats_by_life(effects: Sequence[Line]) -> Counter[int]:
    seen: set[str] = set()
    repeats: Counter[int] = Counter()
    for line in effects:
        repeats[line["life"]] += line["name"] in seen
        seen.add(line["name"])
    return repeats


def _wrong_keys(effects: Sequence[Line]) -> list[str]:
    """The idempotency key is the same whenever a piece of work is repeated, and no other piece has it."""
    pairs = {(line["name"], line["key"]) for line in effects}
    by_name, by_key = (Counter(pair[at] for pair in pairs) for at in (0, 1))
    found = [f"{name} ran under {count} idempotency keys" for name, count in by_name.items() if count > 1]
    return found + [f"idempotency key {key!r} stands for {count} pieces" for key, count in by_key.items() if count > 1]


def _wrong_order(effects: Sequence[Line]) -> list[str]:
    """What another piece of work built on is finished: it must have run, and must not run again."""
    found: list[str] = []
    built_on: dict[str, str] = {}
    seen: set[str] = set()
    for line in effects:
        name = line["name"]
        if name in built_on:
            found.append(f"life {line['life']} ran {name} again, though {built_on[name]} had built on it")
        for before in PREDECESSORS.get(name, ()):
            if before not in seen:
                found.append(f"life {line['life']} ran {name} before {before}")
            built_on.setdefault(before, name)
        seen.add(name)
    return found


def _repeated_though_finished(effects: Sequence[Line], finished: Mapping[int, Iterable[str]]) -> list[str]:
    return [
        f"life {line['life']} ran {line['name']} again, though the store had said that it was finished"
        for line in effects
        if line["name"] in finished.get(line["life"], ())
    ]


def finished_by(entries: Iterable[Entry]) -> set[str]:
    """Return what is finished for good by the stored records of a run: it must never run again."""
    found: set[str] = set()
    for entry in entries:
        body = entry.body
        match entry.kind:
            case "kept":
                found.add(f"look:{body['address'].rpartition('call-')[2]}")
            case "level":
                found.update(_finished_in(body["address"], body["level"]))
            case "interrupt":
                for address, level in body["levels"].items():
                    found.update(_finished_in(address, level))
            case "result" if f";node:{ONCE}/" in body["attempt"]:
                found.add(ONCE)
    return found


def _finished_in(address: str, level: Mapping[str, Any]) -> set[str]:
    """Return the nodes whose outputs a stored level holds, or has sent on."""
    places = _PLACES.get(address, ())
    sent = {source for boxes in ((level["dag"] or {}).get("waiting") or {}).values() for source, _ in boxes}
    done = {key for key in sent | {key for key, _ in level["done"]} if key in places}
    if any(key == "nested" for key, _ in level["done"]):
        done.update(_PLACES[f"runnable:{NAME};node:nested"])
    return done.union(*(_ANCESTORS.get(key, ()) for key, _ in level["todo"]))
