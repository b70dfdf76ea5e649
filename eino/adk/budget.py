"""Limits on what the models of one run of agents may cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from eino.errors import BuildError, RunError
from eino.schema.codec import register
from eino.schema.usage import TokenUsage

if TYPE_CHECKING:
    from eino.adk.run_state import AgentRun

__all__ = ["Budget", "BudgetExceededError", "Meter", "Price", "PriceOf", "Spending"]

_PER = 1_000_000  # services quote prices per million tokens


class BudgetExceededError(RunError):
    """The models of a run have cost as much as they may, and one is to be asked again."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs, per million tokens, in any one currency."""

    input: float
    output: float
    """Reasoning counts as output."""
    cached_input: float | None = None
    """Of prompt tokens that the service had in its cache; None if they cost what others do."""

    def __call__(self, usage: TokenUsage) -> float:
        """Return what one answer costs."""
        cached = usage.cached_tokens if self.cached_input is not None else 0
        fresh = usage.prompt_tokens - cached
        return (fresh * self.input + cached * (self.cached_input or 0.0) + usage.completion_tokens * self.output) / _PER


PriceOf: TypeAlias = Price | Callable[[TokenUsage], float]
"""What an answer costs, of its usage."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What all models of one run may cost together, those of agents in tools and of tries that failed included.

    An answer is never lost: the run fails when a model is to be asked again although the limit is reached. What a run
    has cost is stored with it.
    """

    max_tokens: int | None = None
    """Prompt and completion tokens."""
    max_cost: float | None = None
    """In the currency of `price`."""
    price: PriceOf | None = None

    def __post_init__(self) -> None:
        """Refuse limits that limit nothing.

        Raises:
            BuildError: If there is none, one is not above 0, or a cost has no price.
        """
        if self.max_tokens is None and self.max_cost is None:
            raise BuildError("Budget(): give max_tokens= or max_cost=")
        for name in ("max_tokens", "max_cost"):
            limit = getattr(self, name)
            if limit is not None and not (isinstance(limit, (int, float)) and limit > 0):
                raise BuildError(f"Budget({name}={limit!r}): a limit is above 0")
        if self.max_cost is not None and self.price is None:
            raise BuildError(f"Budget(max_cost={self.max_cost!r}) needs price=, such as Price(input=2.5, output=10)")


@register("eino.adk.Spending")
@dataclass(slots=True)
class Spending:
    """What the models of a run have cost so far."""

    answers: int = 0
    tokens: int = 0
    cost: float = 0.0


class Meter:
    """The budget of one run, and what is spent of it."""

    __slots__ = ("budget", "spending")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.spending = Spending()
        """That of the stored run when it goes on."""

    def require(self, run: AgentRun) -> None:
        """Refuse one more question to a model when the limit is reached.

        Raises:
            BudgetExceededError: If it is.
        """
        budget, spent = self.budget, self.spending
        if budget.max_tokens is not None and spent.tokens >= budget.max_tokens:
            what = f"{spent.tokens} tokens are spent, max_tokens={budget.max_tokens}"
        elif budget.max_cost is not None and spent.cost >= budget.max_cost:
            what = f"{spent.cost:g} is spent, max_cost={budget.max_cost:g}"
        else:
            return
        raise BudgetExceededError(
            f"exceeds budget: {what} after {spent.answers} answers, and agent {run.agent_name!r} would ask its model "
            f"again (run path: {' > '.join(run.run_path)}); raise the budget, or find out what the run is busy with",
            kind="node",
        )

    def charge(self, run: AgentRun, usage: TokenUsage | None) -> None:
        """Count one answer.

        Raises:
            RunError: If nothing says what it cost.
        """
        if usage is None:
            raise RunError(
                f"the model of agent {run.agent_name!r} reports no token usage, so the budget of the run cannot be "
                "kept: let the model report it, or run without budget=",
                kind="node",
            )
        self.spending.answers += 1
        self.spending.tokens += usage.total_tokens or usage.prompt_tokens + usage.completion_tokens
        if self.budget.price is not None:
            self.spending.cost += self.budget.price(usage)
