"""From the assistant's message to tool calls, and from results to tool messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eino.compose._tool_input import ToolInput
from eino.errors import ToolError
from eino.schema._concat import concat_tool_results
from eino.schema.message import Message
from eino.schema.parts import TextPart
from eino.schema.tool import ToolCall
from eino.schema.tool_result import ToolResult, tool_result

__all__ = ["PieceWriter", "calls_in", "joined", "result_message"]


def calls_in(message: object) -> Sequence[ToolCall]:
    """Return the calls that an assistant's message asks for.

    Raises:
        ToolError: If it is no such message, asks for none, or gives one id to two calls.
    """
    if not isinstance(message, Message):
        what = f"{message!r:.200}, a {type(message).__qualname__}" if message is not None else "None"
        raise ToolError(f"expected an assistant's Message with tool calls, got {what}")
    if message.role != "assistant":
        raise ToolError(
            f"expected message role is Assistant, got {message.role or 'none'}: hand the answer of the chat model to "
            "the tools node"
        )
    calls = message.tool_calls
    if not calls:
        raise ToolError(
            f"no tool call found in input message {message.content!r:.200}: branch on `message.tool_calls` in front "
            "of the tools node"
        )
    if len(calls) > 1:
        _refuse_twins(calls)
    return calls


def _refuse_twins(calls: Sequence[ToolCall]) -> None:
    """Refuse ids that come twice: nobody could tell which result belongs to which call. Some models give none."""
    seen: dict[str, int] = {}
    for position, call in enumerate(calls):
        first = seen.setdefault(call.id, position) if call.id else position
        if first != position:
            raise ToolError(
                f"tool calls {first} ({calls[first].name!r}) and {position} ({call.name!r}) have the same id "
                f"{call.id!r}: the model must give each call an id of its own"
            )


def result_message(call: ToolInput, result: str | ToolResult) -> Message:
    """Return the message that answers `call`: a text as content, parts as user parts.

    Raises:
        ToolError: If the result is neither.
    """
    if isinstance(result, str):
        return Message(role="tool", content=result, tool_call_id=call.call_id, tool_name=call.called_name)
    if isinstance(result, ToolResult):
        parts = result.to_user_parts()
        return Message(role="tool", content="", user_parts=parts, tool_call_id=call.call_id, tool_name=call.called_name)
    raise _no_result(call, result)


class PieceWriter:
    """Makes one tool message of each piece of a streamed result, so that the messages concatenate to the whole."""

    def __init__(self, call: ToolInput) -> None:
        self._call = call
        self._kind: type[str | ToolResult] | None = None

    @property
    def wrote(self) -> bool:
        """Whether there was a piece."""
        return self._kind is not None

    def write(self, piece: str | ToolResult) -> Message:
        """Return the message of the next piece.

        Raises:
            ToolError: If it is neither text nor parts, or parts come behind text, which models would not read then.
        """
        if isinstance(piece, str):
            if self._kind is ToolResult:
                return result_message(self._call, ToolResult(parts=(TextPart(piece),)))
            self._kind = str
        elif isinstance(piece, ToolResult):
            if self._kind is str:
                raise ToolError(
                    f"tool {self._call.name!r} streams a ToolResult behind a text, but a message holds either a text "
                    "or parts: give every piece as a ToolResult, texts with tool_result(text)"
                )
            self._kind = ToolResult
        return result_message(self._call, piece)


def joined(call: ToolInput, pieces: Sequence[str | ToolResult]) -> str | ToolResult:
    """Return the result that `pieces` are the pieces of.

    Raises:
        ToolError: If a piece is neither text nor parts.
        ConcatError: If they do not fit together.
    """
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) == len(pieces):
        return "".join(texts)
    return concat_tool_results([_parts(call, piece) for piece in pieces])


def _parts(call: ToolInput, piece: object) -> ToolResult:
    if isinstance(piece, ToolResult):
        return piece
    if isinstance(piece, str):
        return tool_result(piece)
    raise _no_result(call, piece)


def _no_result(call: ToolInput, value: object) -> ToolError:
    return ToolError(
        f"the result of tool {call.name!r} is {value!r:.200}, a {type(value).__qualname__}: tools and middlewares "
        "return a string or a ToolResult, streaming ones an async iterator of them"
    )
