"""Document parsers: text, and the choice by extension."""

from __future__ import annotations

import pytest

from eino.components import ExtensionParser, Parser, ParserOptions, TextParser
from eino.errors import BuildError, InvalidRequestError
from eino.schema import Document


class Upper:
    """A parser that shows that it was chosen."""

    async def parse(self, data: bytes, options: ParserOptions = ParserOptions()) -> list[Document]:  # noqa: B008 - frozen
        return [Document(content=data.decode().upper(), metadata={"kept": 1, "k": "own"})]


async def test_a_text_is_one_document_that_knows_its_source() -> None:
    parser = TextParser()

    assert await parser.parse("ä".encode(), ParserOptions(uri="a.txt", extra_metadata={"k": "v"})) == [
        Document(content="ä", metadata={"_source": "a.txt", "k": "v"})
    ]
    assert await parser.parse(b"") == [Document(content="", metadata={"_source": ""})]
    assert isinstance(parser, Parser)


async def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"the bytes of 'a\.pdf' are no text in utf-8: invalid start byte at byte 1"
    ):
        await TextParser().parse(b"%\xff", ParserOptions(uri="a.pdf"))
    with pytest.raises(InvalidRequestError, match="the bytes are no text in utf-8"):
        await TextParser().parse(b"\xff")


async def test_other_encodings_and_unknown_ones() -> None:
    assert (await TextParser("latin-1").parse(b"\xe4"))[0].content == "ä"
    with pytest.raises(BuildError, match="unknown encoding 'utf-99'"):
        TextParser("utf-99")


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("a.md", "X"),
        ("DIR/A.MD", "X"),
        ("https://h/p/a.md?v=1#top", "X"),
        ("a.tar.md", "TAR"),
        ("a.txt", "x"),
        ("md", "x"),
        ("", "x"),
    ],
)
async def test_the_extension_chooses_the_parser(uri: str, content: str) -> None:
    class Tar(Upper):
        async def parse(self, data: bytes, options: ParserOptions = ParserOptions()) -> list[Document]:  # noqa: B008 - frozen
            return [Document(content="TAR")]

    parser = ExtensionParser({".md": Upper(), ".tar.md": Tar()})

    assert [each.content for each in await parser.parse(b"x", ParserOptions(uri=uri))] == [content]


async def test_extra_metadata_goes_over_what_the_parser_set() -> None:
    parser = ExtensionParser({".md": Upper()}, fallback=Upper())

    assert [each.metadata for each in await parser.parse(b"x", ParserOptions(uri="a", extra_metadata={"k": "v"}))] == [
        {"kept": 1, "k": "v"}
    ]
    assert [each.metadata for each in await parser.parse(b"x")] == [{"kept": 1, "k": "own"}]


def test_the_parsers_are_given_out_as_a_copy() -> None:
    parser = ExtensionParser({".MD": Upper()})

    parser.parsers.clear()
    assert list(parser.parsers) == [".md"]


@pytest.mark.parametrize("extension", ["md", "", "."])
def test_an_extension_begins_with_a_dot(extension: str) -> None:
    with pytest.raises(BuildError, match="must begin with a dot"):
        ExtensionParser({extension: Upper()})
