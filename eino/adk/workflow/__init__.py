"""Agents that run others in an order that is fixed beforehand."""

from eino.adk.workflow.parallel import ParallelAgent
from eino.adk.workflow.steps import LoopAgent, SequentialAgent

__all__ = ["LoopAgent", "ParallelAgent", "SequentialAgent"]
