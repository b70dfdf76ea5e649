"""Workers that are not like the others: of a later version, with their own type, malicious, watched, short of disk.

Each changes its own process only, before it begins to work.
"""

from __future__ import annotations

import pickle
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from eino.compose import journal
from eino.schema.codec import Codec, register
from eino_harness.faults.ledger import Ledger

__all__ = ["HOSTILE", "LATER_FORMAT", "apply", "armed", "size_of"]

LATER_FORMAT: Final = 99
"""Format of records that a later version writes."""

_CANARY: Final = "executed"


class _Bomb:
    """What a pickle of this makes who loads it do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, (f"import sys; sys.stderr.write({_CANARY!r})",))


def _extension(code: int, *parts: Any) -> bytes:
    """Return a msgpack extension as serialisers write it that rebuild any importable thing."""
    return msgspec.msgpack.encode([1, msgspec.msgpack.Ext(code, msgspec.msgpack.encode(list(parts)))])


HOSTILE: Final[Mapping[str, bytes]] = {
    "pickle": pickle.dumps(_Bomb()),
    "pickle in a record": msgspec.msgpack.encode([1, pickle.dumps(_Bomb(), protocol=0).decode("latin-1")]),
    "msgpack extension that names a function": _extension(0, "os", "system", [f"echo {_CANARY} >&2"]),
    "msgpack extension that names a method": _extension(3, "builtins", "eval", ["1"], None, "from_conn_string"),
    "type that is an import path": msgspec.msgpack.encode([1, {"$type": "os.system", "$value": ["true"]}]),
    "type that is a function of this process": msgspec.msgpack.encode([1, {"$type": "builtins.exec", "$value": "1"}]),
    "constructor dictionary": msgspec.msgpack.encode(
        [1, {"lc": 2, "type": "constructor", "id": ["subprocess", "Popen"], "args": ["true"]}]
    ),
    "YAML tag": b"!!python/object/apply:os.system ['true']",
    "deep nesting": b"\x91" * 100_000 + b"\xc0",
    "huge length": b"\xdd\xff\xff\xff\xff",
    "nothing": b"",
}
"""Bodies of records that would make a careless reader run code, or fall over."""

_EVENTS: Final = frozenset(
    {"exec", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen"}
    | {"pickle.find_class", "marshal.loads", "ctypes.dlopen", "code.__new__", "shutil.rmtree"}
)
"""Audit events of which none may occur while a stored run is read."""


def apply(variant: str, ledger: Ledger) -> Any:
    """Change this process as `variant` says, `NAME` or `NAME:ARGUMENT`; return what the state is to begin with."""
    name, _, argument = variant.partition(":")
    return _VARIANTS[name](argument, ledger)


def _plain(_: str, __: Ledger) -> None:
    """A worker like all others."""


def _later(_: str, __: Ledger) -> None:
    """One of a later version, which writes records of another format."""
    journal._FORMAT = LATER_FORMAT  # type: ignore[misc]
    journal._BEGINNING = bytes([journal._BEGINNING[0], LATER_FORMAT])  # type: ignore[misc]


def _typed(_: str, __: Ledger) -> Any:
    """One that has a type which the others do not know."""

    @register("eino_harness.faults.Extra")
    @dataclass
    class Extra:
        number: int

    return Extra(7)


def _hostile(name: str, _: Ledger) -> None:
    """One that writes something else where a stopped run belongs; the chain of its records is whole."""
    plain, hostile = journal._CODEC, HOSTILE[name]

    class HostileCodec(Codec):
        def encode(self, value: Any) -> bytes:
            return hostile if "points" in value[1] else plain.encode(value)

    journal._CODEC = HostileCodec("msgpack")  # type: ignore[misc]


_armed: list[bool] = []
"""Not empty while a run goes on; building a graph runs code, of course."""


@contextmanager
def armed() -> Iterator[None]:
    """Watch for code that is run, if this worker is a watched one, for the length of the block."""
    _armed.append(True)
    try:
        yield
    finally:
        _armed.pop()


def _watched(_: str, ledger: Ledger) -> None:
    """One that notes whatever runs code, or imports it, while it reads and works."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not _armed:
            return
        if event in _EVENTS or (event == "import" and arguments[0] not in sys.modules and _is_foreign(arguments[0])):
            ledger.note("audit", event=event, what=ascii(arguments)[:300])

    sys.addaudithook(hook)


def _is_foreign(name: str) -> bool:
    """Whether a module is neither of eino nor of what it is built on: those may come late, others never."""
    return name.partition(".")[0] not in {"eino", "eino_harness", "anyio", "asyncio", "encodings", "psycopg", "sqlite3"}


def _full_disk(limit: str, _: Ledger) -> None:
    """One that cannot make any file longer than so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))


_VARIANTS: Final[Mapping[str, Callable[[str, Ledger], Any]]] = {
    "": _plain,
    "later version": _later,
    "own type": _typed,
    "hostile": _hostile,
    "watched": _watched,
    "full disk": _full_disk,
}


def size_of(place: Path) -> int:
    """Return the size of the largest file in a folder, in bytes."""
    return max((path.stat().st_size for path in place.iterdir() if path.is_file()), default=0)
