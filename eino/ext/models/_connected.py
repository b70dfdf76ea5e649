"""What the chat models of all providers share: settings, connections, and copies that may call tools."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from eino.components._closing import Closing
from eino.components.model import ModelOptions, ToolLike
from eino.errors import InvalidRequestError
from eino.ext.models._clients import Clients
from eino.ext.models._service_errors import Place

__all__ = ["ConnectedModel"]


class ConnectedModel(Closing):
    """Base of chat models that a service answers for."""

    _options: ModelOptions
    _clients: Clients[Any]
    _host: str
    """What error texts call the service."""
    _secrets: tuple[str, ...] = ()
    """What error texts must not contain."""
    _key_hint: ClassVar[str] = Place.key_hint
    """What error texts say about a key that is not accepted."""

    def __repr__(self) -> str:
        offered = self._options.offered_tools
        tools = f", tools={[tool.name for tool in offered]!r}" if offered else ""
        return f"{type(self).__name__}(model={self._options.model!r}, host={self._host!r}{tools})"

    async def aclose(self) -> None:
        """Close the connections that the running event loop opened, also those of copies made with `with_tools`."""
        await self._clients.aclose()

    def with_tools(self, tools: Sequence[ToolLike]) -> Self:
        """Return a copy that may call `tools`; it shares the connections.

        Raises:
            TypeError: If one is no tool.
            ValueError: If one has no name, or two have the same one.
        """
        twin = copy.copy(self)
        twin._options = self._options.merge(ModelOptions(tools=tools))
        return twin

    def _asked(self, options: ModelOptions) -> tuple[Place, ModelOptions]:
        """Return whom a call asks, and with which options: its own go over those of the model.

        Raises:
            InvalidRequestError: If no model is named.
        """
        merged = self._options.merge(options)
        if not merged.model:
            raise InvalidRequestError("the options switch the model's name off; a request needs one")
        return Place(str(merged.model), self._host, self._secrets, self._key_hint), merged
