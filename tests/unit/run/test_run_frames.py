"""Frames, snapshots, addresses and ids: where one line of execution is."""

from __future__ import annotations

import os
from typing import Any

import pytest

from eino import Chain, NoRunError, RetryPolicy, RunContext, RunError, StateError, current_context, process_state
from eino._run import (
    AddressSegment,
    Frame,
    NodeFrame,
    StateLevel,
    address_text,
    backoff_s,
    current,
    find_level,
    is_retryable,
    next_seq,
    restart_ids,
    run_id,
    snapshot,
)
from eino.errors import ComponentError, OverloadedError, RateLimitError


class View:
    """A graph, as frames need it."""

    def __init__(self, name: str, *keys: str) -> None:
        self.name = name
        self.keys = keys


def frames() -> tuple[Frame, Frame, Frame]:
    """Return the frames of a root, of a graph that is a node of it, and of one that was invoked inside that."""
    root = Frame(View("root", "a", "b"), None, None, StateLevel({"n": 1}, None))
    root.node = 1
    nested = NodeFrame(View("nested", "c"), root, None, root.state)
    nested.node = 0
    invoked = Frame(View("invoked", "d"), nested, None, root.state)
    return root, nested, invoked


def test_a_path_leads_from_the_outermost_graph_down() -> None:
    """2.12: the keys of the nodes."""
    root, nested, invoked = frames()

    assert (root.path(), nested.path(), invoked.path()) == (("b",), ("b", "c"), ("b", "c"))
    invoked.node = 0
    assert invoked.path() == ("b", "c", "d")


def test_an_address_names_runnables_nodes_and_what_is_below() -> None:
    """1.18: a graph that is a node adds no segment of its own; one that is invoked inside a node does."""
    root, nested, invoked = frames()
    invoked.node = 0
    below = invoked.at(AddressSegment("tool", "search", "call_1"))

    assert address_text(snapshot(root).address) == "runnable:root;node:b"
    assert address_text(snapshot(nested).address) == "runnable:root;node:b;node:c"
    assert address_text(snapshot(invoked).address) == "runnable:root;node:b;node:c;runnable:invoked;node:d"
    assert address_text(snapshot(below).address).endswith("node:d;tool:search:call_1")
    assert address_text(()) == ""
    assert str(AddressSegment("node", "x")) == "node:x"


def test_a_frame_for_a_task_of_its_own_has_all_of_the_first() -> None:
    """4.8: later changes of the one do not show in the other."""
    root, _, _ = frames()
    root.seq, root.node_seq, root.attempt, root.extra = 3, 4, 2, object()
    root.place = (AddressSegment("tool", "t"),)

    twin = root.branch_off(0)

    assert (twin.seq, twin.node_seq, twin.attempt, twin.extra, twin.place) == (3, 4, 2, root.extra, root.place)
    assert (twin.node, root.node, twin.parent, twin.state) == (0, 1, root.parent, root.state)
    plain = frames()[1].branch_off(0)
    assert (type(plain), plain.seq, plain.attempt, plain.extra) == (NodeFrame, 0, 1, None)


def test_a_snapshot_does_not_change() -> None:
    """4.8: it says what held when it was made."""
    root, _, _ = frames()
    root.attempt = 2

    context = snapshot(root)
    root.node, root.attempt = 0, 1

    assert (context.node_key, context.node_path, context.graph_name, context.attempt) == ("b", ("b",), "root", 2)
    assert context.run_id == snapshot(root).run_id
    assert (context.state, context.state_of(dict)) == ({"n": 1}, {"n": 1})
    root.node = -1
    assert snapshot(root).node_key == ""
    with pytest.raises(AttributeError):
        context.node_key = "x"  # type: ignore[misc]  # the test


async def test_outside_a_run_there_is_no_context() -> None:
    """4.8: the error says where to ask."""
    with pytest.raises(NoRunError, match="call current_context"):
        current_context()
    with pytest.raises(NoRunError, match="use process_state"):
        async with process_state(dict):
            pass
    token = current.set(frames()[0])
    try:
        assert current_context().node_key == "b"
        async with process_state(dict) as state:
            state["n"] += 1
        assert current_context().state == {"n": 2}
    finally:
        current.reset(token)


