"""The network guard: nothing in a test leaves this machine.

It replaces the few functions through which Python code reaches the network: socket methods, name look-ups, the methods
of uvloop's loop (which connects in C) and the connection openers of anyio and trio (whose task groups would wrap our
error). A replacement asks the guard that is active at the time of the call, so code that kept a reference is
covered too, and costs nothing to speak of once the guard is off. What it cannot see: child processes, and extension
modules that open sockets in C by themselves (gRPC, psycopg's libpq, ZeroMQ).
"""

from __future__ import annotations

import asyncio.selector_events
import functools
import importlib.util
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from eino_harness._network_policy import HostPolicy, as_address
from eino_harness.errors import NetworkBlockedError

__all__ = ["NetworkGuard", "find_blocked"]

_INTERNET = {socket.AF_INET, socket.AF_INET6}

_active: list[NetworkGuard] = []
"""The last one judges; several at once only where a test runs pytest inside pytest."""


class NetworkGuard:
    """Blocks what its policy does not permit, from `install` to `uninstall`."""

    def __init__(self, policy: HostPolicy) -> None:
        self._policy = policy
        self._resolved: set[str] = set()
        self._undo: list[Callable[[], None]] = []
        self._patched: set[str] = set()

    def install(self) -> None:
        """Start to block."""
        _active.append(self)
        _patch_sockets(self._replace)
        if importlib.util.find_spec("uvloop") is not None:
            _patch_uvloop(self._replace)
        self.patch_openers()

    def uninstall(self) -> None:
        """Stop blocking and put back what was replaced."""
        _active.remove(self)
        while self._undo:
            self._undo.pop()()
        self._patched.clear()

    def patch_openers(self) -> None:
        """Cover anyio and trio if they were imported since the last call; importing them here would be dear."""
        for module, patch in _OPENERS.items():
            if module in sys.modules and module not in self._patched:
                self._patched.add(module)
                patch(self._replace)

    @contextmanager
    def using(self, policy: HostPolicy) -> Iterator[None]:
        """Judge by another policy inside the block."""
        before, self._policy = self._policy, policy
        try:
            yield
        finally:
            self._policy = before

    @property
    def policy(self) -> HostPolicy:
        """What is permitted now."""
        return self._policy

    def check(self, host: object, action: str) -> None:
        """Raise unless `host` is permitted.

        Raises:
            NetworkBlockedError: If it is not.
        """
        name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
        if name is None or (isinstance(name, str) and (name in self._resolved or self._policy.permits(name))):
            return
        raise NetworkBlockedError(str(name), action=action)

    def learn(self, found: object) -> None:
        """Permit the addresses that the look-up of a permitted name gave."""
        if isinstance(found, list):
            self._resolved.update(str(entry[4][0]) for entry in found)

    def _replace(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        inherited = name not in vars(owner)
        original = getattr(owner, name)
        setattr(owner, name, functools.wraps(original)(make(original)))
        self._undo.append(lambda: delattr(owner, name) if inherited else setattr(owner, name, original))


_Replace = Callable[[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]], None]


def _check(host: object, action: str) -> None:
    if _active:
        _active[-1].check(host, action)


def _check_address(sock: Any, address: object, action: str) -> None:
    if sock.family in _INTERNET and isinstance(address, tuple) and address:
        _check(address[0], action)


def _patch_sockets(replace: _Replace) -> None:
    for name in ("connect", "connect_ex"):
        replace(socket.socket, name, _guard_connect)
    replace(socket.socket, "sendto", _guard_sendto)
    replace(socket.socket, "sendmsg", _guard_sendmsg)
    replace(socket, "getaddrinfo", _guard_getaddrinfo)
    # asyncio gives an error of `sendto` to the loop's exception handler, where no test sees it.
    replace(vars(asyncio.selector_events)["_SelectorDatagramTransport"], "sendto", _guard_datagram)
    for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        replace(socket, name, _guard_lookup)


def _guard_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        try:
            _check_address(self, address, "connect to")
        except NetworkBlockedError:
            self.close()  # `socket.create_connection` and others close it on an `OSError` only
            raise
        return original(self, address)

    return connect


