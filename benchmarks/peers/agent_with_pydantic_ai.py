"""The agent with pydantic-ai."""

from __future__ import annotations

from typing import Any

from agent_work import ANSWER, ARGUMENTS, QUESTION, ROUNDS, added, measure_agent
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel


async def five_calls(messages: list[Any], info: Any) -> ModelResponse:
    done = (len(messages) - 1) // 2
    if done == ROUNDS:
        return ModelResponse(parts=[TextPart(ANSWER)])
    return ModelResponse(parts=[ToolCallPart("add", dict(ARGUMENTS), tool_call_id=str(done))])


agent = Agent(FunctionModel(five_calls))


@agent.tool_plain
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return added(a, b)


async def run() -> str:
    return str((await agent.run(QUESTION)).output)


measure_agent("pydantic-ai", run, distribution="pydantic-ai-slim")
