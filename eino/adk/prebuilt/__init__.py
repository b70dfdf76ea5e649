"""Agents of several that are put together already."""

from eino.adk.prebuilt.supervisor import supervisor

__all__ = ["supervisor"]
