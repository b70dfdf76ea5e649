"""Does a tool keep the contract of `Tool` and `StreamingTool`?"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from eino.components.tools import Tool
from eino.errors import ToolArgumentsError
from eino.schema import concat
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult
from eino_harness._leaks import GeneratorWatch, TaskWatch, settle
from eino_harness.conformance._suite import Conformance, ConformanceError, at_once, require, require_cancellation

__all__ = ["ToolConformance"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every provider takes as the name of a tool."""


class ToolConformance(Conformance, suite=True):
    """Checks a tool.

        class TestSearch(ToolConformance):
            arguments = {"query": "foxes"}
            wrong_arguments = {"query": 7}

            def make(self):
                return search

    Abilities that can be left out with a reason: `"arguments"` (it takes none, or anything), `"streaming"`,
    `"repeatable"` (the same arguments give the same result), `"waiting"` (it has a point where it waits).
    """

    _is_suite = True
    abilities: ClassVar[Mapping[str, Sequence[str]]] = {
        "arguments": ("test_arguments_that_do_not_fit_are_told",),
        "streaming": ("test_pieces_join_into_the_result", "test_a_stream_can_be_left_early"),
        "repeatable": ("test_concurrent_calls_do_not_mix",),
        "waiting": ("test_cancellation_passes",),
    }

    arguments: ClassVar[Mapping[str, Any]] = {}
    """Arguments that the tool takes."""
    wrong_arguments: ClassVar[Mapping[str, Any]] = {}
    """Arguments that do not fit: one that is missing, or of another type."""

    def make(self) -> Any:
        """Return a new tool: itself, an awaitable, or an async context manager that closes it."""
        return super().make()

    async def test_it_has_the_method_of_a_tool(self) -> None:
        """It is a `Tool`."""
        async with self.component() as tool:
            require(isinstance(tool, Tool), f"{type(tool).__name__} must have `info` and `run`")

    async def test_models_can_read_its_description(self) -> None:
        """`info` has a name that every provider takes and the JSON schema of an object, always the same."""
        async with self.component() as tool:
            info, again = tool.info, tool.info
        require(isinstance(info, ToolInfo), f"`info` must be a ToolInfo, got {info!r:.200}")
        require(_NAME.fullmatch(info.name), f"the name {info.name!r} must be 1 to 64 letters, digits, '_' or '-'")
        require(info == again, "`info` must be the same at every call")
        schema = info.parameters
        require(schema is None or schema.get("type") == "object", f"the parameters must be an object, got {schema!r}")
        try:
            json.dumps(schema)
        except (TypeError, ValueError) as error:
            raise ConformanceError(f"the JSON schema of the parameters is no JSON: {error}") from error

    async def test_it_gives_a_result(self) -> None:
        """`run` returns a text or a `ToolResult`."""
        async with self.component() as tool:
            _require_result(await tool.run(json.dumps(self.arguments)))

    async def test_what_is_no_json_is_told(self) -> None:
        """Arguments that are no JSON object raise a `ToolArgumentsError` with a text that a model can repair."""
        async with self.component() as tool:
            for text in ("{", "[1, 2]"):
                await _require_told(tool, text)

    async def test_arguments_that_do_not_fit_are_told(self) -> None:
        """Arguments that do not fit raise a `ToolArgumentsError` that names the argument."""
        async with self.component() as tool:
            said = await _require_told(tool, json.dumps(self.wrong_arguments))
            names = {*(tool.info.parameters or {}).get("properties", {}), *self.wrong_arguments}
        require(any(name in said for name in names), f"the error must name the argument that is wrong: {said!r}")

    async def test_concurrent_calls_do_not_mix(self) -> None:
        """Calls beside each other give what they give alone."""
        async with self.component() as tool:
            alone = await tool.run(json.dumps(self.arguments))
            for result in await at_once(lambda _: tool.run(json.dumps(self.arguments))):
                require(result == alone, f"a call beside others gave {result!r:.200} instead of {alone!r:.200}")

    async def test_cancellation_passes(self) -> None:
        """A cancelled call ends as cancelled, and the next one gives a result."""
        async with self.component() as tool:
            await require_cancellation(lambda: tool.run(json.dumps(self.arguments)))
            _require_result(await tool.run(json.dumps(self.arguments)))

    async def test_pieces_join_into_the_result(self) -> None:
        """The pieces of `stream` are texts or `ToolResult`s that join into what `run` gives."""
        async with self.component() as tool:
            pieces = [piece async for piece in tool.stream(json.dumps(self.arguments))]
            whole = await tool.run(json.dumps(self.arguments))
        require(pieces, "a stream must have at least one piece")
        for piece in pieces:
            _require_result(piece)
        require(concat(pieces) == whole, f"the pieces {pieces!r:.200} do not join into {whole!r:.200}")

    async def test_a_stream_can_be_left_early(self) -> None:
        """Closing a stream early ends it and leaves nothing running."""
        async with self.component() as tool:
            tasks, generators = TaskWatch(), GeneratorWatch()
            generators.install()
            try:
                stream = aiter(tool.stream(json.dumps(self.arguments)))
                await anext(stream)
                close = getattr(stream, "aclose", None)
                if close is not None:
                    await close()
                del stream, close
                await settle()
                leaks = tasks.leaks() + generators.leaks()
            finally:
                generators.remove()
            require(not leaks, f"a stream that was closed early left open: {'; '.join(leaks)}")


async def _require_told(tool: Any, arguments: str) -> str:
    try:
        result = await tool.run(arguments)
    except ToolArgumentsError as error:
        require(str(error), "a ToolArgumentsError must say what is wrong")
        return str(error)
    except Exception as error:
        raise ConformanceError(
            f"the arguments {arguments!r} must raise a ToolArgumentsError, not {type(error).__name__}: {error}"
        ) from error
    raise ConformanceError(f"the arguments {arguments!r} must be refused, but gave {result!r:.200}")


def _require_result(result: object) -> None:
    require(isinstance(result, str | ToolResult), f"a result must be a text or a ToolResult, got {result!r:.200}")
