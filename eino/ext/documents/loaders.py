"""Loaders of files and directories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from eino._tasks.threads import in_thread
from eino.components.loader import NO_LOADER_OPTIONS, LoaderOptions, Source
from eino.components.parser import NO_PARSER_OPTIONS, Parser, ParserOptions
from eino.errors import BuildError, ComponentError, InvalidRequestError, PermissionDeniedError
from eino.ext.documents.parsers import default_parser
from eino.schema.document import Document

__all__ = ["MAX_BYTES", "DirectoryLoader", "FileLoader", "with_ids"]

MAX_BYTES: Final = 64 * 2**20
"""Bytes of a file or page that a loader takes unless told otherwise."""


class FileLoader:
    """Loads a file from a path or a `file:` URL.

    Documents get ids made of the path (`notes.md`, or `table.csv#3` for the third of several) unless the parser gave
    them some, so that a file that is loaded again replaces its old documents in a store. The metadata has `_source`,
    `_file_name` and `_extension`.

    Args:
        parser: Makes documents of the bytes; unless given, `default_parser()`.
        root: Folder that files must lie in, symbolic links resolved; relative paths begin there. None: any file.
        max_bytes: Largest file that is read.

    Raises:
        BuildError: If `max_bytes` is below 1.
    """

    def __init__(
        self, parser: Parser | None = None, *, root: str | os.PathLike[str] | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        if max_bytes < 1:
            raise BuildError(f"max_bytes must be at least 1, got {max_bytes!r}")
        self._parser = default_parser() if parser is None else parser
        self._root = None if root is None else Path(root)
        self._max_bytes = max_bytes

    async def load(self, source: Source, options: LoaderOptions = NO_LOADER_OPTIONS) -> list[Document]:
        """Return the documents of the file.

        Raises:
            InvalidRequestError: If there is no such file, it is too large, or it cannot be parsed.
            PermissionDeniedError: If it may not be read, or lies outside `root`.
            ComponentError: If reading it fails.
        """
        data = await in_thread(_read, source.uri, self._root, self._max_bytes)
        given = options.wanted().get("parser", NO_PARSER_OPTIONS)
        parsed = await self._parser.parse(data, given.merge(ParserOptions(uri=given.uri or source.uri)))
        name = Path(_path_of(source.uri)).name
        named = {"_source": source.uri, "_file_name": name, "_extension": Path(name).suffix}
        return with_ids([each.replace(metadata={**named, **each.metadata}) for each in parsed], source.uri)


def with_ids(documents: Sequence[Document], uri: str) -> list[Document]:
    """Return documents with ids: `uri` for a single one, `uri#1`, `uri#2`, ... for several, or those that they had."""
    several = len(documents) > 1
    return [
        each if each.id else each.replace(id=f"{uri}#{place}" if several else uri)
        for place, each in enumerate(documents, start=1)
    ]


class DirectoryLoader:
    """Loads the files below a directory, in the order of their paths.

    Args:
        parser: Makes documents of the bytes; unless given, `default_parser()`.
        pattern: Which files, as `pathlib` understands it: `"**/*.md"`.
        hidden: Whether names that begin with a dot are loaded too.
        max_bytes: Largest file that is read.
        max_files: Most files; more are an error, before any is read.
        on_error: `"raise"` at the first file that cannot be loaded, or `"skip"` it.

    Raises:
        BuildError: If a setting cannot work.
    """

    def __init__(
        self,
        parser: Parser | None = None,
        *,
        pattern: str = "**/*",
        hidden: bool = False,
        max_bytes: int = MAX_BYTES,
        max_files: int = 10_000,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise BuildError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            raise BuildError(f"pattern must be one below the directory, such as '**/*.md', got {pattern!r}")
        self._parser = default_parser() if parser is None else parser
        self._pattern, self._hidden = pattern, hidden
        self._max_bytes, self._max_files, self._on_error = max_bytes, max_files, on_error

    async def load(self, source: Source, options: LoaderOptions = NO_LOADER_OPTIONS) -> list[Document]:
        """Return the documents of all files. Symbolic links that lead out of the directory are not followed.

        Raises:
            InvalidRequestError: If there is no such directory, it has too many files, or one cannot be parsed.
            PermissionDeniedError: If it may not be read.
            ComponentError: If reading fails.
        """
        root = Path(_path_of(source.uri))
        paths = await in_thread(self._paths, root)
        loader = FileLoader(self._parser, root=root, max_bytes=self._max_bytes)
        documents: list[Document] = []
        for path in paths:
            try:
                documents += await loader.load(Source(str(path)), options)
            except ComponentError:
                if self._on_error == "raise":
                    raise
        return documents

    def _paths(self, root: Path) -> list[Path]:
        if not root.is_dir():
            raise InvalidRequestError(f"there is no directory {str(root)!r}; check the path")
        real = root.resolve()
        found = []
        for path in sorted(root.glob(self._pattern)):
            below = path.relative_to(root).parts
            if not self._hidden and any(part.startswith(".") for part in below):
                continue
            if path.is_file() and path.resolve().is_relative_to(real):
                found.append(path)
        if len(found) > self._max_files:
            raise InvalidRequestError(
                f"the directory {str(root)!r} has {len(found)} files, more than max_files={self._max_files}"
            )
        return found


def _path_of(uri: str) -> str:
    if uri.startswith("file:"):
        return unquote(urlsplit(uri).path)
    if "://" in uri:
        raise InvalidRequestError(f"{uri!r} is no path and no file: URL; use URLLoader for web addresses")
    return uri


def _read(uri: str, root: Path | None, max_bytes: int) -> bytes:
    name = _path_of(uri)
    if not name or "\0" in name:
        raise InvalidRequestError(f"{uri!r} is no path of a file")
    path = Path(name)
    try:
        if root is not None:
            base = root.resolve(strict=True)
            # A path that already leads through the root, as a directory loader makes them, is not put below it again.
            path = (path if path.is_absolute() or path.is_relative_to(root) else base / path).resolve(strict=True)
            if not path.is_relative_to(base):
                raise PermissionDeniedError(
                    f"the file {uri!r} lies outside of {str(root)!r}; only files in it are loaded"
                )
        if not path.is_file():
            raise InvalidRequestError(f"there is no file {uri!r}; check the path")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except PermissionError as error:
        raise PermissionDeniedError(f"the file {uri!r} may not be read: check its permissions") from error
    except FileNotFoundError as error:
        raise InvalidRequestError(f"there is no file {uri!r}; check the path") from error
    except OSError as error:
        raise ComponentError(f"the file {uri!r} cannot be read: {error}") from error
    if len(data) > max_bytes:
        raise InvalidRequestError(f"the file {uri!r} is larger than max_bytes={max_bytes}; raise it, or split the file")
    return data
