"""What workers did to the world outside: an append-only file that no store knows of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["Ledger", "Line", "of_kind"]

Line = Mapping[str, Any]
"""One line: `is` says what it tells, `life` which process wrote it (0 for the campaign itself)."""


_LINE: Final = 1024
"""Bytes of each line, which is filled up with spaces. It divides a page: a kill can cut a write in two between two
pages of the file, and must never leave half a line."""


class Ledger:
    """One file of JSON lines, written by many processes.

    Each line is one `write` to a file in append mode, so that lines of different processes never mix, and what a
    process wrote before it was killed is there as a whole.
    """

    def __init__(self, path: Path, life: int = 0) -> None:
        self.path = path
        self.life = life

    def note(self, kind: str, **facts: Any) -> None:
        """Append one line.

        Raises:
            ValueError: If it is too long.
        """
        data = json.dumps({"is": kind, "life": self.life, **facts}).encode()
        if len(data) >= _LINE:
            raise ValueError(
                f"a line of the ledger has at most {_LINE - 1} bytes, this one has {len(data)}: {data!r:.200}"
            )
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, data.ljust(_LINE - 1) + b"\n")
        finally:
            os.close(file)

    def lines(self) -> list[Line]:
        """Return all lines, oldest first; none if nobody wrote any."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]


def of_kind(lines: Iterable[Line], kind: str) -> list[Line]:
    """Return the lines that tell one kind of thing."""
    return [line for line in lines if line["is"] == kind]
