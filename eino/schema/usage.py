"""What a model reports about an answer: token usage, finish reason, log probabilities."""

from __future__ import annotations

from typing import Final

import msgspec

from eino.schema._value import Value, always_written

__all__ = [
    "VERY_UNLIKELY_LOGPROB",
    "CompletionTokenDetails",
    "LogProb",
    "LogProbs",
    "PromptTokenDetails",
    "ResponseMeta",
    "TokenUsage",
    "TopLogProb",
    "token_usage",
]

VERY_UNLIKELY_LOGPROB: Final = -9999.0
"""What providers report for a token that is not among the most likely ones."""


class PromptTokenDetails(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What the prompt tokens consist of."""

    cached_tokens: int = 0
    """Prompt tokens read from the provider's cache."""


class CompletionTokenDetails(Value, frozen=True, kw_only=True):
    """What the completion tokens consist of."""

    reasoning_tokens: int = 0
    """Tokens that the model spent on reasoning; 0 where the provider does not say."""


class TokenUsage(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Tokens that a request cost. Every field is always part of the JSON form."""

    prompt_tokens: int = 0
    prompt_token_details: PromptTokenDetails = PromptTokenDetails()
    completion_tokens: int = 0
    total_tokens: int = 0
    completion_token_details: CompletionTokenDetails = CompletionTokenDetails()

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens read from the provider's cache."""
        return self.prompt_token_details.cached_tokens

    @property
    def reasoning_tokens(self) -> int:
        """Completion tokens spent on reasoning."""
        return self.completion_token_details.reasoning_tokens


def token_usage(
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    total_tokens: int | None = None,
    *,
    cached_tokens: int = 0,
    reasoning_tokens: int = 0,
) -> TokenUsage:
    """Return a `TokenUsage`; the total is the sum of prompt and completion unless given.

    Raises:
        ValueError: If a count is negative or not a whole number.
    """
    total = prompt_tokens + completion_tokens if total_tokens is None else total_tokens
    counts = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": total,
        "cached_tokens": cached_tokens,
        "reasoning_tokens": reasoning_tokens,
    }
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {count!r}")
    return TokenUsage(
        prompt_tokens=prompt_tokens,
        prompt_token_details=PromptTokenDetails(cached_tokens=cached_tokens),
        completion_tokens=completion_tokens,
        total_tokens=total,
        completion_token_details=CompletionTokenDetails(reasoning_tokens=reasoning_tokens),
    )


class TopLogProb(Value, frozen=True, kw_only=True):
    """A likely token at one position, with its log probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] = ()
    """The token's UTF-8 bytes; empty where the provider does not give them."""


class LogProb(Value, frozen=True, kw_only=True):
    """The log probability of one token of the answer."""

    token: str
    logprob: float
    """`VERY_UNLIKELY_LOGPROB` for a token that is not among the most likely ones."""
    bytes: tuple[int, ...] = ()
    """The token's UTF-8 bytes; empty where the provider does not give them."""
    top_logprobs: tuple[TopLogProb, ...] = msgspec.field(default_factory=always_written)
    """The most likely tokens at this position; always part of the JSON form."""


class LogProbs(Value, frozen=True, kw_only=True):
    """Log probabilities of an answer, one entry a token."""

    content: tuple[LogProb, ...] = msgspec.field(default_factory=always_written)
    """Always part of the JSON form."""


class ResponseMeta(Value, frozen=True, kw_only=True):
    """What a model says about an answer as a whole."""

    finish_reason: str = ""
    """Why the answer ended: `"stop"`, `"length"`, `"tool_calls"`, ... as the provider names it."""
    usage: TokenUsage | None = None
    logprobs: LogProbs | None = None
