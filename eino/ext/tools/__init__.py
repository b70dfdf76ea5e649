"""Tools that need a library: MCP, HTTP, repair of arguments. Nothing is imported before it is named."""
