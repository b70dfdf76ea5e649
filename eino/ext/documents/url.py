"""A loader of web pages that reaches public addresses only."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import anyio

from eino.components.loader import NO_LOADER_OPTIONS, LoaderOptions, Source
from eino.components.parser import NO_PARSER_OPTIONS, Parser, ParserOptions, TextParser
from eino.errors import (
    BuildError,
    ComponentError,
    ConnectionFailedError,
    InvalidRequestError,
    MissingExtraError,
    PermissionDeniedError,
    RequestTimeoutError,
)
from eino.ext.documents.loaders import MAX_BYTES, with_ids
from eino.ext.documents.parsers import default_parser
from eino.ext.models._http_body import drain
from eino.ext.models._service_errors import Place, status_error
from eino.schema.document import Document

if importlib.util.find_spec("httpx2") is None:
    raise MissingExtraError(
        "eino.ext.documents.url needs the library 'httpx2', which is not installed; pip install \"eino[documents]\"",
        name="httpx2",
    )

import httpx2

from eino.ext.tools._guarded_transport import GuardedTransport, RefusedError
from eino.ext.tools.http import _network

__all__ = ["URLLoader"]

_EXTENSIONS: Final[Mapping[str, str]] = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "application/pdf": ".pdf",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
}
"""The extension that stands for a content type."""


class URLLoader:
    """Loads a web page or file with GET. Private, loopback and link-local addresses are refused, for redirects too.

    The parser is chosen by the content type, else by the extension in the URL. Ids and metadata are as `FileLoader`
    makes them; `_source` is the URL that was asked for.

    Args:
        parser: Makes documents of the bytes, whatever they are; unless given, one for the kind of content.
        headers: Headers of the request; they are not sent on to other hosts.
        allowed_hosts: Names that may be reached, `*.example.org` for all below; None: any.
        allowed_networks: Networks such as `"10.0.0.0/8"` that may be reached although they are not public.
        timeout_s: Longest time for the whole page, in seconds.
        max_bytes: Largest page.
        max_redirects: Most redirects.

    Raises:
        BuildError: If a setting cannot work.
        MissingExtraError: When the module is imported, if `httpx2` is not installed.
    """

    def __init__(
        self,
        parser: Parser | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allowed_networks: Sequence[str] = (),
        timeout_s: float = 30.0,
        max_bytes: int = MAX_BYTES,
        max_redirects: int = 5,
    ) -> None:
        if timeout_s <= 0 or max_bytes < 1 or max_redirects < 0:
            raise BuildError(
                f"timeout_s={timeout_s!r} must be above 0, max_bytes={max_bytes!r} at least 1,"
                f" max_redirects={max_redirects!r} at least 0"
            )
        self._parser = parser
        self._headers = tuple((headers or {}).items())
        self._hosts = None if allowed_hosts is None else tuple(allowed_hosts)
        self._networks = [_network(text) for text in allowed_networks]
        self._timeout_s, self._max_bytes, self._max_redirects = timeout_s, max_bytes, max_redirects

    async def load(self, source: Source, options: LoaderOptions = NO_LOADER_OPTIONS) -> list[Document]:
        """Return the documents of the page.

        Raises:
            PermissionDeniedError: If the address may not be reached, or the server refuses.
            InvalidRequestError: If the URL is none, the page is not there, too large, or cannot be parsed.
            RequestTimeoutError: If it took longer than `timeout_s`.
            ConnectionFailedError: If the server could not be reached, or the answer broke off.
            ComponentError: If the server answered with another error.
        """
        with anyio.move_on_after(self._timeout_s) as scope:
            data, kind = await self._fetch(source.uri)
        if scope.cancelled_caught:
            raise RequestTimeoutError(f"{source.uri!r} did not come within {self._timeout_s:g} s; raise timeout_s=")
        given = options.wanted().get("parser", NO_PARSER_OPTIONS)
        own = given.merge(ParserOptions(uri=given.uri or source.uri))
        parsed = await (self._parser or _parser_for(kind)).parse(data, own)
        named = {"_source": source.uri, "_content_type": kind}
        return with_ids([each.replace(metadata={**named, **each.metadata}) for each in parsed], source.uri)

    async def _fetch(self, url: str) -> tuple[bytes, str]:
        transport = GuardedTransport(
            httpx2.create_ssl_context(trust_env=False),
            hosts=self._hosts,
            networks=self._networks,
            headers=self._headers,
        )
        try:
            async with (
                httpx2.AsyncClient(
                    transport=transport,
                    follow_redirects=True,
                    max_redirects=self._max_redirects,
                    timeout=self._timeout_s,
                    trust_env=False,
                ) as client,
                client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
            ):
                data = b"" if response.status_code >= 400 else await self._body(response, url)
        except RefusedError as error:
            raise PermissionDeniedError(f"{url!r} is not loaded: {error}") from error
        except httpx2.TimeoutException as error:
            raise RequestTimeoutError(
                f"{url!r} did not answer within {self._timeout_s:g} s; raise timeout_s="
            ) from error
        except httpx2.TooManyRedirects as error:
            raise InvalidRequestError(f"{url!r} redirects more than {self._max_redirects} times") from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, ValueError) as error:
            raise InvalidRequestError(f"{url!r} is no web address: {error}; use http or https") from error
        except httpx2.TransportError as error:
            raise ConnectionFailedError(f"{url!r} cannot be loaded: {str(error) or type(error).__name__}") from error
        if response.status_code >= 400:
            raise _failure(response, url)
        return data, response.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def _body(self, response: httpx2.Response, url: str) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":  # it could unpack to more memory than there is
            raise InvalidRequestError(f"{url!r} comes compressed ({encoding}) although that was not asked for")
        data = bytearray()
        pieces = response.aiter_raw()
        try:
            async for piece in pieces:
                data += piece
                if len(data) > self._max_bytes:
                    raise InvalidRequestError(f"{url!r} is larger than max_bytes={self._max_bytes}; raise it")
        finally:  # closed first, then pulled to its end: see `ResponseBody`
            await response.aclose()
            await drain(pieces)
        return bytes(data)


def _failure(response: httpx2.Response, url: str) -> ComponentError:
    found = status_error(response.status_code, response.headers, None, Place("page", urlsplit(url).hostname or ""))
    found.args = (f"{url!r} cannot be loaded: HTTP {response.status_code} {response.reason_phrase}",)
    return found


def _parser_for(kind: str) -> Parser:
    """Return the parser for a content type; for one that says little, the parser goes by the URL."""
    chooser = default_parser()
    if kind in _EXTENSIONS:
        return chooser.parsers[_EXTENSIONS[kind]]
    return TextParser() if kind == "text/plain" else chooser
