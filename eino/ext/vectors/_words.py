"""Texts as SQLite's full-text index reads them, so that languages without spaces are found too. Pure."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_QUERY_WORDS", "index_words", "query_words"]

MAX_QUERY_WORDS: Final = 256
"""Different words of a query that are searched for; more cost time and hardly change the ranking."""

_IDEOGRAMS: Final = re.compile(
    "[\u3005\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003134f]+"
)
"""Runs of Chinese, Japanese and Korean writing, in which words are not, or not always, set apart."""
_WORD: Final = re.compile(r"\w+")


def index_words(text: str) -> str:
    """Return `text` with runs of ideograms cut into overlapping pairs, as full-text search of such languages does.

    The last one of a run is also there alone, so that each one of them is the beginning of something.
    """
    return _IDEOGRAMS.sub(lambda run: f" {' '.join((*_pairs(run[0]), run[0][-1]))} ", text)


def query_words(query: str) -> str:
    """Return the query that finds texts with any of the words; empty when there are none.

    Every word is quoted, so that nothing in it is taken for the query language of the full-text index.
    """
    words = dict.fromkeys(_WORD.findall(_IDEOGRAMS.sub(lambda run: f" {' '.join(_pairs(run[0]) or run[0])} ", query)))
    return " OR ".join(_quoted(word) for word in list(words)[:MAX_QUERY_WORDS])


def _quoted(word: str) -> str:
    begins = len(word) == 1 and _IDEOGRAMS.match(word)
    return f'"{word}" *' if begins else f'"{word}"'


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)]
