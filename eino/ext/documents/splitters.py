"""Splitters: documents in pieces that fit into a prompt; and a reranker for what comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from eino._tasks.threads import in_thread
from eino.components.transformer import NO_TRANSFORMER_OPTIONS, TransformerOptions
from eino.errors import BuildError, MissingExtraError
from eino.schema.document import Document

__all__ = ["MarkdownHeaderSplitter", "RecursiveSplitter", "ScoreReranker", "TokenSplitter"]

SEPARATORS: Final = ("\n\n", "\n", ". ", "。", "! ", "? ", "！", "？", "; ", ", ", " ", "")  # noqa: RUF001


def _pieces(document: Document, texts: Sequence[str]) -> list[Document]:
    """Return the pieces of a document: `_chunk` counts them from 0, and ids are those of the document with it."""
    return [
        document.replace(
            id=f"{document.id}#chunk-{place}" if document.id else "",
            content=text,
            metadata={**document.metadata, "_chunk": place, **({"_parent_id": document.id} if document.id else {})},
        )
        for place, text in enumerate(texts)
    ]


class _Splitter:
    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        """Return the pieces of all documents, in order; a document without text has none."""
        return await in_thread(lambda: [piece for each in documents for piece in self._split(each)])

    def _split(self, document: Document) -> list[Document]:
        raise NotImplementedError


class RecursiveSplitter(_Splitter):
    """Splits at the first separator that makes pieces small enough, and puts small pieces together again.

    Args:
        chunk_size: Largest piece, as `length` measures it.
        overlap: How much of the end of a piece the next one repeats, at most; whole parts only.
        separators: What to split at, the best first; an empty one splits between characters.
        length: Measures a text; characters unless given. `TokenCounter`s fit.
        keep_separator: Whether a separator stays at the `"end"` of what is before it, at the `"start"` of what is
            after it, or goes (`"none"`), in which case it is put between parts of one piece again.

    Raises:
        BuildError: If the sizes do not fit together, or there is no separator.
    """

    def __init__(
        self,
        *,
        chunk_size: int = 1000,
        overlap: int = 100,
        separators: Sequence[str] = SEPARATORS,
        length: Callable[[str], int] = len,
        keep_separator: Literal["end", "start", "none"] = "end",
    ) -> None:
        if chunk_size < 1 or not 0 <= overlap < chunk_size:
            raise BuildError(
                f"chunk_size={chunk_size!r} must be at least 1, and overlap={overlap!r} from 0 to below it"
            )
        if isinstance(separators, str) or not separators:
            raise BuildError(f"separators must be a list of texts, at least one, got {separators!r}")
        if keep_separator not in ("end", "start", "none"):
            raise BuildError(f"keep_separator must be 'end', 'start' or 'none', got {keep_separator!r}")
        self._size, self._overlap, self._length = chunk_size, overlap, length
        self._separators = tuple(separators)
        self._keep = keep_separator

    def _split(self, document: Document) -> list[Document]:
        texts = (text.strip() for text in self._texts(document.content, 0))
        return _pieces(document, [text for text in texts if text])

    def _texts(self, text: str, level: int) -> Iterator[str]:
        if self._length(text) <= self._size or level >= len(self._separators):
            yield text
            return
        separator = self._separators[level]
        small: list[tuple[str, int]] = []
        glue = separator if self._keep == "none" else ""
        for part in self._parts(text, separator):
            length = self._length(part)
            if length <= self._size:
                small.append((part, length))
                continue
            yield from self._joined(small, glue)
            small = []
            yield from self._texts(part, level + 1)
        yield from self._joined(small, glue)

    def _parts(self, text: str, separator: str) -> list[str]:
        if not separator:
            return list(text)
        cut = text.split(separator)
        if self._keep == "end":
            cut = [part + separator for part in cut[:-1]] + cut[-1:]
        elif self._keep == "start":
            cut = cut[:1] + [separator + part for part in cut[1:]]
        return [part for part in cut if part]

    def _joined(self, parts: Sequence[tuple[str, int]], glue: str) -> Iterator[str]:
        """Yield texts of as many parts as fit; each begins with the parts of the one before that `overlap` allows."""
        between = self._length(glue) if glue else 0
        window: list[tuple[str, int]] = []
        total = 0
        for part, length in parts:
            if window and total + between + length > self._size:
                yield glue.join(each for each, _ in window)
                while window and (total > self._overlap or total + between + length > self._size):
                    total -= window.pop(0)[1] + (between if window else 0)
            total += length + (between if window else 0)
            window.append((part, length))
        if window:
            yield glue.join(each for each, _ in window)


@dataclass(frozen=True)
class _Section:
    titles: dict[int, str]
    lines: list[str]


class MarkdownHeaderSplitter(_Splitter):
    """Splits Markdown at its headings; the headings above a piece are in its metadata.

    What a heading is says the CommonMark parser `markdown-it-py`: a `#` inside a code block is none.

    Args:
        headers: Metadata key by level; headings of other levels do not split.
        keep_headers: Whether a piece begins with the line of its heading.

    Raises:
        BuildError: If a level is not from 1 to 6.
        MissingExtraError: When it splits, if `markdown-it-py` is not installed.
    """

    def __init__(self, headers: dict[int, str] | None = None, *, keep_headers: bool = True) -> None:
        self._headers = {1: "h1", 2: "h2", 3: "h3"} if headers is None else dict(headers)
        wrong = [level for level in self._headers if level not in range(1, 7)]
        if wrong or not self._headers:
            raise BuildError(f"headers must map levels from 1 to 6 to metadata keys, got {headers!r}")
        self._keep = keep_headers

    def _split(self, document: Document) -> list[Document]:
        sections = [each for each in self._sections(document.content) if "".join(each.lines).strip()]
        pieces = _pieces(document, ["\n".join(each.lines).strip("\n") for each in sections])
        return [
            piece.with_metadata(**{self._headers[level]: title for level, title in section.titles.items()})
            for piece, section in zip(pieces, sections, strict=True)
        ]

    def _sections(self, text: str) -> list[_Section]:
        lines = text.splitlines()
        sections = [_Section({}, [])]
        at = 0
        for level, title, start, end in _headings(text):
            if level not in self._headers:
                continue
            sections[-1].lines.extend(lines[at:start])
            above = {key: value for key, value in sections[-1].titles.items() if key < level}
            sections.append(_Section({**above, level: title}, []))
            at = start if self._keep else end
        sections[-1].lines.extend(lines[at:])
        return sections


def _headings(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield level, title, first line and the line behind each heading that is in no list or quote."""
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "splitting Markdown needs the library 'markdown-it-py', which is not installed; "
            'pip install "eino[documents]"',
            name="markdown_it",
        ) from error
    tokens = MarkdownIt("commonmark").parse("\n".join(text.splitlines()))
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            yield int(token.tag[1]), tokens[place + 1].content, token.map[0], token.map[1]


