"""The load test of eino: `locust -f loadtests` from the root of the repository.

It starts its target by itself, drives it for the time that `locust.conf` says, prints P50, P95 and P99, and writes
`reports/load/`. Give `--host` to drive a server of your own, `--users` and `--run-time` for another load.
"""

from eino_harness.load.users import ChatUser

__all__ = ["ChatUser"]
