"""The private run context: frames, addresses, state levels, ids, retry rules. Nothing here waits or does I/O."""

from eino._run.address import Address, AddressSegment, address_text
from eino._run.context import NoRunError, RunContext, current_context, process_state, snapshot
from eino._run.frame import GRAPH_LEVEL, Frame, GraphView, NodeFrame, current, here
from eino._run.ids import next_seq, restart_ids, run_id
from eino._run.retry import RetryPolicy, backoff_s, is_retryable
from eino._run.state import StateError, StateLevel, find_level

__all__ = [
    "GRAPH_LEVEL",
    "Address",
    "AddressSegment",
    "Frame",
    "GraphView",
    "NoRunError",
    "NodeFrame",
    "RetryPolicy",
    "RunContext",
    "StateError",
    "StateLevel",
    "address_text",
    "backoff_s",
    "current",
    "current_context",
    "find_level",
    "here",
    "is_retryable",
    "next_seq",
    "process_state",
    "restart_ids",
    "run_id",
    "snapshot",
]
