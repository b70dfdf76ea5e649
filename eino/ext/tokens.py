"""Counting tokens: exactly where tiktoken has its data on this machine, else by an estimate. Never over the network."""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from eino.errors import BuildError, MissingExtraError

if TYPE_CHECKING:
    import tiktoken

__all__ = ["TokenCounter", "estimate_tokens", "tiktoken_encoding", "token_counter"]

TokenCounter: TypeAlias = Callable[[str], int]
"""Returns how many tokens a text has."""

_BASE: Final = "https://openaipublic.blob.core.windows.net/encodings/"
_DATA: Final = {
    "r50k_base": ("r50k_base", "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
    "p50k_base": ("p50k_base", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
    "p50k_edit": ("p50k_base", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
    "cl100k_base": ("cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
    "o200k_base": ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "o200k_harmony": ("o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
}
"""File and SHA-256 of the data of each encoding. Source: `tiktoken_ext/openai_public.py`.

tiktoken downloads what it does not find in its cache, so the file is looked for, and checked, before it is asked."""

_PIECE: Final = re.compile(
    r"(?P<ideograms>[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+)|(?P<word>[^\W\d_]+)"
    r"|(?P<digits>\d+)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_LETTERS_A_TOKEN: Final = 7.0
"""Letters of a Latin word that one token covers: most words are one token, long ones two or three."""
_FOREIGN_LETTERS_A_TOKEN: Final = 4.0
"""The same for other alphabets."""
_TOKENS_AN_IDEOGRAM: Final = 0.65
_TOKENS_A_MARK: Final = 0.75
"""Punctuation and line ends: several in a row are often one token. All measured with `o200k_base` on prose and code."""


def token_counter(model: str = "gpt-4o") -> TokenCounter:
    """Return what counts the tokens of a model: tiktoken if it and its data are here and it knows the model, else
    `estimate_tokens`.
    """
    try:
        encoding = tiktoken_encoding(model=model)
    except BuildError:
        return estimate_tokens
    return lambda text: len(encoding.encode_ordinary(text))


def tiktoken_encoding(name: str | None = None, *, model: str | None = None) -> tiktoken.Encoding:
    """Return an encoding of tiktoken without touching the network.

    Args:
        name: Name of the encoding, such as `"o200k_base"`; or
        model: Name of the model whose encoding is wanted.

    Raises:
        BuildError: If the name or the model is unknown, or the data is not on this machine: the text says where it
            belongs.
        MissingExtraError: If tiktoken is not installed.
    """
    try:
        import tiktoken
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "exact token counts need the library 'tiktoken', which is not installed; pip install \"eino[tokens]\"",
            name="tiktoken",
        ) from error
    if (name is None) == (model is None):
        raise BuildError("give the name of an encoding or of a model, one of the two")
    try:
        chosen = name if name is not None else tiktoken.encoding_name_for_model(str(model))
        if chosen not in tiktoken.list_encoding_names():
            raise KeyError(chosen)
    except KeyError as error:
        raise BuildError(f"tiktoken knows no encoding for {name or model!r}; use for example 'o200k_base'") from error
    if chosen == "gpt2":
        raise BuildError("the encoding 'gpt2' has another form of data; use 'r50k_base', which is the same")
    if chosen in _DATA:
        _check_data(chosen)
    return tiktoken.get_encoding(chosen)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, without any data: within a quarter for prose and code in English, less
    sure for other languages. An empty text has none, any other at least one.
    """
    tokens = 0.0
    for match in _PIECE.finditer(text):
        piece = match[0]
        match match.lastgroup:
            case "word":
                letters = _LETTERS_A_TOKEN if piece.isascii() else _FOREIGN_LETTERS_A_TOKEN
                tokens += math.ceil(len(piece) / letters) if piece.isascii() else max(1.0, len(piece) / letters)
            case "ideograms":
                tokens += len(piece) * _TOKENS_AN_IDEOGRAM
            case "digits":
                tokens += math.ceil(len(piece) / 3)
            case "space":
                tokens += 0 if piece == " " else _TOKENS_A_MARK
            case _:
                tokens += _TOKENS_A_MARK if piece.isascii() else 1
    return math.ceil(tokens)


def _check_data(name: str) -> None:
    file, expected = _DATA[name]
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    place = Path(folder if folder is not None else Path(tempfile.gettempdir()) / "data-gym-cache")
    url = f"{_BASE}{file}.tiktoken"
    path = place / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    # Without a cache folder tiktoken would download each time; a file that is not the expected one it would replace.
    if folder == "" or not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise BuildError(
            f"the data of the encoding {name!r} is not on this machine, and nothing is downloaded: put the file of"
            f" {url} to {str(path)!r}, or set TIKTOKEN_CACHE_DIR to a folder that has it"
        )
