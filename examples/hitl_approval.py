"""A person decides: an agent stops before it acts, and another process goes on with the answers, from an SQLite file.

The agent wants to send two mails at once. The first process stores the run and ends; the second one knows nothing but
the file and the id of the run: one mail is edited before it is sent, one is refused. Run it with
`python examples/hitl_approval.py`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eino import Message, ModelOptions, tool, tool_call
from eino.adk import ApprovalRequest, ChatModelAgent, EventStream, Runner, approval
from eino.ext.stores.sqlite import SQLiteStore
from eino_fixtures import FunctionChatModel

RUN = "mails-1"


@tool
async def send_mail(to: str, text: str) -> str:
    """Send a mail.

    Args:
        to: Who gets it.
        text: What it says.
    """
    return f"sent to {to}: {text}"


def reply(messages: Sequence[Message], _: ModelOptions) -> Any:
    """Play the model, which knows nothing but the conversation: the same in every process."""
    results = [each.content for each in messages if each.role == "tool"]
    if not results:
        return [
            tool_call("send_mail", {"to": "all@example.com", "text": "We move on Friday."}, id="1"),
            tool_call("send_mail", {"to": "press@example.com", "text": "We move on Friday."}, id="2"),
        ]
    return f"{sum(each.startswith('sent') for each in results)} of {len(results)} mails are sent."


def make_runner(store: SQLiteStore) -> Runner:
    """Return the runner; each process makes its own."""
    secretary = ChatModelAgent(name="secretary", model=FunctionChatModel(reply), tools=[approval(send_mail)])
    return Runner(secretary, checkpoint_store=store)


async def begin(path: str) -> list[str]:
    """Run until a person is asked; return the addresses of the questions."""
    async with SQLiteStore(path) as store, make_runner(store).query("Tell everybody.", checkpoint_id=RUN) as events:
        return await questions_of(events)


async def go_on(path: str, answers: Mapping[str, Any]) -> str:
    """Go on with the stored run; return the answer, or what is asked now."""
    async with SQLiteStore(path) as store, make_runner(store).resume(RUN, answers) as events:
        left = await questions_of(events)
        return f"still asks at {', '.join(left)}" if left else (await events.answer()).content


async def questions_of(events: EventStream) -> list[str]:
    """Print the events; return the addresses at which the run stopped."""
    asked: list[str] = []
    async for event in events:
        if event.error is not None:
            raise event.error
        if event.message is not None and (message := await event.message.get()).content:
            print(f"{message.role}: {message.content}")
        if event.action is not None and event.action.interrupted is not None:
            for context in event.action.interrupted.contexts:
                request = context.info
                assert isinstance(request, ApprovalRequest)
                print(f"{context.address_text}: may I call {request.tool_name} with {request.arguments}?")
                asked.append(context.address_text)
    return asked


def main() -> str:
    """Run the example in two processes and return the agent's answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "runs.db")
        first, second = asyncio.run(begin(path))
        edited = {"to": "team@example.com", "text": "We move on Friday at nine."}
        answers = {
            first: {"approved": True, "arguments": edited},
            second: {"approved": False, "reason": "the press is not to know yet"},
        }
        command = [sys.executable, str(Path(__file__).resolve()), path, json.dumps(answers)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - this very file
    print(printed, end="")
    return printed.splitlines()[-1]


if __name__ == "__main__":
    if len(sys.argv) == 3:  # the second process
        print(asyncio.run(go_on(sys.argv[1], json.loads(sys.argv[2]))))
    else:
        main()
