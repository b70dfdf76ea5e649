"""The workloads with haystack's pipelines; components hand on whole results, so there is no W4."""

from haystack import Pipeline, component
from haystack.components.joiners import BranchJoiner
from haystack.core.component.types import Variadic
from workloads import CHAIN, ROUNDS, WIDTH, measure


@component
class OneMore:
    @component.output_types(value=int)
    def run(self, value: int):
        return {"value": value + 1}

    @component.output_types(value=int)
    async def run_async(self, value: int):
        return {"value": value + 1}


@component
class Same:
    @component.output_types(value=int)
    def run(self, value: int):
        return {"value": value}

    @component.output_types(value=int)
    async def run_async(self, value: int):
        return {"value": value}


@component
class Total:
    @component.output_types(value=int)
    def run(self, values: Variadic[int]):
        return {"value": sum(values)}

    @component.output_types(value=int)
    async def run_async(self, values: Variadic[int]):
        return {"value": sum(values)}


@component
class Again:
    @component.output_types(again=int, done=int)
    def run(self, value: int):
        return {"again": value} if value < ROUNDS else {"done": value}

    @component.output_types(again=int, done=int)
    async def run_async(self, value: int):
        return {"again": value} if value < ROUNDS else {"done": value}


line = Pipeline()
for index in range(CHAIN):
    line.add_component(f"n{index}", OneMore())
    if index:
        line.connect(f"n{index - 1}.value", f"n{index}.value")

fan = Pipeline()
fan.add_component("first", OneMore())
fan.add_component("join", Total())
for index in range(WIDTH):
    fan.add_component(f"beside_{index}", Same())
    fan.connect("first.value", f"beside_{index}.value")
    fan.connect(f"beside_{index}.value", "join.values")

loop = Pipeline(max_runs_per_component=ROUNDS + 1)
loop.add_component("enter", BranchJoiner(int))
loop.add_component("node", OneMore())
loop.add_component("again", Again())
loop.connect("enter.value", "node.value")
loop.connect("node.value", "again.value")
loop.connect("again.again", "enter.value")


async def w1() -> int:
    return (await line.run_async({"n0": {"value": 0}}))[f"n{CHAIN - 1}"]["value"]


async def w2() -> int:
    return (await fan.run_async({"first": {"value": 0}}, concurrency_limit=WIDTH))["join"]["value"]


async def w3() -> int:
    return (await loop.run_async({"enter": {"value": 0}}))["again"]["done"]


measure("haystack", {"W1": w1, "W2": w2, "W3": w3}, distribution="haystack-ai")
