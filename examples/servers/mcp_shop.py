"""An MCP server with a few tools, on the official SDK: `python mcp_shop.py` speaks stdio, with a port HTTP.

`examples/mcp_agent.py` starts it. Needs `pip install "eino[mcp]"`.
"""

from __future__ import annotations

import sys

from mcp.server.mcpserver import Image, MCPServer

server = MCPServer("shop")
STOCK = {"apple": 12, "pear": 0}


@server.tool()
def stock(article: str) -> int:
    """How many pieces of an article are there."""
    if article not in STOCK:
        raise ValueError(f"no article {article!r}; there are {', '.join(STOCK)}")
    return STOCK[article]


@server.tool()
def label(article: str) -> Image:
    """The label of an article, as a picture."""
    return Image(data=article.encode(), format="png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
