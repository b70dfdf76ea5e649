"""Suites that say whether a component of your own keeps the contract of its kind.

A suite is a test class. Derive from it, say how the component is made, and pytest runs every check on each event loop:

    class TestMyModel(ChatModelConformance):
        def make(self):
            return MyModel(...)

`check_conformance(TestMyModel)` does the same without pytest and returns a report.
"""

from eino_harness.conformance._suite import (
    CheckResult,
    Conformance,
    ConformanceError,
    ConformanceReport,
    check_conformance,
)
from eino_harness.conformance.agent import AgentConformance
from eino_harness.conformance.callback_handler import CallbackHandlerConformance
from eino_harness.conformance.chat_model import ChatModelConformance
from eino_harness.conformance.checkpoint_store import CheckpointStoreConformance
from eino_harness.conformance.embedder import EmbedderConformance
from eino_harness.conformance.indexer import IndexerConformance
from eino_harness.conformance.retriever import RetrieverConformance
from eino_harness.conformance.tool import ToolConformance

__all__ = [
    "AgentConformance",
    "CallbackHandlerConformance",
    "ChatModelConformance",
    "CheckResult",
    "CheckpointStoreConformance",
    "Conformance",
    "ConformanceError",
    "ConformanceReport",
    "EmbedderConformance",
    "IndexerConformance",
    "RetrieverConformance",
    "ToolConformance",
    "check_conformance",
]
