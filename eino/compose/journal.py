"""The journal of one run: what the engine appends and reads, encoded and chained, on top of a store."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, cast

import msgspec

from eino.compose.owner import Owner, is_left_by
from eino.compose.patience import patiently
from eino.compose.store import CheckpointStore, Record, RunStatus, StoredRun, TransactionalStore
from eino.errors import (
    AlreadyAnsweredError,
    CheckpointError,
    CheckpointTooLargeError,
    CheckpointVersionError,
    CorruptCheckpointError,
    EinoError,
    FencedError,
    RunActiveError,
)
from eino.schema.codec import DEFAULT_MAX_BYTES, Codec

__all__ = ["MAX_RECORD_BYTES", "Entry", "Journal", "parts_of", "require_whole"]

MAX_RECORD_BYTES: Final = DEFAULT_MAX_BYTES
"""Size of the largest record, unless a graph is compiled with another limit."""

_CODEC: Final = Codec("msgpack", max_bytes=2**63 - 1)  # the limit is the journal's, with an error of its own
_FORMAT: Final = 1
_BEGINNING: Final = bytes([0x92, _FORMAT])
"""How a record begins: msgpack for a list of two, of which the first is the format."""
_SNAPSHOT: Final = "interrupt"
"""Kind of record that says all; those before it need not be read."""
_ANSWERED: Final = "answered"
"""Kind of record that says which answers the run goes on with, so that they cannot vanish or change afterwards."""
_CHAIN_HEAD: Final = struct.Struct(">6Q")
_SEAL_BYTES: Final = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, decoded."""

    kind: str
    body: Any


