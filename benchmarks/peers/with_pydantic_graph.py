"""The workloads with pydantic-graph's builder; it has no streams between nodes, so there is no W4."""

from __future__ import annotations

import itertools

from pydantic_graph import GraphBuilder, StepContext, TypeExpression, reduce_list_append
from workloads import CHAIN, ROUNDS, WIDTH, measure


def line_of(length: int):
    builder = GraphBuilder(input_type=int, output_type=int)
    steps = []
    for index in range(length):

        async def one_more(ctx: StepContext[None, None, int]) -> int:
            return ctx.inputs + 1

        steps.append(builder.step(one_more, node_id=f"node_{index}"))
    edges = [builder.edge_from(builder.start_node).to(steps[0])]
    edges += [builder.edge_from(one).to(other) for one, other in itertools.pairwise(steps)]
    builder.add(*edges, builder.edge_from(steps[-1]).to(builder.end_node))
    return builder.build()


def fan_of(width: int):
    builder = GraphBuilder(input_type=int, output_type=int)

    @builder.step
    async def first(ctx: StepContext[None, None, int]) -> int:
        return ctx.inputs + 1

    @builder.step
    async def total(ctx: StepContext[None, None, list[int]]) -> int:
        return sum(ctx.inputs)

    steps = []
    for index in range(width):

        async def same(ctx: StepContext[None, None, int]) -> int:
            return ctx.inputs

        steps.append(builder.step(same, node_id=f"beside_{index}"))
    gather = builder.join(reduce_list_append, initial_factory=list[int])
    builder.add(
        builder.edge_from(builder.start_node).to(first),
        builder.edge_from(first).to(*steps),
        *(builder.edge_from(step).to(gather) for step in steps),
        builder.edge_from(gather).to(total),
        builder.edge_from(total).to(builder.end_node),
    )
    return builder.build()


def loop_of(rounds: int):
    builder = GraphBuilder(input_type=int, output_type=int)

    @builder.step
    async def one_more(ctx: StepContext[None, None, int]) -> int:
        return ctx.inputs + 1

    choice = (
        builder.decision()
        .branch(builder.match(TypeExpression[int], matches=lambda value: value < rounds).to(one_more))
        .branch(builder.match(TypeExpression[int]).to(builder.end_node))
    )
    builder.add(builder.edge_from(builder.start_node).to(one_more), builder.edge_from(one_more).to(choice))
    return builder.build()


line, fan, loop = line_of(CHAIN), fan_of(WIDTH), loop_of(ROUNDS)

measure(
    "pydantic-graph",
    {"W1": lambda: line.run(inputs=0), "W2": lambda: fan.run(inputs=0), "W3": lambda: loop.run(inputs=0)},
    distribution="pydantic-graph",
)
