"""What the desk costs on top of its model and its tools: `pytest --benchmark`."""

import json

import pytest
from support_desk import build_desk, order_status

from eino import assistant_message, tool_call, tool_message, user_message

CALL = assistant_message("", tool_calls=[tool_call("order_status", {"order_id": "A1"}, id="1")])
ANSWER = assistant_message("It arrives tomorrow.")


class TwoCalls:
    """A model that calls a tool and answers, as fast as a function can."""

    def with_tools(self, tools):
        return self

    async def generate(self, messages, options=None):
        return ANSWER if messages[-1].role == "tool" else CALL

    async def stream(self, messages, options=None):
        yield await self.generate(messages, options)


@pytest.mark.workload("DESK", "one question: model, tool, model", gate_ratio=25.0)
def test_one_question(abenchmark):
    """What does one question cost? The floor is the same by hand: a gate that the desk must stay below."""
    model = TwoCalls()
    desk = build_desk(model)

    async def by_hand(text):
        messages = [user_message(text)]
        call = (await model.generate(messages)).tool_calls[0]
        result = await order_status.run(json.dumps(json.loads(call.arguments)))
        return (await model.generate([*messages, tool_message(result, call.id)])).content

    done = abenchmark.compare(subject=lambda: desk.invoke("Where is A1?"), floor=lambda: by_hand("Where is A1?"))
    assert done.subject == done.floor == "It arrives tomorrow."
