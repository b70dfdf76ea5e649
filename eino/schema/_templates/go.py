"""Go templates, the part that prompts use: fields, variables, `if`, `range`, `with`, `printf` and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal as Choice
from typing import TypeAlias, assert_never

from eino.errors import TemplateError
from eino.schema._templates.budget import Budget
from eino.schema._templates.go_functions import FUNCTIONS, is_true
from eino.schema._templates.go_nodes import (
    Action,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    If,
    Literal,
    Name,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
    With,
)
from eino.schema._templates.go_parser import parse
from eino.schema._templates.text import GO_EXPONENT, short_repr, value_text
from eino.schema._templates.walk import some_names, step

__all__ = ["GoTemplate"]

_Leave: TypeAlias = Choice["break", "continue"] | None
"""How a body ended: None at its end, else at a `break` or `continue`."""


class GoTemplate:
    """A parsed template. Its syntax, functions and variables are checked when it is made."""

    __slots__ = ("_nodes",)

    def __init__(self, source: str) -> None:
        """Parse `source`.

        Raises:
            TemplateError: If it is not well formed or uses what is not supported; the text names construct and place.
        """
        self._nodes = parse(source)

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the template's text with its actions carried out; a missing key is an error at any level.

        Raises:
            TemplateError: If an action fails; the text names it and its place.
        """
        return _Rendering(variables).text(self._nodes)


class _Rendering:
    """One rendering: what was printed so far, the variables in scope, and what is left of the budget."""

    __slots__ = ("_budget", "_command", "_out", "_scope")

    def __init__(self, variables: Mapping[str, object]) -> None:
        self._budget = Budget()
        self._out: list[str] = []
        self._scope: list[tuple[str, list[object]]] = [("$", [variables])]
        self._command = Command((), "text", "line 1, column 1")  # the one that an error text names

    def text(self, nodes: tuple[Node, ...]) -> str:
        try:
            self._run(nodes, self._scope[0][1][0])
        except TemplateError as error:
            raise TemplateError(
                f"go template, {self._command.place}, executing {self._command.source!r:.200}: {error}"
            ) from error
        return "".join(self._out)

    # Nodes

    def _run(self, nodes: tuple[Node, ...], dot: object) -> _Leave:
        for node in nodes:
            leave = self._node(node, dot)
            if leave is not None:
                return leave
        return None

    def _node(self, node: Node, dot: object) -> _Leave:
        match node:
            case Text(text):
                self._print(text)
            case Action(pipeline):
                value = self._pipeline(pipeline, dot)
                if not pipeline.declared:
                    self._print_value(value)
            case If() | With() | Range():
                return self._block(node, dot)
            case Break():
                return "break"
            case Continue():
                return "continue"
            case _:
                assert_never(node)
        return None

    def _block(self, node: If | With | Range, dot: object) -> _Leave:
        scope = len(self._scope)
        value = self._pipeline(node.pipeline, dot)
        leave: _Leave
        if isinstance(node, Range):
            leave = self._range(node, value, dot)
        elif is_true(value):
            leave = self._run(node.body, value if isinstance(node, With) else dot)
        else:
            leave = self._run(node.otherwise, dot)
        del self._scope[scope:]
        return leave

    def _range(self, node: Range, value: object, dot: object) -> _Leave:
        scope = len(self._scope)
        empty = True
        for key, element in _elements(value):
            empty = False
            self._budget.step()
            self._bind(node.pipeline, key, element)
            leave = self._run(node.body, element)
            del self._scope[scope:]
            if leave == "break":
                break
        return self._run(node.otherwise, dot) if empty else None

    def _bind(self, pipeline: Pipeline, key: object, element: object) -> None:
        names = pipeline.declared
        values = (key, element) if len(names) == 2 else (element,)
        for name, value in zip(names, values, strict=False):
            self._set(name, value, assigns=pipeline.assigns)

    def _print(self, text: str) -> None:
        self._budget.spend(len(text))
        self._out.append(text)

    def _print_value(self, value: object) -> None:
        if value is None:
            self._print("<no value>")
        elif isinstance(value, str):
            self._print(value_text(value))
        else:
            self._out.append(value_text(value, self._budget, exponent_from=GO_EXPONENT))

    # Pipelines

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value: object = None
        for at, command in enumerate(pipeline.commands):
            value = self._value(command, dot, () if at == 0 else (value,))
        if len(pipeline.declared) == 1:
            self._set(pipeline.declared[0], value, assigns=pipeline.assigns)
        return value

    def _value(self, command: Command, dot: object, piped: tuple[object, ...]) -> object:
        self._command = command
        head, *arguments = command.operands
        if not isinstance(head, Name):
            return self._operand(head, dot)
        if head.name in ("and", "or"):
            return self._choose(head.name, arguments, dot, piped)
        values = [self._operand(operand, dot) for operand in arguments]
        self._command = command
        return FUNCTIONS[head.name]((*values, *piped), self._budget)

    def _choose(self, name: str, operands: Sequence[Operand], dot: object, piped: tuple[object, ...]) -> object:
        """Return the first argument that decides `and` or `or`, else the last; those behind it are not evaluated."""
        if not operands and not piped:
            raise TemplateError(f"wrong number of arguments for {name}: want at least 1, got 0")
        value: object = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _operand(self, operand: Operand, dot: object) -> object:
        match operand:
            case Dot():
                return dot
            case Literal():
                return operand.value
            case Variable(name):
                return self._cell(name)[0]
            case Chain(start, fields):
                return self._fields(self._operand(start, dot), fields)
            case Pipeline():
                outer, value = self._command, self._pipeline(operand, dot)
                self._command = outer
                return value
            case Name():
                return self._value(Command((operand,), operand.name, self._command.place), dot, ())
            case _:
                assert_never(operand)

    def _fields(self, value: object, fields: tuple[str, ...]) -> object:
        for field in fields:
            if isinstance(value, Mapping):
                if field not in value:
                    raise TemplateError(f'map has no entry for key "{field}"; the keys are {some_names(value)}')
                value = value[field]
            elif value is None:
                raise TemplateError(f"nil has no field {field!r}")
            else:
                value = step(value, field, f".{field}")
        return value

    # Variables

    def _cell(self, name: str) -> list[object]:
        return next(cell for known, cell in reversed(self._scope) if known == name)  # the parser knows that it is there

    def _set(self, name: str, value: object, *, assigns: bool) -> None:
        if assigns:
            self._cell(name)[0] = value
        else:
            self._scope.append((name, [value]))


def _elements(value: object) -> Iterable[tuple[object, object]]:
    """Return the keys and elements that `range` goes through: mappings in the order of their keys."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return sorted(value.items(), key=_by_key)
    if isinstance(value, int) and not isinstance(value, bool):
        return ((number, number) for number in range(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return enumerate(value)
    raise TemplateError(
        f"range can't iterate over {short_repr(value)}, a {type(value).__name__}; give it a list or a mapping"
    )


def _by_key(item: tuple[object, object]) -> tuple[bool, float, str]:
    key = item[0]
    return (False, key, "") if isinstance(key, int | float) else (True, 0, str(key))
