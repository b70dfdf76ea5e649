"""The agent with the OpenAI Agents SDK, tracing off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from agent_work import ANSWER, ARGUMENTS, QUESTION, ROUNDS, added, measure_agent
from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

set_tracing_disabled(True)


@function_tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return added(a, b)


class FiveCalls(Model):
    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002
        done = 0 if isinstance(input, str) else (len(input) - 1) // 2
        return ModelResponse(output=[answered() if done == ROUNDS else called(done)], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("this workload does not stream")


def called(done: int) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        arguments=json.dumps(ARGUMENTS), call_id=str(done), name="add", type="function_call", id=f"f{done}"
    )


def answered() -> ResponseOutputMessage:
    text = ResponseOutputText(text=ANSWER, type="output_text", annotations=[])
    return ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")


agent = Agent(name="helper", tools=[add], model=FiveCalls())
config = RunConfig(tracing_disabled=True)


async def run() -> str:
    return str((await Runner.run(agent, QUESTION, run_config=config)).final_output)


measure_agent("openai-agents", run, distribution="openai-agents")
