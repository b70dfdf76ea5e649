"""Loaders, parsers, splitters, the reranker and token counting."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pypdf
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from eino.components import Loader, Parser, ParserOptions, Source, TextParser, Transformer
from eino.components.loader import LoaderOptions
from eino.errors import BuildError, InvalidRequestError, PermissionDeniedError
from eino.ext.documents.loaders import DirectoryLoader, FileLoader
from eino.ext.documents.parsers import CSVParser, HTMLParser, JSONParser, MarkdownParser, PDFParser, default_parser
from eino.ext.documents.splitters import MarkdownHeaderSplitter, RecursiveSplitter, ScoreReranker, TokenSplitter
from eino.ext.tokens import estimate_tokens, tiktoken_encoding, token_counter
from eino.schema import Document

FOX = "The quick brown fox jumps over the lazy dog. "


def pdf(*pages: str, password: str | None = None) -> bytes:
    """Return a PDF file with one line of text on each page."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(200, 200)
        font = pypdf.generic.DictionaryObject(
            {name(k): name(v) for k, v in {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}.items()}
        )
        fonts = pypdf.generic.DictionaryObject({name("/F1"): font})
        page[name("/Resources")] = pypdf.generic.DictionaryObject({name("/Font"): fonts})
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[name("/Contents")] = writer._add_object(stream)
    writer.add_metadata({"/Title": "A title"})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def name(text: str) -> pypdf.generic.NameObject:
    return pypdf.generic.NameObject(text)


async def one(parser: Parser, data: bytes | str) -> Document:
    [document] = await parser.parse(data.encode() if isinstance(data, str) else data)
    return document


# Parsers.


async def test_markdown_keeps_its_text_and_gives_its_header_and_title() -> None:
    text = "---\ntags: [a, b]\nyear: 2026\n---\n```\n# no heading\n```\n\n## The *title* ##\n\nText.\n"

    found = await one(MarkdownParser(), text)

    assert found.content.startswith("```\n# no heading")
    assert found.metadata == {"_source": "", "tags": ["a", "b"], "year": 2026, "_title": "The *title*"}
    assert (await one(MarkdownParser(), "---\njust a line\n---\nText")).content == "---\njust a line\n---\nText"
    assert (await one(MarkdownParser(), "\ufeffno header")).content == "no header"


PAGE = """<!doctype html><html lang="en"><head><title>The &amp; title</title><meta name="description" content="About">
<style>p {color: red}</style></head><body><nav>Menu</nav><main><h1>One</h1><p>Two <b>bold</b>
words<br>next</p><script>alert(1)</script><ul><li>a</li><li>b</li></ul><!-- hidden -->tail</main></body></html>"""


async def test_html_gives_what_a_person_sees() -> None:
    found = await one(HTMLParser(), PAGE)

    assert found.content == "Menu\nOne\nTwo bold words\nnext\na\nb\ntail"
    assert found.metadata == {
        "_source": "", "_title": "The & title", "_description": "About", "_language": "en", "_charset": "utf-8",
    }  # fmt: skip


async def test_html_may_be_narrowed_and_kept_as_markdown() -> None:
    assert (await one(HTMLParser(selector="main"), PAGE)).content.startswith("One\nTwo")
    assert (await one(HTMLParser(selector="main, h1"), PAGE)).content.count("One") == 1
    markdown = (await one(HTMLParser(selector="main", output="markdown"), PAGE)).content
    assert markdown.startswith("# One\n\nTwo **bold**")
    assert "alert" not in markdown
    assert (await one(HTMLParser(selector="video"), PAGE)).content == ""
    assert (await one(HTMLParser(), "plain <b>text")).content == "plain text"


async def test_html_of_any_depth_does_not_crash() -> None:
    """It is read, or refused with a clear error."""
    deep = "<div>" * 20_000 + "deep"
    for output in ("text", "markdown"):
        try:
            content = (await one(HTMLParser(output=output), deep)).content  # type: ignore[arg-type]
        except InvalidRequestError as error:
            content = str(error)
        assert content == "deep" or "too deeply" in content
    with pytest.raises(InvalidRequestError, match="cannot be read as HTML"):
        await one(HTMLParser(selector="p:["), PAGE)


