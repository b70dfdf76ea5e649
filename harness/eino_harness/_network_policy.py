"""Which hosts a test may reach: pure, no sockets."""

from __future__ import annotations

import fnmatch
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["EVERYTHING", "HostPolicy"]


@dataclass(frozen=True)
class HostPolicy:
    """Permits this machine, and the hosts it was given.

    Raises:
        ValueError: If a pattern is empty or not a string.
    """

    hosts: tuple[str, ...] = ()
    """Host names (`*.example.com` too), IP addresses or networks (`10.0.0.0/8`)."""
    everything: bool = False
    own_name: str = field(default_factory=lambda: socket.gethostname().lower())

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not isinstance(host, str) or not host.strip():
                raise ValueError(f"a host must be a name, an IP address or a network, got {host!r}")

    def with_hosts(self, hosts: Iterable[str]) -> HostPolicy:
        """Return a policy that permits these hosts too."""
        return HostPolicy((*self.hosts, *hosts), self.everything, self.own_name)

    def permits(self, host: str | None) -> bool:
        """Tell whether `host`, a name or an address, may be looked up and connected to."""
        if self.everything or not host:  # no host: all interfaces of this machine
            return True
        address = as_address(host)
        if address is None:
            return self._permits_name(host.lower().rstrip("."))
        return _is_this_machine(address) or any(_in_network(address, pattern) for pattern in self.hosts)

    def _permits_name(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or name == self.own_name:
            return True
        return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in self.hosts)


EVERYTHING = HostPolicy(everything=True)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def as_address(host: str) -> _Address | None:
    """Return the IP address that `host` spells, or None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _is_this_machine(address: _Address) -> bool:
    return address.is_loopback or address.is_unspecified


def _in_network(address: _Address, pattern: str) -> bool:
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:  # a name
        return False