async def test_a_level_is_held_by_one_at_a_time() -> None:
    """1.18: each has its own lock."""
    outer = StateLevel("outer", None)
    inner = StateLevel(3, outer)
    assert not inner.locked

    async with inner.exclusive() as value:
        assert (value, inner.locked, outer.locked) == (3, True, False)
        async with outer.exclusive() as other:
            assert other == "outer"
    assert not inner.locked


def test_the_nearest_state_of_a_type_is_found() -> None:
    """1.18: inner ones hide outer ones; the errors name what is there."""
    levels = StateLevel("inner", StateLevel(3, StateLevel("outer", None)))

    assert find_level(levels, str).value == "inner"
    assert find_level(levels, int).value == 3
    assert find_level(levels, object).value == "inner"
    with pytest.raises(StateError, match="cannot find state with type: list in states chain, current state type: str"):
        find_level(levels, list)
    with pytest.raises(StateError, match="have not set state"):
        find_level(None, str)


def test_ids_are_numbers_behind_a_prefix() -> None:
    """A7: other processes draw another prefix."""
    first, second = next_seq(), next_seq()

    assert second == first + 1
    assert run_id(first) != run_id(second)
    assert run_id(first) == run_id(first)


def test_a_forked_child_has_ids_of_its_own() -> None:
    """A7: or two processes would tell the same ids."""
    ours = run_id(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, run_id(1).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)

    assert theirs.split("-")[1] == ours.split("-")[1]
    assert theirs.split("-")[0] != ours.split("-")[0]


async def test_ids_can_be_the_same_in_every_test() -> None:
    """For tests that compare them."""

    def look(text: str, ctx: RunContext[Any]) -> str:
        return ctx.run_id

    runnable = Chain[str, str]().append_lambda(look).compile()
    undo = restart_ids("test")
    try:
        assert [await runnable.invoke("x"), await runnable.invoke("x")] == ["test-1", "test-2"]
    finally:
        undo()
    assert not run_id(1).startswith("test")


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (RateLimitError("x"), True),
        (OverloadedError("x"), True),
        (ComponentError("x"), False),
        (TimeoutError(), True),
        (ConnectionResetError(), True),
        (ValueError(), False),
        (RunError("x"), False),
    ],
)
def test_what_is_worth_another_try(error: Exception, retryable: bool) -> None:
    """What components mark so, time-outs and broken connections; also as the cause of a RunError."""
    assert is_retryable(error) is retryable
    outer, middle = RunError("outer"), RunError("middle")
    outer.__cause__, middle.__cause__ = middle, error
    assert is_retryable(outer) is retryable


def test_a_policy_waits_longer_each_time_and_at_least_as_long_as_asked() -> None:
    """The error, or what caused it, may say how long."""
    from random import Random

    policy = RetryPolicy(max_attempts=4, base_s=1.0, cap_s=2.0, seed=1)
    waits = [policy.wait_s(attempt, TimeoutError(), Random(attempt)) for attempt in (1, 2, 3)]

    assert all(wait is not None and 0.0 <= wait <= 2.0 for wait in waits)
    assert policy.wait_s(4, TimeoutError(), Random(1)) is None
    assert policy.wait_s(1, ValueError(), Random(1)) is None
    assert policy.wait_s(1, RateLimitError("x", retry_after_s=60.0), Random(1)) == 60.0
    wrapped = RunError("x")
    wrapped.__cause__ = RateLimitError("x", retry_after_s=60.0)
    assert policy.wait_s(1, wrapped, Random(1)) == 60.0
    assert backoff_s(5000, base_s=1.0, cap_s=2.0, rng=Random(1)) <= 2.0
    with pytest.raises(ValueError, match="attempt must be at least 1, got 0"):
        backoff_s(0, base_s=1.0, cap_s=2.0, rng=Random(1))


def test_contexts_do_not_show_private_things() -> None:
    """In logs: no state, which may be large or secret."""
    root, _, _ = frames()

    assert "{'n': 1}" not in repr(snapshot(root))
