"""Serve: graphs over HTTP, as JSON and as server-sent events. Needs `pip install "eino[serve]"`."""

from eino.serve.app import create_app

__all__ = ["create_app"]
