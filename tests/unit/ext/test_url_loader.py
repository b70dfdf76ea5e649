"""The loader of web pages, against a server on this machine that is allowed for the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from eino.components import Loader, Source
from eino.errors import (
    BuildError,
    ConnectionFailedError,
    InvalidRequestError,
    PermissionDeniedError,
    RequestTimeoutError,
    ServerError,
)
from eino.ext.documents.url import URLLoader

HERE = ("127.0.0.0/8",)
PAGE = b"<html><title>T</title><body><h1>Hello</h1></body></html>"


def answer(data: bytes, kind: str, status: int = 200) -> tuple[bytes, str, int]:
    return data, kind, status


@contextmanager
def serving(reply: tuple[bytes, str, int], release: threading.Event | None = None) -> Iterator[str]:
    """Answer every GET with `reply`, once `release` is set; yield a URL."""

    class Once(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if release is not None:
                release.wait(10)
                return
            data, kind, status = reply
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Once) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/page"
        finally:
            if release is not None:
                release.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (PAGE, "text/html; charset=utf-8", ["Hello"]),
        (b'["a", "b"]', "application/json", ["a", "b"]),
        (b"<b>as it is</b>", "text/plain", ["<b>as it is</b>"]),
        (b"x", "application/octet-stream", ["x"]),
    ],
    ids=str,
)
async def test_a_page_is_parsed_by_its_content_type(data: bytes, kind: str, expected: list[str]) -> None:
    loader = URLLoader(allowed_networks=HERE)
    with serving(answer(data, kind)) as url:
        found = await loader.load(Source(url))

    assert isinstance(loader, Loader)
    assert [each.content for each in found] == expected
    assert found[0].metadata["_source"] == url
    assert found[0].id.startswith(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://[::1]/", "http://169.254.169.254/latest", "http://10.0.0.1/"]
)
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    with pytest.raises(PermissionDeniedError, match="is not loaded"):
        await URLLoader().load(Source(url))


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///etc/passwd", "no url", ""])
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises((InvalidRequestError, PermissionDeniedError)):
        await URLLoader().load(Source(url))


@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (answer(b"", "text/html", 404), InvalidRequestError, "HTTP 404"),
        (answer(b"", "text/html", 403), PermissionDeniedError, "HTTP 403"),
        (answer(b"", "text/html", 500), ServerError, "HTTP 500"),
        (answer(b"x" * 99, "text/plain"), InvalidRequestError, "larger than max_bytes=50"),
        (answer(b"{", "application/json"), InvalidRequestError, "cannot be read as JSON"),
    ],
    ids=str,
)
async def test_pages_that_cannot_be_loaded_are_named(reply: Any, kind: type[Exception], text: str) -> None:
    with serving(reply) as url, pytest.raises(kind, match=text):
        await URLLoader(allowed_networks=HERE, max_bytes=50).load(Source(url))


async def test_nobody_there_and_too_slow() -> None:
    with pytest.raises(ConnectionFailedError, match="cannot be loaded"):
        await URLLoader(allowed_networks=HERE).load(Source("http://127.0.0.1:9/"))
    with serving(answer(PAGE, "text/html"), threading.Event()) as url, pytest.raises(RequestTimeoutError):
        await URLLoader(allowed_networks=HERE, timeout_s=0.05).load(Source(url))
    with pytest.raises(BuildError, match="timeout_s=0 must be above 0"):
        URLLoader(timeout_s=0)
