"""What a type checker says of programs that use graphs and chains. Checked by `mypy tests/typing`, never run.

An `ignore` marks a line that must be refused: mypy reports an ignore that it does not need.
"""

from __future__ import annotations

from typing import assert_type

from eino import END, START, Branch, Chain, ChatTemplate, Graph, Message, RunContext, StreamReader, user_message
from eino.compose import Runnable
from eino_fixtures import ScriptedChatModel


def length(text: str) -> int:
    return len(text)


async def counted(number: int, ctx: RunContext[None]) -> int:
    return number + len(ctx.node_path)


def graph_of_text_to_number() -> Runnable[str, int]:
    graph = Graph[str, int]()
    assert_type(graph.add_lambda_node("length", length), Graph[str, int])
    graph.add_lambda_node("counted", counted)
    graph.add_edge(START, "length").add_edge("length", "counted")
    graph.add_branch("counted", Branch(lambda number: END if number else "length", ends={"length", END}))
    return graph.compile(name="count", max_steps=8)


async def a_run_has_the_types_of_its_graph() -> None:
    runnable = graph_of_text_to_number()

    assert_type(await runnable.invoke("four"), int)
    assert_type(runnable.invoke_sync("four"), int)
    async for number in runnable.stream("four"):
        assert_type(number, int)
    async with runnable.stream("four") as reader:
        assert_type(reader, StreamReader[int])
        assert_type(await reader.recv(), int)
    assert_type(await (await runnable.stream("four")).concat(), int)
    async with StreamReader.from_iterable(["fo", "ur"]) as words:
        assert_type(await runnable.collect(words), int)


async def a_run_refuses_what_its_graph_does_not_take() -> None:
    runnable = graph_of_text_to_number()

    await runnable.invoke(4)  # type: ignore[arg-type]
    await runnable.invoke("four", max_step=3)  # type: ignore[call-arg]
    await runnable.collect([4])  # type: ignore[arg-type]


async def a_chain_keeps_its_types_while_it_grows() -> None:
    template = ChatTemplate.from_messages(user_message("{question}"))
    chain = Chain[dict[str, object], Message]().append_chat_template(template)
    chain = chain.append_chat_model(ScriptedChatModel(["yes"]))

    assert_type(chain, Chain[dict[str, object], Message])
    assert_type(await chain.compile().invoke({"question": "well?"}), Message)
