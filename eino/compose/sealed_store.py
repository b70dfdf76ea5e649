"""A store around another one that signs what it writes, and refuses what was not signed with one of its keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast

from eino.compose.store import (
    CheckpointStore,
    Record,
    RunStatus,
    RunSummary,
    StoredRun,
    TransactionalStore,
    offers_transactions,
)
from eino.errors import BuildError, CorruptCheckpointError, EinoError

__all__ = ["SealedStore"]

_MIN_KEY_BYTES: Final = 32
"""Shorter keys than the hash gives are easier to guess than to break. Source: RFC 2104, section 3."""
_MAC_BYTES: Final = hashlib.sha256().digest_size
_RECORD: Final = b"record"
_ANSWER: Final = b"answer"


class SealedStore:
    """Signs the records and answers of another store with a secret key.

    Without a key, the chain of a run finds accidents. With one it also finds forgery: whoever may write the database,
    but does not know the key, can neither change a record or an answer, nor move it to another run or namespace, nor
    add one. What no signature finds: that a whole run was put back to an earlier state of its own.

    Only what passes the store is signed; runs that were stored without it are refused.

    Args:
        store: Where the runs are.
        keys: Secret keys by id, each at least 32 random bytes (`secrets.token_bytes(32)`). The id is stored beside what
            it signed, so keep a key for as long as runs need it.
        key_id: The key that signs from now on; the last one unless given.

    Raises:
        BuildError: If there is no key, or one is too short, or `key_id` is none of them.
        CorruptCheckpointError: By every method that reads a run: a signature is missing or wrong.
    """

    def __init__(self, store: CheckpointStore, keys: Mapping[str, bytes], *, key_id: str | None = None) -> None:
        for name, key in keys.items():
            if not isinstance(key, bytes) or len(key) < _MIN_KEY_BYTES:
                raise BuildError(f"the key {name!r} must be {_MIN_KEY_BYTES} random bytes or more")  # never the key
            if not 0 < len(name.encode()) < 256:
                raise BuildError(f"the id {name!r} of a key must have 1 to 255 bytes")
        if not keys or (key_id is not None and key_id not in keys):
            raise BuildError(f"key_id={key_id!r} is none of the keys: {list(keys)}")
        self._store = store
        self._keys = dict(keys)
        self._key_id = list(keys)[-1] if key_id is None else key_id
        if offers_transactions(store):
            self.transact = self._transact

    def __repr__(self) -> str:
        return f"SealedStore({self._store!r}, keys={list(self._keys)})"

    @property
    def namespace(self) -> str:
        """Which runs it sees."""
        return self._store.namespace

    async def claim(self, run_id: str, owner: str, *, take_over: bool | str, create: bool) -> StoredRun:
        """See `CheckpointStore`."""
        run = await self._store.claim(run_id, owner, take_over=take_over, create=create)
        try:
            return self._opened(run)
        except CorruptCheckpointError:
            with suppress(EinoError):  # the caller hears of the damage; the run stays as it was
                await self._store.append(run_id, (), expected_head=run.head, epoch=run.epoch, status=run.status)
            raise

    async def append(
        self, run_id: str, records: Sequence[Record], *, expected_head: int, epoch: int, status: RunStatus | None
    ) -> None:
        """See `CheckpointStore`."""
        sealed = [self._signed(run_id, each) for each in records]
        await self._store.append(run_id, sealed, expected_head=expected_head, epoch=epoch, status=status)

    async def load(self, run_id: str) -> StoredRun | None:
        """See `CheckpointStore`."""
        run = await self._store.load(run_id)
        return None if run is None else self._opened(run)

    async def answer(self, run_id: str, interrupt_id: str, value: bytes) -> None:
        """See `CheckpointStore`."""
        await self._store.answer(
            run_id, interrupt_id, self._sealed(_joined(_ANSWER, self.namespace, run_id, interrupt_id), value)
        )

    async def list(self) -> list[RunSummary]:
        """See `CheckpointStore`."""
        return await self._store.list()

    async def delete(self, run_id: str, *, epoch: int | None = None) -> None:
        """See `CheckpointStore`."""
        await self._store.delete(run_id, epoch=epoch)

    async def _transact(self, run_id: str, work: Callable[[Any], Record], *, expected_head: int, epoch: int) -> None:
        """See `TransactionalStore`."""
        inner = cast("TransactionalStore", self._store)
        await inner.transact(
            run_id, lambda db: self._signed(run_id, work(db)), expected_head=expected_head, epoch=epoch
        )

    def _signed(self, run_id: str, record: Record) -> Record:
        return replace(record, mac=self._sealed(_about(self.namespace, run_id, record), record.mac))

    def _opened(self, run: StoredRun) -> StoredRun:
        """Return a run without its signatures.

        Raises:
            CorruptCheckpointError: If one is missing or wrong.
        """
        name = f"run {run.run_id!r}"
        records = tuple(replace(each, mac=self._mac_of(run.run_id, each)) for each in run.records)
        answers = {
            each: self._unsealed(
                _joined(_ANSWER, self.namespace, run.run_id, each), value, f"{name}: the answer to {each!r}"
            )
            for each, value in run.answers.items()
        }
        if run.head_mac != (run.records[-1].mac if run.records else b""):
            raise CorruptCheckpointError(f"{name}: the head is not the last record")
        return replace(run, records=records, head_mac=records[-1].mac if records else b"", answers=answers)

    def _mac_of(self, run_id: str, record: Record) -> bytes:
        about = _about(self.namespace, run_id, record)
        return self._unsealed(about, record.mac, f"run {run_id!r}: record {record.seq}")

    def _sealed(self, about: bytes, data: bytes) -> bytes:
        name = self._key_id.encode()
        return bytes([len(name)]) + name + _mac(self._keys[self._key_id], about, data) + data

    def _unsealed(self, about: bytes, sealed: bytes, what: str) -> bytes:
        end = 1 + (sealed[0] if sealed else 0)
        name, mac, data = sealed[1:end], sealed[end : end + _MAC_BYTES], sealed[end + _MAC_BYTES :]
        key = self._keys.get(name.decode(errors="replace"))
        if key is None:
            known = ", ".join(map(repr, self._keys))
            raise CorruptCheckpointError(
                f"{what} was not signed with a key that is known here ({known}), but with {name[:40]!r}, or not at all"
            )
        if not hmac.compare_digest(mac, _mac(key, about, data)):
            raise CorruptCheckpointError(f"{what} is not what was written: its signature is wrong")
        return data


def _about(namespace: str, run_id: str, record: Record) -> bytes:
    """Return all of a record but its MAC."""
    texts = _joined(_RECORD, namespace, run_id, record.kind)
    return texts + record.seq.to_bytes(8) + record.epoch.to_bytes(8) + record.body


def _joined(kind: bytes, *texts: str) -> bytes:
    """Return texts as bytes that no other texts give."""
    return kind + b"".join(len(each).to_bytes(8) + each for each in map(str.encode, texts))


def _mac(key: bytes, about: bytes, data: bytes) -> bytes:
    return hmac.digest(key, len(about).to_bytes(8) + about + data, "sha256")
