"""The HTTP tool against a real server on the loopback, which has to be allowed first."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest

from eino.errors import BuildError, ToolArgumentsError, ToolError
from eino.ext.tools._guarded_transport import refusal
from eino.ext.tools.http import HTTPTool
from eino.schema import ToolResult

ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/text": (200, {"content-type": "text/plain; charset=latin-1"}, "größer".encode("latin-1")),
    "/odd": (200, {"content-type": "text/plain; charset=nope"}, b"odd"),
    "/missing": (404, {"content-type": "application/json"}, b'{"error": "none"}'),
    "/long": (200, {"content-type": "text/plain"}, b"x" * 5000),
    "/image": (200, {"content-type": "image/png"}, b"\x89PNG"),
    "/binary": (200, {"content-type": "application/zip"}, b"PK\0\0"),
    "/packed": (200, {"content-type": "text/plain", "content-encoding": "gzip"}, b"bomb"),
    "/inside": (302, {"location": "http://169.254.169.254/latest/meta-data"}, b""),
    "/elsewhere": (302, {"location": "/echo"}, b""),
    "/loop": (302, {"location": "/loop"}, b""),
    "/file": (302, {"location": "file:///etc/passwd"}, b""),
}


class Handler(BaseHTTPRequestHandler):
    """Gives `ANSWERS`; `/echo` tells what arrived."""

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length", 0))
        status, headers, body = ANSWERS.get(self.path, (200, {"content-type": "application/json"}, b""))
        if self.path not in ANSWERS:
            sent = {name.lower(): value for name, value in self.headers.items()}
            body = json.dumps([self.command, sent, self.rfile.read(size).decode()]).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that the library calls

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def local(**settings: Any) -> HTTPTool:
    return HTTPTool(allowed_networks=["127.0.0.0/8"], **settings)


async def ask(tool: HTTPTool, url: str, **more: object) -> str:
    return str(await tool.run(json.dumps({"url": url, **more})))


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        ("/text", "HTTP 200 OK\ncontent-type: text/plain\n\ngrößer"),
        ("/odd", "\n\nodd"),
        ("/missing", 'HTTP 404 Not Found\ncontent-type: application/json\n\n{"error": "none"}'),
        ("/long", "\n\n" + "x" * 1000 + "\n\n(cut after 1000 bytes)"),
        ("/binary", "(binary data of 4 bytes; it is left out)"),
        ("/packed", "(the body is compressed although that was not asked for; it is left out)"),
    ],
)
async def test_the_model_reads_the_answer(server: str, path: str, ends: str) -> None:
    assert (await ask(local(max_bytes=1000), server + path)).endswith(ends)


async def test_an_image_is_a_part(server: str) -> None:
    result = await local().run(json.dumps({"url": server + "/image"}))

    assert isinstance(result, ToolResult)
    image: Any = result.to_user_parts()[1]
    assert (image.image.base64_data, image.image.mime_type) == ("iVBORw==", "image/png")


async def test_method_headers_and_body_arrive(server: str) -> None:
    tool = local(allowed_methods=["GET", "POST"], headers={"X-Key": "secret"})
    text = await ask(tool, server + "/echo", method="post", headers={"x-mine": "1"}, body="hi")

    method, headers, body = json.loads(text.partition("\n\n")[2])
    assert (method, headers["x-key"], headers["x-mine"], body) == ("POST", "secret", "1", "hi")
    assert headers["host"] == server.removeprefix("http://")
    assert "secret" not in repr(tool) + str(tool.info)


async def test_a_redirect_at_home_is_followed_with_the_headers(server: str) -> None:
    text = await ask(local(headers={"X-Key": "secret"}), server + "/elsewhere")

    assert json.loads(text.partition("\n\n")[2])[1]["x-key"] == "secret"


async def test_headers_of_the_program_stay_at_home(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/away", (302, {"location": server + "/echo"}, b""))
    with ThreadingHTTPServer(("127.0.0.2", 0), Handler) as second:
        thread = threading.Thread(target=second.handle_request)
        thread.start()
        other = f"http://127.0.0.2:{second.server_address[1]}"
        text = await ask(local(headers={"X-Key": "secret"}), other + "/away")
        thread.join()

    assert "x-key" not in json.loads(text.partition("\n\n")[2])[1]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/inside", "169.254.169.254, a link-local address"),
        ("/loop", "more than 5 redirects"),
        ("/file", "only http and https"),
    ],
)
async def test_redirects_are_checked(server: str, path: str, says: str) -> None:
    with pytest.raises(ToolError, match=says) as caught:
        await ask(local(), server + path)
    assert not caught.value.retryable


@pytest.mark.allow_network(hosts=["2130706433", "0x7f.1", "0.0.0.0"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_the_own_machine_is_refused(host: str) -> None:
    with pytest.raises(ToolError, match="only public addresses can be requested"):
        await ask(HTTPTool(), f"http://{host}:1/")


async def test_the_connection_goes_to_the_address_that_was_checked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that changes its answer (DNS rebinding) is asked once."""
    asked = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    text = await ask(local(), server.replace("127.0.0.1", "example.test") + "/echo")

    assert json.loads(text.partition("\n\n")[2])[1]["host"].startswith("example.test:")
    assert asked == ["example.test"]


async def test_one_private_address_of_several_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    with pytest.raises(ToolError, match=r"10\.0\.0\.1, a private address"):
        await ask(HTTPTool(), "http://example.test/")


@pytest.mark.parametrize(
    ("settings", "call", "says"),
    [
        ({}, {"url": "ftp://a/"}, "only http and https"),
        ({}, {"url": "http://u:p@a/"}, "carries a user name"),
        ({}, {"url": "nothing"}, "only http and https"),
        ({}, {"url": "http://a:99999/"}, "port 99999 does not exist|cannot be requested"),
        ({}, {"url": "http://a/", "method": "PUT"}, "method 'PUT' is not allowed; use GET"),
        ({}, {"url": "http://a/", "headers": {"Host": "b"}}, "header 'Host' cannot be set"),
        ({"allowed_hosts": ["*.a.org"]}, {"url": "http://a.org/"}, r"host 'a.org' is not allowed; allowed: \*.a.org"),
    ],
)
async def test_requests_that_are_not_allowed(settings: Any, call: Any, says: str) -> None:
    with pytest.raises(ToolError, match=says) as caught:
        await HTTPTool(**settings).run(json.dumps(call))
    assert not caught.value.retryable


async def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ToolArgumentsError, match="url: missing"):
        await HTTPTool().run("{}")


async def test_no_server_may_be_tried_again() -> None:
    with pytest.raises(ToolError, match="no answer") as caught:
        await ask(local(), "http://127.0.0.1:1/")
    assert caught.value.retryable


async def test_a_server_that_says_nothing() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent:
        port = silent.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(ToolError, match=r"no complete answer within 0.1 s|no answer") as caught:
            await ask(local(timeout_s=0.1), f"http://127.0.0.1:{port}/")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_hosts": "a.org"},
        {"allowed_hosts": ["http://a.org"]},
        {"allowed_methods": ["FETCH"]},
        {"allowed_methods": []},
        {"allowed_networks": ["10.0.0.1/8"]},
        {"timeout_s": 0},
        {"max_bytes": 0},
        {"name": "not a name"},
    ],
)
def test_wrong_settings(settings: Any) -> None:
    with pytest.raises(BuildError):
        HTTPTool(**settings)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "224.0.0.1",
        "192.0.0.192",
        "192.88.99.1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:a00:1::",
        "2001:0:1::1",
        "::127.0.0.1",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is not None
