"""Embedders of providers, and one that remembers; one module each."""
