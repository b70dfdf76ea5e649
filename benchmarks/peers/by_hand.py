"""The floor: asyncio code that does the same work without a framework."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from workloads import CHAIN, CHUNKS, ROUNDS, WIDTH, measure


async def one_more(value: int) -> int:
    return value + 1


async def w1() -> int:
    value = 0
    for _ in range(CHAIN):
        value = await one_more(value)
    return value


async def same(value: int) -> int:
    return value


async def w2() -> int:
    value = await one_more(0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(same(value)) for _ in range(WIDTH)]
    return await same(sum(task.result() for task in tasks))


async def again(value: int) -> bool:
    return value < ROUNDS


async def w3() -> int:
    value = 0
    while True:
        value = await one_more(value)
        if not await again(value):
            return value


async def numbers() -> AsyncIterator[int]:
    for number in range(CHUNKS):
        yield number


async def plus_one(stream: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in stream:
        yield number + 1


async def w4() -> int:
    return sum([number async for number in plus_one(plus_one(plus_one(numbers())))])


measure("by hand", {"W1": w1, "W2": w2, "W3": w3, "W4": w4})
