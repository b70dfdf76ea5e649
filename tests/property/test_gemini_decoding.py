"""Laws of reading Gemini's answers: cuts do not matter, odd fields do no harm, what is kept goes back as it came."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eino.components import ModelOptions
from eino.errors import ComponentError, StreamBrokenError
from eino.ext.models._gemini_answer import DETAILS, read_answer
from eino.ext.models._gemini_errors import status_error
from eino.ext.models._gemini_request import request_body
from eino.ext.models._gemini_stream import StreamDecoder
from eino.ext.models._service_errors import Place
from eino.schema import Message, concat_messages, user_message

PLACE = Place("m", "host")
NAMES = [
    *("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id"),
    *("inlineData", "mimeType", "data", "index", "finishReason", "usageMetadata", "promptTokenCount", "error", "code"),
    *("promptFeedback", "blockReason", "logprobsResult", "chosenCandidates", "topCandidates", "candidates", "token"),
    *("partialArgs", "jsonPath", "stringValue", "willContinue", "responseId", "groundingMetadata", "details", "status"),
    *("retryDelay", "safetyRatings", "executableCode", "message"),
]
WORDS = st.sampled_from(["", "a", "STOP", "image/png", "audio/wav", "c2ln", "$.a[0].b", "34s", "é🎉\u2028"])
scalars = st.none() | st.booleans() | st.integers(-2, 500) | st.floats(allow_nan=False, width=16) | WORDS
odd = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


def candidate(content: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return answers that are right down to what `content` gives."""
    return st.fixed_dictionaries(
        {"candidates": st.tuples(st.fixed_dictionaries({"content": content}, optional={"finishReason": odd}))},
        optional={"usageMetadata": odd, "responseId": odd, "promptFeedback": odd, "error": odd},
    )


odd_parts = st.lists(odd | st.dictionaries(st.sampled_from(NAMES), odd, max_size=3), max_size=4)
odd_answers = odd | candidate(odd) | candidate(st.fixed_dictionaries({"parts": odd_parts}))

signature = st.fixed_dictionaries({}, optional={"thoughtSignature": st.sampled_from(["c2ln", "b3Ro"])})
text_parts = st.builds(lambda text, extra: {"text": text} | extra, WORDS.filter(bool), signature)
thoughts = st.builds(lambda text, extra: {"text": text, "thought": True} | extra, WORDS.filter(bool), signature)
arguments = st.dictionaries(st.sampled_from(["a", "é"]), st.integers() | st.lists(st.text(max_size=3), max_size=2))
calls = st.builds(lambda args, extra: {"functionCall": {"name": "f", "args": args}} | extra, arguments, signature)
images = st.builds(lambda extra: {"inlineData": {"mimeType": "image/png", "data": "aW1n"}} | extra, signature)
OTHERS: list[dict[str, Any]] = [
    {"executableCode": {"code": "1"}},
    {"unheardOf": [1]},
    {"fileData": {"fileUri": "gs://x"}},
]
others = st.sampled_from(OTHERS)
parts = st.lists(text_parts | thoughts | calls | images | others, max_size=6)


def events(groups: list[list[Any]]) -> bytes:
    """Return a stream whose events have these parts."""
    payloads: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": group}}], "responseId": "r"} for group in groups
    ]
    payloads.append({"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}})
    return b"".join(b"data: " + json.dumps(each, ensure_ascii=False).encode() + b"\r\n\r\n" for each in payloads)


def read(body: bytes, cuts: list[int]) -> list[Message]:
    """Return the chunks of a body that is cut at these places."""
    decoder = StreamDecoder(PLACE)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    found = [message for start, end in itertools.pairwise(places) for message in decoder.feed(body[start:end])]
    return [*found, *decoder.end()]


def went_back(message: Message) -> list[Any]:
    """Return what stands for an answer in the next request."""
    contents = request_body([user_message("a"), message, user_message("b")], ModelOptions())["contents"]
    return contents[1]["parts"] if len(contents) == 3 else []


def as_one(sent: list[Any]) -> list[Any]:
    """Return parts with neighbouring plain texts joined, and without thoughts that nothing signs."""
    joined: list[Any] = []
    for part in sent:
        if part.get("thought") and "thoughtSignature" not in part:
            continue
        if part.keys() == {"text"} and joined and joined[-1].keys() == {"text"}:
            joined[-1] = {"text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


@given(st.lists(parts, max_size=4), st.lists(st.integers(0, 10_000), max_size=6))
def test_cuts_do_not_matter_and_parts_go_back(groups: list[list[Any]], cuts: list[int]) -> None:
    """Streamed in any pieces, the answer is the same as a whole one, and goes back as it came."""
    every = [part for group in groups for part in group]
    whole = {"candidates": [{"content": {"parts": every}, "finishReason": "STOP"}], "responseId": "r"}

    streamed = concat_messages(read(events(groups), cuts))
    at_once = read_answer(json.dumps(whole).encode(), PLACE)

    assert streamed.content == at_once.content
    assert streamed.reasoning_content == at_once.reasoning_content
    assert streamed.assistant_parts == at_once.assistant_parts
    assert tuple(call.replace(index=None) for call in streamed.tool_calls) == at_once.tool_calls
    assert went_back(streamed) == went_back(at_once) == as_one(every)
    stored = json.loads(json.dumps(at_once.extra))
    assert went_back(at_once.replace(extra=stored)) == as_one(every)


@given(st.lists(parts, min_size=1, max_size=3), st.integers(0, 10_000))
def test_an_answer_that_is_cut_off_is_never_taken_for_a_whole_one(groups: list[list[Any]], at: int) -> None:
    """What came before is kept."""
    body = events(groups)
    end = body.index(b"STOP")
    seen: list[Message] = []
    decoder = StreamDecoder(PLACE)

    try:
        seen += decoder.feed(body[: at % end])
        seen += decoder.end()
        raise AssertionError("an answer without an end was taken for a whole one")
    except StreamBrokenError as error:
        partial = error.partial
    if seen:
        assert isinstance(partial, Message)
        assert partial.content == "".join(chunk.content for chunk in seen)


@given(odd_answers, st.lists(odd_answers, max_size=3))
def test_odd_answers_give_a_message_or_an_error_of_eino(answer: Any, more: list[Any]) -> None:
    """Whatever the fields hold; and what was read can be stored and sent back."""
    body = json.dumps(answer).encode()
    stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (*more, answer))
    attempts: list[Callable[[], Message]] = [
        lambda: read_answer(body, PLACE),
        lambda: concat_messages(read(stream, [7])),
        lambda: concat_messages(read(b"[" + body + b"]", [3])),
    ]
    for attempt in attempts:
        try:
            message = attempt()
        except ComponentError:
            continue
        json.dumps(message.extra)
        assert message.role in ("assistant", "")
        went_back(message)


@given(odd | st.fixed_dictionaries({"error": odd}), st.sampled_from([400, 403, 429, 500, 503]))
def test_odd_errors_are_errors_of_eino(body: Any, status: int) -> None:
    assert isinstance(status_error(status, {}, json.dumps(body).encode(), PLACE), ComponentError)


@given(st.binary(max_size=80), st.integers(1, 9))
def test_garbage_is_never_an_answer(body: bytes, size: int) -> None:
    decoder = StreamDecoder(PLACE)
    try:
        found = [each for place in range(0, len(body), size) for each in decoder.feed(body[place : place + size])]
        found += decoder.end()
    except ComponentError:
        return
    raise AssertionError(f"{body!r} was taken for {found!r}, details {[each.extra.get(DETAILS) for each in found]}")
