"""What callback handlers get from components, in one form per kind.

The graph tells handlers the plain values that go in and come out: a list of messages, a message. A component that
fires its own callbacks (`self_instrumented = True`) tells more with the classes of this module. `of` makes either of
them into the class, so that a handler is written once:

    def on_end(self, info: RunInfo, output: object) -> None:
        if told := ModelCallbackOutput.of(output):
            self.tokens += told.usage.total_tokens if told.usage else 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypeGuard

import msgspec

from eino.components.embedder import NO_EMBEDDER_OPTIONS, EmbedderOptions
from eino.components.indexer import NO_INDEXER_OPTIONS, IndexerOptions
from eino.components.loader import NO_LOADER_OPTIONS, LoaderOptions, Source
from eino.components.model import NO_MODEL_OPTIONS, ModelOptions
from eino.components.retriever import NO_RETRIEVER_OPTIONS, RetrieverOptions
from eino.components.transformer import NO_TRANSFORMER_OPTIONS, TransformerOptions
from eino.schema.document import Document
from eino.schema.message import Message
from eino.schema.tool import ToolArgument
from eino.schema.tool_result import ToolResult
from eino.schema.usage import TokenUsage

__all__ = [
    "CallbackPayload",
    "EmbedderCallbackInput",
    "EmbedderCallbackOutput",
    "IndexerCallbackInput",
    "IndexerCallbackOutput",
    "LoaderCallbackInput",
    "LoaderCallbackOutput",
    "ModelCallbackInput",
    "ModelCallbackOutput",
    "PromptCallbackInput",
    "PromptCallbackOutput",
    "RetrieverCallbackInput",
    "RetrieverCallbackOutput",
    "ToolCallbackInput",
    "ToolCallbackOutput",
    "TransformerCallbackInput",
    "TransformerCallbackOutput",
]


class CallbackPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler is told about one call of a component."""

    extra: Mapping[str, Any] = {}
    """What only this implementation tells."""

    @classmethod
    def of(cls, payload: object) -> Self | None:
        """Return `payload` as this class: as it is, or made of the plain value; None if it is neither."""
        if isinstance(payload, cls):
            return payload
        fields = cls._fields_of(payload)
        return None if fields is None else cls(**fields)

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        """Return the fields for a plain value, or None if it is none of this kind."""
        raise NotImplementedError


class _OneValue(CallbackPayload, frozen=True, kw_only=True):
    """A payload whose plain value is a single field."""

    _field: ClassVar[str] = ""
    _types: ClassVar[tuple[type, ...]] = ()

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        return {cls._field: payload} if isinstance(payload, cls._types) else None


class _Many(CallbackPayload, frozen=True, kw_only=True):
    """A payload whose plain value is a sequence of things of one type."""

    _field: ClassVar[str] = ""
    _types: ClassVar[tuple[type, ...]] = ()

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        return {cls._field: tuple(payload)} if _holds_only(payload, cls._types) else None


class ModelCallbackInput(_Many, frozen=True, kw_only=True):
    """What a chat model is asked. Plain value: a sequence of messages."""

    _field = "messages"
    _types = (Message,)

    messages: tuple[Message, ...]
    """The conversation."""
    options: ModelOptions = NO_MODEL_OPTIONS
    """Everything that the call was made with, tools included; nothing when only the messages were told."""


class ModelCallbackOutput(CallbackPayload, frozen=True, kw_only=True):
    """What a chat model answers, or one chunk of it. Plain value: a message."""

    message: Message
    """The answer."""
    usage: TokenUsage | None = None
    """The tokens that it cost; taken from the message unless told."""
    options: ModelOptions = NO_MODEL_OPTIONS
    """As in the input."""

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        if not isinstance(payload, Message):
            return None
        meta = payload.response_meta
        return {"message": payload, "usage": meta.usage if meta is not None else None}


class PromptCallbackInput(CallbackPayload, frozen=True, kw_only=True):
    """What a chat template is given. Plain value: a mapping."""

    variables: Mapping[str, Any]
    """The values by name."""
    templates: tuple[object, ...] = ()
    """What the messages are made of: messages with variables in them, and placeholders."""

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        return {"variables": payload} if isinstance(payload, Mapping) else None


class PromptCallbackOutput(_Many, frozen=True, kw_only=True):
    """What a chat template makes. Plain value: a sequence of messages."""

    _field = "messages"
    _types = (Message,)

    messages: tuple[Message, ...]
    """The messages with the variables filled in."""
    templates: tuple[object, ...] = ()
    """As in the input."""


