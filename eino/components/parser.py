"""Document parsers: what makes documents of the bytes of a file; `MessageParser` of the schema reads messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from eino.components._extra_options import ExtraOptions
from eino.errors import BuildError, InvalidRequestError
from eino.schema.document import Document

__all__ = ["NO_PARSER_OPTIONS", "ExtensionParser", "Parser", "ParserOptions", "TextParser"]

_SOURCE: Final = "_source"


class ParserOptions(ExtraOptions, frozen=True, kw_only=True):
    """Options of one call of a parser; see `Options` for the order in which levels are merged."""

    uri: str | UnsetType | None = UNSET
    """Where the bytes come from: a path or URL. Parsers choose by its extension and note it in the metadata."""
    extra_metadata: Mapping[str, Any] | UnsetType | None = UNSET
    """Entries for the metadata of every document, over those that a parser sets itself."""

    def __post_init__(self) -> None:
        ExtraOptions.__post_init__(self)
        if isinstance(self.extra_metadata, Mapping):
            msgspec.structs.force_setattr(self, "extra_metadata", dict(self.extra_metadata))

    @property
    def source(self) -> str:
        """The URI, or an empty text when none was given."""
        return self.uri if isinstance(self.uri, str) else ""

    @property
    def metadata(self) -> dict[str, Any]:
        """The entries for every document; empty when none were given."""
        return dict(self.extra_metadata) if isinstance(self.extra_metadata, Mapping) else {}


NO_PARSER_OPTIONS: Final = ParserOptions()
"""Nothing given: the parser's own settings hold."""


@runtime_checkable
class Parser(Protocol):
    """Makes documents of bytes. Implementations allow concurrent calls and let cancellation through."""

    async def parse(self, data: bytes, options: ParserOptions = NO_PARSER_OPTIONS) -> list[Document]:
        """Return the documents that `data` holds, in order.

        Raises:
            InvalidRequestError: If the bytes are not what the parser reads.
        """
        ...


class TextParser:
    """Makes one document of a text. Its metadata has the URI under `_source`, empty when none was given."""

    def __init__(self, encoding: str = "utf-8") -> None:
        """Read texts in `encoding`.

        Raises:
            BuildError: If Python does not know the encoding.
        """
        try:
            "".encode(encoding)
        except LookupError as error:
            raise BuildError(f"unknown encoding {encoding!r}; use for example 'utf-8'") from error
        self._encoding = encoding

    async def parse(self, data: bytes, options: ParserOptions = NO_PARSER_OPTIONS) -> list[Document]:
        """Return one document with the whole text.

        Raises:
            InvalidRequestError: If the bytes are no text in the parser's encoding.
        """
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            where = f" of {options.source!r}" if options.source else ""
            raise InvalidRequestError(
                f"the bytes{where} are no text in {self._encoding}: {error.reason} at byte {error.start};"
                " use a parser for this kind of file, or another encoding"
            ) from error
        return [Document(content=text, metadata={_SOURCE: options.source, **options.metadata})]


_TEXT_PARSER: Final = TextParser()


class ExtensionParser:
    """Chooses a parser by the extension of the URI, and adds `extra_metadata` to what that returns."""

    def __init__(self, parsers: Mapping[str, Parser], fallback: Parser = _TEXT_PARSER) -> None:
        """Choose among `parsers`.

        Args:
            parsers: Parsers by extension with its dot, such as `".md"` or `".tar.gz"`; upper and lower case are one.
                The longest extension that fits wins.
            fallback: The parser for everything else.

        Raises:
            BuildError: If an extension does not begin with a dot.
        """
        for extension in parsers:
            if not extension.startswith(".") or len(extension) < 2:
                raise BuildError(f"the extension {extension!r} must begin with a dot, as in '.md'")
        self._parsers = {extension.lower(): parser for extension, parser in parsers.items()}
        self._fallback = fallback

    @property
    def parsers(self) -> dict[str, Parser]:
        """A copy of the parsers by extension."""
        return dict(self._parsers)

    async def parse(self, data: bytes, options: ParserOptions = NO_PARSER_OPTIONS) -> list[Document]:
        """Return what the chosen parser makes of `data`.

        Raises:
            InvalidRequestError: If the bytes are not what the chosen parser reads.
        """
        documents = await self._choose(options.source).parse(data, options)
        added = options.metadata
        return [each.with_metadata(**added) for each in documents] if added else documents

    def _choose(self, uri: str) -> Parser:
        path = urlsplit(uri).path.lower()
        for extension in sorted(self._parsers, key=len, reverse=True):
            if path.endswith(extension):
                return self._parsers[extension]
        return self._fallback
