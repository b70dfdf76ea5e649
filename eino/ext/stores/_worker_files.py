"""Tells which workers of a machine live: each holds a lock on a file, which the kernel frees when it dies. No clock."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["WorkerFile"]

_NAME: Final = re.compile("[0-9a-f]{16}")


class WorkerFile:
    """This worker, as the others see it: an empty file beside the database, locked as long as it is held.

    Not for forked processes: a child holds the locks of its parent.

    Args:
        path: The database.
    """

    def __init__(self, path: str) -> None:
        self._prefix = f"{path}-worker-"
        self._held = -1
        self._name = ""
        self._pid = 0

    def hold(self) -> str:
        """Hold the lock, and return the name of this worker. Files of dead workers are removed.

        Raises:
            OSError: If there can be no file.
        """
        while not self._name:
            self._remove_dead()
            name = secrets.token_hex(8)
            file = os.open(self._prefix + name, os.O_CREAT | os.O_RDWR, 0o666)
            if _is_locked(file) and Path(self._prefix + name).exists():
                self._held, self._name, self._pid = file, name, os.getpid()
            else:  # another worker took it for a dead one's, before it was locked
                os.close(file)
        return self._name

    def is_gone(self, name: str) -> bool:
        """Return whether the worker of this name has died.

        Raises:
            ValueError: If it is no name.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a worker")
        try:
            file = os.open(self._prefix + name, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            if not _is_locked(file):
                return False
            with suppress(FileNotFoundError):
                os.unlink(self._prefix + name)
            return True
        finally:
            os.close(file)

    def release(self) -> None:
        """Free the lock, and remove the file; in a forked child they stay, for they are those of its parent."""
        if not self._name:
            return
        if self._pid == os.getpid():
            with suppress(FileNotFoundError):
                os.unlink(self._prefix + self._name)
        os.close(self._held)
        self._name = ""

    def __del__(self) -> None:
        """A store that is dropped holds nothing."""
        self.release()

    def _remove_dead(self) -> None:
        prefix = Path(self._prefix)
        for each in prefix.parent.iterdir():
            name = each.name.removeprefix(prefix.name)
            if name != each.name and _NAME.fullmatch(name):
                self.is_gone(name)


def _is_locked(file: int) -> bool:
    """Return whether the lock of a file was free, and now is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