async def test_pdf_is_read_whole_or_page_by_page() -> None:
    data = pdf("First page", "", "Third page")

    whole = await one(PDFParser(), data)
    pages = await PDFParser(pages=True).parse(data, ParserOptions(uri="x.pdf", extra_metadata={"k": 1}))

    assert "First page" in whole.content
    assert whole.metadata == {"_source": "", "_title": "A title", "_pages": 3}
    assert [(each.content.strip(), each.metadata["_page"]) for each in pages] == [("First page", 1), ("Third page", 3)]
    assert pages[0].metadata["_source"] == "x.pdf"
    assert pages[0].metadata["k"] == 1


async def test_pdf_that_is_locked_or_broken_is_refused() -> None:
    locked = pdf("Secret", password="open")
    with pytest.raises(InvalidRequestError, match="it is encrypted; give PDFParser the right password="):
        await one(PDFParser(), locked)
    assert "Secret" in (await one(PDFParser(password="open"), locked)).content
    assert "open" not in repr(PDFParser(password="open"))
    for broken in (b"", b"no pdf at all", pdf("x")[:200]):
        with pytest.raises(InvalidRequestError, match="cannot be read as PDF"):
            await PDFParser().parse(broken)


async def test_csv_gives_a_document_for_each_row() -> None:
    parser = CSVParser(metadata=["lang"], identity="id")

    found = await parser.parse(b'\xef\xbb\xbfid,name,lang\n1,"Ada, Countess",en\n\n2,"two\nlines",de\n')

    assert [(each.id, each.content, each.metadata["lang"]) for each in found] == [
        ("1", "id: 1\nname: Ada, Countess", "en"),
        ("2", "id: 2\nname: two\nlines", "de"),
    ]
    assert (await one(CSVParser(content=["b"], delimiter=";"), "a;b\n1;2")).content == "b: 2"
    assert await CSVParser().parse(b"") == []


