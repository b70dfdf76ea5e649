"""Retrievers made of others."""
