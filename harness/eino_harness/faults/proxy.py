"""A TCP proxy in front of a server on this machine, which can be slow, cut its connections, or stop forwarding."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

__all__ = ["Proxy", "proxy"]

_TICK_S: Final = 0.01
_CHUNK: Final = 65536


class Proxy:
    """Forwards bytes between clients and a server.

    Args:
        host: Where the server listens.
        port: Its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        """How long each chunk is held back, in seconds."""
        self.is_frozen = False
        """Whether nothing is forwarded, while connections stay open."""
        self.is_down = False
        """Whether connections are closed as soon as they are made."""
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TICK_S)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """Break all connections."""
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break all connections and stop."""
        self._is_closed = True
        self.cut()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self.is_down:
                client.close()
                continue
            thread = threading.Thread(target=self._forward, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server, selectors.DefaultSelector() as selector:
            with self._lock:
                self._open |= {client, server}
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            with contextlib.suppress(OSError):
                while not self._is_closed and self._forward_once(selector):
                    pass
            with self._lock:
                self._open -= {client, server}

    def _forward_once(self, selector: selectors.BaseSelector) -> bool:
        """Forward what has come; whether both ends are still open."""
        for key, _ in selector.select(_TICK_S):
            if self.is_frozen:
                time.sleep(_TICK_S)
                return True
            source = key.fileobj
            if not isinstance(source, socket.socket):
                return False
            data = source.recv(_CHUNK)
            if not data:
                return False
            time.sleep(self.delay_s)
            key.data.sendall(data)
        return True


@contextlib.contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Have a proxy for the length of the block."""
    made = Proxy(host, port)
    try:
        yield made
    finally:
        made.close()
