"""The workloads with agno's workflows; steps hand on whole results, so there is no W4."""

from __future__ import annotations

from agno.workflow import Loop, Parallel, Step, StepInput, StepOutput, Workflow
from workloads import CHAIN, ROUNDS, WIDTH, measure


async def one_more(given: StepInput) -> StepOutput:
    value = given.previous_step_content
    return StepOutput(content=(int(given.input) if value is None else value) + 1)


async def same(given: StepInput) -> StepOutput:
    return StepOutput(content=given.previous_step_content)


async def total(given: StepInput) -> StepOutput:
    parts = given.get_step_content("beside")
    return StepOutput(content=sum(int(parts[f"beside_{index}"]) for index in range(WIDTH)))


def enough(outputs: list[StepOutput]) -> bool:
    return outputs[-1].content >= ROUNDS


line = Workflow(
    name="line", steps=[Step(name=f"n{index}", executor=one_more) for index in range(CHAIN)], telemetry=False
)
beside = Parallel(*(Step(name=f"beside_{index}", executor=same) for index in range(WIDTH)), name="beside")
fan = Workflow(
    name="fan",
    steps=[Step(name="first", executor=one_more), beside, Step(name="join", executor=total)],
    telemetry=False,
)
rounds = Loop(
    name="loop",
    steps=[Step(name="node", executor=one_more)],
    end_condition=enough,
    max_iterations=ROUNDS,
    forward_iteration_output=True,
)
loop = Workflow(name="loop", steps=[rounds], telemetry=False)


async def result_of(workflow: Workflow) -> int:
    return (await workflow.arun(input="0")).content


async def last_of_loop() -> int:
    content = (await loop.arun(input="0")).step_results[-1].steps[-1].content
    return int(content)


measure("agno", {"W1": lambda: result_of(line), "W2": lambda: result_of(fan), "W3": last_of_loop}, distribution="agno")
