"""Stored runs that are damaged: all damage is told, no step runs on it, nothing of it is executed, nothing is lost."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from eino_harness.faults.kits import RowAccess, Rows
from eino_harness.faults.ledger import Ledger, of_kind
from eino_harness.faults.site import Outcome, Site, Sizes
from eino_harness.faults.variants import HOSTILE
from eino_harness.faults.workload import EXPECTED

__all__ = ["DAMAGES", "damage"]

_RUN: Final = "damaged"
_OTHER: Final = "other"
_STORED: Final = "answer.after:1"
"""Where the worker of the run died: all but its last two steps are stored, and the answer to its question."""

_FREE: Final = frozenset({"owner", "worker", "changed", "epoch", "status", "namespace"})
"""Columns of `runs` that say who has the run and whether it waits; what the run has done does not depend on them."""

Damage = Callable[[Rows, Rows, Random], str]
"""Damages the rows of a run in place, with those of another run at hand; returns what it did."""


def damage(site: Site, sizes: Sizes) -> Outcome:
    """Damage a stored run in every way, and let a worker resume it each time."""
    outcome = Outcome("damage", site.store)
    if not isinstance(site.kit, RowAccess):
        outcome.skipped = "the kit gives no access to the rows"
        return outcome
    outcome.facts.update({"told by": Counter(), "harmless": Counter(), "classes": Counter(), "silent": 0})
    for run_id in (_RUN, _OTHER):
        site.run(site.job(run_id, fault=_STORED), outcome, 0)
    bench = _Bench(site, site.kit, outcome)
    flips = [("bit flip", flip_bit)] * sizes.flips
    others = [(name, each) for name, each in DAMAGES.items() for _ in range(max(1, sizes.flips // 40))]
    cases = [*flips, *others]
    for trial in sizes.trials(len(cases)):
        bench.try_damage(trial, *cases[trial])
        outcome.trials += 1
    if sizes.trial is None:
        bench.check_original(len(cases))
        for number, name in enumerate(HOSTILE):
            _hostile(site, outcome, number, name)
        _unknown(site, outcome, "later version", ("99", "version"))
        _unknown(site, outcome, "own type", ("eino_harness.faults.Extra", "unknown type", "$"))
    for name in ("told by", "harmless", "classes"):
        outcome.facts[name] = dict(outcome.facts[name])
    return outcome


class _Bench:
    def __init__(self, site: Site, access: RowAccess, outcome: Outcome) -> None:
        self.site = site
        self.access = access
        self.outcome = outcome
        self.original = access.rows(_RUN)
        self.other = access.rows(_OTHER)

    def try_damage(self, trial: int, name: str, damage: Damage) -> None:
        """Damage the run, let a watched worker resume it, and put it back."""
        outcome, random = self.outcome, self.site.random("damage", trial)
        rows = copy.deepcopy(self.original)
        what = damage(rows, self.other, random)
        outcome.facts["classes"][name] += 1
        try:
            self.access.replace(_RUN, rows)
        except Exception as error:  # the database does not take it: so it cannot come to be
            outcome.facts["told by"][f"the database: {type(error).__name__}"] += 1
            self.access.replace(_RUN, self.original)
            return
        before = self.access.rows(_RUN)
        ledger = self._resume(trial)
        after = self.access.rows(_RUN)
        self._judge(trial, what, ledger, unharmed=_content(before) == _content(after))
        self.access.replace(_RUN, self.original)

    def _resume(self, trial: int) -> Ledger:
        ledger = Ledger(self.site.folder / f"damage-{trial}.jsonl")
        job = self.site.job(_RUN, 2, variant="watched", ledger=str(ledger.path))
        self.site.run(job, self.outcome, trial)
        return ledger

    def _judge(self, trial: int, what: str, ledger: Ledger, *, unharmed: bool) -> None:
        site, outcome, lines = self.site, self.outcome, ledger.lines()
        errors, results = of_kind(lines, "error"), of_kind(lines, "result")
        for line in of_kind(lines, "audit"):
            site.blame(outcome, trial, _RUN, f"{what}: code was run or imported: {line['event']} {line['what']}")
        if results:
            right = results[0]["value"] == EXPECTED
            if right:
                outcome.facts["harmless"][what.partition(",")[0]] += 1
            else:
                outcome.add("silent")
                site.blame(outcome, trial, _RUN, f"{what}: the run went on and gave {results[0]['value']!r}")
            return
        if not errors:
            site.blame(outcome, trial, _RUN, f"{what}: the worker gave neither a result nor an error: {lines}")
            return
        outcome.facts["told by"][errors[0]["type"]] += 1
        if not errors[0]["typed"]:
            site.blame(outcome, trial, _RUN, f"{what}: told by {errors[0]['type']}: {errors[0]['text']}")
        if effects := of_kind(lines, "effect"):
            names = [line["name"] for line in effects]
            site.blame(outcome, trial, _RUN, f"{what}: {names} ran on damaged data before it was told")
        if not unharmed:
            site.blame(outcome, trial, _RUN, f"{what}: the refused call changed what is stored")

    def check_original(self, trial: int) -> None:
        """What was put back is whole: the run ends right."""
        ledger = self._resume(trial)
        results = [line["value"] for line in of_kind(ledger.lines(), "result")]
        if results != [EXPECTED]:
            self.site.blame(self.outcome, trial, _RUN, f"put back as it was, it gave {ledger.lines()[-2:]}")


def _content(rows: Rows) -> Any:
    """Return what a refused call must leave: records, answers, and where the run stands; not who had it last."""
    runs = [{name: value for name, value in row.items() if name not in _FREE} for row in rows["runs"]]
    return runs, [_sorted(rows["records"]), _sorted(rows["answers"])]


def _sorted(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(row) for row in rows)


def flip_bit(rows: Rows, _: Rows, random: Random) -> str:
    """Flip one bit of one value: of any column alike, or by size, so that small and large values are hit."""
    places = [
        (table, number, column)
        for table, found in rows.items()
        for number, row in enumerate(found)
        for column, value in row.items()
        if column != "run_id" and isinstance(value, (bytes, str, int)) and value not in ("", b"")
    ]
    if random.random() < 0.5:
        chosen = random.choice(sorted({(table, column) for table, _, column in places}))
        places = [place for place in places if (place[0], place[2]) == chosen]
    weights = [_size(rows[table][number][column]) for table, number, column in places]
    table, number, column = random.choices(places, weights)[0]
    row = rows[table][number]
    row[column], bit = _flipped(row[column], random)
    return f"bit flip in {table}.{column}, row {number + 1}, bit {bit}"


def _size(value: bytes | str | int) -> int:
    return 8 if isinstance(value, int) else len(value)


def _flipped(value: Any, random: Random) -> tuple[Any, int]:
    if isinstance(value, int):
        bit = random.randrange(31)
        return value ^ (1 << bit), bit
    data = bytearray(value.encode() if isinstance(value, str) else value)
    bit = random.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    return (data.decode("latin-1") if isinstance(value, str) else bytes(data)), bit


def _truncated(rows: Rows, _: Rows, random: Random) -> str:
    row = random.choice(rows["records"])
    row["body"] = row["body"][: random.randrange(len(row["body"]))]
    return f"body of record {row['seq']} cut to {len(row['body'])} bytes"


def _deleted(rows: Rows, _: Rows, random: Random) -> str:
    row = rows["records"].pop(random.randrange(len(rows["records"])))
    return f"record {row['seq']} deleted"


def _deleted_tail(rows: Rows, _: Rows, random: Random) -> str:
    left = random.randrange(1, len(rows["records"]))
    rows["records"] = sorted(rows["records"], key=lambda row: row["seq"])[:left]
    rows["runs"][0]["head"] = left
    return f"all records behind number {left} deleted, and the head set to it"


def _reordered(rows: Rows, _: Rows, random: Random) -> str:
    one, other = random.sample(rows["records"], 2)
    one["seq"], other["seq"] = other["seq"], one["seq"]
    return f"records {other['seq']} and {one['seq']} exchanged"


def _duplicated(rows: Rows, _: Rows, random: Random) -> str:
    row = dict(random.choice(rows["records"]))
    copied, row["seq"] = row["seq"], len(rows["records"]) + 1
    rows["records"].append(row)
    if random.random() < 0.5:
        rows["runs"][0].update(head=row["seq"], head_mac=row["mac"])
        return f"record {copied} repeated at the end, and the head set to it"
    return f"record {copied} repeated at the end"


def _foreign(rows: Rows, other: Rows, random: Random) -> str:
    number = random.randrange(len(rows["records"]))
    strange = random.choice(other["records"])
    rows["records"][number] = {**strange, "run_id": _RUN, "seq": rows["records"][number]["seq"]}
    return f"record {number + 1} taken from record {strange['seq']} of another run"


def _foreign_run(rows: Rows, other: Rows, _: Random) -> str:
    rows["records"] = [{**row, "run_id": _RUN} for row in other["records"]]
    rows["runs"][0].update(head=other["runs"][0]["head"], head_mac=other["runs"][0]["head_mac"])
    return "all records taken from another run"


def _foreign_answer(rows: Rows, _: Rows, __: Random) -> str:
    rows["answers"] = [
        {**row, "run_id": _RUN, "value": rows["answers"][0]["value"][:-1] + b"!"} for row in rows["answers"]
    ]
    return "answer replaced by another text"


def _unknown_status(rows: Rows, _: Rows, random: Random) -> str:
    rows["runs"][0]["status"] = random.choice(["", "Done", "finished", "running\x00"])
    return f"status set to {rows['runs'][0]['status']!r}"


def _wrong_type(rows: Rows, _: Rows, random: Random) -> str:
    row = random.choice(rows["records"])
    column = random.choice(["body", "kind", "mac"])
    row[column] = 7
    return f"{column} of record {row['seq']} set to a number"


DAMAGES: Final[Mapping[str, Damage]] = {
    "truncated": _truncated,
    "deleted": _deleted,
    "tail deleted": _deleted_tail,
    "reordered": _reordered,
    "duplicated": _duplicated,
    "foreign row": _foreign,
    "foreign run": _foreign_run,
    "foreign answer": _foreign_answer,
    "unknown status": _unknown_status,
    "wrong type": _wrong_type,
}
"""Ways to damage what is stored, besides flipped bits."""


def _hostile(site: Site, outcome: Outcome, number: int, name: str) -> None:
    """Let a malicious worker store something, with a whole chain, and a watched one read it."""
    run_id = f"hostile-{number}"
    site.run(site.job(run_id, 1, variant=f"hostile:{name}", call="begin"), outcome, number)
    before = site.kit.rows(run_id) if isinstance(site.kit, RowAccess) else {}
    site.run(site.job(run_id, 2, variant="watched"), outcome, number)
    after = site.kit.rows(run_id) if isinstance(site.kit, RowAccess) else {}
    lines = [line for line in site.ledger(run_id).lines() if line["life"] == 2]
    outcome.facts["classes"][f"hostile: {name}"] += 1
    errors = of_kind(lines, "error")
    for line in of_kind(lines, "audit"):
        site.blame(outcome, number, run_id, f"{name}: code was run or imported: {line['event']} {line['what']}")
    if not errors or not errors[0]["typed"] or of_kind(lines, "effect"):
        site.blame(outcome, number, run_id, f"{name}: not refused with a clear error: {lines}")
        return
    outcome.facts["told by"][errors[0]["type"]] += 1
    if _content(before) != _content(after):
        site.blame(outcome, number, run_id, f"{name}: the refused call changed what is stored")


def _unknown(site: Site, outcome: Outcome, variant: str, words: tuple[str, ...]) -> None:
    """Let a worker of another build begin a run; ours must refuse it in words, and the other one end it."""
    run_id = f"unknown-{variant.replace(' ', '-')}"
    site.run(site.job(run_id, 1, variant=variant, fault=_STORED), outcome, 0)
    site.run(site.job(run_id, 2), outcome, 0)
    lines = [line for line in site.ledger(run_id).lines() if line["life"] == 2]
    errors = of_kind(lines, "error")
    outcome.facts["classes"][f"run of another build: {variant}"] += 1
    if not errors or not errors[0]["typed"] or of_kind(lines, "effect"):
        site.blame(outcome, 0, run_id, f"{variant}: not refused with a clear error: {lines}")
    else:
        outcome.facts["told by"][errors[0]["type"]] += 1
        if missing := [word for word in words if word not in errors[0]["text"]]:
            site.blame(outcome, 0, run_id, f"{variant}: the error does not name {missing}: {errors[0]['text']}")
    site.run(site.job(run_id, 3, variant=variant), outcome, 0)
    last = [line for line in site.ledger(run_id).lines() if line["life"] == 3]
    if [line["value"] for line in of_kind(last, "result")] != [EXPECTED]:
        site.blame(outcome, 0, run_id, f"{variant}: the build that wrote it cannot go on with it: {last}")
