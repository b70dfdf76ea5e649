"""A transport for HTTP requests that reaches public addresses only, whatever a URL, a name server or a redirect says.

The name is resolved once, every address it has is checked, and the connection is made to a checked address: a second
answer of the name server (DNS rebinding) is never asked for. Each redirect passes here again.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from typing import Final, TypeAlias

import anyio
import httpx2

__all__ = ["GuardedTransport", "Network", "RefusedError", "refusal"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: Final[dict[Address, str]] = {
    ipaddress.ip_address("168.63.129.16"): "the metadata service of Azure",  # the only one on a public address
}
_TRANSLATED: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
"""IPv6 addresses whose last four bytes are an IPv4 address. Source: RFC 6052 section 2.1, RFC 4291 section 2.5.5.1."""
_LOCAL_TRANSLATED: Final = ipaddress.ip_network("64:ff9b:1::/48")
"""Translation inside one network. Source: RFC 8215."""
_SPECIAL: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16")
)
"""Networks that older versions of Python take for public. Source: IANA's registries of special-purpose addresses."""


class RefusedError(httpx2.TransportError):
    """The rules of the tool do not allow the request."""


def refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return why `address` must not be reached, or None. Networks in `allowed` may be."""
    if any(address.version == network.version and address in network for network in allowed):
        return None
    if address in _NEVER:
        return _NEVER[address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return None if refusal(inner, allowed) is None and address.ipv4_mapped else f"{inner} in an IPv6 address"
        if address in _LOCAL_TRANSLATED or address.is_site_local:
            return "a local address"
    for kind in ("loopback", "link_local", "multicast", "unspecified", "private", "reserved"):
        if getattr(address, f"is_{kind}"):
            return f"a {kind.replace('_', '-')} address"
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return "a special-purpose address"
    return None if address.is_global else "no public address"


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if int(address) > 1 and any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to checked addresses. For one call of the tool: it keeps no connection.

    Args:
        verify: TLS settings.
        hosts: Names that may be reached; `*.example.org` means all below; None for any.
        networks: Networks that may be reached although they are not public.
        headers: Of the program; they go to the first request's origin only.
    """

    def __init__(
        self,
        verify: ssl.SSLContext,
        *,
        hosts: Sequence[str] | None,
        networks: Sequence[Network],
        headers: Sequence[tuple[str, str]],
    ) -> None:
        # No pool: a connection to an address could otherwise be used for another name, whose certificate nobody saw.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)
        self._hosts = hosts
        self._networks = networks
        self._headers = headers
        self._origin: tuple[str, str, int | None] | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request to a checked address of its host.

        Raises:
            RefusedError: If a rule forbids it.
        """
        url = request.url
        self._check(url)
        origin = (url.scheme, url.host, url.port)
        if self._origin is None:
            self._origin = origin
        # A copy: the client makes the request of a redirect from the headers of this one.
        headers = request.headers.copy()
        if origin == self._origin:
            headers.update(self._headers)
        return await self._send(request, headers, await self._addresses(url))

    async def _send(
        self, request: httpx2.Request, headers: httpx2.Headers, addresses: list[Address]
    ) -> httpx2.Response:
        body = await request.aread()
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        for position, address in enumerate(addresses):
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=headers,  # its Host is the name, set when the request was made
                content=body,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if position == len(addresses) - 1:
                    raise
        raise AssertionError("a host without an address is refused before")

    def _check(self, url: httpx2.URL) -> None:
        if url.scheme not in ("http", "https"):
            raise RefusedError(f"{url.scheme!r} in {str(url)!r:.200}: only http and https URLs can be requested")
        if not url.host:
            raise RefusedError(f"{str(url)!r:.200} names no host")
        if url.port is not None and not 0 < url.port < 65536:
            raise RefusedError(f"{str(url)!r:.200}: port {url.port} does not exist")
        if url.userinfo:
            raise RefusedError(f"the URL of {url.host!r} carries a user name; write it without")
        if self._hosts is not None and not any(_matches(url.host, pattern) for pattern in self._hosts):
            raise RefusedError(f"host {url.host!r} is not allowed; allowed: {', '.join(self._hosts)}")

    async def _addresses(self, url: httpx2.URL) -> list[Address]:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await anyio.getaddrinfo(url.host, port, type=1)  # 1: SOCK_STREAM
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"host {url.host!r} cannot be resolved: {error}") from error
        addresses = list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
        for address in addresses:
            why = refusal(address, self._networks)
            if why is not None:
                raise RefusedError(f"host {url.host!r} is at {address}, {why}; only public addresses can be requested")
        if not addresses:
            raise httpx2.ConnectError(f"host {url.host!r} has no address")
        return addresses

    async def aclose(self) -> None:
        """Close what is still open."""
        await self._inner.aclose()


def _matches(host: str, pattern: str) -> bool:
    host, pattern = host.lower().rstrip("."), pattern.lower()
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
