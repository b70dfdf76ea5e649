"""A model that uses the tools of an MCP server in a process of its own.

Run it with `python examples/mcp_agent.py`; it needs `pip install "eino[mcp]"` and no network: the model is scripted.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from eino import ToolsNode, tool_call, user_message
from eino.ext.tools.mcp import MCPTools
from eino_fixtures import ScriptedChatModel

SERVER = Path(__file__).resolve().with_name("servers") / "mcp_shop.py"


async def ask() -> str:
    """Ask how many apples there are, and return the answer."""
    model = ScriptedChatModel([tool_call("shop_stock", {"article": "apple"}, id="c1"), "There are 12 apples."])
    async with MCPTools.stdio(sys.executable, [str(SERVER)]) as server:
        node = ToolsNode(await server.tools(prefix="shop_"), on_error="return_to_model")
        asking = model.with_tools(node.tools)
        messages = [user_message("How many apples are there?")]
        while (answer := await asking.generate(messages)).tool_calls:
            results = await node.invoke(answer)
            print(f"{answer.tool_calls[0].name}: {results[0].content}")
            messages += [answer, *results]
    return answer.content


def main() -> str:
    """Run it and print the answer."""
    answer = asyncio.run(ask())
    print(answer)
    return answer


if __name__ == "__main__":
    main()
