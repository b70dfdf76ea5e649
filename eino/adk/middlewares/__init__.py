"""Ready-made middlewares of chat agents: shorter conversations, and conversations that models accept."""

from eino.adk.middlewares.patch_tool_calls import PatchToolCalls
from eino.adk.middlewares.reduction import ClearedRound, FileWriter, ReduceToolResults
from eino.adk.middlewares.summarization import Summarize, SummaryEvent, is_summary
from eino.adk.middlewares.tokens import CountTokens, estimate_tokens

__all__ = [
    "ClearedRound",
    "CountTokens",
    "FileWriter",
    "PatchToolCalls",
    "ReduceToolResults",
    "Summarize",
    "SummaryEvent",
    "estimate_tokens",
    "is_summary",
]
