"""The agent with langchain's `create_agent`, the successor of langgraph's `create_react_agent`."""

from __future__ import annotations

from typing import Any

from agent_work import ANSWER, ARGUMENTS, QUESTION, ROUNDS, added, measure_agent
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return added(a, b)


class FiveCalls(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "five calls"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        done = (len(messages) - 1) // 2
        call = {"name": "add", "args": dict(ARGUMENTS), "id": str(done)}
        answer = AIMessage(ANSWER) if done == ROUNDS else AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=answer)])

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any) -> ChatResult:
        return self._generate(messages, stop, None, **more)


agent = create_agent(FiveCalls(), [add])


async def run() -> str:
    state = await agent.ainvoke({"messages": [{"role": "user", "content": QUESTION}]})
    return str(state["messages"][-1].content)


measure_agent("langchain (langgraph)", run, distribution="langchain")
