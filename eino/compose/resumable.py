"""Begins a graph of a run that may stop and go on: afresh, or where its snapshot says that it stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eino._run.address import address_text
from eino._run.frame import Frame
from eino._run.session import address_of
from eino._run.state import StateLevel
from eino.compose.checkpoint import Snapshot, boxed, unboxed
from eino.compose.durable_run import DurableSession
from eino.compose.level import Level
from eino.compose.plan import Plan
from eino.compose.resumable_dag import run_resumable_dag
from eino.compose.resumable_pregel import run_resumable_pregel
from eino.compose.run import Run
from eino.compose.table import CallTable
from eino.schema._codec_discovery import register_with_fields
from eino.schema.codec import TYPES

__all__ = ["Begun", "begin"]


@dataclass(slots=True)
class Begun:
    """One graph of a session, before its engine runs."""

    session: DurableSession
    plan: Plan
    text: str
    """Its address."""
    restored: Snapshot | None
    """Where it stood; None if it begins afresh."""
    is_called: bool
    """Whether code of a node called it, which calls it again when the node runs again."""

    async def result(self, run: Run, first: CallTable | None, value: Any) -> Any:
        """Run the graph and return what it gives.

        A graph that went on from an interrupt and is called by code of a node is not run again when that code is,
        because its questions were answered: what it gave is kept until the node ends.
        """
        if self.is_called and self.text in self.session.kept:
            return unboxed(self.session.kept[self.text], run.mode)
        result = await _run_resumable(self.level(run, first), value)
        if not self.is_called or self.restored is None:
            return result
        box = await boxed(result, run.mode, run.plan)
        await self.session.keep_part(self.text, box)
        return unboxed(box, run.mode)

    def restore_state(self, level: StateLevel) -> None:
        """Put the stored state in the place of the new one, changed as the caller wants it.

        A state that is linked with things that are not stored finds them again in its method `on_restored()`.
        """
        if self.session.journal is not None:
            register_with_fields(type(level.value), TYPES)
        if self.restored is None or not self.restored.state:
            return
        state = self.restored.state[0]
        if self.session.state_modifier is not None:
            changed = self.session.state_modifier(self.text, state)
            state = state if changed is None else changed
        answer = self.session.answers.get(self.text)
        level.value = state if answer is None else answer
        relink = getattr(level.value, "on_restored", None)
        if relink is not None:
            relink()

    def without_pre(self) -> list[int]:
        """Return the nodes that are graphs and go on where they stood: their pre handlers have run."""
        if self.restored is None:
            return []
        keys = [key for key, _ in self.restored.todo if f"{self.text};node:{key}" in self.session.levels]
        indices = [self.plan.keys.index(key) for key in keys if key in self.plan.keys]
        return [index for index in indices if self.plan.stages[index].spec.pre is not None]

    def level(self, run: Run, first: CallTable | None) -> Level:
        """Return the graph as its engine runs it."""
        level = Level(run, self.session, self.restored)
        level.first_table = first
        return level

    def over(self) -> None:
        """Note that the graph does not run any more."""
        self.session.active.remove(self.text)


def begin(session: DurableSession, plan: Plan, frame: Frame) -> Begun:
    """Return a graph that is about to run in `frame`, with its snapshot if it has one."""
    is_called = not frame.is_node and frame.parent is not None
    if is_called:
        nth = session.count(f"{address_text(address_of(frame))};begun")
        frame.nth = str(nth + 1) if nth else ""
    text = address_text(address_of(frame))
    stored = session.levels.pop(text, None)
    session.points = {each: point for each, point in session.points.items() if each != text or _is_node(frame, point)}
    session.active.append(text)
    restored = None if stored is None else Snapshot.load(stored)
    return Begun(session, plan, text, restored, is_called)


def _is_node(frame: Frame, point: Any) -> bool:
    """Whether a point at the address of a graph belongs to the node that the graph is."""
    return frame.is_node and not point.pending


async def _run_resumable(level: Level, value: Any) -> Any:
    """Run a graph that may stop and go on; see the two engines."""
    engine = run_resumable_pregel if level.run.plan.trigger == "any" else run_resumable_dag
    return await engine(level, value)