def _guard_sendto(original: Callable[..., Any]) -> Callable[..., Any]:
    def sendto(self: socket.socket, data: Any, *flags_and_address: Any) -> Any:
        _check_address(self, flags_and_address[-1] if flags_and_address else None, "send to")
        return original(self, data, *flags_and_address)

    return sendto


def _guard_datagram(original: Callable[..., Any]) -> Callable[..., Any]:
    def sendto(self: Any, data: Any, addr: Any = None) -> Any:
        _check_address(self._sock, addr, "send to")
        return original(self, data, addr)

    return sendto


def _guard_sendmsg(original: Callable[..., Any]) -> Callable[..., Any]:
    def sendmsg(self: socket.socket, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> Any:
        _check_address(self, address, "send to")
        return original(self, buffers, ancdata, flags, address)

    return sendmsg


def _guard_getaddrinfo(original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check_name(host)
        found = original(host, *args, **kwargs)
        _learn(host, found)
        return found

    return getaddrinfo


def _guard_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def lookup(host: Any) -> Any:
        _check_name(host)
        return original(host)

    return lookup


def _check_name(host: object) -> None:
    """Block the look-up of a name; an address needs none, and is judged when it is connected to."""
    if not _is_numeric(host):
        _check(host, "look up")


def _is_loopback(address: Any) -> bool:
    found = as_address(str(address[0])) if address else None
    return found is not None and found.is_loopback


def _learn(host: object, found: object) -> None:
    if _active and not _is_numeric(host):
        _active[-1].learn(found)


def _is_numeric(host: object) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
    return isinstance(text, str) and as_address(text) is not None


def _patch_uvloop(replace: _Replace) -> None:
    import uvloop

    def connection(original: Callable[..., Any]) -> Callable[..., Any]:
        async def create_connection(
            self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
        ) -> Any:
            _check(host, "connect to")
            return await original(self, protocol_factory, host, port, **options)

        return create_connection

    def sock_connect(original: Callable[..., Any]) -> Callable[..., Any]:
        async def connect(self: Any, sock: Any, address: Any) -> Any:
            _check_address(sock, address, "connect to")
            return await original(self, sock, address)

        return connect

    def lookup(original: Callable[..., Any]) -> Callable[..., Any]:
        async def getaddrinfo(self: Any, host: Any, port: Any, **options: Any) -> Any:
            _check_name(host)
            found = await original(self, host, port, **options)
            _learn(host, found)
            return found

        return getaddrinfo

    def datagram(original: Callable[..., Any]) -> Callable[..., Any]:
        async def create_datagram_endpoint(
            self: Any, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
        ) -> Any:
            # uvloop sends in C, to any peer; only a socket that is bound to loopback cannot leave this machine.
            if remote_addr is not None:
                _check(remote_addr[0], "send to")
            elif options.get("family") != socket.AF_UNIX and not _is_loopback(local_addr):
                _check("any host", "open a datagram socket to")
            return await original(self, protocol_factory, local_addr, remote_addr, **options)

        return create_datagram_endpoint

    replace(uvloop.Loop, "create_connection", connection)
    replace(uvloop.Loop, "sock_connect", sock_connect)
    replace(uvloop.Loop, "getaddrinfo", lookup)
    replace(uvloop.Loop, "create_datagram_endpoint", datagram)


def _guard_opener(original: Callable[..., Any]) -> Callable[..., Any]:
    """Check before the task group of "happy eyeballs" is open, so that our error arrives as it is."""

    async def opener(*args: Any, **kwargs: Any) -> Any:
        _check(args[0] if args else kwargs.get("remote_host", kwargs.get("host")), "connect to")
        return await original(*args, **kwargs)

    return opener


def _patch_anyio(replace: _Replace) -> None:
    import anyio

    replace(anyio, "connect_tcp", _guard_opener)


def _patch_trio(replace: _Replace) -> None:
    import trio

    replace(trio, "open_tcp_stream", _guard_opener)


_OPENERS: dict[str, Callable[[_Replace], None]] = {"anyio": _patch_anyio, "trio": _patch_trio}


def find_blocked(error: BaseException) -> NetworkBlockedError | None:
    """Return the guard's error from inside an exception group or a chain of causes, or None."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, NetworkBlockedError):
            return current
        pending += [current.__context__, current.__cause__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return None
