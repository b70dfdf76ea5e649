"""What a Go template consists of once it is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Action",
    "Break",
    "Chain",
    "Command",
    "Continue",
    "Dot",
    "If",
    "Literal",
    "Name",
    "Node",
    "Operand",
    "Pipeline",
    "Range",
    "Text",
    "Variable",
    "With",
]


@dataclass(frozen=True, slots=True)
class Dot:
    """The current value, `.`."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, a number, a character, `true`, `false` or `nil`."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, or `$` for the value that the template was given."""

    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields behind a value: `.user.name`, `$x.name`, `(index .users 0).name`."""

    start: Dot | Variable | Pipeline
    fields: tuple[str, ...]


Operand: TypeAlias = "Dot | Literal | Variable | Name | Chain | Pipeline"


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function with its arguments."""

    operands: tuple[Operand, ...]
    source: str
    """How it stands in the template, for error texts."""
    place: str
    """Line and column, for error texts."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`: each one's value is the last argument of the next."""

    commands: tuple[Command, ...]
    declared: tuple[str, ...] = ()
    """Variables that `:=` or `=` sets to the result; in `range` up to two: key and element."""
    assigns: bool = False
    """`=`: the variables exist already."""


@dataclass(frozen=True, slots=True)
class Text:
    """What stands outside the actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is printed, unless it only sets variables."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class If:
    """The body runs if the pipeline's value is not empty; `else if` is an `If` in `otherwise`."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class With:
    """Like `If`, with the value as the dot of the body."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The body runs for each element; `otherwise` runs if there is none."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Break:
    """Ends the innermost `range`."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Goes on with the next element of the innermost `range`."""


Node: TypeAlias = "Text | Action | If | With | Range | Break | Continue"
