"""How much work one rendering may do, so that a small template cannot fill the memory or run for ever."""

from __future__ import annotations

from eino.errors import TemplateError

__all__ = ["MAX_FIELD_WIDTH", "MAX_UNITS", "STEP_UNITS", "Budget", "check_width"]

MAX_UNITS = 64 * 1024 * 1024
"""Units of one rendering. A produced character costs one: enough for pictures as base64, and any host can hold it."""
STEP_UNITS = 512
"""Units of one turn of a loop, and of one element of a container that prints: about 131,000 of them a rendering."""
MAX_FIELD_WIDTH = 10_000
"""Highest width, precision or indentation that a template may ask for, in characters."""


class Budget:
    """What is left of the work that one rendering may do."""

    __slots__ = ("_left",)

    def __init__(self, units: int = MAX_UNITS) -> None:
        self._left = units

    def spend(self, units: int) -> None:
        """Take `units` off what is left.

        Raises:
            TemplateError: If less than `units` is left.
        """
        self._left -= units
        if self._left < 0:
            raise TemplateError(
                f"the template produces too much: one rendering is limited to {MAX_UNITS} characters, a turn of a loop"
                f" or an element of a list counting as {STEP_UNITS}; loop over less, or render the parts separately"
            )

    def step(self) -> None:
        """Pay for one turn of a loop, or one element that prints.

        Raises:
            TemplateError: If the budget is used up.
        """
        self.spend(STEP_UNITS)


def check_width(width: int, where: str) -> int:
    """Return `width` if a template may ask for it.

    Raises:
        TemplateError: If it is beyond `MAX_FIELD_WIDTH`; the text names `where` it stands.
    """
    if abs(width) > MAX_FIELD_WIDTH:
        raise TemplateError(f"{where} asks for a width or precision of {width}; the limit is {MAX_FIELD_WIDTH}")
    return width
