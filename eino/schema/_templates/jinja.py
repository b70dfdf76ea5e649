"""Jinja2 templates in an environment that reads data, calls nothing that a variable holds, and bounds what it makes.

This module imports Jinja2; `eino.schema.template` imports it when the first such template is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from eino.errors import TemplateError
from eino.schema._templates.budget import Budget
from eino.schema._templates.jinja_limits import rendering
from eino.schema._templates.jinja_sandbox import Sandbox
from eino.schema._templates.walk import check_name

__all__ = ["JinjaTemplate"]

_DISABLED = ("extends", "from", "import", "include")
"""Statements that reach for other templates."""
_DISABLED_FILTERS = ("file", "fileset")
"""Filters of other Jinja implementations that read files; refused by name rather than as unknown."""


class JinjaTemplate:
    """A compiled template. Its syntax, filters and disabled statements are checked when it is made."""

    __slots__ = ("_template",)

    def __init__(self, source: str) -> None:
        """Compile `source`.

        Raises:
            TemplateError: If it is not well formed, or uses a disabled statement or an unknown filter.
        """
        sandbox = _sandbox()
        try:
            _check_keywords(sandbox, source)
            tree = _Guard().visit(sandbox.parse(source))
            tree.set_environment(sandbox)
            self._template = sandbox.from_string(tree)
        except TemplateError:
            raise
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"jinja2 template, line {error.lineno}: {error.message}") from error
        except (MemoryError, RecursionError, SyntaxError, ValueError) as error:
            raise TemplateError(f"the jinja2 template cannot be compiled: {error}; nest less deeply") from error

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the template's text; a missing variable prints as nothing.

        Raises:
            TemplateError: If the template reaches for what is no data, or asks for too much.
        """
        with rendering(Budget()):
            try:
                return self._template.render(variables)
            except TemplateError:
                raise
            except Exception as error:
                raise TemplateError(f"the jinja2 template cannot be rendered: {error}") from error


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


def _check_keywords(sandbox: Sandbox, source: str) -> None:
    """Refuse disabled statements, also those that are not well formed."""
    begins = False
    for line, kind, text in sandbox.lex(source):
        if begins and kind == "name" and text in _DISABLED:
            raise TemplateError(f"keyword[{text}] has been disabled, line {line}; put the whole template into one text")
        begins = kind == "block_begin" or (begins and kind == "whitespace")


class _Guard(NodeTransformer):
    """Refuses filters that read files, and routes loops and joined texts through the budget."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - named after the node
        node.iter = _filtered(node.iter, "_counted")
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as above
        node.nodes = [_filtered(part, "string") for part in node.nodes]
        return self.generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802 - as above
        if node.name in _DISABLED_FILTERS:
            raise TemplateError(f"keyword[{node.name}] has been disabled; pass the text as a variable")
        return self.generic_visit(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - as above
        check_name(node.attr, f"line {node.lineno} of a jinja2 template")
        return self.generic_visit(node)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, [], [], None, None, lineno=node.lineno)
