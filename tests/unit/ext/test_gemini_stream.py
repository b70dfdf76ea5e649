"""Streamed answers of Gemini as chunks of messages: all that services send, and all that goes wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from eino.errors import ContentFilterError, InvalidResponseError, OverloadedError, StreamBrokenError
from eino.ext.models import _json_stream, _sse
from eino.ext.models._gemini_answer import DETAILS, MODEL_VERSION, RESPONSE_ID
from eino.ext.models._gemini_parts import PARTS, THOUGHT_SIGNATURE
from eino.ext.models._gemini_stream import StreamDecoder
from eino.ext.models._service_errors import Place
from eino.schema import AudioPart, ImagePart, Message, concat_messages

PLACE = Place("gemini-pro", "api.example.org")
Event = dict[str, Any]


def event(*parts: Event, finish: str = "", **fields: Any) -> Event:
    """Return one event: a candidate with parts."""
    candidate: Event = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], **fields}


def text(said: str, **fields: Any) -> Event:
    return event({"text": said}, **fields)


def call(name: str, **fields: Any) -> Event:
    return {"functionCall": {"name": name, **fields}}


END = event(finish="STOP")


def events(*payloads: Event | bytes) -> bytes:
    """Return a body of events; bytes stand for themselves."""
    return b"".join(
        each if isinstance(each, bytes) else b"data: " + json.dumps(each, ensure_ascii=False).encode() + b"\r\n\r\n"
        for each in payloads
    )


def array(*payloads: Event) -> bytes:
    """Return a body that is an array, as it comes where no events were asked for."""
    return b"[" + b"\n,\r\n".join(json.dumps(each, indent=2).encode() for each in payloads) + b"\n]"


def chunks(body: bytes, size: int = 7) -> list[Message]:
    """Return the chunks of a body that comes in pieces of `size`."""
    decoder = StreamDecoder(PLACE)
    found = [message for place in range(0, len(body), size) for message in decoder.feed(body[place : place + size])]
    return [*found, *decoder.end()]


def whole(*payloads: Event | bytes, size: int = 7) -> Message:
    return concat_messages(chunks(events(*payloads), size))


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("form", [events, array])
def test_a_plain_stream(form: Any, size: int) -> None:
    """Text as it comes; id and version once; usage with the end, though each event has one."""
    body = form(
        text("Hé", responseId="r1", modelVersion="gemini-2.5", usageMetadata={"promptTokenCount": 3}),
        text("llo {", responseId="r1", modelVersion="gemini-2.5", usageMetadata={"promptTokenCount": 3}),
        event(
            {"text": "}"},
            finish="MAX_TOKENS",
            responseId="r1",
            usageMetadata={
                "promptTokenCount": 9,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 5,
                "thoughtsTokenCount": 2,
                "totalTokenCount": 16,
            },
        ),
    )

    found = chunks(body, size)

    assert [chunk.content for chunk in found] == ["Hé", "llo {", "}", ""]
    message = concat_messages(found)
    assert message.content == "Héllo {}"
    assert (message.extra[RESPONSE_ID], message.extra[MODEL_VERSION]) == ("r1", "gemini-2.5")
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == "MAX_TOKENS"
    usage = message.response_meta.usage
    assert usage is not None
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    assert counts == (9, 7, 16)
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 2)


@pytest.mark.parametrize(
    "noise",
    [
        b": comment\n\n",
        b"event: ping\ndata: {}\n\n",
        b"data:\n\n",
        b"data: [1, 2]\n\n",
        b'data: {"candidates": []}\n\n',
        b'data: {"candidates": [{"index": 0}], "unheardOf": {}}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": "other"}]}, "index": 1}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": ["odd"]}}]}\n\n',
        b'data: {"candidates": [{"content": {"role": "model"}}]}\n\n',
    ],
)
def test_what_carries_nothing_gives_no_chunk(noise: bytes) -> None:
    """Comments, unknown events and fields, empty candidates, other candidates."""
    found = chunks(events(noise, text("a"), noise, END, noise))

    assert [chunk.content for chunk in found if chunk.content] == ["a"]
    assert concat_messages(found).content == "a"


def test_unknown_fields_are_kept() -> None:
    """What a later version of the service says is not lost."""
    candidate = {"finishReason": "STOP", "newThing": 1, "finishMessage": "done"}

    message = whole(text("a", modelStatus={"modelStage": "STABLE"}), {"candidates": [candidate], "other": [2]})

    assert message.extra[DETAILS] == {
        "newThing": 1,
        "finishMessage": "done",
        "modelStatus": {"modelStage": "STABLE"},
        "other": [2],
    }


def test_usage_that_comes_after_the_end_counts() -> None:
    """Some events have nothing but it."""
    late = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}}

    message = whole(text("a"), END, late, late)

    assert message.response_meta is not None
    assert message.response_meta.usage is not None
    assert message.response_meta.usage.total_tokens == 3


def test_sources_grow_and_ratings_are_the_last() -> None:
    """Grounding comes in parts of a whole or as running totals; ratings are repeated in each event."""

    def about(chunks: list[int], probability: str, extra: Event) -> Event:
        grounding = {"groundingChunks": chunks, "searchEntryPoint": {"n": len(chunks)}}
        ratings = [{"category": "X", "probability": probability}]
        return {"candidates": [{"groundingMetadata": grounding, "safetyRatings": ratings, **extra}]}

    details = whole(
        text("a"),
        about([1], "LOW", {}),
        about([1, 2], "LOW", {}),
        about([2, 3], "HIGH", {"finishReason": "STOP"}),
    ).extra[DETAILS]

    assert details["groundingMetadata"] == {"groundingChunks": [1, 2, 3], "searchEntryPoint": {"n": 2}}
    assert details["safetyRatings"] == [{"category": "X", "probability": "HIGH"}]


def test_thoughts_calls_and_signatures() -> None:
    """Parallel calls have ids that were made up, unless they bring one; signatures stay with their parts."""
    message = whole(
        event({"text": "Let me ", "thought": True}, responseId="r9"),
        event({"text": "see.", "thought": True}, {"text": "I ask. "}),
        event({**call("f", args={"a": 1}), "thoughtSignature": "c2ln"}, call("g")),
        event(call("f", id="own", args={"ü": [1.5]}), {"text": "", "thoughtSignature": "bGFzdA=="}, finish="STOP"),
    )

    assert message.reasoning_content == "Let me see."
    assert message.content == "I ask. "
    assert [(each.id, each.name, each.arguments, each.index) for each in message.tool_calls] == [
        ("gemini-call-r9-0", "f", '{"a":1}', 0),
        ("gemini-call-r9-1", "g", "{}", 1),
        ("own", "f", '{"ü":[1.5]}', 2),
    ]
    assert [each.extra for each in message.tool_calls] == [{THOUGHT_SIGNATURE: "c2ln"}, {}, {}]
    assert message.extra[PARTS] == [
        {"text": "I ask. "},
        {"functionCall": {}, "thoughtSignature": "c2ln"},
        {"functionCall": {}},
        {"functionCall": {}},
        {"text": "", "thoughtSignature": "bGFzdA=="},
    ]


def test_parts_are_kept_only_where_they_say_more() -> None:
    """A text and calls, in this order, are all in the message."""
    assert PARTS not in whole(text("a"), text("b"), event(call("f")), END).extra
    assert PARTS in whole(event(call("f")), text("a"), END).extra


def test_log_probabilities_are_strung_together() -> None:
    def scored(token: str, score: float, top: list[Event]) -> Event:
        chosen = [{"token": token, "tokenId": 7, "logProbability": score}]
        logprobs = {"chosenCandidates": chosen, "topCandidates": [{"candidates": top}]}
        return {"candidates": [{"content": {"parts": [{"text": token}]}, "logprobsResult": logprobs}]}

    message = whole(scored("a", -0.5, [{"token": "b", "logProbability": -1}]), scored("b", 0, []), END)

    assert message.response_meta is not None
    assert message.response_meta.logprobs is not None
    first, second = message.response_meta.logprobs.content
    assert (first.token, first.logprob) == ("a", -0.5)
    assert [(top.token, top.logprob) for top in first.top_logprobs] == [("b", -1.0)]
    assert (second.token, second.logprob, second.top_logprobs) == ("b", 0.0, ())


def media(kind: str, data: bytes, **fields: Any) -> Event:
    return {"inlineData": {"mimeType": kind, "data": base64.b64encode(data).decode()}, **fields}


def test_audio_in_pieces_can_be_played() -> None:
    """Each piece is Base64 of its own, with padding; strung together they must be one."""
    sound = bytes(range(256))
    pieces = [sound[:1], sound[1:100], sound[100:100], sound[100:255], sound[255:]]

    message = whole(*[event(media("audio/L16;rate=24000", piece)) for piece in pieces], END)

    (part,) = message.assistant_parts
    assert isinstance(part, AudioPart)
    assert part.audio.mime_type == "audio/L16;rate=24000"
    assert base64.b64decode(part.audio.base64_data or "", validate=True) == sound
    assert PARTS not in message.extra


def test_images_and_other_media() -> None:
    """What is between two sounds ends the first; what cannot be decoded is passed on."""
    found = chunks(
        events(
            event(media("audio/wav", b"abcd")),
            event({"text": "Look: "}, media("image/png", b"img", thoughtSignature="c2ln")),
            event({"inlineData": {"mimeType": "audio/wav", "data": "?"}}, media("audio/wav", b"a")),
            event(media("audio/mp3", b"b"), media("video/mp4", b"v")),
            END,
        )
    )
    parts = [part for chunk in found for part in chunk.assistant_parts]

    assert [type(part).__name__ for part in parts] == [
        *["AudioPart", "AudioPart", "ImagePart", "AudioPart", "AudioPart", "AudioPart", "AudioPart", "AudioPart"],
        "VideoPart",
    ]
    sounds = [part.audio.base64_data for part in parts if isinstance(part, AudioPart)]
    assert sounds == ["YWJj", "ZA==", "?", "", "YQ==", "", "Yg=="]
    (image,) = [part for part in parts if isinstance(part, ImagePart)]
    assert (image.image.mime_type, image.image.base64_data) == ("image/png", "aW1n")
    assert image.extra == {THOUGHT_SIGNATURE: "c2ln"}


def test_calls_whose_arguments_come_in_pieces() -> None:
    """Texts go on with the next piece, objects and lists are made on the way; the end is a piece without more."""

    def piece(*partial: Any, more: bool = True, **fields: Any) -> Event:
        return event({"functionCall": {"partialArgs": list(partial), "willContinue": more, **fields}})

    message = whole(
        event({"functionCall": {"name": "book", "willContinue": True}, "thoughtSignature": "c2ln"}),
        piece({"jsonPath": "$.city", "stringValue": "Pa", "willContinue": True}),
        piece({"jsonPath": "$.city", "stringValue": "ris"}, {"jsonPath": "$.days", "numberValue": 3}),
        piece({"jsonPath": "$.rooms[1].beds", "numberValue": 2}, {"jsonPath": "$['a.b']", "boolValue": True}),
        piece({"jsonPath": "$.tags[0]", "stringValue": "a", "willContinue": True}, "odd"),
        piece({"jsonPath": "$.tags[0]", "stringValue": "b"}, {"jsonPath": "$.tags[1]", "stringValue": "c"}),
        piece({"jsonPath": "$.tags.x", "stringValue": "d", "willContinue": True}),
        piece({"jsonPath": "$.tags.x", "stringValue": "e"}),
        piece({"jsonPath": '$["q"]', "nullValue": "NULL_VALUE"}, {"jsonPath": "$.rooms[0]", "stringValue": "any"}),
        piece(
            {"jsonPath": "odd[", "stringValue": "kept"}, {"jsonPath": "$.nothing"}, {"jsonPath": "$", "numberValue": 1}
        ),
        event({"functionCall": {}}),
        event(call("ping")),
        END,
    )

    book, ping = message.tool_calls
    assert (book.name, ping.name) == ("book", "ping")
    assert json.loads(book.arguments) == {
        "city": "Paris",
        "days": 3,
        "rooms": ["any", {"beds": 2}],
        "a.b": True,
        "q": None,
        "tags": {"x": "de"},
        "odd[": "kept",
        "$": 1,
    }
    assert book.extra == {THOUGHT_SIGNATURE: "c2ln"}


def test_interleaved_calls_are_told_apart_by_their_ids() -> None:
    def piece(identity: str, value: str, *, more: bool) -> Event:
        partial = [{"jsonPath": "$.x", "stringValue": value, "willContinue": more}]
        return event({"functionCall": {"id": identity, "partialArgs": partial, "willContinue": more}})

    message = whole(
        event({"functionCall": {"id": "1", "name": "f", "willContinue": True}}),
        event({"functionCall": {"id": "2", "name": "g", "willContinue": True}}),
        piece("1", "a", more=True),
        piece("2", "c", more=True),
        piece("1", "b", more=False),
        piece("2", "d", more=False),
        END,
    )

    assert [(each.id, each.name, each.arguments) for each in message.tool_calls] == [
        ("1", "f", '{"x":"ab"}'),
        ("2", "g", '{"x":"cd"}'),
    ]


def test_a_whole_call_among_the_pieces_of_another_is_one_of_its_own() -> None:
    """Its name says so, where there are no ids; fields of a wrong type count as absent."""
    message = whole(
        event({"functionCall": {"name": "f", "willContinue": True}}),
        event(call("g", args={"a": 1}, partialArgs=True)),
        event({"functionCall": {"partialArgs": [{"jsonPath": "$.x", "boolValue": True}], "willContinue": True}}),
        event({"functionCall": {"partialArgs": 7}}),
        END,
    )

    assert [(each.name, each.arguments) for each in message.tool_calls] == [("g", '{"a":1}'), ("f", '{"x":true}')]


def test_a_call_without_an_end_breaks_the_answer() -> None:
    """Half a call must never run."""
    with pytest.raises(StreamBrokenError, match="in the middle of a call of 'f'"):
        whole(event({"functionCall": {"name": "f", "willContinue": True}}), END)


@pytest.mark.parametrize(
    ("body", "words", "partial"),
    [
        pytest.param([text("a"), text("b")], "without a finish reason", "ab", id="no end"),
        pytest.param([text("a"), b"data: {broken}\n\n", END], "an event is no JSON", "a", id="no JSON"),
        pytest.param([text("a"), b'data: {"cand'], "in the middle of an event", "a", id="cut"),
        pytest.param([b'data: {"cand'], "in the middle of an event", None, id="cut at once"),
        pytest.param([], "before the first event", None, id="nothing"),
        pytest.param([b"data"], "before the first event", None, id="only a name"),
        pytest.param([b" \n"], "before the first event", None, id="blanks"),
        pytest.param([b'[{"candidates": [{"content"'], "in the middle of an object", None, id="array cut"),
        pytest.param([b"[]"], "no events", None, id="empty array"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_breaks_an_answer(body: Sequence[Event | bytes], words: str, partial: str | None, size: int) -> None:
    """The error says why, and keeps what came."""
    with pytest.raises((StreamBrokenError, InvalidResponseError), match=words) as caught:
        whole(*body, size=size)

    kept = getattr(caught.value, "partial", None)
    assert (kept.content if isinstance(kept, Message) else None) == partial


PROBLEM = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda *said: events(*said, PROBLEM), id="as an event"),
        pytest.param(lambda *said: events(*said, b"data: " + json.dumps(PROBLEM).encode()), id="as half an event"),
        pytest.param(lambda *said: events(*said) + json.dumps(PROBLEM, indent=2).encode(), id="bare, in lines"),
        pytest.param(lambda *said: events(*said) + json.dumps([PROBLEM]).encode(), id="bare, in a list"),
        pytest.param(lambda *said: array(*said, PROBLEM), id="in an array"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_an_error_in_the_middle(form: Any, size: int) -> None:
    """It breaks the answer, keeps what came, and says whether to try again; before the answer it is the error itself."""
    with pytest.raises(StreamBrokenError, match=r"The model is overloaded\.") as caught:
        chunks(form(text("a")), size)
    with pytest.raises(OverloadedError, match=r"The model is overloaded\."):
        chunks(form(), size)

    assert isinstance(caught.value.__cause__, OverloadedError)
    assert caught.value.retryable
    assert isinstance(caught.value.partial, Message)
    assert caught.value.partial.content == "a"


def test_an_error_that_cannot_be_retried_breaks_the_answer_for_good() -> None:
    with pytest.raises(StreamBrokenError) as caught:
        whole(text("a"), {"error": {"code": 400, "message": "no"}})

    assert not caught.value.retryable


def test_garbage_behind_the_last_event_is_no_error_of_the_service() -> None:
    with pytest.raises(StreamBrokenError, match="without a finish reason"):
        whole(text("a"), b'{broken} {"a": 1} [2]')


def test_a_blocked_prompt() -> None:
    """There is no answer; once there is one, it breaks off."""
    feedback = {"promptFeedback": {"blockReason": "SAFETY"}}

    with pytest.raises(ContentFilterError, match="blocked the prompt with 'SAFETY'"):
        whole(feedback)
    with pytest.raises(StreamBrokenError, match="blocked the prompt with 'SAFETY'") as caught:
        whole(text("a"), feedback)
    assert not caught.value.retryable


def test_an_answer_that_a_filter_stopped_is_an_answer() -> None:
    """Its finish reason says so, its details why."""
    rating = {"category": "X", "probability": "HIGH", "blocked": True}

    message = whole(text("a"), {"candidates": [{"finishReason": "SAFETY", "safetyRatings": [rating]}]})

    assert message.content == "a"
    assert message.response_meta is not None
    assert message.response_meta.finish_reason == "SAFETY"
    assert message.extra[DETAILS]["safetyRatings"] == [rating]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_page_is_no_answer(size: int) -> None:
    """A proxy's login page, with status 200."""
    with pytest.raises(InvalidResponseError, match="no events, content type 'text/event-stream', body '<!doctype"):
        chunks(b"<!doctype html><html>log in</html>\n\n", size)


def test_a_line_of_ten_megabytes() -> None:
    """In large pieces and without a quadratic cost."""
    message = whole(text("x" * 10_000_000), END, size=65536)

    assert len(message.content) == 10_000_000


@pytest.mark.parametrize("form", [events, array])
def test_bytes_that_are_no_text_do_not_end_an_answer(form: Any) -> None:
    """They stand for themselves, as in every browser."""
    body = form(text("a?b"), END).replace(b"?", b"\xff")

    assert concat_messages(chunks(body)).content == "a\ufffdb"


def test_an_endless_event_breaks_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it exhausts memory, in both forms."""
    monkeypatch.setattr(_sse.SSEParser.__init__, "__defaults__", (100,))
    monkeypatch.setattr(_json_stream.JSONObjects.__init__, "__defaults__", (100,))

    with pytest.raises(StreamBrokenError, match="an event is longer than 100 bytes"):
        chunks(b"data: " + b"x" * 200)
    with pytest.raises(StreamBrokenError, match="a JSON object is longer than 100 bytes"):
        chunks(b'[{"a": "' + b"x" * 200)
