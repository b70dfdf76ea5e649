"""The workloads with langchain-core's runnables; they have no loops, so there is no W3."""

from __future__ import annotations

from collections.abc import AsyncIterator

from langchain_core.runnables import RunnableGenerator, RunnableLambda, RunnableParallel
from workloads import CHAIN, CHUNKS, WIDTH, measure


async def one_more(value: int) -> int:
    return value + 1


async def same(value: int) -> int:
    return value


async def total(values: dict[str, int]) -> int:
    return sum(values.values())


async def plus_one(stream: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in stream:
        yield number + 1


async def numbers() -> AsyncIterator[int]:
    for number in range(CHUNKS):
        yield number


line = RunnableLambda(one_more)
for _ in range(CHAIN - 1):
    line = line | RunnableLambda(one_more)
fan = (
    RunnableLambda(one_more)
    | RunnableParallel({str(index): RunnableLambda(same) for index in range(WIDTH)})
    | RunnableLambda(total)
)
pipeline = RunnableGenerator(plus_one) | RunnableGenerator(plus_one) | RunnableGenerator(plus_one)


async def w4() -> int:
    return sum([number async for number in pipeline.atransform(numbers())])


measure(
    "langchain-core",
    {"W1": lambda: line.ainvoke(0), "W2": lambda: fan.ainvoke(0), "W4": w4},
    distribution="langchain-core",
)
