"""Interrupts, as users of graphs see them: see `docs/interrupts.md`."""

from eino._run.interrupt import (
    GraphInterrupt,
    InterruptContext,
    InterruptGroup,
    InterruptInfo,
    interrupt,
    interrupt_group,
)

__all__ = ["GraphInterrupt", "InterruptContext", "InterruptGroup", "InterruptInfo", "interrupt", "interrupt_group"]
