"""An ASGI app around compiled graphs.

`POST /graphs/{name}/invoke` takes `{"input": ...}` and answers `{"output": ...}`; `POST /graphs/{name}/stream` takes
the same and answers server-sent events: `chunk` with a piece of output each, then `end`, `error` or `interrupt`. `GET
/health` says that the process is up. Inputs are converted to the graph's input type and refused where they do not fit;
an output without a JSON form is an error of the run. A run that stops to ask is answered with 409 and where and what it
asks; it is not stored, so it cannot go on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from eino.compose import GraphInterrupt, Runnable
from eino.errors import EinoError, MissingExtraError
from eino.serve._answers import error_body, interrupt_body, sendable, status_of
from eino.serve._json import json_of

try:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
except ModuleNotFoundError as missing:
    raise MissingExtraError('serving needs Starlette: pip install "eino[serve]"') from missing

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["create_app"]

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Largest request body that is read, in bytes."""


def create_app(graphs: Mapping[str, Runnable[Any, Any]], *, max_body_bytes: int = MAX_BODY_BYTES) -> Starlette:
    """Return an ASGI app that runs `graphs` by name.

    A client that goes away cancels its run.

    Args:
        graphs: Compiled graphs by the name under which they are served.
        max_body_bytes: Largest request body; larger ones are answered with 413.
    """
    endpoints = _Endpoints(dict(graphs), max_body_bytes)
    return Starlette(
        routes=[
            Route("/health", endpoints.health, methods=["GET"]),
            Route("/graphs/{name}/invoke", endpoints.invoke, methods=["POST"]),
            Route("/graphs/{name}/stream", endpoints.stream, methods=["POST"]),
        ]
    )


class _RefusedError(Exception):
    """A request that is answered before anything runs."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Endpoints:
    def __init__(self, graphs: dict[str, Runnable[Any, Any]], max_body_bytes: int) -> None:
        self._graphs = graphs
        self._max_body_bytes = max_body_bytes

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "graphs": sorted(self._graphs)})

    async def invoke(self, request: Request) -> Response:
        try:
            graph, value = await self._asked(request)
            body = json_of(await graph.invoke(value))
        except (_RefusedError, EinoError, GraphInterrupt) as error:
            return _no_output(error)
        return Response(b'{"output":' + body + b"}", media_type="application/json")

    async def stream(self, request: Request) -> Response:
        try:
            graph, value = await self._asked(request)
            reader = await graph.stream(value)
        except (_RefusedError, EinoError, GraphInterrupt) as error:
            return _no_output(error)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_events(reader), media_type="text/event-stream", headers=headers)

    async def _asked(self, request: Request) -> tuple[Runnable[Any, Any], Any]:
        """Return the graph that a request names and its input, converted."""
        name = request.path_params["name"]
        graph = self._graphs.get(name)
        if graph is None:
            raise _RefusedError(404, f"no graph is served as {name!r}; there are {sorted(self._graphs)}")
        body = await self._body(request)
        try:
            document = json.loads(body)
        except ValueError as error:
            raise _RefusedError(400, f"the body is no JSON: {error}") from error
        if not isinstance(document, dict) or "input" not in document:
            raise _RefusedError(400, 'the body must be an object with the key "input"')
        try:
            return graph, msgspec.convert(document["input"], graph.input_type)
        except (msgspec.ValidationError, TypeError) as error:
            raise _RefusedError(422, f"the input does not fit the graph: {error}") from error

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            raise self._too_large()
        async with aclosing(request.stream()) as stream:
            async for part in stream:
                size += len(part)
                if size > self._max_body_bytes:
                    raise self._too_large()
                parts.append(part)
        return b"".join(parts)

    def _too_large(self) -> _RefusedError:
        return _RefusedError(413, f"the body has more than {self._max_body_bytes} bytes")


def _no_output(error: _RefusedError | EinoError | GraphInterrupt) -> Response:
    if isinstance(error, GraphInterrupt):
        return Response(json_of({"interrupt": interrupt_body(error)}), 409, media_type="application/json")
    if isinstance(error, _RefusedError):
        return JSONResponse({"error": {"type": "request", "message": sendable(str(error))}}, status_code=error.status)
    return JSONResponse({"error": error_body(error)}, status_code=status_of(error))


async def _events(reader: Any) -> AsyncIterator[bytes]:
    """Yield the chunks of a stream as server-sent events; an error, or what the run stopped to ask, is the last one."""
    async with reader:
        try:
            async for chunk in reader:
                yield _event("chunk", chunk)
        except EinoError as error:
            yield _event("error", error_body(error))
        except GraphInterrupt as stop:
            yield _event("interrupt", interrupt_body(stop))
        else:
            yield _event("end", {})


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: ".encode() + json_of(data) + b"\n\n"
