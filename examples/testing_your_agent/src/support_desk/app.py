"""The desk over HTTP: `python -m support_desk.app --port 8000`; `--fake-model` answers without a provider."""

from __future__ import annotations

import argparse
import os
import socket

import uvicorn

from eino import assistant_message, tool_call
from eino.components import ChatModel, ModelOptions
from eino.schema import Message
from eino.serve import create_app
from support_desk.agent import build_desk


def real_model() -> ChatModel:
    """Return the model that answers customers; the key comes from OPENAI_API_KEY."""
    from eino.ext.models.openai import OpenAIChatModel

    return OpenAIChatModel(model="gpt-4o-mini", api_key=os.environ["OPENAI_API_KEY"])


def fake_model() -> ChatModel:
    """Return a model that looks up order A1 and answers, at the pace of a provider: for load tests."""
    from eino_fixtures import ByWord, FunctionChatModel

    def answer(messages: list[Message], options: ModelOptions) -> Message:
        if messages[-1].role == "tool":
            return assistant_message(f"Your order is {messages[-1].content}.")
        return assistant_message("", tool_calls=[tool_call("order_status", {"order_id": "A1"}, id="call_1")])

    return FunctionChatModel(answer, chunks=ByWord(), first_delay_s=0.02, delay_s=0.002)


def main() -> None:
    """Serve the desk on loopback until told to stop."""
    parser = argparse.ArgumentParser(prog="support_desk.app", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--fake-model", action="store_true", help="answer without a provider")
    given = parser.parse_args()
    desk = build_desk(fake_model() if given.fake_model else real_model())
    listener = socket.create_server(("127.0.0.1", given.port))
    print(f"ready on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(create_app({"desk": desk}), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
