"""What `locust -f loadtests` drives by default: a chat graph over HTTP, with a model that answers at a known pace.

The model is a fake that waits as a provider would: 20 ms until the first token and 2 ms between tokens, so that what
is measured above that is the cost of the framework, the server and the machine. Runs as a process of its own:
`python -m eino_harness.load.target --port 8090`.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any

from eino import Chain, ChatTemplate, Message, Runnable, system_message, user_message
from eino.components import ModelOptions
from eino_fixtures import ByWord, FunctionChatModel

__all__ = ["FIRST_TOKEN_S", "NEXT_TOKEN_S", "TOKENS", "build_graph", "main"]

FIRST_TOKEN_S = 0.02
NEXT_TOKEN_S = 0.002
TOKENS = 20

_READY = "ready on "


def answer(_messages: Sequence[Message], _options: ModelOptions) -> str:
    """Return as many words as the target's answers have."""
    return " ".join(f"word{number}" for number in range(TOKENS))


def build_graph() -> Runnable[dict[str, Any], Message]:
    """Return the graph under load: a template and a model."""
    model = FunctionChatModel(answer, chunks=ByWord(), first_delay_s=FIRST_TOKEN_S, delay_s=NEXT_TOKEN_S)
    template = ChatTemplate.from_messages(system_message("You answer in {language}."), user_message("{question}"))
    chain = Chain[dict[str, Any], Message]().append_chat_template(template).append_chat_model(model)
    return chain.compile(name="chat")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the graph on loopback until the process is told to stop; print the address when it accepts connections."""
    parser = argparse.ArgumentParser(prog="eino_harness.load.target", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    port: int = parser.parse_args(arguments).port

    import uvicorn

    from eino.serve import create_app

    listener = socket.create_server(("127.0.0.1", port))
    print(f"{_READY}http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201 - whoever starts it waits
    config = uvicorn.Config(create_app({"chat": build_graph()}), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
