"""Agents: programs that choose their own steps."""

from eino.adk.agent import Agent, AgentFunction, AgentInput, FunctionAgent, agent
from eino.adk.agent_tool import AgentTool, agent_tool
from eino.adk.approval import Approval, ApprovalRequest, NeedsApproval, approval
from eino.adk.budget import Budget, BudgetExceededError, Price
from eino.adk.cancel import AgentCancelledError, CancelHandle, CancelInfo, CancelMode, CancelOutcome
from eino.adk.chat.agent import ChatModelAgent, GenerateInput
from eino.adk.chat.errors import CutShortError, MaxIterationsError, MiddlewareError, WillRetryError
from eino.adk.chat.message_ids import ensure_message_id, message_id
from eino.adk.chat.settings import ChatAgentOptions, ModelFailover, ModelRetry
from eino.adk.chat.turn import delete_run_value, run_value, send_event, send_tool_action, set_run_value
from eino.adk.deterministic import deterministic_transfer
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
from eino.adk.middleware import AgentSetup, Middleware, ModelTurn, SendsModelEvents, SendsToolEvents
from eino.adk.prebuilt.supervisor import supervisor
from eino.adk.run_state import AgentRun, current_agent_run
from eino.adk.runner import Runner
from eino.adk.session import session_value, session_values, set_session_value, set_session_values
from eino.adk.transfer import exit_tool, transfer_tool
from eino.adk.tree import HopLimitError, TransferError
from eino.adk.tree_agent import with_sub_agents
from eino.adk.workflow import LoopAgent, ParallelAgent, SequentialAgent

__all__ = [
    "Agent",
    "AgentAction",
    "AgentCallbackInput",
    "AgentCallbackOutput",
    "AgentCancelledError",
    "AgentEvent",
    "AgentFunction",
    "AgentInput",
    "AgentInterrupt",
    "AgentOutput",
    "AgentRun",
    "AgentSetup",
    "AgentTool",
    "Approval",
    "ApprovalRequest",
    "BreakLoop",
    "Budget",
    "BudgetExceededError",
    "CancelHandle",
    "CancelInfo",
    "CancelMode",
    "CancelOutcome",
    "ChatAgentOptions",
    "ChatModelAgent",
    "CutShortError",
    "EventStream",
    "FunctionAgent",
    "GenerateInput",
    "HistoryEntry",
    "HistoryRewriter",
    "HopLimitError",
    "LoopAgent",
    "MaxIterationsError",
    "MessageVariant",
    "Middleware",
    "MiddlewareError",
    "ModelFailover",
    "ModelRetry",
    "ModelTurn",
    "NeedsApproval",
    "ParallelAgent",
    "Price",
    "Runner",
    "SendsModelEvents",
    "SendsToolEvents",
    "SequentialAgent",
    "TransferError",
    "WillRetryError",
    "agent",
    "agent_tool",
    "approval",
    "break_loop_action",
    "current_agent_run",
    "delete_run_value",
    "deterministic_transfer",
    "ensure_message_id",
    "exit_action",
    "exit_tool",
    "message_event",
    "message_id",
    "run_value",
    "send_event",
    "send_tool_action",
    "session_value",
    "session_values",
    "set_run_value",
    "set_session_value",
    "set_session_values",
    "supervisor",
    "transfer_action",
    "transfer_tool",
    "with_sub_agents",
]
