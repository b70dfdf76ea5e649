"""The workloads with eino."""

from __future__ import annotations

from collections.abc import AsyncIterator

from workloads import CHAIN, CHUNKS, ROUNDS, WIDTH, measure

from eino import END, START, Branch, Chain, Graph


async def one_more(value: int) -> int:
    return value + 1


async def same(value: int) -> int:
    return value


async def total(values: dict[str, int]) -> int:
    return sum(values.values())


async def again(value: int) -> str:
    return "node" if value < ROUNDS else END


async def plus_one(stream: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in stream:
        yield number + 1


async def numbers() -> AsyncIterator[int]:
    for number in range(CHUNKS):
        yield number


chain = Chain[int, int]()
for _ in range(CHAIN):
    chain.append_lambda(one_more)
line = chain.compile()

fan = Graph[int, int]()
fan.add_lambda_node("first", one_more).add_lambda_node("join", total).add_edge(START, "first").add_edge("join", END)
for index in range(WIDTH):
    fan.add_lambda_node(f"beside_{index}", same, output_key=str(index))
    fan.add_edge("first", f"beside_{index}").add_edge(f"beside_{index}", "join")
wide = fan.compile(trigger="all")

loop = Graph[int, int]()
loop.add_lambda_node("node", one_more).add_edge(START, "node").add_branch("node", Branch(again, ends=["node", END]))
round_and_round = loop.compile(max_steps=ROUNDS + 1)

pipeline = Chain[int, int]()
for _ in range(3):
    pipeline.append_lambda(plus_one)
stream = pipeline.compile()


async def w4() -> int:
    return sum([number async for number in stream.transform(numbers())])


measure(
    "eino",
    {"W1": lambda: line.invoke(0), "W2": lambda: wide.invoke(0), "W3": lambda: round_and_round.invoke(0), "W4": w4},
    distribution="eino",
)
