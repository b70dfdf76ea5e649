"""Parsers of Markdown, HTML, PDF, CSV and JSON, and a choice among them by extension.

Parsing runs in a worker thread. Libraries are loaded when the first file of a kind comes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Literal

import msgspec

from eino._tasks.threads import in_thread
from eino.components.parser import NO_PARSER_OPTIONS, ExtensionParser, ParserOptions
from eino.errors import BuildError, InvalidRequestError, MissingExtraError
from eino.schema.document import Document

__all__ = [
    "CSVParser",
    "HTMLParser",
    "JSONParser",
    "MarkdownParser",
    "PDFParser",
    "default_parser",
]

_SOURCE: Final = "_source"


def default_parser() -> ExtensionParser:
    """Return a parser that chooses by extension: `.md`, `.markdown`, `.html`, `.htm`, `.pdf`, `.csv`, `.tsv`, `.json`,
    `.jsonl`, `.ndjson`; all else is read as text.
    """
    markdown, html = MarkdownParser(), HTMLParser()
    return ExtensionParser(
        {
            ".md": markdown,
            ".markdown": markdown,
            ".html": html,
            ".htm": html,
            ".pdf": PDFParser(),
            ".csv": CSVParser(),
            ".tsv": CSVParser(delimiter="\t"),
            ".json": JSONParser(),
            ".jsonl": JSONParser(lines=True),
            ".ndjson": JSONParser(lines=True),
        }
    )


class _InThread:
    """A parser whose work is one plain function."""

    async def parse(self, data: bytes, options: ParserOptions = NO_PARSER_OPTIONS) -> list[Document]:
        """Return the documents that `data` holds, in order.

        Raises:
            InvalidRequestError: If the bytes are not what the parser reads.
            MissingExtraError: If the library for this kind of file is not installed.
        """
        found = await in_thread(self._read, data, options)
        return [each.with_metadata(**{_SOURCE: options.source, **each.metadata, **options.metadata}) for each in found]

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        raise NotImplementedError


class MarkdownParser(_InThread):
    """Makes one document of a Markdown text, as it is.

    A YAML header between `---` lines goes to the metadata, the first heading to `_title`.
    """

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        text = _decoded(data, options)
        header, body = _front_matter(text, options)
        title = next((match["title"] for match in _HEADING.finditer(_FENCED.sub("", body))), "")
        return [Document(content=body, metadata={**header, **({"_title": title} if title else {})})]


_HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+(?P<title>\S[^\n]*?)[ \t]*(?:[ \t]#+[ \t]*)?$", re.MULTILINE)
_FENCED: Final = re.compile(r"^ {0,3}(```+|~~~+)[^\n]*\n(?:[^\n]*\n)*? {0,3}\1[`~]*[ \t]*$", re.MULTILINE)
_FRONT: Final = re.compile(
    r"\A---[ \t]*\r?\n(?P<header>.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


def _front_matter(text: str, options: ParserOptions) -> tuple[dict[str, Any], str]:
    match = _FRONT.match(text)
    if match is None:
        return {}, text
    yaml = _library("yaml")
    try:
        header = yaml.safe_load(match["header"])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(options, f"its YAML header cannot be read ({error}); mend it, or use TextParser") from error
    if not isinstance(header, dict):  # a thematic break, no header
        return {}, text
    return {str(key): value for key, value in header.items()}, text[match.end() :]


class HTMLParser(_InThread):
    """Makes one document of the text of a web page; title, description and language go to the metadata.

    Args:
        selector: CSS selector of what to read; everything in it, wherever it occurs, outermost first.
        output: `"text"`, or `"markdown"`, which keeps headings, lists, tables and links.

    Raises:
        BuildError: If `output` is neither.
    """

    def __init__(self, *, selector: str = "body", output: Literal["text", "markdown"] = "text") -> None:
        if output not in ("text", "markdown"):
            raise BuildError(f"output must be 'text' or 'markdown', got {output!r}")
        self._selector = selector
        self._output = output

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        bs4 = _library("bs4")
        try:
            page = bs4.BeautifulSoup(data, "html.parser", from_encoding="utf-8" if _is_utf8(data) else None)
            metadata = _page_metadata(page)
            for unseen in page.find_all(["script", "style", "noscript", "template", "head"]):
                unseen.decompose()
            parts = page.select(self._selector) or ([page] if self._selector == "body" else [])
            inner = {id(child) for part in parts for child in part.find_all(True)}
            texts = [self._text(part) for part in parts if id(part) not in inner]
        except RecursionError as error:
            raise _refused(options, "its elements are nested too deeply") from error
        except Exception as error:
            raise _refused(options, f"it cannot be read as HTML: {type(error).__name__}: {error}") from error
        return [Document(content="\n\n".join(text for text in texts if text), metadata=metadata)]

    def _text(self, part: Any) -> str:
        if self._output == "markdown":
            text = _library("markdownify").markdownify(str(part), heading_style="ATX")
            return re.sub(r"\n{3,}", "\n\n", text).strip()
        bs4 = _library("bs4")
        pieces = []
        for node in part.descendants:
            if isinstance(node, bs4.Tag):
                pieces.append("\n" if node.name in _BLOCKS else "")
            elif type(node) is bs4.NavigableString:  # comments and declarations are other classes
                pieces.append(_AFTER_BLOCK if _follows_block(node) else "")
                pieces.append(re.sub(r"\s+", " ", node))
        lines = (re.sub(r" +", " ", line).strip() for line in "".join(pieces).split("\n"))
        return "\n".join(line for line in lines if line)


def _is_utf8(data: bytes) -> bool:
    """Return whether the bytes are UTF-8, which no longer text in another encoding is by chance."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_AFTER_BLOCK: Final = "\n"
