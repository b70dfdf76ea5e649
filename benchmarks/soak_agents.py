"""How many agents does one process carry? Runs agents beside each other against a model that takes its time.

```text
python benchmarks/soak_agents.py                        1,000 agents, 5 tool calls each, 20 ms a model call
python benchmarks/soak_agents.py --agents 10000
python benchmarks/soak_agents.py --backend trio
python benchmarks/soak_agents.py --collect-every 20000  Python's collector looks that seldom, as services set it
```

Each agent has a run of its own, with all its events read; the tool is a typed function. In turn with them, in the same
process, the same loops are written by hand, without events, ids or records. Both wait and start with the tasks of
asyncio or trio themselves: anyio's around them would be a tenth of what is measured. The ideal time is that of the
model's calls alone, one after another: 6 x 20 ms. Every repeat prints one line; the best one counts. Exit code 0: it
took at most `--limit` times the ideal and resident memory grew by less than `--limit-mb`; 1 otherwise. The CPU time is
that of the process: where it is above the ideal time, no schedule of one thread can be faster. Part of it is Python's
collector, which looks at all that a thousand waiting agents hold, again and again: `--collect-every` is the first
number of `gc.set_threshold`, which holds for both sides.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import anyio
import trio

from eino import Message, assistant_message, tool, tool_call, tool_message, user_message
from eino.adk import ChatModelAgent, Runner

ROUNDS = 5
QUESTION = [user_message("hi")]
CALLS = [assistant_message("", [tool_call("add", {"a": 1, "b": 2}, id=str(each))]) for each in range(ROUNDS)]
ANSWER = assistant_message("done")
EVENTS = 2 * ROUNDS + 1


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM, in bytes.

    Source:
        proc(5), /proc/[pid]/statm: the second field counts resident pages.
    """
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class SlowModel:
    """A model that calls a tool five times and then answers, and takes its time each time."""

    def __init__(self, latency_s: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.latency_s = latency_s
        self.sleep = sleep

    def with_tools(self, _: Sequence[Any]) -> Self:
        """Return itself: it knows its tool."""
        return self

    async def generate(self, messages: Sequence[Message], options: Any = None) -> Message:
        """Return the next call, or the answer."""
        await self.sleep(self.latency_s)
        done = (len(messages) - 1) // 2
        return ANSWER if done == ROUNDS else CALLS[done]

    async def stream(self, messages: Sequence[Message], options: Any = None) -> AsyncIterator[Message]:
        """Yield it whole."""
        yield await self.generate(messages, options)


@dataclass
class Found:
    """What one repeat took."""

    side: str
    wall_s: float
    cpu_s: float
    ideal_s: float
    grown_mb: float

    @property
    def ratio(self) -> float:
        """How many times the ideal."""
        return self.wall_s / self.ideal_s


def agents(model: SlowModel) -> Callable[[], Awaitable[int]]:
    """Return what runs one agent and counts its events."""
    runner = Runner(ChatModelAgent(name="helper", model=model, tools=[add]))

    async def one() -> int:
        count = 0
        async with runner.run(QUESTION) as events:
            async for event in events:
                if event.error is not None:
                    raise event.error
                count += 1
        return count

    return one


def by_hand(model: SlowModel) -> Callable[[], Awaitable[int]]:
    """Return what runs one loop and counts its messages."""

    async def one() -> int:
        messages = list(QUESTION)
        while (answer := await model.generate(messages)).tool_calls:
            results = [
                tool_message(await add.run(call.arguments), call.id, tool_name=call.name) for call in answer.tool_calls
            ]
            messages += [answer, *results]
        return len(messages)

    return one


async def on_asyncio(run: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `count` of them at once."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(run())


async def on_trio(run: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `count` of them at once."""
    async with trio.open_nursery() as tasks:
        for _ in range(count):
            tasks.start_soon(run)


async def beside_each_other(
    side: str, one: Callable[[], Awaitable[int]], count: int, ideal_s: float, backend: str = "asyncio"
) -> Found:
    """Run `count` of them at once.

    Raises:
        RuntimeError: If one did not come to its answer.
    """
    results: list[int] = []

    async def note() -> None:
        results.append(await one())

    gc.collect()
    memory, cpu_s, wall_s = resident_bytes(), time.process_time(), time.perf_counter()
    await (on_trio if backend == "trio" else on_asyncio)(note, count)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    if results != [EVENTS] * count:
        raise RuntimeError(f"{side}: {count} runs with {EVENTS} events each were expected, got {results[:5]} ...")
    return Found(side, wall_s, cpu_s, ideal_s, (resident_bytes() - memory) / 2**20)


async def measure(arguments: argparse.Namespace) -> list[Found]:
    """Return what each repeat of each side took, in turn."""
    model = SlowModel(arguments.latency_ms / 1000, trio.sleep if arguments.backend == "trio" else asyncio.sleep)
    ideal_s = (ROUNDS + 1) * model.latency_s
    sides = {"by hand": by_hand(model), "agents": agents(model)}
    found = []
    for _ in range(arguments.repeats):
        for side, one in sides.items():
            found.append(await beside_each_other(side, one, arguments.agents, ideal_s, arguments.backend))
            print(line(found[-1]), flush=True)
    return found


def line(found: Found) -> str:
    """Return one repeat as text."""
    return (
        f"{found.side:8} {found.wall_s * 1e3:7.0f} ms, {found.ratio:5.2f} x ideal, CPU {found.cpu_s * 1e3:6.0f} ms, "
        f"memory {found.grown_mb:+6.1f} MiB"
    )


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000, help="how many run at once")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="how long the model takes for an answer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    parser.add_argument("--collect-every", type=int, help="new objects between two looks of Python's collector")
    parser.add_argument("--limit", type=float, default=1.7, help="times the ideal that are allowed")
    parser.add_argument("--limit-mb", type=float, default=300.0, help="growth of resident memory that is allowed")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON as well")
    arguments = parser.parse_args()
    if arguments.collect_every is not None:
        gc.set_threshold(arguments.collect_every, *gc.get_threshold()[1:])
    found = [each for each in anyio.run(measure, arguments, backend=arguments.backend) if each.side == "agents"]
    if arguments.json:
        print(json.dumps([asdict(each) for each in found]))
    best, most_mb = min(each.ratio for each in found), max(each.grown_mb for each in found)
    kept = best <= arguments.limit and most_mb < arguments.limit_mb
    print(
        f"{'ok' if kept else 'MISSED'}: {arguments.agents} agents took {best:.2f} times the ideal (limit "
        f"{arguments.limit:g}) and at most {most_mb:.0f} MiB (limit {arguments.limit_mb:g})"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
