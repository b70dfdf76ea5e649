"""What the guard of this very test run stops, on every way out that Python code has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import trio
import uvloop

from eino_harness import _network
from eino_harness._network import NetworkGuard, find_blocked
from eino_harness._network_policy import EVERYTHING, HostPolicy
from eino_harness.errors import NetworkBlockedError

ELSEWHERE = "203.0.113.7"  # documentation address: RFC 5737
NAME = "api.example.com"

blocked = pytest.raises(NetworkBlockedError)


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        yield opened


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        yield opened


def test_the_error_names_the_host_and_the_remedy(tcp: socket.socket) -> None:
    with pytest.raises(NetworkBlockedError) as caught:
        tcp.connect((ELSEWHERE, 443))

    text = str(caught.value)
    assert f"tried to connect to '{ELSEWHERE}'" in text
    assert "scripted model" in text
    assert "@pytest.mark.allow_network(hosts=[...])" in text
    assert (caught.value.address, caught.value.action) == (ELSEWHERE, "connect to")
    assert not isinstance(caught.value, OSError)


def test_sockets_are_blocked(tcp: socket.socket, udp: socket.socket) -> None:
    with blocked:
        tcp.connect_ex((ELSEWHERE, 443))
    with blocked:
        udp.sendto(b"?", (ELSEWHERE, 53))
    with blocked:
        udp.sendto(b"?", 0, (ELSEWHERE, 53))
    with blocked:
        udp.sendmsg([b"?"], [], 0, (ELSEWHERE, 53))
    with blocked:
        socket.create_connection((ELSEWHERE, 443))


@pytest.mark.parametrize("lookup", ["getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"])
def test_name_look_ups_are_blocked(lookup: str) -> None:
    arguments: tuple[Any, ...] = (NAME, 443) if lookup == "getaddrinfo" else (NAME,)

    with pytest.raises(NetworkBlockedError, match=f"tried to look up '{NAME}'"):
        getattr(socket, lookup)(*arguments)
    with blocked:
        socket.getaddrinfo(NAME.encode(), 443)


def test_what_needs_no_look_up_is_left_alone() -> None:
    assert socket.getaddrinfo(ELSEWHERE, 443)
    assert socket.getaddrinfo(None, 443)
    assert socket.gethostbyname("localhost").startswith("127.")


def test_loopback_and_unix_sockets_work(tcp: socket.socket, udp: socket.socket) -> None:
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    with socket.create_connection(tcp.getsockname()):
        accepted, _ = tcp.accept()
        accepted.close()
    assert udp.sendto(b"?", tcp.getsockname()) == 1
    left, right = socket.socketpair()
    with left, right:
        assert left.sendmsg([b"?"]) == 1
        assert right.recv(1) == b"?"


@pytest.mark.parametrize("host", [ELSEWHERE, NAME])
async def test_anyio_is_blocked_and_the_error_arrives_bare(host: str) -> None:
    """Not inside the exception group of the task group that tries several addresses."""
    with blocked:
        await anyio.connect_tcp(host, 443)
    with blocked:
        await anyio.connect_tcp(remote_host=host, remote_port=443)


async def test_anyio_datagrams_are_blocked() -> None:
    with blocked:
        async with await anyio.create_connected_udp_socket(ELSEWHERE, 53):
            pass
    with blocked:
        async with await anyio.create_udp_socket(family=socket.AF_INET) as opened:
            await opened.sendto(b"?", ELSEWHERE, 53)


async def test_anyio_datagrams_on_loopback_work() -> None:
    async with await anyio.create_udp_socket(family=socket.AF_INET, local_host="127.0.0.1") as opened:
        port = opened.extra(anyio.abc.SocketAttribute.local_port)
        await opened.sendto(b"?", "127.0.0.1", port)
        assert (await opened.receive())[0] == b"?"


@pytest.fixture(params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as opened:
        yield opened


def test_the_loops_own_methods_are_blocked(runner: asyncio.Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with blocked:
            await loop.create_connection(asyncio.Protocol, ELSEWHERE, 443)
        with blocked:
            await loop.create_connection(asyncio.Protocol, NAME, 443)
        with blocked:
            await loop.getaddrinfo(NAME, 443)
        with blocked:
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(ELSEWHERE, 53))
        with socket.socket() as sock:
            sock.setblocking(False)
            with blocked:
                await loop.sock_connect(sock, (ELSEWHERE, 443))

    runner.run(main())


def test_the_loops_own_methods_reach_this_machine(runner: asyncio.Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            transport, _ = await loop.create_connection(
                asyncio.Protocol, "localhost", address[1], family=socket.AF_INET
            )
            transport.close()
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
            assert await loop.getaddrinfo("localhost", 80)
            endpoint, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
            endpoint.close()
            await asyncio.sleep(0)

    runner.run(main())


def test_uvloops_datagram_sockets_must_be_bound_to_loopback() -> None:
    """It sends in C, where nobody can look at the address."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NetworkBlockedError, match="open a datagram socket to 'any host'"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("0.0.0.0", 0))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_trio_is_blocked() -> None:
    async def main() -> None:
        with blocked:
            await trio.open_tcp_stream(ELSEWHERE, 443)
        with blocked:
            await trio.socket.getaddrinfo(NAME, 443)
        with trio.socket.socket(type=socket.SOCK_DGRAM) as opened, blocked:
            await opened.sendto(b"?", (ELSEWHERE, 53))
        with trio.socket.socket() as opened, blocked:
            await opened.connect((ELSEWHERE, 443))

    trio.run(main)


