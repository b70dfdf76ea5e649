"""The harness of eino: a pytest plugin, benchmarks, load tests and reports. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from eino_harness._abenchmark import AsyncBenchmark, Comparison
    from eino_harness._leak_hooks import LeakCheck
    from eino_harness.errors import LeakError, NetworkBlockedError, UnawaitedCoroutineError
    from eino_harness.laws import LawReport, LawsBrokenError, check_graph

_HOMES: Final = {
    "AsyncBenchmark": "_abenchmark",
    "Comparison": "_abenchmark",
    "LawReport": "laws",
    "LawsBrokenError": "laws",
    "LeakCheck": "_leak_hooks",
    "LeakError": "errors",
    "NetworkBlockedError": "errors",
    "UnawaitedCoroutineError": "errors",
    "check_graph": "laws",
}
"""The module of this package that each public name lives in."""

__all__ = [
    "AsyncBenchmark",
    "Comparison",
    "LawReport",
    "LawsBrokenError",
    "LeakCheck",
    "LeakError",
    "NetworkBlockedError",
    "UnawaitedCoroutineError",
    "check_graph",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
