"""A suite for a component that has none of its own: what can be checked without knowing more about it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from eino.callbacks import Handler
from eino_fixtures.example_values import NoExampleError, example_of
from eino_harness.conformance._suite import Conformance
from eino_harness.conformance.agent import AgentConformance
from eino_harness.conformance.callback_handler import CallbackHandlerConformance
from eino_harness.conformance.chat_model import ChatModelConformance
from eino_harness.conformance.embedder import EmbedderConformance
from eino_harness.conformance.tool import ToolConformance

__all__ = ["suite_of"]

_NOT_GIVEN: Final = "needs to know more: derive a suite of your own"

_KINDS: Final[tuple[tuple[tuple[str, ...], type[Conformance], tuple[str, ...]], ...]] = (
    (("generate", "stream"), ChatModelConformance, ("errors",)),
    (("run", "info"), ToolConformance, ()),
    (("run", "name", "description"), AgentConformance, ("errors", "questions", "streaming")),
    (("embed",), EmbedderConformance, ("errors",)),
)
"""Methods of a kind, its suite, and the abilities that only a suite of one's own can show."""

_OWN_SUITE: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("retrieve",), "RetrieverConformance, with the documents that a query finds"),
    (("store",), "IndexerConformance, with the contents of the index"),
    (("claim", "append"), "CheckpointStoreConformance, with an empty place for each store"),
)


_METHODS: Final = (*(methods for methods, _, _ in _KINDS), *(methods for methods, _ in _OWN_SUITE))


def suite_of(name: str, thing: Any) -> type[Conformance]:
    """Return the suite that checks a component, a class of one, or a function that makes one.

    Args:
        name: What it is called, for the report.
        thing: The component; classes and functions are called without arguments for each check.

    Raises:
        TypeError: If it is no component of a kind that can be checked without a suite of one's own.
    """
    made, make = _maker(name, thing)
    for methods, suite, without in _KINDS:
        if all(hasattr(made, method) for method in methods):
            fields: dict[str, Any] = {"make": lambda _: make(), "without": dict.fromkeys(without, _NOT_GIVEN)}
            if suite is ToolConformance:
                fields = _with_arguments(made, fields)
            return type(name, (suite,), fields)
    for methods, what in _OWN_SUITE:
        if all(hasattr(made, method) for method in methods):
            raise TypeError(f"{name} cannot be checked as it is: derive a class from {what}, and name that class")
    if isinstance(made, Handler) or any(hasattr(made, timing) for timing in ("on_start", "on_end", "on_error")):
        left = {"recording": _NOT_GIVEN}
        if not any(_own(made, timing) for timing in ("on_start_stream_input", "on_end_stream_output")):
            left["streams"] = "it hears no streams"
        return type(name, (CallbackHandlerConformance,), {"make": lambda _: make(), "without": left})
    raise TypeError(
        f"{name} is {made!r:.200}, which is no component: give a suite derived from a class of "
        "eino_harness.conformance, or a chat model, tool, agent, embedder or callback handler"
    )


def _maker(name: str, thing: Any) -> tuple[Any, Any]:
    """Return the component, and what makes another one."""
    is_component = not isinstance(thing, type) and any(
        hasattr(thing, method) for methods in _METHODS for method in methods
    )
    if is_component or isinstance(thing, Handler) or not callable(thing):
        return thing, lambda: thing
    try:
        made = thing()
    except TypeError as error:
        raise TypeError(f"{name} cannot be made without arguments ({error}): name a function that makes one") from error
    if inspect.isawaitable(made):
        close = getattr(made, "close", None)
        if close is not None:
            close()
        raise TypeError(f"{name} is an async function: derive a suite whose make() returns what it returns")
    return made, thing


def _with_arguments(tool: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a tool's suite, with arguments made of its schema."""
    schema: Mapping[str, Any] = tool.info.parameters or {"type": "object"}
    try:
        arguments = example_of(schema)
    except NoExampleError as error:
        raise TypeError(f"no arguments can be made for the tool ({error}): derive a suite with `arguments`") from error
    without = {} if schema.get("required") else {"arguments": "it requires no argument"}
    if not hasattr(tool, "stream"):
        without["streaming"] = "it does not stream"
    return {**fields, "arguments": arguments, "wrong_arguments": {}, "without": without}


def _own(handler: Any, timing: str) -> bool:
    function = getattr(handler, timing, None)
    return function is not None and getattr(function, "__func__", None) is not getattr(Handler, timing)