async def test_an_http_client_shows_the_error() -> None:
    httpx = pytest.importorskip("httpx")
    async with httpx.AsyncClient(trust_env=False) as client:
        with blocked:
            await client.get(f"http://{ELSEWHERE}/")
        with blocked:
            await client.get(f"http://{NAME}/")


@pytest.fixture
def own_guard() -> Iterator[NetworkGuard]:
    """A second guard inside the session's one; the innermost judges."""
    guard = NetworkGuard(HostPolicy())
    guard.install()
    yield guard
    guard.uninstall()


def test_a_policy_holds_inside_its_block(own_guard: NetworkGuard) -> None:
    with own_guard.using(EVERYTHING):
        own_guard.check(ELSEWHERE, "connect to")
    with blocked:
        own_guard.check(ELSEWHERE, "connect to")


def test_the_addresses_of_a_permitted_name_are_permitted(own_guard: NetworkGuard) -> None:
    own_guard.learn([(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ELSEWHERE, 443))])

    own_guard.check(ELSEWHERE, "connect to")
    with blocked:
        own_guard.check("203.0.113.8", "connect to")


def test_looking_up_this_machine_teaches_its_addresses(own_guard: NetworkGuard) -> None:
    found = socket.getaddrinfo("localhost", 80)

    assert own_guard._resolved == {str(entry[4][0]) for entry in found}


def test_uninstalling_puts_everything_back() -> None:
    before = (
        socket.socket.connect,
        socket.getaddrinfo,
        uvloop.Loop.create_connection,
        anyio.connect_tcp,
        trio.open_tcp_stream,
    )
    guard = NetworkGuard(HostPolicy())

    guard.install()
    assert socket.getaddrinfo is not before[1]
    guard.uninstall()

    assert before == (
        socket.socket.connect,
        socket.getaddrinfo,
        uvloop.Loop.create_connection,
        anyio.connect_tcp,
        trio.open_tcp_stream,
    )


def test_functions_that_code_kept_pass_once_no_guard_is_active(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = socket.getaddrinfo
    monkeypatch.setattr(_network, "_active", [])

    assert kept("localhost", 80)


def test_the_error_is_found_wherever_it_hides() -> None:
    error = NetworkBlockedError(NAME, action="look up")
    group = ExceptionGroup("several", [ValueError(), ExceptionGroup("deeper", [error])])
    wrapped = ConnectionError("all attempts failed")
    wrapped.__cause__ = group
    handled = KeyError()
    handled.__context__ = wrapped
    circular = ValueError()
    circular.__cause__ = circular

    assert [find_blocked(each) for each in (error, group, wrapped, handled)] == [error] * 4
    assert find_blocked(circular) is None