class TokenSplitter(_Splitter):
    """Splits every so many tokens of an encoding of `tiktoken`.

    Args:
        encoding: What has `encode_ordinary(text)` and `decode(tokens)`, such as a `tiktoken.Encoding`;
            `eino.ext.tokens.tiktoken_encoding(...)` gives one without touching the network.
        chunk_size: Most tokens of a piece.
        overlap: Tokens that a piece repeats of the one before.

    Raises:
        BuildError: If the sizes do not fit together.
    """

    def __init__(self, encoding: Any, *, chunk_size: int = 400, overlap: int = 40) -> None:
        if chunk_size < 1 or not 0 <= overlap < chunk_size:
            raise BuildError(
                f"chunk_size={chunk_size!r} must be at least 1, and overlap={overlap!r} from 0 to below it"
            )
        self._encoding, self._size, self._overlap = encoding, chunk_size, overlap

    def _split(self, document: Document) -> list[Document]:
        tokens = self._encoding.encode_ordinary(document.content)
        step = self._size - self._overlap
        starts = range(0, max(len(tokens) - self._overlap, 1), step) if tokens else ()
        # A character may lie across two tokens: what is cut in the middle of one is left out on both sides.
        texts = [_WHOLE.sub("", self._encoding.decode(tokens[start : start + self._size])) for start in starts]
        return _pieces(document, [text for text in texts if text])


_WHOLE: Final = re.compile("^\ufffd+|\ufffd+$")


class ScoreReranker:
    """Puts the documents with the highest scores at both ends, since models overlook what is in the middle.

    Args:
        score: Reads the score of a document; `document.score` unless given.
    """

    def __init__(self, score: Callable[[Document], float] = lambda document: document.score) -> None:
        self._score = score

    async def transform(
        self, documents: Sequence[Document], options: TransformerOptions = NO_TRANSFORMER_OPTIONS
    ) -> list[Document]:
        """Return the best first, the second best last, the third second, and so on; equal scores keep their order."""
        ranked = sorted(documents, key=self._score, reverse=True)
        return ranked[::2] + ranked[1::2][::-1]