class EmbedderCallbackInput(_Many, frozen=True, kw_only=True):
    """What an embedder is given. Plain value: a sequence of texts."""

    _field = "texts"
    _types = (str,)

    texts: tuple[str, ...]
    """The texts to embed."""
    options: EmbedderOptions = NO_EMBEDDER_OPTIONS
    """Everything that the call was made with; nothing when only the texts were told."""


class EmbedderCallbackOutput(CallbackPayload, frozen=True, kw_only=True):
    """What an embedder gives. Plain value: a sequence of vectors."""

    embeddings: tuple[Sequence[float], ...]
    """One vector for each text."""
    usage: TokenUsage | None = None
    """The tokens that they cost; None when the component does not say."""
    options: EmbedderOptions = NO_EMBEDDER_OPTIONS
    """As in the input."""

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        # Vectors are looked at by their first number: a batch has thousands of them.
        vectors = _holds_only(payload, (list, tuple)) and all(isinstance(v[0], int | float) for v in payload if v)
        return {"embeddings": tuple(payload)} if vectors else None


class IndexerCallbackInput(_Many, frozen=True, kw_only=True):
    """What an indexer stores. Plain value: a sequence of documents."""

    _field = "documents"
    _types = (Document,)

    documents: tuple[Document, ...]
    """The documents."""
    options: IndexerOptions = NO_INDEXER_OPTIONS
    """Everything that the call was made with; nothing when only the documents were told."""


class IndexerCallbackOutput(_Many, frozen=True, kw_only=True):
    """What an indexer has stored. Plain value: a sequence of ids."""

    _field = "ids"
    _types = (str,)

    ids: tuple[str, ...]
    """The ids of the documents, in their order."""


class RetrieverCallbackInput(_OneValue, frozen=True, kw_only=True):
    """What a retriever looks for. Plain value: the query."""

    _field = "query"
    _types = (str,)

    query: str
    """The query."""
    options: RetrieverOptions = NO_RETRIEVER_OPTIONS
    """Everything that the call was made with: `top_k`, `score_threshold`, the filter; nothing when it was not told."""


class RetrieverCallbackOutput(_Many, frozen=True, kw_only=True):
    """What a retriever finds. Plain value: a sequence of documents."""

    _field = "documents"
    _types = (Document,)

    documents: tuple[Document, ...]
    """The documents, best first."""


class LoaderCallbackInput(_OneValue, frozen=True, kw_only=True):
    """What a loader fetches. Plain value: the source."""

    _field = "source"
    _types = (Source,)

    source: Source
    """Where the documents lie."""
    options: LoaderOptions = NO_LOADER_OPTIONS
    """Everything that the call was made with; nothing when only the source was told."""


class LoaderCallbackOutput(_Many, frozen=True, kw_only=True):
    """What a loader has fetched. Plain value: a sequence of documents."""

    _field = "documents"
    _types = (Document,)

    documents: tuple[Document, ...]
    """The documents, in order."""
    source: Source | None = None
    """Where they lay; None when only the documents were told."""


class TransformerCallbackInput(_Many, frozen=True, kw_only=True):
    """What a document transformer is given. Plain value: a sequence of documents."""

    _field = "documents"
    _types = (Document,)

    documents: tuple[Document, ...]
    """The documents."""
    options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    """Everything that the call was made with; nothing when only the documents were told."""


class TransformerCallbackOutput(_Many, frozen=True, kw_only=True):
    """What a document transformer makes. Plain value: a sequence of documents."""

    _field = "documents"
    _types = (Document,)

    documents: tuple[Document, ...]
    """The new documents."""


class ToolCallbackInput(CallbackPayload, frozen=True, kw_only=True):
    """What a tool is called with. Plain value: the arguments as JSON text, or a `ToolArgument`."""

    arguments: str
    """JSON text, as the model wrote it."""

    @classmethod
    def _fields_of(cls, payload: Any) -> dict[str, Any] | None:
        text = payload.text if isinstance(payload, ToolArgument) else payload
        return {"arguments": text} if isinstance(text, str) else None


class ToolCallbackOutput(_OneValue, frozen=True, kw_only=True):
    """What a tool gives, or one piece of it. Plain value: a text or a `ToolResult`."""

    _field = "result"
    _types = (str, ToolResult)

    result: str | ToolResult
    """The result: a text, or parts such as images."""


def _holds_only(payload: object, types: tuple[type, ...]) -> TypeGuard[Sequence[Any]]:
    """Return whether `payload` is a list or tuple with things of these types only; an empty one is."""
    return isinstance(payload, list | tuple) and all(isinstance(each, types) for each in payload)
