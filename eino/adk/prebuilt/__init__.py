"""Agents of several that are put together already."""

from eino.adk.prebuilt.plan_execute import (
    ExecutedStep,
    Plan,
    PlanLike,
    executor_agent,
    plan_execute,
    planner_agent,
    replanner_agent,
)
from eino.adk.prebuilt.supervisor import supervisor

__all__ = [
    "ExecutedStep",
    "Plan",
    "PlanLike",
    "executor_agent",
    "plan_execute",
    "planner_agent",
    "replanner_agent",
    "supervisor",
]
