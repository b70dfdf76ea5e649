"""Which tools a model may call: checked in the same way, whatever a service calls them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eino.components.model import ModelOptions
from eino.errors import InvalidRequestError
from eino.schema.tool import ToolChoice, ToolInfo

__all__ = ["allowed_names", "choice_among"]


def allowed_names(options: ModelOptions, offered: Sequence[ToolInfo]) -> list[str]:
    """Return the names that the choice is restricted to; none, if it is not.

    Raises:
        InvalidRequestError: If one of them is not offered.
    """
    names = [tool.name for tool in offered]
    allowed = list(options.allowed_tools or ())
    for name in allowed:
        if name not in names:
            raise InvalidRequestError(f"allowed_tools names {name!r}, which is not offered; offered are {names!r}")
    return allowed


def choice_among(options: ModelOptions, offered: Sequence[object]) -> ToolChoice | None:
    """Return whether the model may, must or must not call one of `offered`; None when nobody said so.

    Raises:
        InvalidRequestError: If it must, and there is none.
    """
    choice = options.tool_choice or None
    if choice == "forced" and not offered:
        raise InvalidRequestError("tool_choice is 'forced', but no tools are offered; bind some with with_tools()")
    return choice
