"""Nodes with `effect="at_most_once"`: what may have happened already is not done again without asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eino._run.address import AddressSegment, address_text
from eino._run.context import snapshot
from eino._run.frame import here
from eino._run.interrupt import InterruptSignal, new_id
from eino._run.session import Point, address_of
from eino.compose.checkpoint import boxed, unboxed
from eino.errors import RunError
from eino.schema.codec import register

if TYPE_CHECKING:
    from eino.compose.level import Level

__all__ = ["RETRY", "Settled", "at_most_once"]

RETRY: Final = "retry"
"""Answer that lets the node run again: its effect did not happen."""

_SEGMENT: Final = AddressSegment("effect", "at_most_once")


@register("eino.Settled")
@dataclass(frozen=True, slots=True)
class Settled:
    """Answer for a node whose effect did happen: `resume={id: Settled(output)}`."""

    output: Any = None
    """What the node would have given."""


def at_most_once(level: Level, call: Callable[[Any], Any], is_async: bool) -> Callable[[Any], Any]:
    """Return `call` between a record that says that it begins, and one that holds what it gave."""
    session, mode, plan = level.session, level.run.mode, level.run.plan

    async def once(value: Any) -> Any:
        frame = here.get()
        attempt = snapshot(frame).attempt_id
        if attempt in session.results:
            return unboxed(session.results[attempt], mode)
        asked = ""
        if attempt in session.intents:
            address = (*address_of(frame), _SEGMENT)
            text = address_text(address)
            before = session.points.get(text)
            if text not in session.answers:
                info = {"reason": "unknown outcome", "attempt_id": attempt}
                raise InterruptSignal([Point(before.id if before else new_id(), address, info)])
            answer = session.answers[text]
            if isinstance(answer, Settled):
                await session.note_result(attempt, [answer.output])
                return unboxed([answer.output], mode)
            if answer != RETRY:
                raise RunError(
                    f"{text} was answered with {answer!r:.200}: say Settled(output) if the effect happened, 'retry' if "
                    "it did not"
                )
            asked = before.id if before else ""
        await session.note_intent(attempt, asked=asked)
        try:
            result = call(value)
            if is_async:
                result = await result
            box = await boxed(result, mode, plan)
        except InterruptSignal:
            await session.note_intent(attempt, withdrawn=True)  # it stopped by itself, and will begin again
            raise
        await session.note_result(attempt, box)
        return unboxed(box, mode)

    return once
