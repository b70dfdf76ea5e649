"""Integrations: providers, stores, tools, each behind an extra."""
