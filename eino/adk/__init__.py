"""Agents: programs that choose their own steps."""
