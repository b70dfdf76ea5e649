"""Properties: whatever a customer writes, the desk keeps the laws of eino, and no refund goes past its limit unseen."""

from hypothesis import example, given
from hypothesis import strategies as st
from support_desk import REFUND_LIMIT, build_desk

from eino import GraphInterrupt, assistant_message, tool_call
from eino_fixtures import FunctionChatModel
from eino_fixtures.clock import VirtualClock
from eino_harness import check_graph


def looks_up(messages, options):
    """Answer as a model would that looks up whatever it is asked about."""
    if messages[-1].role == "tool":
        return assistant_message(f"Your order: {messages[-1].content}.")
    return assistant_message("", tool_calls=[tool_call("order_status", {"order_id": messages[-1].content}, id="1")])


def test_the_desk_keeps_the_laws():
    check_graph(lambda: build_desk(FunctionChatModel(looks_up)), inputs=["A1", "Z9", " A1 "])


def test_the_desk_keeps_the_laws_when_a_person_must_agree():
    def pays(messages, options):
        if messages[-1].role == "tool":
            return assistant_message(messages[-1].content)
        return assistant_message("", tool_calls=[tool_call("refund", {"order_id": "A1", "euros": 500}, id="1")])

    laws = ["stream", "ways", "resume", "cancel"]
    check_graph(lambda: build_desk(FunctionChatModel(pays)), inputs=["pay"], laws=laws, answer=lambda point: "yes")


@given(euros=st.integers(0, 10_000))
@example(euros=REFUND_LIMIT)
@example(euros=REFUND_LIMIT + 1)
def test_no_refund_above_the_limit_without_a_person(euros):
    def pays(messages, options):
        if messages[-1].role == "tool":
            return assistant_message(messages[-1].content)
        return assistant_message("", tool_calls=[tool_call("refund", {"order_id": "A1", "euros": euros}, id="1")])

    try:
        answer = VirtualClock().run(build_desk(FunctionChatModel(pays)).invoke, "pay")
    except GraphInterrupt:
        assert euros > REFUND_LIMIT
    else:
        assert euros <= REFUND_LIMIT
        assert answer == f"{euros} euros were paid back for order A1"
