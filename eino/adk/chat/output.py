"""Typed answers of a chat agent: a tool that the model answers with, or JSON as its text; checked, and asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from eino.adk.chat.state import ChatState
from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.components.structured_output import object_schema, schema_name
from eino.components.tools import Tool
from eino.errors import BuildError, ContentFilterError, MessageParseError
from eino.schema.message import Message, assistant_message, user_message
from eino.schema.parser import JSONMessageParser
from eino.schema.tool import ToolCall, ToolInfo, tool_call

__all__ = ["Output"]

T = TypeVar("T")

_DEFAULT_DESCRIPTION: Final = "Give your final answer with this tool, when you know it."


class Output(Generic[T]):
    """What an agent's answer must be, and what happens when it is not."""

    def __init__(
        self,
        target: type[T],
        *,
        output_format: Mapping[str, Any] | None,
        name: str,
        repairs: int,
        tools: tuple[str, ...],
    ) -> None:
        """Prepare to read `target`.

        Raises:
            BuildError: If the type has no JSON schema, or a tool has the name of the answer.
        """
        if repairs < 0:
            raise BuildError(f"output_repairs={repairs!r}: it cannot be negative")
        schema, key = object_schema(target)
        self._repairs = repairs
        self._text: JSONMessageParser[T] = JSONMessageParser(target, key_path=key)
        self._call: JSONMessageParser[T] = JSONMessageParser(target, source="tool_call", key_path=key)
        self.tool: Tool | None = None
        self.name = name or schema_name(target)
        self.options = NO_MODEL_OPTIONS
        if output_format is not None:
            self.options = ModelOptions(response_format=output_format)
            return
        if self.name in tools:
            raise BuildError(f"the answer is called {self.name!r} like one of the tools: give output_name=")
        description = schema.get("description") or _DEFAULT_DESCRIPTION
        self.tool = _OutputTool(ToolInfo(name=self.name, description=description, json_schema=schema), self)

    def value(self, message: Message) -> T:
        """Return the value that an answer of the agent holds: its text, which is JSON.

        Raises:
            MessageParseError: If it holds none.
        """
        return self._text.parse(message)

    def wrong_with(self, call: ToolCall) -> str:
        """Return what is wrong with the arguments of a call of the tool; nothing if they are an answer."""
        try:
            self._call.parse(assistant_message("", [call]))
        except MessageParseError as error:
            return str(error)
        return ""

    def answered_by(self, message: Message, direct: int | None) -> int | None:
        """Return the position of the call that is the answer: the last good one with the type, else `direct`."""
        good = [i for i, call in enumerate(message.tool_calls) if call.name == self.name and not self.wrong_with(call)]
        return good[-1] if good else direct

    def count_repairs(self, message: Message, state: ChatState) -> None:
        """Note that the model was told of what is wrong with its answer.

        Raises:
            MessageParseError: If it was told too often.
        """
        for call in message.tool_calls:
            if call.name == self.name:
                self._count(state, self.wrong_with(call), call.arguments)
                return

    def accepts(self, message: Message) -> bool:
        """Return whether the text of an answer is of the type."""
        try:
            self._text.parse(message)
        except MessageParseError:
            return False
        return True

    def repair(self, message: Message, state: ChatState) -> Message:
        """Return what the model is told of a text that is no answer.

        Raises:
            MessageParseError: If it was told too often, or the text was cut off.
            ContentFilterError: If a content filter cut the text off.
        """
        reason = message.response_meta.finish_reason if message.response_meta is not None else ""
        if reason == "content_filter":
            raise ContentFilterError("a content filter cut the answer off; change the prompt")
        wrong = ""
        try:
            self._text.parse(message)
        except MessageParseError as error:
            wrong = str(error)
        if reason == "length":
            raise MessageParseError(f"the answer was cut off, raise max_tokens: {wrong}")
        self._count(state, wrong, message.content)
        if self.tool is not None:
            return user_message(f"Give your answer with the tool {self.name}, not as text.")
        return user_message(f"That cannot be read: {wrong}. Answer again, with the error corrected.")

    def _count(self, state: ChatState, wrong: str, said: str) -> None:
        if state.repairs >= self._repairs:
            raise MessageParseError(
                f"the answer is no {self.name}, after {state.repairs} corrections (output_repairs={self._repairs}): "
                f"{wrong}; the model's answer was {said!r:.1000}"
            )
        state.repairs += 1


class _OutputTool:
    """What the model gives its answer with; the result is the answer, or what is wrong with it."""

    type_name = "Output"

    def __init__(self, info: ToolInfo, output: Output[Any]) -> None:
        self.info = info
        self._output = output

    async def run(self, arguments: str) -> str:
        """Return the answer as it is, or what the model must correct."""
        call = tool_call(self.info.name, arguments)
        wrong = self._output.wrong_with(call)
        return (
            f"That cannot be read: {wrong}. Call {self.info.name} again, with the error corrected."
            if wrong
            else arguments
        )
