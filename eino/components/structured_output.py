"""Values instead of texts: a chat model is asked for JSON of a type, and what it says is validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from eino.components.model import NO_MODEL_OPTIONS, ChatModel, ModelOptions
from eino.errors import BuildError, ContentFilterError, MessageParseError, RefusalError
from eino.schema._adapters import type_schema
from eino.schema.message import Message, assistant_message, tool_message, user_message
from eino.schema.parser import JSONMessageParser
from eino.schema.tool import ToolInfo

__all__ = ["StructuredOutput", "object_schema"]

T = TypeVar("T")

_CUT_OFF: Final = frozenset({"length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded"})
"""How services call it when an answer reached the limit of its length."""
_FILTERED: Final = frozenset(
    {
        "content_filter",
        *("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "IMAGE_SAFETY", "MODEL_ARMOR"),  # Gemini
    }
)
"""How services call it when a filter stopped an answer."""
_VALUE: Final = "value"
"""What a type that is no object is wrapped in: models give objects only."""


def object_schema(of: Any) -> tuple[dict[str, Any], str]:
    """Return the JSON schema to ask a model for, and the key under which the value then lies (empty: it is all).

    Raises:
        BuildError: If the type has no JSON schema.
    """
    schema = type_schema(of)
    if schema.get("type") == "object" and "properties" in schema:
        return schema, ""
    wrapped: dict[str, Any] = {
        "type": "object",
        "properties": {_VALUE: {name: part for name, part in schema.items() if name != "$defs"}},
        "required": [_VALUE],
        "additionalProperties": False,
    }
    return (wrapped | {"$defs": schema["$defs"]} if "$defs" in schema else wrapped), _VALUE


class StructuredOutput(Generic[T]):
    """Asks a chat model for a value of a type: a pydantic model, a dataclass, a TypedDict, a list of those, ...

        weather = await StructuredOutput(model, Weather).invoke([user_message("How is the weather in Paris?")])

    Unless `response_format` is given, the model is made to call a tool whose arguments are the value, which every
    model with tools can do. What does not validate goes back to the model with what is wrong, `repairs` times.

    Args:
        model: The model to ask.
        target: The type of the value.
        response_format: What the provider's API takes to answer in JSON of the type, with the fields of the type as
            outermost keys, or `value` for a type that is no object (see `object_schema`).
        name: What the value is called towards the model; unless given, the name of the type.
        repairs: How often the model may correct itself.
        refusal_of: Returns why the model refuses, in its own words, or nothing.

    Raises:
        BuildError: If the type has no JSON schema.
    """

    def __init__(
        self,
        model: ChatModel,
        target: type[T],
        *,
        response_format: Mapping[str, Any] | None = None,
        name: str = "",
        repairs: int = 1,
        refusal_of: Callable[[Message], object] = lambda _: None,
    ) -> None:
        if repairs < 0:
            raise BuildError(f"StructuredOutput(repairs={repairs!r}): it cannot be negative")
        schema, key = object_schema(target)
        name = name or schema_name(target)
        self._model = model
        self._repairs = repairs
        self._refusal_of = refusal_of
        self._by_tool = response_format is None
        self._parser: JSONMessageParser[T] = JSONMessageParser(
            target, source="tool_call" if self._by_tool else "content", key_path=key
        )
        if self._by_tool:
            tool = ToolInfo(
                name=name, description=schema.get("description") or "Give your answer with this.", json_schema=schema
            )
            self._asked = ModelOptions(tools=[tool], tool_choice="forced", allowed_tools=[name])
        else:
            self._asked = ModelOptions(response_format=response_format)

    async def invoke(self, messages: Sequence[Message], options: ModelOptions = NO_MODEL_OPTIONS) -> T:
        """Return the value that the model gives; as a node, use `Lambda(structured.invoke)`.

        Raises:
            RefusalError: If the model refuses to answer.
            ContentFilterError: If the answer was cut off by a content filter.
            MessageParseError: If the answer is not of the type, after all repairs; its notes have the answer.
            ComponentError: If the model fails.
        """
        conversation = list(messages)
        for left in range(self._repairs, -1, -1):
            answer = await self._model.generate(conversation, options.merge(self._asked))
            self._refuse(answer)
            try:
                return self._parser.parse(answer)
            except MessageParseError as error:
                if not left or self._cut_off(answer):
                    error.add_note(self._told(answer))
                    raise
                conversation += self._corrections(answer, error)
        raise AssertionError  # the loop returns or raises

    def _refuse(self, answer: Message) -> None:
        why = self._refusal_of(answer)
        if why:
            raise RefusalError(f"the model refuses to answer: {why}", message=answer)
        if answer.response_meta is not None and answer.response_meta.finish_reason in _FILTERED:
            raise ContentFilterError("a content filter cut the answer off; change the prompt")

    def _cut_off(self, answer: Message) -> bool:
        return answer.response_meta is not None and answer.response_meta.finish_reason in _CUT_OFF

    def _told(self, answer: Message) -> str:
        said = answer.tool_calls[0].arguments if self._by_tool and answer.tool_calls else answer.content
        remedy = "; it was cut off: raise max_tokens" if self._cut_off(answer) else ""
        return f"the model's answer was {said!r:.1000}{remedy}"

    def _corrections(self, answer: Message, error: MessageParseError) -> list[Message]:
        """Return what is added to the conversation: the answer, and what is wrong with it."""
        wrong = f"That cannot be read: {error}. Answer again, with the error corrected."
        if not answer.tool_calls:
            return [assistant_message(answer.content), user_message(wrong)]
        return [
            assistant_message(answer.content, [call.replace(index=None) for call in answer.tool_calls]).replace(
                reasoning_content=answer.reasoning_content
            ),
            *(tool_message(wrong, call.id, tool_name=call.name) for call in answer.tool_calls),
        ]


def schema_name(of: Any) -> str:
    """Return what a type is called towards a model: letters, digits and underscores only."""
    name = getattr(of, "__name__", "") or "answer"
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:64]