_BLOCKS: Final = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote br dd details dialog div dl dt fieldset figcaption figure footer form h1 h2"
        " h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody td tfoot th thead tr ul",
    )
)


def _follows_block(node: Any) -> bool:
    before: Any = node.previous_sibling
    while isinstance(before, str) and type(before) is not type(node):  # comments between
        before = getattr(before, "previous_sibling", None)
    return getattr(before, "name", None) in _BLOCKS


def _page_metadata(page: Any) -> dict[str, Any]:
    root, title = page.find("html"), page.find("title")
    description = page.find("meta", attrs={"name": "description"})
    found = {
        "_title": title.get_text(" ", strip=True) if title else "",
        "_description": str(description.get("content") or "") if description else "",
        "_language": str(root.get("lang") or "") if root else "",
        "_charset": page.original_encoding or "",
    }
    return {key: value for key, value in found.items() if value}


class PDFParser(_InThread):
    """Makes one document of the text of a PDF file, or one of each page with its number under `_page`.

    Args:
        pages: Whether each page with text is a document.
        password: For files that need one.
    """

    def __init__(self, *, pages: bool = False, password: str | None = None) -> None:
        self._pages = pages
        self._password = password

    def __repr__(self) -> str:
        return f"PDFParser(pages={self._pages!r})"

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        pypdf = _library("pypdf")
        try:
            reader = pypdf.PdfReader(io.BytesIO(data))
            locked = reader.is_encrypted and not reader.decrypt(self._password or "")
            texts = [] if locked else [page.extract_text() for page in reader.pages]
            title = "" if locked else str((reader.metadata.title if reader.metadata else None) or "")
        except Exception as error:  # hostile bytes make the library raise almost anything
            raise _refused(options, f"it cannot be read as PDF: {type(error).__name__}: {error}") from error
        if locked:
            raise _refused(options, "it is encrypted; give PDFParser the right password=")
        metadata = {"_title": title} if title else {}
        if not self._pages:
            return [Document(content="\n\n".join(texts).strip(), metadata={**metadata, "_pages": len(texts)})]
        pages = enumerate(texts, start=1)
        return [Document(content=text, metadata={**metadata, "_page": page}) for page, text in pages if text.strip()]


