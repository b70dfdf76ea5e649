"""Ties the network guard to a pytest session: policy from the settings, exceptions from markers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eino_harness._network import NetworkGuard, find_blocked
from eino_harness._network_policy import EVERYTHING, HostPolicy
from eino_harness.errors import NetworkBlockedError

__all__ = ["NETWORK_GUARD", "start"]

NETWORK_GUARD = pytest.StashKey[NetworkGuard]()


class NetworkHooks:
    """Applies `@pytest.mark.allow_network` to its test, and shows the guard's error by itself when a test fails."""

    def __init__(self, guard: NetworkGuard) -> None:
        self._guard = guard

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a marker that makes no sense before anything runs."""
        for item in items:
            self._policy_of(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Hold the test's policy over its fixtures too."""
        self._guard.patch_openers()
        with self._guard.using(self._policy_of(item)):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Raise the guard's error bare when it arrives inside a group, or as the cause of a client's error."""
        try:
            return (yield)
        except Exception as error:
            blocked = find_blocked(error)
            if blocked is None or blocked is error:
                raise
            raise NetworkBlockedError(blocked.address, action=blocked.action) from error

    def _policy_of(self, item: pytest.Item) -> HostPolicy:
        marker = item.get_closest_marker("allow_network")
        if marker is None:
            return self._guard.policy
        hosts = marker.kwargs.get("hosts")
        if (
            marker.args
            or set(marker.kwargs) - {"hosts"}
            or not isinstance(hosts, list | tuple | set | frozenset | None)
        ):
            raise pytest.UsageError(
                f"{item.nodeid}: allow_network takes hosts=[...] or nothing, got {marker.args!r} {marker.kwargs!r}"
            )
        try:
            return EVERYTHING if hosts is None else self._guard.policy.with_hosts(hosts)
        except ValueError as error:
            raise pytest.UsageError(f"{item.nodeid}: allow_network: {error}") from error


def start(config: pytest.Config) -> None:
    """Block the network for this session.

    Raises:
        pytest.UsageError: If the setting `eino_allowed_hosts` makes no sense.
    """
    try:
        policy = HostPolicy(tuple(config.getini("eino_allowed_hosts")))
    except ValueError as error:
        raise pytest.UsageError(f"eino_allowed_hosts: {error}") from error
    guard = NetworkGuard(policy)
    guard.install()
    config.add_cleanup(guard.uninstall)
    config.stash[NETWORK_GUARD] = guard
    config.pluginmanager.register(NetworkHooks(guard), "eino-network")
