"""Components: what graphs are made of, as protocols with one or two methods."""

from eino.components._extra_options import ExtraOptions
from eino.components._function_tool import FunctionTool, StreamingFunctionTool
from eino.components._options import UNSET, Options
from eino.components._signature import ToolOption
from eino.components._tool_decorator import ToolDecorator, as_tool, tool
from eino.components._tool_errors import tool_error_handler
from eino.components._tool_retry import tool_retry
from eino.components._tool_settings import ToolSettings
from eino.components._tool_timeout import tool_timeout
from eino.components.callback_payloads import (
    CallbackPayload,
    EmbedderCallbackInput,
    EmbedderCallbackOutput,
    IndexerCallbackInput,
    IndexerCallbackOutput,
    LoaderCallbackInput,
    LoaderCallbackOutput,
    ModelCallbackInput,
    ModelCallbackOutput,
    PromptCallbackInput,
    PromptCallbackOutput,
    RetrieverCallbackInput,
    RetrieverCallbackOutput,
    ToolCallbackInput,
    ToolCallbackOutput,
    TransformerCallbackInput,
    TransformerCallbackOutput,
)
from eino.components.embedder import NO_EMBEDDER_OPTIONS, Embedder, EmbedderOptions
from eino.components.failover_model import (
    ChooseFallback,
    FailoverChatModel,
    FailoverContext,
    Fallback,
    is_failure_of_the_service,
)
from eino.components.indexer import NO_INDEXER_OPTIONS, Indexer, IndexerOptions
from eino.components.loader import NO_LOADER_OPTIONS, Loader, LoaderOptions, Source
from eino.components.model import (
    NO_MODEL_OPTIONS,
    ChatModel,
    DescribesTool,
    ModelOptions,
    ToolCallingChatModel,
    ToolLike,
    tool_infos,
)
from eino.components.naming import camel_case, type_name
from eino.components.parser import NO_PARSER_OPTIONS, ExtensionParser, Parser, ParserOptions, TextParser
from eino.components.prompt import ChatTemplate
from eino.components.retriever import NO_RETRIEVER_OPTIONS, Retriever, RetrieverOptions
from eino.components.retry_model import RetryChatModel, RetryContext, RetryDecision, ShouldRetry
from eino.components.structured_output import StructuredOutput, object_schema
from eino.components.tools import StreamingTool, Tool
from eino.components.transformer import NO_TRANSFORMER_OPTIONS, Transformer, TransformerOptions

__all__ = [
    "NO_EMBEDDER_OPTIONS",
    "NO_INDEXER_OPTIONS",
    "NO_LOADER_OPTIONS",
    "NO_MODEL_OPTIONS",
    "NO_PARSER_OPTIONS",
    "NO_RETRIEVER_OPTIONS",
    "NO_TRANSFORMER_OPTIONS",
    "UNSET",
    "CallbackPayload",
    "ChatModel",
    "ChatTemplate",
    "ChooseFallback",
    "DescribesTool",
    "Embedder",
    "EmbedderCallbackInput",
    "EmbedderCallbackOutput",
    "EmbedderOptions",
    "ExtensionParser",
    "ExtraOptions",
    "FailoverChatModel",
    "FailoverContext",
    "Fallback",
    "FunctionTool",
    "Indexer",
    "IndexerCallbackInput",
    "IndexerCallbackOutput",
    "IndexerOptions",
    "Loader",
    "LoaderCallbackInput",
    "LoaderCallbackOutput",
    "LoaderOptions",
    "ModelCallbackInput",
    "ModelCallbackOutput",
    "ModelOptions",
    "Options",
    "Parser",
    "ParserOptions",
    "PromptCallbackInput",
    "PromptCallbackOutput",
    "Retriever",
    "RetrieverCallbackInput",
    "RetrieverCallbackOutput",
    "RetrieverOptions",
    "RetryChatModel",
    "RetryContext",
    "RetryDecision",
    "ShouldRetry",
    "Source",
    "StreamingFunctionTool",
    "StreamingTool",
    "StructuredOutput",
    "TextParser",
    "Tool",
    "ToolCallbackInput",
    "ToolCallbackOutput",
    "ToolCallingChatModel",
    "ToolDecorator",
    "ToolLike",
    "ToolOption",
    "ToolSettings",
    "Transformer",
    "TransformerCallbackInput",
    "TransformerCallbackOutput",
    "TransformerOptions",
    "as_tool",
    "camel_case",
    "is_failure_of_the_service",
    "object_schema",
    "tool",
    "tool_error_handler",
    "tool_infos",
    "tool_retry",
    "tool_timeout",
    "type_name",
]