class CSVParser(_InThread):
    """Makes a document of each row of a table with a header: lines of `column: value`.

    Args:
        content: Columns that make the text; all that are not in `metadata` unless given.
        metadata: Columns that go to the metadata instead, as texts.
        identity: The column with the documents' ids.
        delimiter: What is between the values.
        encoding: Of the file.

    Raises:
        BuildError: If the delimiter is not one character.
    """

    def __init__(
        self,
        *,
        content: Sequence[str] | None = None,
        metadata: Sequence[str] = (),
        identity: str | None = None,
        delimiter: str = ",",
        encoding: str = "utf-8-sig",
    ) -> None:
        if len(delimiter) != 1:
            raise BuildError(f"delimiter must be one character, got {delimiter!r}")
        self._content = None if content is None else tuple(content)
        self._metadata = tuple(metadata)
        self._identity = identity
        self._delimiter = delimiter
        self._encoding = encoding

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        text = _decoded(data, options, self._encoding)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
        try:
            rows = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise _refused(options, f"line {reader.line_num} cannot be read as CSV: {error}") from error
        if not rows:
            return []
        header = rows[0][1]
        for name in (*(self._content or ()), *self._metadata, *filter(None, [self._identity])):
            if name not in header:
                raise _refused(options, f"it has no column {name!r}; the columns are {', '.join(header)}")
        documents = []
        for line, row in rows[1:]:
            if len(row) != len(header):
                raise _refused(options, f"line {line} has {len(row)} values, the header {len(header)}")
            documents.append(self._document(dict(zip(header, row, strict=True)), line))
        return documents

    def _document(self, values: Mapping[str, str], line: int) -> Document:
        names = [name for name in values if name not in self._metadata] if self._content is None else self._content
        return Document(
            id=values[self._identity] if self._identity else "",
            content="\n".join(f"{name}: {values[name]}" for name in names),
            metadata={**{name: values[name] for name in self._metadata}, "_line": line},
        )


class JSONParser(_InThread):
    """Makes documents of JSON: one of each item of a list, else one.

    Args:
        pointer: JSON pointer (RFC 6901) to the list or value, such as `/data/items`; empty for the whole.
        content: Field of an item that holds the text; unless given, the whole item as JSON.
        metadata: Fields of an item that go to the metadata.
        identity: Field of an item with the document's id.
        lines: Whether the file is JSON Lines: one value a line.

    Raises:
        BuildError: If the pointer is none.
    """

    def __init__(
        self,
        *,
        pointer: str = "",
        content: str | None = None,
        metadata: Sequence[str] = (),
        identity: str | None = None,
        lines: bool = False,
    ) -> None:
        if pointer and not pointer.startswith("/"):
            raise BuildError(f"a JSON pointer begins with '/', got {pointer!r}")
        self._steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
        self._content, self._metadata, self._identity, self._lines = content, tuple(metadata), identity, lines

    def _read(self, data: bytes, options: ParserOptions) -> list[Document]:
        if not self._lines:
            found = self._at_pointer(_json(data, options, ""), options)
            items = found if isinstance(found, list) else [found]
            return [self._document(item, f"item {place}", options) for place, item in enumerate(items)]
        numbered = [(number, line) for number, line in enumerate(data.splitlines(), start=1) if line.strip()]
        values = [(number, _json(line, options, f"line {number} of ")) for number, line in numbered]
        return [
            self._document(self._at_pointer(value, options), f"line {number}", options).with_metadata(_line=number)
            for number, value in values
        ]

    def _at_pointer(self, value: Any, options: ParserOptions) -> Any:
        for step in self._steps:
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                raise _refused(options, f"it has nothing at {step!r} of the pointer /{'/'.join(self._steps)}")
        return value

    def _document(self, item: Any, place: str, options: ParserOptions) -> Document:
        wanted = [name for name in (self._content, self._identity) if name is not None]
        missing = [name for name in wanted if not isinstance(item, dict) or name not in item]
        if missing:
            raise _refused(options, f"{place} has no field {missing[0]!r}")
        text = item if self._content is None else item[self._content]
        kept = {name: item[name] for name in self._metadata if isinstance(item, dict) and name in item}
        return Document(
            id=str(item[self._identity]) if self._identity else "",
            content=text if isinstance(text, str) else msgspec.json.encode(text).decode(),
            metadata=kept,
        )


def _json(data: bytes, options: ParserOptions, where: str) -> Any:
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(options, f"{where}it cannot be read as JSON: {error}") from error


def _decoded(data: bytes, options: ParserOptions, encoding: str = "utf-8-sig") -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _refused(options, f"it is no text in {encoding}: {error.reason} at byte {error.start}") from error


def _refused(options: ParserOptions, why: str) -> InvalidRequestError:
    what = f"the file {options.source!r}" if options.source else "the file"
    return InvalidRequestError(f"{what} cannot be parsed: {why}")


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"parsing this kind of file needs the library {name!r}, which is not installed; "
            'pip install "eino[documents]"',
            name=name,
        ) from error
