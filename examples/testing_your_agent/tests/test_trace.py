"""A golden trace: what the desk does, step by step, must not change unless somebody meant it.

`pytest --trace-update` writes `traces/test_trace/`; look at the difference before you commit it.
"""

from support_desk import build_desk

from eino import tool_call


async def test_two_tools_at_once(scripted_model, trace):
    calls = [tool_call("order_status", {"order_id": each}, id=each) for each in ("A1", "B2")]
    model = scripted_model([calls, "One is on its way, the other was delivered."])

    await build_desk(model).invoke("Where are my orders?", callbacks=[trace])

    await trace.check()
