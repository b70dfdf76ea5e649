"""Messages and options as the body of a request to Anthropic's Messages API. Pure.

Source: https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from eino.components.model import ModelOptions
from eino.errors import InvalidRequestError
from eino.ext.models._anthropic_history import conversation
from eino.ext.models._tool_choice import allowed_names, choice_among
from eino.schema.message import Message
from eino.schema.tool import ToolInfo

__all__ = ["DEFAULT_MAX_TOKENS", "request_body"]

JSON: TypeAlias = dict[str, Any]

DEFAULT_MAX_TOKENS: Final = 4096
"""Most tokens of an answer unless a limit is given: the service demands one, and every model can give as many."""

_PLAIN: Final = ("model", "temperature", "top_p")
"""Options that the request spells as `ModelOptions` does."""


def request_body(
    messages: Sequence[Message], options: ModelOptions, *, stream: bool, system_in_place: bool = False
) -> JSON:
    """Return the body of the request.

    Raises:
        InvalidRequestError: If a message or an option cannot be expressed.
    """
    given = options.wanted()
    fields = dict(given.get("extra_fields", {}))
    for name in ("messages", "stream", "system"):
        if name in fields:
            raise InvalidRequestError(f"extra_fields must not hold {name!r}: it is made of the messages and the call")
    body: JSON = {name: given[name] for name in _PLAIN if name in given}
    body["max_tokens"] = _max_tokens(options, fields)
    system, body["messages"] = conversation(messages, in_place=system_in_place)
    if system:
        body["system"] = system
    if given.get("stop"):
        body["stop_sequences"] = list(given["stop"])
    body |= _tools(options, fields)
    if "response_format" in given:
        config = fields.pop("output_config", {})
        body["output_config"] = {**config, "format": _format(given["response_format"])}
    if stream:
        body["stream"] = True
    return body | fields


def _max_tokens(options: ModelOptions, fields: Mapping[str, Any]) -> int:
    """Return the limit; unless given, what the model may think (`budget_tokens`) comes on top of the usual one."""
    if options.max_tokens is None:
        raise InvalidRequestError("max_tokens is switched off, but this service demands a limit; give a number")
    if isinstance(options.max_tokens, int):
        return options.max_tokens
    thinking = fields.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    return DEFAULT_MAX_TOKENS + (budget if isinstance(budget, int) else 0)


def _format(wanted: Mapping[str, Any]) -> JSON:
    """Return the service's `output_config.format`; OpenAI's envelope is taken off."""
    inner = wanted.get("json_schema")
    if isinstance(inner, Mapping) and "schema" in inner:
        return {"type": "json_schema", "schema": inner["schema"]}
    if wanted.get("type") != "json_schema" or "schema" not in wanted:
        raise InvalidRequestError(
            f"response_format={dict(wanted)!r} cannot be sent: this service takes a JSON schema; "
            "make one with eino.ext.models.anthropic.response_format(YourType)"
        )
    return dict(wanted)


def _tools(options: ModelOptions, fields: JSON) -> JSON:
    """Return tools and choice, and take what concerns them out of `fields`.

    The service cannot restrict the choice to some tools, so only those are offered.
    """
    tools = options.offered_tools
    allowed = allowed_names(options, tools)
    own = list(fields.pop("tools", ()))
    one_at_a_time = fields.pop("disable_parallel_tool_use", None)
    choice = choice_among(options, [*tools, *own])
    offered = [_tool(tool) for tool in tools if not allowed or tool.name in allowed] + own
    if not offered:
        return {}
    if choice is None and one_at_a_time is None:
        return {"tools": offered}
    chosen = _tool_choice(choice, offered)
    if one_at_a_time is not None and chosen["type"] != "none":
        chosen["disable_parallel_tool_use"] = one_at_a_time
    return {"tools": offered, "tool_choice": chosen}


def _tool_choice(choice: str | None, offered: Sequence[JSON]) -> JSON:
    if choice == "forbidden":
        return {"type": "none"}
    if choice != "forced":
        return {"type": "auto"}
    return {"type": "tool", "name": offered[0].get("name")} if len(offered) == 1 else {"type": "any"}


def _tool(tool: ToolInfo) -> JSON:
    """Return a tool; one whose `extra` has a type, such as `web_search_20250305`, is the service's own."""
    if "type" in tool.extra and tool.extra["type"] != "custom":
        return {"name": tool.name, **tool.extra}
    described = {"description": tool.description} if tool.description else {}
    schema = tool.parameters or {"type": "object", "properties": {}}
    return {"name": tool.name, **described, "input_schema": schema, **tool.extra}