class Journal:
    """One run in a store, claimed by this worker or only looked at.

    A store that cannot be reached is asked again for a while. Whether a call that broke off had been carried out is
    found out then, so that nothing is done twice.
    """

    def __init__(
        self, store: CheckpointStore, run: StoredRun, owner: Owner | None = None, *, max_bytes: int = MAX_RECORD_BYTES
    ) -> None:
        """Private: use `Journal.open` or `Journal.peek`."""
        self._store = store
        self._owner = owner  # lives as long as this does: then others of this process may have the run
        self._max_bytes = max_bytes
        self.run_id = run.run_id
        self.epoch = run.epoch
        self.status = run.status
        """Status of the run before it was claimed."""
        self._head = run.head
        self._mac = run.head_mac
        require_whole(store.namespace, run, max_bytes)
        self._seals = {each: value[:_SEAL_BYTES] for each, value in run.answers.items()}
        self.entries = _entries(run)
        """What is stored, from the last whole snapshot on."""
        self.answers: Mapping[str, Any] = {
            each: _CODEC.decode(value[_SEAL_BYTES:]) for each, value in run.answers.items()
        }
        self._chained_answers = {each for entry in self.entries if entry.kind == _ANSWERED for each in entry.body}

    @classmethod
    async def open(
        cls,
        store: CheckpointStore,
        run_id: str,
        *,
        take_over: bool = False,
        create: bool = True,
        max_bytes: int = MAX_RECORD_BYTES,
    ) -> Self:
        """Claim a run and return its journal.

        Raises:
            RunActiveError: If another worker has it and `take_over` is false.
            UnknownRunError: If there is none and `create` is false.
            CorruptCheckpointError: If what is stored is not what was written.
            CheckpointVersionError: If another version of eino wrote it.
            CheckpointTooLargeError: If a record is larger than `max_bytes`.
        """
        owner, run = Owner(), None
        try:
            run = await patiently(partial(_claimed, store, run_id, owner, take_over=take_over, create=create))
            return cls(store, run, owner, max_bytes=max_bytes)
        except BaseException:
            owner.leave()
            if run is not None:
                await _give_back(store, run)
            raise

    @classmethod
    async def peek(cls, store: CheckpointStore, run_id: str, *, max_bytes: int = MAX_RECORD_BYTES) -> Self | None:
        """Return a run without claiming it; None if there is none.

        Raises:
            CheckpointError: As `open`, but nobody needs to have it.
        """
        run = await patiently(partial(store.load, run_id))
        return None if run is None else cls(store, run, max_bytes=max_bytes)

    async def append(self, kind: str, body: Any, status: str | None = None, *, is_last: bool = False) -> None:
        """Store one record.

        Args:
            kind: What the record says.
            body: It, as data that the codec knows.
            status: What becomes of the run with it; None leaves its status.
            is_last: Whether this worker leaves the run with it, and so does not wait for a store that is down.

        Raises:
            FencedError: If another worker claimed the run since.
            CodecError: If a value cannot be stored; the path leads there, and nothing was written.
            CheckpointTooLargeError: If it is larger than the limit; nothing was written.
            StoreUnavailableError: If the store cannot be reached.
        """
        record = self._next(kind, body)
        work = partial(
            self._store.append,
            self.run_id,
            (record,),
            expected_head=self._head,
            epoch=self.epoch,
            status=None if status is None else RunStatus(status),
        )
        if is_last:
            await work()
        else:
            await patiently(work, partial(self._settle_append, record))
        self._head, self._mac = record.seq, record.mac

    async def transact(self, kind: str, work: Callable[[Any], Any]) -> Any:
        """Store what `work` makes of the store's connection as a record, in the transaction in which it works.

        Raises:
            FencedError: If another worker claimed the run since; `work` was not called.
            CodecError: If its result cannot be stored; what it wrote is undone.
            StoreUnavailableError: If the store cannot be reached.
        """
        store, done = cast("TransactionalStore", self._store), list[tuple[Any, Record]]()

        def in_transaction(connection: Any) -> Record:
            body = work(connection)
            done[:] = [(body, self._next(kind, body))]
            return done[0][1]

        async def settle(error: CheckpointError) -> None:
            if not done:
                raise error
            await self._settle_append(done[0][1], error)

        call = partial(store.transact, self.run_id, in_transaction, expected_head=self._head, epoch=self.epoch)
        await patiently(call, settle)
        body, record = done[0]
        self._head, self._mac = record.seq, record.mac
        return body

    def _next(self, kind: str, body: Any) -> Record:
        data = _CODEC.encode([_FORMAT, body])
        if len(data) > self._max_bytes:
            raise _too_large(self.run_id, f"a record of the kind {kind!r}", len(data), self._max_bytes)
        seq = self._head + 1
        mac = _chained(self._store.namespace, self.run_id, seq, self.epoch, kind, body=data, before=self._mac)
        return Record(seq, self.epoch, kind, data, mac)

    async def _settle_append(self, record: Record, error: CheckpointError) -> None:
        """Take an append that broke off, and is fenced now, for done if its record is there."""
        run = await self._store.load(self.run_id) if isinstance(error, FencedError) else None
        if run is None or (run.epoch, run.head, run.head_mac) != (self.epoch, record.seq, record.mac):
            raise error

    async def answer(self, answers: Mapping[str, Any]) -> None:
        """Store the answers to interrupts, by id; the first one to each counts. Needs no claim.

        Raises:
            AlreadyAnsweredError: If there is one.
            CheckpointTooLargeError: If one is larger than the limit.
        """
        sealed = {each: self._sealed(each, value) for each, value in answers.items()}
        for interrupt_id, value in sealed.items():
            work = partial(self._store.answer, self.run_id, interrupt_id, value)
            await patiently(work, partial(self._settle_answer, interrupt_id, value))
            self._seals[interrupt_id] = value[:_SEAL_BYTES]

    async def go_on_with(self, interrupt_ids: Iterable[str]) -> None:
        """Make the stored answers to these interrupts part of the chain, so that they cannot vanish or change any more.

        Raises:
            FencedError: If another worker claimed the run since.
        """
        seals = {each: self._seals[each] for each in interrupt_ids if each not in self._chained_answers}
        if seals:
            await self.append(_ANSWERED, seals)
            self._chained_answers |= set(seals)

    def _sealed(self, interrupt_id: str, value: Any) -> bytes:
        data = _CODEC.encode(value)
        if len(data) > self._max_bytes:
            raise _too_large(self.run_id, f"the answer to interrupt {interrupt_id!r}", len(data), self._max_bytes)
        return _seal(self._store.namespace, self.run_id, interrupt_id, data) + data

    async def _settle_answer(self, interrupt_id: str, value: bytes, error: CheckpointError) -> None:
        """Take an answer that broke off, and is refused now, for stored if it is there."""
        run = await self._store.load(self.run_id) if isinstance(error, AlreadyAnsweredError) else None
        if run is None or run.answers.get(interrupt_id) != value:
            raise error

    async def give_back(self) -> None:
        """Leave the run as it was before it was claimed.

        Raises:
            FencedError: If another worker claimed it since.
        """
        self.leave()
        if self.status is RunStatus.NEW:
            await self.delete()
        else:
            await self._store.append(self.run_id, (), expected_head=self._head, epoch=self.epoch, status=self.status)

    def leave(self) -> None:
        """Note that this worker does nothing more for the run, so that others of this process may claim it."""
        if self._owner is not None:
            self._owner.leave()

    async def delete(self) -> None:
        """Remove the run.

        Raises:
            FencedError: If another worker claimed it since.
        """
        await patiently(partial(self._store.delete, self.run_id, epoch=self.epoch))


async def _claimed(store: CheckpointStore, run_id: str, owner: Owner, *, take_over: bool, create: bool) -> StoredRun:
    """Claim a run, also from a worker of this process that has left it."""
    try:
        return await store.claim(run_id, owner.name, take_over=take_over, create=create)
    except RunActiveError as error:
        if not is_left_by(error.owner, owner):
            raise
        return await store.claim(run_id, owner.name, take_over=error.owner, create=create)


async def _give_back(store: CheckpointStore, run: StoredRun) -> None:
    """Leave a run that cannot be read as it was: whoever mends it must not find it taken."""
    with suppress(EinoError):  # the caller hears of the damage
        await store.append(run.run_id, (), expected_head=run.head, epoch=run.epoch, status=run.status)


