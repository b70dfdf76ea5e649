"""Parts of messages and results: media from addresses and data, results of tools, usage."""

from __future__ import annotations

from typing import Any

import pytest

from eino.schema import (
    AudioPart,
    FileMedia,
    FilePart,
    ImageMedia,
    ImagePart,
    Media,
    Reasoning,
    ReasoningPart,
    TextPart,
    ToolAudioPart,
    ToolFilePart,
    ToolImagePart,
    ToolInfo,
    ToolResult,
    ToolSearchResult,
    ToolSearchResultPart,
    ToolVideoPart,
    VideoPart,
    audio_part,
    file_part,
    image_part,
    media_bytes,
    token_usage,
    tool_result,
    video_part,
)


def test_data_is_encoded_and_read_back() -> None:
    """Bytes become Base64; Base64 is taken as it is; both read back as bytes."""
    assert image_part(data=b"\x89PNG").image == ImageMedia(base64_data="iVBORw==")
    assert audio_part(data="UklGRg==").audio == Media(base64_data="UklGRg==")
    assert media_bytes(video_part(data=bytearray(b"abc")).video) == b"abc"  # type: ignore[arg-type]  # any buffer will do
    assert media_bytes(file_part("https://example.com/a").file) is None


def test_none_and_empty_address_differ() -> None:
    """An address that is set but empty is still an address."""
    assert image_part("").image.url == ""
    assert image_part(data="").image.url is None


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        pytest.param(image_part, ValueError, "an image part needs either url= or data=", id="neither"),
        pytest.param(lambda: video_part("u", data=b"x"), ValueError, "a video part needs either", id="both"),
        pytest.param(
            lambda: audio_part(data="a&b"), ValueError, r"'a&b'... \(3 chars\) is no valid Base64", id="base64"
        ),
        pytest.param(lambda: audio_part(data="abc"), ValueError, "is no valid Base64", id="padding"),
        pytest.param(lambda: audio_part(data="zażółć"), ValueError, "is no valid Base64", id="no ascii"),
        pytest.param(
            lambda: image_part("u", detail="huge"), ValueError, "detail must be one of high, low, auto", id="detail"
        ),  # type: ignore[arg-type]  # the mistake under test
        pytest.param(lambda: image_part(5), TypeError, "url of a part must be a string, got 5", id="url"),  # type: ignore[arg-type]  # the mistake under test
        pytest.param(lambda: image_part("u", mime_type=5), TypeError, "mime_type must be a string", id="type"),  # type: ignore[arg-type]  # the mistake under test
        pytest.param(lambda: image_part(data=5), TypeError, "must be bytes or Base64 text, got int", id="data"),  # type: ignore[arg-type]  # the mistake under test
        pytest.param(lambda: media_bytes(Media(base64_data="!")), ValueError, "is no valid Base64", id="reading"),
    ],
)
def test_wrong_media_are_refused(build: Any, error: type[Exception], text: str) -> None:
    """The error shows a few characters of the data, never all of it."""
    with pytest.raises(error, match=text):
        build()


def test_parts_give_their_content_under_one_name() -> None:
    """Code that treats all media alike needs no switch."""
    address = "https://example.com/x"
    for part in (image_part(address), audio_part(address), video_part(address), file_part(address)):
        assert part.media.url == address
    thought = ReasoningPart(reasoning=Reasoning(text="t", signature="s"))
    assert (thought.text, thought.signature) == ("t", "s")


def test_result_takes_texts_and_parts_of_messages() -> None:
    """Media parts of messages become those of results; detail and name are not part of results."""
    search = ToolSearchResultPart(tool_search_result=ToolSearchResult(tools=(ToolInfo(name="a"),)))

    result = tool_result(
        "found ",
        image_part("i", detail="high", extra={"k": 1}),
        audio_part("a"),
        video_part("v"),
        file_part("f", name="n"),
        TextPart("it"),
        search,
    )

    assert result == ToolResult(
        parts=(
            TextPart("found "),
            ToolImagePart(image=Media(url="i"), extra={"k": 1}),
            ToolAudioPart(audio=Media(url="a")),
            ToolVideoPart(video=Media(url="v")),
            ToolFilePart(file=Media(url="f")),
            TextPart("it"),
            search,
        )
    )
    assert str(result) == "found it"


def test_result_becomes_parts_of_a_message() -> None:
    """`extra` is kept, but not that of found tools; no parts give no parts."""
    search = ToolSearchResult()
    result = ToolResult(
        parts=(
            TextPart("t", extra={"k": 1}),
            ToolImagePart(image=Media(url="i", extra={"m": 1}), extra={"k": 2}),
            ToolAudioPart(audio=Media(base64_data="UklGRg==")),
            ToolVideoPart(video=Media(url="v")),
            ToolFilePart(file=Media(url="f", mime_type="text/plain")),
            ToolSearchResultPart(tool_search_result=search, extra={"k": 3}),
        )
    )

    assert result.to_user_parts() == (
        TextPart("t", extra={"k": 1}),
        ImagePart(image=ImageMedia(url="i", extra={"m": 1}), extra={"k": 2}),
        AudioPart(audio=Media(base64_data="UklGRg==")),
        VideoPart(video=Media(url="v")),
        FilePart(file=FileMedia(url="f", mime_type="text/plain")),
        ToolSearchResultPart(tool_search_result=search),
    )
    assert ToolResult().to_user_parts() == ()


def test_result_refuses_what_a_tool_cannot_return() -> None:
    """Both directions name the part."""
    with pytest.raises(TypeError, match="part 1 of a tool result must be a string"):
        tool_result("a", ReasoningPart())  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match="unknown tool part type: ReasoningPart"):
        ToolResult(parts=(ReasoningPart(),)).to_user_parts()  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError, match=r"content of ToolImagePart.* is None"):
        ToolResult(parts=(ToolImagePart(image=None),)).to_user_parts()  # type: ignore[arg-type]  # the mistake under test


def test_usage_adds_up_and_gives_its_details() -> None:
    """The total is the sum unless the provider reports another one."""
    usage = token_usage(3, 4, cached_tokens=1, reasoning_tokens=2)

    assert (usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens) == (7, 1, 2)
    assert token_usage(3, 4, 9).total_tokens == 9


@pytest.mark.parametrize("count", [-1, 1.5, "3", True, None])
def test_usage_refuses_what_is_no_count(count: Any) -> None:
    """A wrong count would silently become a wrong bill."""
    with pytest.raises(ValueError, match=r"cached_tokens must be a whole number of at least 0"):
        token_usage(1, 1, cached_tokens=count)
