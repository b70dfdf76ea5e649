"""What the desk does, with models whose answers are written down here."""

import pytest
from support_desk import build_desk

from eino import GraphInterrupt, MemoryStore, RateLimitError, RetryChatModel, RetryPolicy, RunError, tool_call


async def test_an_order_is_looked_up(scripted_model):
    model = scripted_model([tool_call("order_status", {"order_id": "A1"}, id="1"), "It arrives tomorrow."])

    assert await build_desk(model).invoke("Where is A1?") == "It arrives tomorrow."

    first, second = model.calls
    assert {tool.name for tool in first.tools} == {"order_status", "refund"}
    assert second.messages[-1].content == "on its way, arrives tomorrow"
    assert second.node_path == ("agent", "model")


async def test_the_answer_streams(scripted_model):
    model = scripted_model(["It arrives tomorrow."])

    chunks = [chunk async for chunk in build_desk(model).stream("Where is A1?")]

    assert chunks == ["It", " arrives", " tomorrow."]


async def test_an_unknown_order_is_told_to_the_model(scripted_model):
    model = scripted_model([tool_call("order_status", {"order_id": "Z9"}, id="1"), "I cannot find it."])

    await build_desk(model).invoke("Where is Z9?")

    assert "there is no order 'Z9'" in model.calls[1].messages[-1].content


@pytest.mark.parametrize(
    ("answer", "result"),
    [("yes", "500 euros were paid back for order A1"), ("no", "a person refused the refund")],
)
async def test_a_large_refund_waits_for_a_person(scripted_model, answer, result):
    model = scripted_model([tool_call("refund", {"order_id": "A1", "euros": 500}, id="1"), "Done."])
    desk = build_desk(model, checkpoint_store=MemoryStore())

    with pytest.raises(GraphInterrupt) as stopped:
        await desk.invoke("I want 500 euros back.", checkpoint_id="ticket-1")
    [point] = stopped.value.contexts
    assert point.info == {"refund": "A1", "euros": 500}

    assert await desk.invoke(checkpoint_id="ticket-1", resume={point.id: answer}) == "Done."
    assert model.calls[1].messages[-1].content == result


async def test_a_busy_provider_is_asked_again_after_a_minute(scripted_model, virtual_clock):
    """The minute passes in no time: the test runs in virtual time."""
    model = scripted_model([RateLimitError("slow down", retry_after_s=60.0), "Hello."])

    assert await build_desk(RetryChatModel(model, RetryPolicy(max_attempts=2))).invoke("Hi") == "Hello."

    assert virtual_clock.now() >= 60.0


async def test_a_provider_that_fails_fails_the_run_at_the_model(scripted_model):
    model = scripted_model([RateLimitError("no more today")])

    with pytest.raises(RunError) as failed:
        await build_desk(model).invoke("Hi")

    assert failed.value.node_path == ("agent", "model")
