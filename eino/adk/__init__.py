"""Agents: programs that choose their own steps."""

from eino.adk.agent import Agent, AgentFunction, AgentInput, FunctionAgent, agent
from eino.adk.drive import AgentCallbackInput, AgentCallbackOutput
from eino.adk.event_stream import EventStream
from eino.adk.events import (
    AgentAction,
    AgentEvent,
    AgentInterrupt,
    AgentOutput,
    BreakLoop,
    MessageVariant,
    break_loop_action,
    exit_action,
    message_event,
    transfer_action,
)
from eino.adk.history import HistoryEntry, HistoryRewriter
from eino.adk.run_state import AgentRun, current_agent_run
from eino.adk.runner import Runner
from eino.adk.session import session_value, session_values, set_session_value, set_session_values
from eino.adk.tree import HopLimitError, TransferError

__all__ = [
    "Agent",
    "AgentAction",
    "AgentCallbackInput",
    "AgentCallbackOutput",
    "AgentEvent",
    "AgentFunction",
    "AgentInput",
    "AgentInterrupt",
    "AgentOutput",
    "AgentRun",
    "BreakLoop",
    "EventStream",
    "FunctionAgent",
    "HistoryEntry",
    "HistoryRewriter",
    "HopLimitError",
    "MessageVariant",
    "Runner",
    "TransferError",
    "agent",
    "break_loop_action",
    "current_agent_run",
    "exit_action",
    "message_event",
    "session_value",
    "session_values",
    "set_session_value",
    "set_session_values",
    "transfer_action",
]