def require_whole(namespace: str, run: StoredRun, max_bytes: int = MAX_RECORD_BYTES) -> None:
    """Refuse a run that is not as eino wrote it. No value of a user's type is read.

    Raises:
        CorruptCheckpointError: If the chain is broken, or an answer was changed or removed.
        CheckpointVersionError: If another version of eino wrote it.
        CheckpointTooLargeError: If a record is larger than `max_bytes`.
    """
    before = b""
    for position, record in enumerate(run.records, 1):
        if len(record.body) > max_bytes:
            raise _too_large(run.run_id, f"record {position}", len(record.body), max_bytes)
        wanted = _chained(namespace, run.run_id, position, record.epoch, record.kind, body=record.body, before=before)
        if record.seq != position or record.mac != wanted:
            raise CorruptCheckpointError(f"run {run.run_id!r}: record {position} is not what was written")
        before = record.mac
    if run.head != len(run.records) or run.head_mac != before:
        raise CorruptCheckpointError(f"run {run.run_id!r}: records behind number {len(run.records)} are missing")
    for interrupt_id, value in run.answers.items():
        _unsealed(namespace, run.run_id, interrupt_id, value)
    for record in run.records:
        if record.kind == _ANSWERED:
            _require_answers(run, parts_of(run.run_id, record))


def _entries(run: StoredRun) -> tuple[Entry, ...]:
    """Return the records, decoded, from the last snapshot on."""
    first = max((at for at, record in enumerate(run.records) if record.kind == _SNAPSHOT), default=0)
    effects = [record for record in run.records[:first] if record.kind in ("intent", "result")]
    return tuple(_entry(run, record) for record in (*effects, *run.records[first:]))


def _require_answers(run: StoredRun, seals: Any) -> None:
    """Refuse a run whose answers are not those that it went on with.

    Raises:
        CorruptCheckpointError: If they are not.
    """
    if not isinstance(seals, dict):
        raise CorruptCheckpointError(f"run {run.run_id!r}: a record of answers is not as eino writes it")
    for interrupt_id, seal in seals.items():
        if run.answers.get(interrupt_id, b"")[:_SEAL_BYTES] != seal:
            raise CorruptCheckpointError(
                f"run {run.run_id!r}: the answer to interrupt {interrupt_id!r} is not what the run went on with"
            )


def _entry(run: StoredRun, record: Record) -> Entry:
    return Entry(record.kind, _CODEC.decode(_body(run.run_id, record))[1])


def parts_of(run_id: str, record: Record) -> Any:
    """Return what a record says as plain data, without making values of users' types.

    Raises:
        CorruptCheckpointError: If it is no record of eino.
        CheckpointVersionError: If another version of eino wrote it.
    """
    body = _body(run_id, record)
    try:
        return msgspec.msgpack.decode(body)[1]
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptCheckpointError(f"run {run_id!r}: record {record.seq} is not as eino writes it") from error


def _body(run_id: str, record: Record) -> bytes:
    """Return the body of a record that has our format."""
    if record.body[: len(_BEGINNING)] == _BEGINNING:
        return record.body
    try:
        stored = msgspec.msgpack.decode(record.body)
    except (ValueError, TypeError, RecursionError):
        stored = None
    if not isinstance(stored, list) or len(stored) != 2 or stored[0] == _FORMAT:
        raise CorruptCheckpointError(f"run {run_id!r}: record {record.seq} is not as eino writes it")
    raise CheckpointVersionError(
        f"run {run_id!r}: record {record.seq} has the format {stored[0]!r:.40}, not {_FORMAT}: go on with the version "
        "of eino that wrote it"
    )


def _chained(namespace: str, run_id: str, seq: int, epoch: int, kind: str, *, body: bytes, before: bytes) -> bytes:
    """Return what chains a record to the one before: it shows corruption, but no forgery."""
    space, name, sort = namespace.encode(), run_id.encode(), kind.encode()
    head = _CHAIN_HEAD.pack(len(space), len(name), len(sort), seq, epoch, len(before))
    return hashlib.sha256(head + space + name + sort + before + body).digest()


def _seal(namespace: str, run_id: str, interrupt_id: str, data: bytes) -> bytes:
    """Return what stands before a stored answer: it shows corruption, and an answer to another question."""
    texts = [each.encode() for each in (namespace, run_id, interrupt_id)]
    head = b"".join(len(each).to_bytes(8) + each for each in texts)
    return hashlib.sha256(head + data).digest()


def _unsealed(namespace: str, run_id: str, interrupt_id: str, value: bytes) -> bytes:
    """Return a stored answer without its seal.

    Raises:
        CorruptCheckpointError: If it is not what was written.
    """
    seal, data = value[:_SEAL_BYTES], value[_SEAL_BYTES:]
    if seal != _seal(namespace, run_id, interrupt_id, data):
        raise CorruptCheckpointError(
            f"run {run_id!r}: the answer to interrupt {interrupt_id!r} is not what was written"
        )
    return data


def _too_large(run_id: str, what: str, size: int, limit: int) -> CheckpointTooLargeError:
    return CheckpointTooLargeError(
        f"run {run_id!r}: {what} has {size} bytes, {limit} are allowed: store a reference instead of large data, or "
        "compile with max_checkpoint_bytes="
    )
