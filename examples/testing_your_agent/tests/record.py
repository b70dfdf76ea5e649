"""Records the cassette of test_recorded.py against a provider of our own: `python tests/record.py`.

The server speaks OpenAI's format over real HTTP; in the file its address is replaced by the provider's.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from support_desk import build_desk

from eino import tool_call
from eino.ext.models.openai import OpenAIChatModel
from eino_fixtures import Answer, ByToken, ProviderServer, use_cassette

CASSETTE = Path(__file__).parent / "cassettes" / "test_recorded" / "where_is_a1.yaml"


async def ask(base_url: str) -> str:
    """Ask the desk once."""
    async with OpenAIChatModel(model="gpt-4o-mini", api_key="sk-not-a-key", base_url=base_url) as model:
        return "".join([chunk async for chunk in build_desk(model).stream("Where is my order A1?")])


def main() -> str:
    """Record, and return the answer."""
    CASSETTE.unlink(missing_ok=True)
    call = Answer([tool_call("order_status", {"order_id": "A1"}, id="call_1")], ByToken())
    answer = Answer("Your order A1 is on its way and arrives tomorrow.", ByToken())
    with ProviderServer([call, answer]) as server:
        hosts = {server.url: "https://api.openai.com"}
        with use_cassette(CASSETTE, record_mode="once", rewrite_hosts=hosts):
            return asyncio.run(ask(server.openai_url))


if __name__ == "__main__":
    print(main())
