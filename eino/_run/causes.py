"""The errors behind an error: what caused it, what caused that, and so on."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["causes"]


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what caused it, what caused that, and so on; nothing for None.

    Each error comes once: `raise error from error` and errors that cause each other make a ring, not a chain.
    """
    seen: set[int] = set()  # by identity, since errors may define what equals them; the ring keeps them alive
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
