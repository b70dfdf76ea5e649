"""A tool that lets a model request web pages and services, and nothing inside the network that it runs in."""

from __future__ import annotations

import importlib.util
import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final

import anyio
from pydantic import Field

from eino.components import FunctionTool, as_tool
from eino.errors import BuildError, MissingExtraError, ToolError
from eino.schema.parts import ImageMedia, ImagePart
from eino.schema.tool import ToolInfo
from eino.schema.tool_result import ToolResult, tool_result

if importlib.util.find_spec("httpx2") is None:
    raise MissingExtraError(
        "eino.ext.tools.http needs the library 'httpx2', which is not installed; pip install \"eino[http]\"",
        name="httpx2",
    )

import httpx2

from eino.ext.tools._guarded_transport import GuardedTransport, RefusedError

__all__ = ["HTTPTool"]

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NOT_FOR_MODELS: Final = {
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
    "upgrade",
    "te",
}
"""Headers that decide where a request goes or how it is framed."""
_TEXT: Final = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")


class HTTPTool:
    """Requests a URL that the model names: `ToolsNode([HTTPTool(allowed_hosts=["api.example.org"])])`.

    Private, loopback, link-local, metadata and other addresses that are not public are refused. The check is made on
    the address that the connection goes to, and again for each redirect. The result is the status line, the content
    type and the body; an image comes as a part. A status of 400 and above is a result too: the model reads it.

    Args:
        name: What models call the tool by.
        description: What models read about it.
        allowed_hosts: Host names that may be requested, `*.example.org` for all below one; None for any.
        allowed_methods: Methods that may be used.
        allowed_networks: Networks that may be reached although they are not public, such as `"10.1.0.0/16"`.
        headers: Sent with each request, not shown to models, not sent to another origin after a redirect.
        timeout_s: For the whole call, redirects included.
        max_bytes: Of the body; what comes after is left out, and the result says so.
        max_redirects: How many are followed.

    Raises:
        BuildError: If a setting is wrong.
    """

    def __init__(
        self,
        *,
        name: str = "http_request",
        description: str = "Send an HTTP request to a public web address and return the answer.",
        allowed_hosts: Sequence[str] | None = None,
        allowed_methods: Sequence[str] = ("GET",),
        allowed_networks: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
        max_bytes: int = 200_000,
        max_redirects: int = 5,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = _checked_hosts(allowed_hosts)
        self._methods = _checked_methods(allowed_methods)
        self._networks = [_network(text) for text in allowed_networks]
        self._headers = tuple((headers or {}).items())
        if timeout_s <= 0 or max_bytes < 1 or max_redirects < 0:
            raise BuildError(
                f"HTTPTool(timeout_s={timeout_s!r}, max_bytes={max_bytes!r}, max_redirects={max_redirects!r}): the time"
                " must be above 0, the size at least 1, the redirects at least 0"
            )
        self._timeout_s, self._max_bytes, self._max_redirects = timeout_s, max_bytes, max_redirects
        self._given_verify = verify
        self._tool: FunctionTool[Any, Any] = as_tool(self._request, name=name, description=description)

    @property
    def info(self) -> ToolInfo:
        """What a model reads about the tool."""
        info = self._tool.info
        schema = dict(info.parameters or {})
        method = {**schema["properties"]["method"], "enum": list(self._methods), "default": self._methods[0]}
        schema["properties"] = {**schema["properties"], "method": method}
        return ToolInfo(name=info.name, description=info.description, json_schema=schema)

    async def run(self, arguments: str) -> str | ToolResult:
        """Return the answer to the request.

        Raises:
            ToolArgumentsError: If the arguments do not fit.
            ToolError: If the request is not allowed, or there was no answer; `retryable` says whether a later try may
                bring one.
        """
        return await self._tool.run(arguments)

    def __repr__(self) -> str:
        return f"HTTPTool({self._tool.name!r})"

    @cached_property
    def _verify(self) -> ssl.SSLContext:
        return self._given_verify or httpx2.create_ssl_context(trust_env=False)

    async def _request(
        self,
        url: Annotated[str, Field(description="The http or https URL.", max_length=8000)],
        method: Annotated[str, Field(description="The HTTP method.")] = "",
        headers: Annotated[dict[str, str] | None, Field(description="Headers of the request.")] = None,
        body: Annotated[str | None, Field(description="Body of the request.")] = None,
    ) -> str | ToolResult:
        chosen = method.upper() or self._methods[0]
        if chosen not in self._methods:
            raise ToolError(f"method {method!r} is not allowed; use {', '.join(self._methods)}")
        for name in headers or {}:
            if name.lower() in _NOT_FOR_MODELS:
                raise ToolError(f"header {name!r} cannot be set; leave it out")
        with anyio.move_on_after(self._timeout_s):
            return await self._answer(url, chosen, headers or {}, body)
        raise _error(f"no complete answer within {self._timeout_s:g} s", retryable=True)

    async def _answer(self, url: str, method: str, headers: dict[str, str], body: str | None) -> str | ToolResult:
        transport = GuardedTransport(self._verify, hosts=self._hosts, networks=self._networks, headers=self._headers)
        # Not compressed: a small answer could otherwise unpack to more memory than there is.
        sent = {"accept-encoding": "identity", **headers}
        try:
            async with (
                httpx2.AsyncClient(
                    transport=transport,
                    follow_redirects=True,
                    max_redirects=self._max_redirects,
                    timeout=self._timeout_s,
                    trust_env=False,
                ) as client,
                client.stream(method, url, headers=sent, content=body) as response,
            ):
                return await self._read(response)
        except RefusedError as error:
            raise _error(str(error), retryable=False) from error
        except httpx2.TooManyRedirects as error:
            raise _error(f"more than {self._max_redirects} redirects", retryable=False) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, ValueError) as error:
            raise _error(f"{url!r:.200} cannot be requested: {error}", retryable=False) from error
        except httpx2.TransportError as error:
            raise _error(f"no answer: {str(error) or type(error).__name__}", retryable=True) from error

    async def _read(self, response: httpx2.Response) -> str | ToolResult:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        head = f"HTTP {response.status_code} {response.reason_phrase}\ncontent-type: {kind or 'unknown'}\n\n"
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return f"{head}(the body is compressed although that was not asked for; it is left out)"
        data, cut = await self._body(response)
        if kind.startswith("image/") and not cut:
            return tool_result(head, ImagePart(image=ImageMedia(base64_data=b64encode(data).decode(), mime_type=kind)))
        if (not _is_text(kind) and b"\0" in data[:1000]) or kind.startswith("image/"):
            return f"{head}(binary data of {'more than ' if cut else ''}{len(data)} bytes; it is left out)"
        text = data.decode(_charset(response), errors="replace")
        return f"{head}{text}" + (f"\n\n(cut after {self._max_bytes} bytes)" if cut else "")

    async def _body(self, response: httpx2.Response) -> tuple[bytes, bool]:
        data = bytearray()
        cut = False
        try:
            # Read to the end, which closing brings about: a library below would leave its generator otherwise.
            async for piece in response.aiter_raw():
                data += piece
                if not cut and len(data) > self._max_bytes:
                    cut = True
                    await response.aclose()
        except (httpx2.StreamError, httpx2.TransportError, anyio.ClosedResourceError):
            if not cut:
                raise
        return bytes(data[: self._max_bytes]), cut


def _error(text: str, *, retryable: bool) -> ToolError:
    error = ToolError(text)
    error.retryable = retryable
    return error


def _is_text(kind: str) -> bool:
    return kind.startswith(_TEXT) or kind.endswith(("+json", "+xml"))


def _charset(response: httpx2.Response) -> str:
    name = response.charset_encoding or "utf-8"
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return "utf-8"
    return name


def _checked_hosts(hosts: Sequence[str] | None) -> tuple[str, ...] | None:
    if hosts is None:
        return None
    if isinstance(hosts, str) or not all(isinstance(host, str) and host and "/" not in host for host in hosts):
        raise BuildError(f"allowed_hosts={hosts!r}: give a list of names such as ['example.org', '*.example.org']")
    return tuple(hosts)


def _checked_methods(methods: Sequence[str]) -> tuple[str, ...]:
    if isinstance(methods, str) or not methods or not set(methods) <= set(_METHODS):
        raise BuildError(f"allowed_methods={methods!r}: give a list of some of {', '.join(_METHODS)}")
    return tuple(methods)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BuildError(f"allowed_networks has {text!r}: {error}; write it as '10.1.0.0/16'") from error
