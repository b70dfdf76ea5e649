"""What a ReAct agent keeps of its conversation, and which of several direct answers counts."""

from __future__ import annotations

from eino import Message, system_message, tool, tool_call, user_message
from eino.flow import ReactAgent
from eino_fixtures import ScriptedChatModel

LOOK = tool_call("look", {"at": "sky"}, id="1")


@tool
async def look(at: str) -> str:
    """Look at something."""
    return f"the {at} is blue"


@tool
async def listen(to: str) -> str:
    """Listen to something."""
    return f"the {to} sings"


async def test_what_a_modifier_does_to_its_list_is_not_remembered() -> None:
    """It may change the list in place: that is the model's view, call by call."""

    def prompted(messages: list[Message]) -> list[Message]:
        messages.insert(0, system_message("Be brief."))
        return messages

    model = ScriptedChatModel([LOOK, "Blue."])
    agent = ReactAgent(model=model, tools=[look], message_modifier=prompted)

    await agent.generate([user_message("Which colour?")])

    roles = [[str(message.role) for message in call.messages] for call in model.calls]
    assert roles == [["system", "user"], ["system", "user", "assistant", "tool"]]


async def test_of_several_direct_answers_in_one_message_the_first_counts() -> None:
    calls = [tool_call("listen", {"to": "bird"}, id="b"), tool_call("look", {"at": "sea"}, id="a")]
    agent = ReactAgent(model=ScriptedChatModel([calls]), tools=[look, listen], return_directly={"look", "listen"})

    answer = await agent.generate([user_message("What is there?")])

    assert answer.content == "the bird sings"
