"""Which hosts a test may reach."""

from __future__ import annotations

import pytest

from eino_harness._network_policy import EVERYTHING, HostPolicy


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "fe80::1%lo",
        "localhost",
        "LocalHost",
        "db.localhost",
        "",
        None,
    ],
)
def test_this_machine_is_always_permitted(host: str | None) -> None:
    policy = HostPolicy(("fe80::/10",))

    assert policy.permits(host)


def test_this_machine_is_permitted_by_its_own_name() -> None:
    assert HostPolicy(own_name="builder-7").permits("Builder-7")
    assert not HostPolicy(own_name="builder-7").permits("builder-8")


@pytest.mark.parametrize(
    "host", ["example.com", "93.184.216.34", "10.0.0.1", "2001:db8::1", "notlocalhost", "localhost.example.com"]
)
def test_all_else_is_refused_unless_it_is_named(host: str) -> None:
    assert not HostPolicy().permits(host)
    assert HostPolicy().with_hosts([host]).permits(host)
    assert EVERYTHING.permits(host)


@pytest.mark.parametrize(
    ("pattern", "host", "permitted"),
    [
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "API.Example.COM.", True),
        ("API.example.com", "api.example.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.7/8", "10.1.2.3", True),
        ("2001:db8::/32", "2001:db8::7", True),
        ("10.0.0.0/8", "2001:db8::7", False),
        ("example.com", "93.184.216.34", False),
    ],
)
def test_names_may_have_wildcards_and_addresses_may_be_networks(pattern: str, host: str, permitted: bool) -> None:
    assert HostPolicy((pattern,)).permits(host) is permitted


@pytest.mark.parametrize("hosts", [("",), ("  ",), (7,)])
def test_a_host_that_names_nothing_is_refused(hosts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a host must be a name, an IP address or a network, got"):
        HostPolicy(hosts)
