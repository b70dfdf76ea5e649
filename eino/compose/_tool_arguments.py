"""Argument aliases: renames the top-level keys of a call's JSON, and touches nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["with_canonical_keys"]

# Values stay the text that the model wrote: decoding them would change long numbers.
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def with_canonical_keys(arguments: str, aliases: Mapping[str, Sequence[str]]) -> str:
    """Return `arguments` with each alias renamed to the argument that it stands for.

    An argument that is there under its own name stays, and its aliases stay beside it. What is no JSON object is
    returned as it is: the tool explains what is wrong with it.

    Args:
        arguments: JSON text of a model.
        aliases: Aliases by argument; of several that came, the first is taken.
    """
    if not aliases:
        return arguments
    try:
        entries = _decode(arguments)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return arguments
    names = {}
    for key, others in aliases.items():
        used = next((other for other in others if other in entries), None)
        if used is not None and key not in entries:
            names[used] = key
    return _encode({names.get(key, key): value for key, value in entries.items()}).decode() if names else arguments
