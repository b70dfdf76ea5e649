"""Ids of messages: 32 hexadecimal digits, never the same one twice, in forks neither."""

from __future__ import annotations

import os
import re
import sys
import threading

import pytest

from eino import assistant_message
from eino.adk.chat.message_ids import ensure_message_id, message_id, new_message_id, with_message_id

DIGITS = re.compile(r"[0-9a-f]{32}")


def test_ids_count_on_beyond_the_digits_that_are_kept() -> None:
    """All but the last three digits are kept from id to id: they must change when those run over."""
    ids = [new_message_id() for _ in range(3 * 4096)]

    assert all(DIGITS.fullmatch(each) for each in ids)
    assert len({each[:20] for each in ids}) == 1, "the random part belongs to the process"
    first = int(ids[0][20:], 16)
    wrong = [each for number, each in enumerate(ids, first) if int(each[20:], 16) != number]
    assert wrong[:3] == []


def test_threads_never_get_the_same_id() -> None:
    """They run over the kept digits at different times."""
    ids: list[list[str]] = [[] for _ in range(4)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda mine=mine: mine.extend(new_message_id() for _ in range(9000)))
            for mine in ids
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)

    given = [each for mine in ids for each in mine]
    assert len(set(given)) == len(given) == 36_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_gives_ids_of_its_own() -> None:
    ours = new_message_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, new_message_id().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        theirs = answer.read()
    os.waitpid(child, 0)

    assert DIGITS.fullmatch(theirs)
    assert theirs[:20] != ours[:20]


def test_a_message_keeps_the_id_that_it_has() -> None:
    message = assistant_message("hi")
    assert message_id(message) is None

    named = with_message_id(message, "an-id")
    assert message_id(named) == "an-id"
    assert ensure_message_id(named) is named
    assert message_id(message) is None, "a message does not change"
    assert DIGITS.fullmatch(message_id(ensure_message_id(message)) or "")