@pytest.mark.parametrize(
    ("parser", "data", "text"),
    [
        (CSVParser(content=["c"]), "a,b\n1,2", "it has no column 'c'; the columns are a, b"),
        (CSVParser(), "a,b\n1,2\n3", "line 3 has 1 values, the header 2"),
        (CSVParser(), 'a,b\n1,"open', "line 2 cannot be read as CSV"),
        (CSVParser(), b"\xff\xfe", "it is no text in utf-8-sig"),
        (MarkdownParser(), "---\na: [\n---\n", "its YAML header cannot be read"),
        (MarkdownParser(), b"\xff", "it is no text"),
        (JSONParser(), "{", "it cannot be read as JSON"),
        (JSONParser(), "[" * 100_000, "it cannot be read as JSON"),
        (JSONParser(lines=True), '{"a": 1}\n\n{', "line 3 of it cannot be read as JSON"),
        (JSONParser(pointer="/a/b"), '{"a": {"c": 1}}', "it has nothing at 'b' of the pointer /a/b"),
        (JSONParser(content="text"), '[{"text": "x"}, {"body": "y"}]', "item 1 has no field 'text'"),
        (JSONParser(content="text"), '"plain"', "item 0 has no field 'text'"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, (str, bytes)) else type(value).__name__,
)  # fmt: skip
async def test_files_that_are_not_what_they_should_be_are_refused(parser: Any, data: Any, text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await parser.parse(data.encode() if isinstance(data, str) else data, ParserOptions(uri="dir/file.x"))

    assert "the file 'dir/file.x' cannot be parsed: " in str(caught.value)
    assert text in str(caught.value)


async def test_json_gives_a_document_for_each_item() -> None:
    data = {"data": {"a/b": [{"id": 7, "text": "one", "lang": "en"}, {"id": 8, "text": {"x": 1}}]}}
    parser = JSONParser(pointer="/data/a~1b", content="text", identity="id", metadata=["lang"])

    found = await parser.parse(json.dumps(data).encode())

    assert [(each.id, each.content, each.metadata.get("lang")) for each in found] == [
        ("7", "one", "en"),
        ("8", '{"x":1}', None),
    ]
    assert (await one(JSONParser(pointer="/1"), '["a", "b"]')).content == "b"
    assert [each.metadata["_line"] for each in await JSONParser(lines=True).parse(b'"a"\n\n"b"\n')] == [1, 3]


def test_settings_of_parsers_that_cannot_work_are_refused() -> None:
    for make, text in [
        (lambda: HTMLParser(output="pdf"), "output must be"),  # type: ignore[arg-type]
        (lambda: CSVParser(delimiter=", "), "one character"),
        (lambda: JSONParser(pointer="a"), "begins with '/'"),
    ]:
        with pytest.raises(BuildError, match=text):
            make()


# Loaders.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    (files / "sub").mkdir(parents=True)
    (files / "notes.md").write_text("# Notes\n\nText.")
    (files / "table.csv").write_text("a\n1\n2\n")
    (files / "sub" / "page.HTML").write_text("<p>Hello</p>")
    (files / "sub" / "plain.txt").write_text("plain")
    (files / ".hidden.txt").write_text("hidden")
    (tmp_path / "outside.txt").write_text("outside")
    (files / "link.txt").symlink_to(tmp_path / "outside.txt")
    return files


async def test_a_file_is_parsed_by_its_extension(folder: Path) -> None:
    loader = FileLoader()
    path = str(folder / "notes.md")

    [found] = await loader.load(Source(path), LoaderOptions(parser=ParserOptions(extra_metadata={"team": "x"})))

    assert isinstance(loader, Loader)
    assert (found.id, found.content) == (path, "# Notes\n\nText.")
    assert found.metadata == {
        "_source": path, "_file_name": "notes.md", "_extension": ".md", "_title": "Notes", "team": "x",
    }  # fmt: skip
    rows = await loader.load(Source((folder / "table.csv").as_uri()))
    assert [each.id.rpartition("/")[2] for each in rows] == ["table.csv#1", "table.csv#2"]
    assert (await FileLoader(TextParser()).load(Source(path)))[0].content == "# Notes\n\nText."


async def test_a_root_keeps_files_in(folder: Path) -> None:
    loader = FileLoader(root=folder)

    assert (await loader.load(Source("sub/plain.txt")))[0].content == "plain"
    for outside in ("../outside.txt", str(folder.parent / "outside.txt"), "link.txt", "sub/../../outside.txt"):
        with pytest.raises(PermissionDeniedError, match="lies outside of"):
            await loader.load(Source(outside))


async def test_files_that_cannot_be_loaded_are_named(folder: Path) -> None:
    for uri, text in [
        (str(folder / "none.txt"), "there is no file"),
        (str(folder), "there is no file"),
        ("", "is no path of a file"),
        ("a\0b", "is no path of a file"),
        ("https://example.org/x", "use URLLoader for web addresses"),
    ]:
        with pytest.raises(InvalidRequestError, match=text):
            await FileLoader().load(Source(uri))
    with pytest.raises(InvalidRequestError, match=r"there is no file 'none\.txt'"):
        await FileLoader(root=folder).load(Source("none.txt"))
    with pytest.raises(InvalidRequestError, match="larger than max_bytes=4"):
        await FileLoader(max_bytes=4).load(Source(str(folder / "notes.md")))
    with pytest.raises(BuildError, match="max_bytes must be at least 1"):
        FileLoader(max_bytes=0)


async def test_a_directory_is_loaded_in_order_and_not_left(folder: Path) -> None:
    loader = DirectoryLoader()

    found = await loader.load(Source(str(folder)))

    assert [each.metadata["_file_name"] for each in found] == [
        "notes.md", "page.HTML", "plain.txt", "table.csv", "table.csv",
    ]  # fmt: skip
    texts = await DirectoryLoader(pattern="**/*.txt", hidden=True).load(Source(str(folder)))
    assert [each.content for each in texts] == ["hidden", "plain"]


async def test_a_broken_file_in_a_directory_is_raised_or_skipped(folder: Path) -> None:
    (folder / "broken.json").write_text("{")

    with pytest.raises(InvalidRequestError, match=r"broken\.json"):
        await DirectoryLoader().load(Source(str(folder)))
    assert len(await DirectoryLoader(on_error="skip").load(Source(str(folder)))) == 5
    with pytest.raises(InvalidRequestError, match="more than max_files=2"):
        await DirectoryLoader(max_files=2).load(Source(str(folder)))
    with pytest.raises(InvalidRequestError, match="there is no directory"):
        await DirectoryLoader().load(Source(str(folder / "none")))
    with pytest.raises(BuildError, match="pattern must be one below"):
        DirectoryLoader(pattern="../*")
    with pytest.raises(BuildError, match="on_error must be"):
        DirectoryLoader(on_error="ignore")  # type: ignore[arg-type]


def test_the_default_parser_knows_the_usual_extensions() -> None:
    assert set(default_parser().parsers) >= {".md", ".html", ".pdf", ".csv", ".json", ".jsonl"}


# Splitters.


async def texts(splitter: Transformer, text: str) -> list[str]:
    return [each.content for each in await splitter.transform([Document(content=text)])]


async def test_text_is_split_at_the_best_separator_that_fits() -> None:
    splitter = RecursiveSplitter(chunk_size=20, overlap=0)

    assert await texts(splitter, "One. Two.\n\nA second paragraph. It is long.") == [
        "One. Two.", "A second paragraph.", "It is long.",
    ]  # fmt: skip
    assert await texts(splitter, "x" * 45) == ["x" * 20, "x" * 20, "x" * 5]
    assert await texts(splitter, "  \n ") == []
    assert await texts(splitter, "short") == ["short"]


async def test_pieces_overlap_by_whole_parts() -> None:
    splitter = RecursiveSplitter(chunk_size=9, overlap=5, separators=[" "])

    assert await texts(splitter, "aa bb cc dd ee") == ["aa bb cc", "cc dd ee"] or await texts(
        splitter, "aa bb cc dd ee"
    ) == ["aa bb cc", "bb cc dd", "cc dd ee"]


@pytest.mark.parametrize(
    ("keep", "expected"), [("end", ["a,b,", "c,d"]), ("start", ["a,b", ",c,d"]), ("none", ["a,b", "c,d"])]
)
async def test_the_separator_stays_where_it_is_wanted(keep: Any, expected: list[str]) -> None:
    splitter = RecursiveSplitter(chunk_size=4, overlap=0, separators=[","], keep_separator=keep)

    assert await texts(splitter, "a,b,c,d") == expected


@given(text=st.text(alphabet="ab. \n,", max_size=300), size=st.integers(1, 40), overlap=st.integers(0, 39))
def test_no_piece_is_too_large_and_nothing_is_lost(text: str, size: int, overlap: int) -> None:
    splitter = RecursiveSplitter(chunk_size=size, overlap=min(overlap, size - 1))

    pieces = [piece.content for piece in splitter._split(Document(content=text))]

    assert all(len(piece) <= size for piece in pieces)
    at = 0
    for piece in pieces:  # each one occurs at, or behind, where the one before began
        at = text.index(piece, at)
    if overlap == 0:
        assert "".join("".join(pieces).split()) == "".join(text.split())


async def test_pieces_know_where_they_come_from() -> None:
    source = Document(id="doc", content="one two", metadata={"lang": "en"})

    pieces = await RecursiveSplitter(chunk_size=4, overlap=0).transform([source, Document(content="x")])

    assert [(each.id, each.metadata) for each in pieces] == [
        ("doc#chunk-0", {"lang": "en", "_chunk": 0, "_parent_id": "doc"}),
        ("doc#chunk-1", {"lang": "en", "_chunk": 1, "_parent_id": "doc"}),
        ("", {"_chunk": 0}),
    ]
    assert source.metadata == {"lang": "en"}


async def test_markdown_is_split_at_its_headings() -> None:
    text = "Intro\n\n# A\n\ntext\n\n## B\n\n```\n# code\n```\n\nC\n===\n\nlast\n\n#### deep\nrest\n"

    pieces = await MarkdownHeaderSplitter().transform([Document(content=text)])

    titles = [{key: value for key, value in each.metadata.items() if key != "_chunk"} for each in pieces]
    assert titles == [{}, {"h1": "A"}, {"h1": "A", "h2": "B"}, {"h1": "C"}]
    assert [each.content for each in pieces] == [
        "Intro", "# A\n\ntext", "## B\n\n```\n# code\n```", "C\n===\n\nlast\n\n#### deep\nrest",
    ]  # fmt: skip
    bare = MarkdownHeaderSplitter({1: "title"}, keep_headers=False)
    assert await texts(bare, "# A\ntext\n# B\n") == ["text"]


def tiny() -> tiktoken.Encoding:
    """Return an encoding in which each byte is a token, but `the` is one."""
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"th": 256, b"the": 257}
    return tiktoken.Encoding("tiny", pat_str=r"\w+|\s+|.", mergeable_ranks=ranks, special_tokens={})


async def test_tokens_are_counted_off() -> None:
    splitter = TokenSplitter(tiny(), chunk_size=4, overlap=1)

    assert await texts(splitter, "the abcdef") == ["the ab", "bcde", "ef"]
    assert await texts(splitter, "") == []
    assert "\ufffd" not in "".join(await texts(TokenSplitter(tiny(), chunk_size=2, overlap=0), "aöbü€"))


async def test_the_best_documents_go_to_both_ends() -> None:
    documents = [Document(id=str(score), content="").with_score(score) for score in (3, 5, 1, 4, 2)]

    ranked = await ScoreReranker().transform(documents)

    assert [each.id for each in ranked] == ["5", "3", "1", "2", "4"]
    assert await ScoreReranker().transform([]) == []


def test_settings_of_splitters_that_cannot_work_are_refused() -> None:
    for make, text in [
        (lambda: RecursiveSplitter(chunk_size=0), "chunk_size=0 must be at least 1"),
        (lambda: RecursiveSplitter(chunk_size=5, overlap=5), "overlap=5"),
        (lambda: RecursiveSplitter(separators=[]), "separators must be a list"),
        (lambda: RecursiveSplitter(keep_separator="both"), "keep_separator must be"),  # type: ignore[arg-type]
        (lambda: TokenSplitter(tiny(), chunk_size=3, overlap=3), "overlap=3"),
        (lambda: MarkdownHeaderSplitter({7: "h7"}), "levels from 1 to 6"),
    ]:
        with pytest.raises(BuildError, match=text):
            make()


# Tokens.


def test_without_data_tokens_are_estimated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No download is tried: the network is blocked here."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    assert token_counter() is estimate_tokens
    assert token_counter("no such model") is estimate_tokens
    with pytest.raises(BuildError, match=r"'cl100k_base' is not on this machine, .* TIKTOKEN_CACHE_DIR"):
        tiktoken_encoding("cl100k_base")
    (tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4").write_text("not the data")
    with pytest.raises(BuildError, match="nothing is downloaded"):
        tiktoken_encoding(model="gpt-4")
    assert (tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4").exists()


def test_encodings_that_need_no_data_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that a plugin of tiktoken brings."""
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "tiny", tiny())
    tiktoken.list_encoding_names()
    monkeypatch.setitem(tiktoken.registry.ENCODING_CONSTRUCTORS, "tiny", dict)  # type: ignore[arg-type]
    monkeypatch.setitem(tiktoken.model.MODEL_TO_ENCODING, "tiny-model", "tiny")

    assert tiktoken_encoding("tiny").encode_ordinary("the") == [257]
    assert token_counter("tiny-model")("the the") == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "unknown"}, "knows no encoding for 'unknown'"),
        ({"model": "unknown"}, "knows no encoding for 'unknown'"),
        ({}, "one of the two"),
        ({"name": "a", "model": "b"}, "one of the two"),
        ({"name": "gpt2"}, "use 'r50k_base'"),
    ],
    ids=str,
)
def test_encodings_that_are_not_known_are_refused(arguments: dict[str, str], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        tiktoken_encoding(**arguments)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (FOX * 20, 200),
        ("机器学习是人工智能的一个分支，它使计算机能够从数据中学习。", 19),  # noqa: RUF001
        ("x" * 70, 10),
        ("12345678", 3),
    ],
    ids=repr,
)  # the counts of o200k_base, but for the last two
def test_the_estimate_is_near(text: str, tokens: int) -> None:
    assert abs(estimate_tokens(text) - tokens) <= 0.25 * tokens
