"""An agent with tools, and everything that a model does wrong with them.

Typed functions are tools; calls of one message run beside each other; arguments that are almost JSON are repaired;
wrong ones, failures and tools that do not exist are told to the model, which corrects itself; `send_receipt` answers
directly. Run it with `python examples/tools_and_react.py`; needs `pip install "eino[repair]"`.
"""

from __future__ import annotations

import asyncio

from eino import Message, ToolCall, assistant_message, tool, tool_call
from eino.adk import ChatModelAgent, Middleware, Runner
from eino.components.tools import Tool
from eino.compose.tools_node import ToolInput, ToolNext, ToolOutput
from eino.ext.tools.repair import repair_arguments
from eino.schema import FunctionCall
from eino_fixtures import ScriptedChatModel

PRICES = {"tea": 3, "cake": 5}


@tool
async def get_price(item: str) -> int:
    """Return the price of an item in euros.

    Args:
        item: Name of the item.
    """
    if item not in PRICES:
        raise ValueError(f"no {item!r} here; there is {', '.join(PRICES)}")
    return PRICES[item]


@tool
async def add(numbers: list[int]) -> int:
    """Add numbers.

    Args:
        numbers: The numbers.
    """
    return sum(numbers)


@tool
async def send_receipt(total: int) -> str:
    """Send the receipt; what this returns goes to the customer as it is.

    Args:
        total: The sum in euros.
    """
    return f"Receipt: {total} euros. Thank you!"


class Repaired(Middleware):
    """Repairs arguments that are almost JSON before the tool reads them."""

    async def wrap_tool(self, call: ToolInput, next: ToolNext) -> ToolOutput:  # noqa: A002 - the hook's word
        """Return the result of the call."""
        return await repair_arguments(call, next)


def sloppy_call(name: str, arguments: str, call_id: str) -> Message:
    """Return a message with a call whose arguments are written as models write them on bad days."""
    return assistant_message("", [ToolCall(id=call_id, function=FunctionCall(name=name, arguments=arguments))])


def make_model() -> ScriptedChatModel:
    """Return a model that makes every mistake once."""
    return ScriptedChatModel(
        [
            [  # two calls beside each other, one of them hopeless
                tool_call("get_price", {"item": "tea"}, id="1"),
                tool_call("get_price", {"item": "beer"}, id="2"),
            ],
            tool_call("get_cost", {"item": "cake"}, id="3"),  # there is no such tool
            tool_call("get_price", {"item": ["cake"]}, id="4"),  # the argument is no text
            tool_call("get_price", {"item": "cake"}, id="5"),
            sloppy_call("add", "{'numbers': [3, 5,]", "6"),  # no JSON
            tool_call("send_receipt", {"total": 8}, id="7"),
        ]
    )


def make_agent(model: ScriptedChatModel) -> ChatModelAgent:
    """Return the agent."""
    tools: list[Tool] = [get_price, add, send_receipt]
    return ChatModelAgent(
        name="shop",
        instruction="You sell tea and cake.",
        model=model,
        tools=tools,
        return_directly=["send_receipt"],
        tool_error_policy="return_to_model",
        on_unknown_tool=lambda name, _: f"There is no tool {name}. Use {', '.join(each.info.name for each in tools)}.",
        middlewares=[Repaired()],
        max_iterations=10,
    )


async def buy(wish: str) -> str:
    """Give the agent a wish, print what it does, and return its answer."""
    model = make_model()
    async with Runner(make_agent(model)).query(wish) as events:
        async for event in events:
            if event.error is not None:
                raise event.error
            if event.message is not None:
                show(await event.message.get())
        answer = await events.answer()
    model.assert_complete()
    return answer.content


def show(message: Message) -> None:
    """Print a message: the calls of the model, the results of tools, or the answer."""
    for call in message.tool_calls:
        print(f"-> {call.name} {call.arguments}")
    if message.content:
        first, *rest = message.content.splitlines()
        print(f"<- {message.tool_name}: {first}{' ...' if rest else ''}" if message.role == "tool" else message.content)


def main() -> str:
    """Run the example and return the agent's answer."""
    return asyncio.run(buy("One tea and one cake, please."))


if __name__ == "__main__":
    main()
