"""Types along edges, and what follows from them for passthrough nodes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eino import BuildError
from eino.compose.types import UNKNOWN, EdgeTypes, TypeTable


def table(passthroughs: int = 0) -> TypeTable:
    """Return a table of a start and an end of text, a node of numbers, and some passthrough nodes."""
    made = TypeTable({"end": str}, {"start": str})
    made.add_node("number", int, int)
    for index in range(passthroughs):
        made.add_node(f"p{index}", UNKNOWN, UNKNOWN)
    return made


def edge(source: str, target: str) -> EdgeTypes:
    return EdgeTypes(source, target, UNKNOWN, f"{source}-{target}: {{source}} {{wanted}}")


def test_a_type_spreads_over_passthrough_nodes_both_ways() -> None:
    """2.3: repeatedly, until nothing changes."""
    made = table(3)
    made.add_use(edge("p0", "p1"))
    made.add_use(edge("p1", "p2"))
    assert made.unknown() == ["p0", "p1", "p2"]

    made.add_use(edge("p2", "number"))

    assert made.unknown() == []
    assert {made.input_type(key) for key in ("p0", "p1", "p2")} == {int}
    with pytest.raises(BuildError, match="start-p0: str int"):
        made.add_use(edge("start", "p0"))


def test_a_condition_tells_a_type_as_well() -> None:
    """2.3: the type that it takes."""
    made = table(1)

    made.add_use(EdgeTypes("p0", "", int, "condition"))

    assert made.output_type("p0") is int


def test_a_refused_edge_leaves_the_table_as_it_was() -> None:
    """5b: also what would have followed from it."""
    made = table(2)
    made.add_use(edge("start", "p0"))
    made.add_use(edge("p1", "number"))

    with pytest.raises(BuildError, match="p0-p1: str int"):
        made.add_use(edge("p0", "p1"))

    assert (made.output_type("p0"), made.output_type("p1")) == (str, int)
    made.add_use(edge("p0", "end"))


def test_a_node_that_is_taken_back_takes_what_followed_from_it() -> None:
    """A chain removes a node that does not fit; its passthrough is as unknown as before."""
    made = table(1)
    made.add_use(edge("p0", "number"))
    made.remove("number")
    assert made.unknown() == ["p0"]
    made.add_use(edge("p0", "end"))
    made.disconnect("end")
    assert made.unknown() == ["p0"]
    made.add_use(edge("start", "p0"))
    assert made.output_type("p0") is str


def test_copies_are_independent() -> None:
    """For changes that must all succeed or not happen."""
    made = table(1)
    twin = made.copy()

    twin.add_use(edge("start", "p0"))

    assert (made.unknown(), twin.unknown()) == (["p0"], [])
    assert repr(UNKNOWN) == "an unknown type"


@given(
    edges=st.lists(
        st.sampled_from(
            [
                edge(source, target)
                for source, target in itertools.product(
                    ("start", "number", "p0", "p1", "p2"), ("end", "number", "p0", "p1", "p2")
                )
                if source != target
            ]
        ),
        max_size=6,
        unique=True,
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_the_edges_does_not_matter(edges: list[EdgeTypes], order: object) -> None:
    """D9: with types that fit or do not, either every order is accepted, with the same types, or none is."""

    def build(uses: list[EdgeTypes]) -> list[object] | None:
        made = table(3)
        try:
            for use in uses:
                made.add_use(use)
        except BuildError:
            return None
        return [made.input_type(key) for key in ("p0", "p1", "p2")]

    shuffled = list(edges)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random

    assert build(edges) == build(shuffled)
