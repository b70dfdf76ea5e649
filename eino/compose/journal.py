"""The journal of one run: what the engine appends and reads, encoded and chained, on top of a store."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from eino.compose.store import CheckpointStore, Record, RunStatus, StoredRun
from eino.errors import CorruptCheckpointError, EinoError
from eino.schema.codec import Codec

__all__ = ["Entry", "Journal"]

_CODEC: Final = Codec("msgpack")
_FORMAT: Final = 1
_SNAPSHOT: Final = "interrupt"
"""Kind of record that says all; those before it need not be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, decoded."""

    kind: str
    body: Any


class Journal:
    """One run in a store, claimed by this worker or only looked at."""

    def __init__(self, store: CheckpointStore, run: StoredRun) -> None:
        """Private: use `Journal.open` or `Journal.peek`."""
        self._store = store
        self.run_id = run.run_id
        self.epoch = run.epoch
        self.status = run.status
        """Status of the run before it was claimed."""
        self._head = run.head
        self._mac = run.head_mac
        self.entries = _entries(run)
        """What is stored, from the last whole snapshot on."""
        self.answers: Mapping[str, Any] = {
            each: _CODEC.decode(_unsealed(run.run_id, each, value)) for each, value in run.answers.items()
        }

    @classmethod
    async def open(cls, store: CheckpointStore, run_id: str, *, take_over: bool = False, create: bool = True) -> Self:
        """Claim a run and return its journal.

        Raises:
            RunActiveError: If another worker has it and `take_over` is false.
            UnknownRunError: If there is none and `create` is false.
            CorruptCheckpointError: If what is stored is not what was written.
        """
        run = await store.claim(run_id, _owner(), take_over=take_over, create=create)
        try:
            return cls(store, run)
        except Exception:
            await _give_back(store, run)
            raise

    @classmethod
    async def peek(cls, store: CheckpointStore, run_id: str) -> Self | None:
        """Return a run without claiming it; None if there is none."""
        run = await store.load(run_id)
        return None if run is None else cls(store, run)

    async def append(self, kind: str, body: Any, status: str | None = None) -> None:
        """Store one record.

        Raises:
            FencedError: If another worker claimed the run since.
            CodecError: If a value cannot be stored; the path leads there, and nothing was written.
        """
        data = _CODEC.encode([_FORMAT, body])
        seq = self._head + 1
        mac = _chained(self.run_id, seq, self.epoch, kind, body=data, before=self._mac)
        record = Record(seq, self.epoch, kind, data, mac)
        await self._store.append(
            self.run_id,
            [record],
            expected_head=self._head,
            epoch=self.epoch,
            status=None if status is None else RunStatus(status),
        )
        self._head, self._mac = seq, mac

    async def answer(self, interrupt_id: str, value: Any) -> None:
        """Store the answer to an interrupt; the first one counts.

        Raises:
            AlreadyAnsweredError: If there is one.
        """
        data = _CODEC.encode(value)
        await self._store.answer(self.run_id, interrupt_id, _seal(self.run_id, interrupt_id, data) + data)

    async def give_back(self) -> None:
        """Leave the run as it was before it was claimed.

        Raises:
            FencedError: If another worker claimed it since.
        """
        if self.status is RunStatus.NEW:
            await self.delete()
        else:
            await self._store.append(self.run_id, (), expected_head=self._head, epoch=self.epoch, status=self.status)

    async def delete(self) -> None:
        """Remove the run.

        Raises:
            FencedError: If another worker claimed it since.
        """
        await self._store.delete(self.run_id, epoch=self.epoch)


async def _give_back(store: CheckpointStore, run: StoredRun) -> None:
    """Leave a run that cannot be read as it was: whoever mends it must not find it taken."""
    with suppress(EinoError):  # the caller hears of the damage
        await store.append(run.run_id, (), expected_head=run.head, epoch=run.epoch, status=run.status)


def _entries(run: StoredRun) -> tuple[Entry, ...]:
    """Return the records, decoded, from the last snapshot on.

    Raises:
        CorruptCheckpointError: If the chain is broken.
    """
    before = b""
    for position, record in enumerate(run.records, 1):
        wanted = _chained(run.run_id, position, record.epoch, record.kind, body=record.body, before=before)
        if record.seq != position or record.mac != wanted:
            raise CorruptCheckpointError(f"run {run.run_id!r}: record {position} is not what was written")
        before = record.mac
    if run.head != len(run.records) or run.head_mac != before:
        raise CorruptCheckpointError(f"run {run.run_id!r}: records behind number {len(run.records)} are missing")
    first = max((at for at, record in enumerate(run.records) if record.kind == _SNAPSHOT), default=0)
    effects = [record for record in run.records[:first] if record.kind in ("intent", "result")]
    return tuple(_entry(run, record) for record in (*effects, *run.records[first:]))


def _entry(run: StoredRun, record: Record) -> Entry:
    stored = _CODEC.decode(record.body)
    if not isinstance(stored, list) or len(stored) != 2:
        raise CorruptCheckpointError(f"run {run.run_id!r}: record {record.seq} is not as eino writes it")
    version, body = stored
    if version != _FORMAT:
        raise CorruptCheckpointError(f"run {run.run_id!r}: record {record.seq} has format {version}, not {_FORMAT}")
    return Entry(record.kind, body)


def _chained(run_id: str, seq: int, epoch: int, kind: str, *, body: bytes, before: bytes) -> bytes:
    """Return what chains a record to the one before: it shows corruption, but no forgery."""
    name, sort = run_id.encode(), kind.encode()
    head = b"".join(number.to_bytes(8) for number in (len(name), len(sort), seq, epoch, len(before)))
    return hashlib.sha256(head + name + sort + before + body).digest()


def _seal(run_id: str, interrupt_id: str, data: bytes) -> bytes:
    """Return what stands before a stored answer: it shows corruption, and an answer to another question."""
    run, point = run_id.encode(), interrupt_id.encode()
    return hashlib.sha256(len(run).to_bytes(8) + run + len(point).to_bytes(8) + point + data).digest()


def _unsealed(run_id: str, interrupt_id: str, value: bytes) -> bytes:
    """Return a stored answer without its seal.

    Raises:
        CorruptCheckpointError: If it is not what was written.
    """
    seal, data = value[: hashlib.sha256().digest_size], value[hashlib.sha256().digest_size :]
    if seal != _seal(run_id, interrupt_id, data):
        raise CorruptCheckpointError(
            f"run {run_id!r}: the answer to interrupt {interrupt_id!r} is not what was written"
        )
    return data


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
