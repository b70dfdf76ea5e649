"""Ready-made graphs: the ReAct agent, the host of specialists, and retrievers that are made of others.

Each builds a graph of `eino.compose` and offers it as `runnable`, so that it can be a node of another graph.
"""

from eino.flow.fusion import Fusion, first_occurrences, reciprocal_rank_fusion
from eino.flow.host import HostMultiAgent, OnHandOff, Specialist
from eino.flow.message_future import MessageFuture
from eino.flow.multi_query import MultiQueryRetriever, RewriteQuery
from eino.flow.parent import GetParents, MakeSubIds, ParentIndexer, ParentRetriever
from eino.flow.react import HasToolCalls, MessageModifier, ReactAgent, ReactState, first_chunk, return_directly
from eino.flow.router import RouteQuery, RouterRetriever

__all__ = [
    "Fusion",
    "GetParents",
    "HasToolCalls",
    "HostMultiAgent",
    "MakeSubIds",
    "MessageFuture",
    "MessageModifier",
    "MultiQueryRetriever",
    "OnHandOff",
    "ParentIndexer",
    "ParentRetriever",
    "ReactAgent",
    "ReactState",
    "RewriteQuery",
    "RouteQuery",
    "RouterRetriever",
    "Specialist",
    "first_chunk",
    "first_occurrences",
    "reciprocal_rank_fusion",
    "return_directly",
]
