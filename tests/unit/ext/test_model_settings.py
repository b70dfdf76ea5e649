"""What models of all providers do with their settings, and with options over them."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from eino.components.model import ModelOptions
from eino.errors import BuildError
from eino.ext.models._settings import host_of, own_options, secrets_of, timeouts


def test_setting_that_is_none_was_left_out() -> None:
    """Zero and an empty list are settings; None is none."""
    assert own_options("m", temperature=0.0, stop=[], top_p=None) == ModelOptions(model="m", temperature=0.0, stop=[])
    assert own_options("m", top_p=None).top_p is UNSET


def test_secrets_are_keys_that_are_texts() -> None:
    """A short text could be any word of an error, and a function is no text."""
    assert secrets_of("sk-12345", "sk-1234", lambda: "sk-12345678", None) == ("sk-12345",)


@pytest.mark.parametrize(
    ("timeout_s", "connect_s"),
    [
        pytest.param(600.0, 5.0, id="long"),
        pytest.param(2.0, 2.0, id="shorter than the limit to connect"),
        pytest.param(None, 5.0, id="for ever"),
    ],
)
def test_connecting_takes_no_longer_than_silence_may(timeout_s: float | None, connect_s: float) -> None:
    """A server may think for minutes, but not before it has accepted the connection."""
    limits = timeouts(timeout_s)

    assert (limits.read, limits.connect) == (timeout_s, connect_s)


def test_host_is_shown_without_path_and_credentials() -> None:
    """Error texts name the server and nothing that is secret."""
    assert host_of("https://user:word@host:8080/v1?key=1", "https://like.this") == "host:8080"
    with pytest.raises(BuildError, match=r"such as 'https://like\.this', got 'ftp://host'"):
        host_of("ftp://host", "https://like.this")
