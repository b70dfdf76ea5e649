"""The floor: the loop of an agent without a framework, with eino's messages and a typed tool."""

from __future__ import annotations

from agent_work import ANSWER, ARGUMENTS, QUESTION, ROUNDS, added, measure_agent

from eino import Message, assistant_message, tool, tool_call, tool_message, user_message

CALLS = [assistant_message("", [tool_call("add", ARGUMENTS, id=str(each))]) for each in range(ROUNDS)]
DONE = assistant_message(ANSWER)


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return added(a, b)


async def generate(messages: list[Message]) -> Message:
    done = (len(messages) - 1) // 2
    return DONE if done == ROUNDS else CALLS[done]


async def run() -> str:
    messages = [user_message(QUESTION)]
    while (answer := await generate(messages)).tool_calls:
        results = [
            tool_message(await add.run(call.arguments), call.id, tool_name=call.name) for call in answer.tool_calls
        ]
        messages += [answer, *results]
    return answer.content


measure_agent("by hand", run)
