"""What the SDKs of OpenAI and Anthropic raise, as errors of eino. Both are made by one generator, so they agree."""

from __future__ import annotations

import ssl
import sys
from typing import Any

import anyio

from eino.errors import ComponentError, ConnectionFailedError, RequestTimeoutError
from eino.ext.models._answer_decoder import AnswerDecoder
from eino.ext.models._service_errors import Place, scrub, status_error

__all__ = ["broken", "failure", "not_sent", "transport_errors"]


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what reading a response can raise, for the SDKs' HTTP library and for the older one."""
    import httpx2

    errors = (httpx2.RequestError, ssl.SSLError, anyio.EndOfStream)
    legacy = sys.modules.get("httpx")
    return errors if legacy is None else (*errors, legacy.RequestError)


def failure(error: Any, place: Place, sdk: Any) -> ComponentError:
    """Return the error of eino for an `APIError` of the module `sdk`, whose own texts are cleared of the key."""
    error.message = scrub(error.message, place.secrets)
    error.args = (error.message,)
    if isinstance(error, sdk.APIStatusError):
        body = error.body if error.body is not None else error.response.text
        return status_error(error.status_code, error.response.headers, body, place)
    if isinstance(error, sdk.APITimeoutError):
        return RequestTimeoutError(f"{place} did not answer in time; raise timeout_s= or try again")
    cause = error.__cause__
    why = scrub(_words(cause) if isinstance(cause, Exception) else error.message, place.secrets)
    if isinstance(error, sdk.APIConnectionError):
        return ConnectionFailedError(f"the connection to {place} failed: {why}; check base_url= and the network")
    return ComponentError(f"the SDK failed for {place}: {why}")


def not_sent(error: Exception, place: Place) -> ComponentError:
    """Return the error for a request that the HTTP library could not send, or that got no response."""
    if _is_timeout(error):
        return RequestTimeoutError(f"{place} did not answer in time; raise timeout_s= or try again")
    why = scrub(_words(error), place.secrets)
    return ConnectionFailedError(f"the connection to {place} failed: {why}; check base_url= and the network")


def broken(error: Exception, decoder: AnswerDecoder, place: Place) -> ComponentError:
    """Return the error for a connection that failed while the answer was read."""
    why = _words(error)
    if decoder.started:
        return decoder.broken(why)
    if _is_timeout(error):
        return RequestTimeoutError(
            f"{place} fell silent before its answer began ({why}); raise timeout_s= or try again"
        )
    return ConnectionFailedError(f"the connection to {place} broke before an answer began: {why}; try again")


def _words(error: Exception) -> str:
    """Return the name of an error and its text, if it has one."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_timeout(error: Exception) -> bool:
    return "Timeout" in type(error).__name__
