"""The official SDK as the maker of requests: addresses, headers, keys and tokens are its business.

Its own sending is left alone. On asyncio it prefers aiohttp where that is installed, its locks are asyncio's, so that
tokens of Google Cloud do not work on trio, and its reader drops fields and takes broken streams for whole ones. So
requests go out through `httpx2`, which it uses itself and which runs on both.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from eino._tasks.threads import in_thread
from eino.errors import AuthenticationError, BuildError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["Request", "Sender", "Settings"]

_METHODS: Final[Mapping[bool, str]] = {False: "generateContent", True: "streamGenerateContent?alt=sse"}


_VERSIONED: Final = re.compile(r"//[^/]+(?:/.*)?/v\d+(?:(?:alpha|beta)\d*)?(?:/|$)")
"""An address that has the version of the protocol in it."""


@dataclass(frozen=True)
class Settings:
    """Where the service is, and who asks."""

    api_key: str | None
    base_url: str | None
    api_version: str | None
    headers: Mapping[str, str]
    vertexai: bool | None
    project: str | None
    location: str | None
    credentials: Credentials | None


@dataclass(frozen=True)
class Request:
    """A request that is ready to be sent."""

    url: str
    headers: Mapping[str, str]
    content: bytes


class Sender:
    """Makes requests with a client of the SDK.

    Args:
        settings: What the client is made with.
        api_version: Version of the protocol at the Gemini API, where neither the settings nor the address have one.

    Raises:
        BuildError: If the SDK does not accept the settings, above all without a key.
    """

    def __init__(self, settings: Settings, api_version: str) -> None:
        from google.auth.exceptions import GoogleAuthError
        from google.genai import Client

        try:
            client = Client(
                vertexai=settings.vertexai,
                api_key=settings.api_key,
                credentials=settings.credentials,
                project=settings.project,
                location=settings.location,
                http_options=_options(settings),
            )
        except (ValueError, GoogleAuthError) as error:
            raise BuildError(
                f"the Gemini SDK does not accept the settings: {error}; pass api_key= or set GEMINI_API_KEY (or "
                "GOOGLE_API_KEY), or give vertexai=True, project= and location="
            ) from error
        self._api: Any = client._api_client
        self._lock = threading.Lock()
        if settings.api_version is None and not self._api.vertexai:
            self._api._http_options.api_version = None if _VERSIONED.search(self.base_url) else api_version

    @property
    def base_url(self) -> str:
        """The address that requests go to."""
        return str(self._api._http_options.base_url)

    @property
    def api_key(self) -> str:
        """The key that is sent; empty where a token is."""
        return self._api.api_key or ""

    async def request(self, model: str, body: Mapping[str, Any], *, stream: bool) -> Request:
        """Return the request for a model's answer.

        Raises:
            AuthenticationError: If there is no token, or it cannot be renewed.
        """
        built = self._api._build_request("post", f"{self._path(model)}:{_METHODS[stream]}", {})
        headers = dict(built.headers)
        if self._api.vertexai and not self._api.api_key:
            headers["Authorization"] = f"Bearer {await in_thread(self._token)}"
        return Request(built.url, headers, msgspec.json.encode(body))

    def _path(self, model: str) -> str:
        """Return the path of a model; names with a slash are paths already, in whole or in part."""
        if self._api.vertexai:
            if model.startswith(("projects/", "publishers/", "models/")):
                return model
            publisher, slash, name = model.partition("/")
            return f"publishers/{publisher}/models/{name}" if slash else f"publishers/google/models/{model}"
        return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"

    def _token(self) -> str:
        """Return a token of Google Cloud that is valid now; renewing it is a blocking request."""
        from google.auth.exceptions import GoogleAuthError

        try:
            with self._lock:
                return str(self._api._access_token())
        except (GoogleAuthError, RuntimeError) as error:
            raise AuthenticationError(
                f"there is no token for Vertex AI: {error}; pass credentials=, or log in with `gcloud auth "
                "application-default login`"
            ) from error


def _options(settings: Settings) -> Any:
    """Return the SDK's options; clients that never send keep it from making connections of its own."""
    import httpx2
    from google.genai.types import HttpOptions

    nowhere = httpx2.MockTransport(lambda _: httpx2.Response(500))
    return HttpOptions(
        base_url=settings.base_url,
        api_version=settings.api_version,
        headers=dict(settings.headers),
        httpx_client=httpx2.Client(transport=nowhere),
        httpx_async_client=httpx2.AsyncClient(transport=nowhere),
        async_client_args={"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},  # else it reads all certificates
    )
