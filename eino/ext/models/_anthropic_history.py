"""A conversation as Anthropic's Messages API wants it: turns of user and assistant, the system beside them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from eino.errors import InvalidRequestError
from eino.ext.models._anthropic_answer import CALL, CONTENT, THOUGHTS, Block, block_type, reasoning_blocks
from eino.ext.models._anthropic_parts import cached, content_blocks, text_block
from eino.ext.models._json_fields import text_of
from eino.schema.message import Message
from eino.schema.parts import AudioPart, ImagePart, TextPart, VideoPart
from eino.schema.tool import ToolCall

__all__ = ["conversation"]

JSON: TypeAlias = dict[str, Any]

INVALID_JSON: Final = "INVALID_JSON"
"""Under which key arguments that are no JSON object go back to the model, as the service's documentation advises.

Source: https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/fine-grained-tool-streaming."""
_GO_SIGNATURE: Final = "_eino_claude_thinking_signature"
"""Where messages that were stored by the Go original have the signature of their reasoning."""


def conversation(messages: Sequence[Message], *, in_place: bool) -> tuple[list[Block], list[JSON]]:
    """Return the blocks of the system prompt and the turns.

    Neighbours with the same role become one turn, in which the results of tools come first. System messages that
    come later than the first turn join the others at the top, or stay where they are (`in_place`).

    Raises:
        InvalidRequestError: If a message cannot be expressed, or there is nothing to answer.
    """
    system: list[Block] = []
    turns: list[JSON] = []
    for position, message in enumerate(messages):
        match message.role:
            case "system":
                blocks = cached(content_blocks(position, message), message)
                if in_place and turns:
                    _add(turns, "system", blocks)
                else:
                    system += blocks
            case "user":
                _add(turns, "user", _said(position, message))
            case "tool":
                _add(turns, "user", [_result(position, message)])
            case "assistant":
                _add(turns, "assistant", _answer(position, message))
            case _:
                raise InvalidRequestError(
                    f"message {position} has the role {message.role!r}; "
                    "it must be 'system', 'user', 'assistant' or 'tool'"
                )
    if not turns:
        raise InvalidRequestError("there is nothing to answer: give a message with the role 'user'")
    for turn in turns:
        turn["content"].sort(key=lambda block: block_type(block) != "tool_result")  # stable: all else keeps its order
    _strip_trailing_space(turns)
    return system, turns


def _add(turns: list[JSON], role: str, blocks: list[Block]) -> None:
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    elif blocks:
        turns.append({"role": role, "content": list(blocks)})


def _strip_trailing_space(turns: list[JSON]) -> None:
    """Strip the text that the model is to go on with; the service refuses it otherwise."""
    content = turns[-1]["content"]
    if turns[-1]["role"] != "assistant" or block_type(content[-1]) != "text":
        return
    text = text_of(content[-1], "text").rstrip()
    content[-1:] = [content[-1] | {"text": text}] if text else []
    if not content:
        turns.pop()


def _said(position: int, message: Message) -> list[Block]:
    blocks = cached(content_blocks(position, message), message)
    if not blocks:
        raise InvalidRequestError(f"message {position} of the user is empty; this service demands a text or a part")
    return blocks


def _result(position: int, message: Message) -> Block:
    """Return the result of a tool; `extra["is_error"]` tells the model that the call failed."""
    plain = message.content if not message.user_parts and not message.multi_content else ""
    content: Any = plain or content_blocks(position, message, of_tool=True)
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if content:
        block["content"] = content
    if "is_error" in message.extra:
        block["is_error"] = bool(message.extra["is_error"])
    return cached([block], message)[0]


def _answer(position: int, message: Message) -> list[Block]:
    """Return an earlier answer: as it came if that is known, else its reasoning, its text and its calls."""
    kept = message.extra.get(CONTENT)
    if isinstance(kept, list | tuple) and kept:
        return cached(_reconciled([dict(block) for block in kept], message), message)
    text = message.content or _text(position, message)
    blocks = reasoning_blocks(message.assistant_parts) or _thoughts_of_go(message)
    if text:
        blocks.append(text_block(text))
    return cached([*blocks, *(_use(call) for call in message.tool_calls)], message)


def _text(position: int, message: Message) -> str:
    texts = []
    for part in message.assistant_parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, ImagePart | AudioPart | VideoPart):
            raise InvalidRequestError(
                f"message {position} has {part!r}, which cannot be sent: "
                "an earlier answer consists of text, reasoning and calls"
            )
    return "".join(texts)


def _thoughts_of_go(message: Message) -> list[Block]:
    signature = message.extra.get(_GO_SIGNATURE)
    if not isinstance(signature, str) or not signature:
        return []
    return [{"type": "thinking", "thinking": message.reasoning_content, "signature": signature}]


def _reconciled(kept: list[Block], message: Message) -> list[Block]:
    """Return the blocks that an answer came in, with the text and the calls that the message has now.

    Nobody changes them, as a rule. If somebody did, texts become one where the first was, and calls that were taken
    away or added are taken away or added. Reasoning without a signature, of a broken answer, cannot be sent.
    """
    texts = [text_of(block, "text") for block in kept if block_type(block) == "text"]
    as_it_was = "".join(texts) == message.content
    text = [] if as_it_was or not message.content else [text_block(message.content)]
    calls = list(message.tool_calls)
    blocks: list[Block] = []
    for block in kept:
        kind = block_type(block)
        if kind == "tool_use":
            call = next((each for each in calls if each.id == text_of(block, "id")), None)
            if call is not None:
                calls.remove(call)
                blocks.append(block | _use(call))
        elif kind == "text":
            blocks += [block] if as_it_was and text_of(block, "text") else text
            text = []
        elif kind not in THOUGHTS or block.get("signature") or block.get("data"):
            blocks.append(block)
    return [*blocks, *text, *(_use(call) for call in calls)]


def _use(call: ToolCall) -> Block:
    named: Block = {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
    more = call.extra.get(CALL)
    return {**more, **named} if isinstance(more, dict) else named


def _input(arguments: str) -> Any:
    """Return the arguments of a call as an object; what is none goes back as a text, so that the model sees it."""
    if not arguments.strip():
        return {}
    try:
        given = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {INVALID_JSON: arguments}
    return given if isinstance(given, dict) else {INVALID_JSON: arguments}
