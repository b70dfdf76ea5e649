"""The chat agent: a model and its tools in a loop, with hooks, retries, stand-ins and typed answers."""
