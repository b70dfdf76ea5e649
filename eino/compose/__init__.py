"""Compose: typed graphs of components that run as one."""

from eino.compose.batch import BatchItem
from eino.compose.branch import Branch
from eino.compose.chain import Chain
from eino.compose.chain_options import ChainNodeOptions
from eino.compose.compile_callbacks import CompileCallback, add_global_compile_callback
from eino.compose.effects import Settled
from eino.compose.field_mapping import FieldMapping, from_field, map_fields, to_field
from eino.compose.fingerprint import GraphChange
from eino.compose.graph import Graph
from eino.compose.handle import HandleError, RunHandle
from eino.compose.interrupts import (
    GraphInterrupt,
    InterruptContext,
    InterruptInfo,
    interrupt,
    interrupt_group,
)
from eino.compose.introspect import BranchInfo, EdgeInfo, GraphInfo, NodeInfo
from eino.compose.lambdas import Lambda, to_list
from eino.compose.names import END, START
from eino.compose.node import NodeOptions
from eino.compose.opening import Opening
from eino.compose.parallel import ChainBranch, Parallel
from eino.compose.planner import CompileOptions, FanIn
from eino.compose.retention import prune_runs
from eino.compose.runnable import MISSING, Runnable
from eino.compose.sealed_store import SealedStore
from eino.compose.settings import CallOptions
from eino.compose.signature import UnresolvedAnnotationWarning
from eino.compose.store import CheckpointStore, MemoryStore, RunStatus, RunSummary
from eino.compose.tools_node import (
    ToolAliases,
    ToolInput,
    ToolNext,
    ToolOutput,
    ToolsNode,
    ToolsOptions,
    current_tool_call_id,
)
from eino.compose.transactions import transact
from eino.compose.workflow import Workflow
from eino.compose.workflow_node import WorkflowNode

__all__ = [
    "END",
    "MISSING",
    "START",
    "BatchItem",
    "Branch",
    "BranchInfo",
    "CallOptions",
    "Chain",
    "ChainBranch",
    "ChainNodeOptions",
    "CheckpointStore",
    "CompileCallback",
    "CompileOptions",
    "EdgeInfo",
    "FanIn",
    "FieldMapping",
    "Graph",
    "GraphChange",
    "GraphInfo",
    "GraphInterrupt",
    "HandleError",
    "InterruptContext",
    "InterruptInfo",
    "Lambda",
    "MemoryStore",
    "NodeInfo",
    "NodeOptions",
    "Opening",
    "Parallel",
    "RunHandle",
    "RunStatus",
    "RunSummary",
    "Runnable",
    "SealedStore",
    "Settled",
    "ToolAliases",
    "ToolInput",
    "ToolNext",
    "ToolOutput",
    "ToolsNode",
    "ToolsOptions",
    "UnresolvedAnnotationWarning",
    "Workflow",
    "WorkflowNode",
    "add_global_compile_callback",
    "current_tool_call_id",
    "from_field",
    "interrupt",
    "interrupt_group",
    "map_fields",
    "prune_runs",
    "to_field",
    "to_list",
    "transact",
]
