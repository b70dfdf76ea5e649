"""Services that speak OpenAI's protocol: where they are, which key they take, and in what they differ.

    from eino.ext.models import openai_services

    model = openai_services.deepseek("deepseek-chat")

Each function returns an `OpenAIChatModel`; what it is given by name goes over the preset. A service that is not here
needs no preset: `OpenAIChatModel(model=..., base_url=..., api_key=...)`, or a `Service` of your own.

Source: the API references of the services, as they were in November 2026.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, Unpack, cast
from urllib.parse import quote, urlsplit

from eino.errors import BuildError
from eino.ext.models.openai import OpenAIChatModel, OpenAISettings

__all__ = [
    "SERVICES",
    "Key",
    "Service",
    "azure",
    "deepseek",
    "groq",
    "mistral",
    "moonshot",
    "ollama",
    "openrouter",
    "qwen",
    "xai",
]

Key: TypeAlias = str | Callable[[], Awaitable[str]]
"""A key, or an async function that returns one, asked before each request."""


@dataclass(frozen=True)
class Service:
    """A service that speaks OpenAI's chat completions protocol, in its dialect."""

    name: str
    base_url: str
    """Address up to what comes before `/chat/completions`."""
    key_variable: str | None = None
    """The environment variable with the key; None: the service needs none."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the limit of the answer is called."""
    reasoning_field: str | None = None
    """Under which name the reasoning of earlier answers is sent back; None: it is not."""
    include_usage: bool = True
    """Whether streams are asked for the usage; False where the request is refused for it, or it comes unasked."""
    url_variable: str | None = None
    """The environment variable that can hold another address."""

    def chat_model(
        self, model: str, *, api_key: Key | None = None, base_url: str | None = None, **settings: Unpack[OpenAISettings]
    ) -> OpenAIChatModel:
        """Return a chat model of this service.

        Args:
            model: Name of the model at the service.
            api_key: Key; unless given, the one in `key_variable`.
            base_url: Another address, such as a proxy or a region.
            settings: As for `OpenAIChatModel`.

        Raises:
            BuildError: If there is no key.
        """
        preset: OpenAISettings = {
            "max_tokens_field": self.max_tokens_field,
            "reasoning_field": self.reasoning_field,
            "include_usage": self.include_usage,
        }
        merged = cast("OpenAISettings", {**preset, **settings})
        url = base_url or os.environ.get(self.url_variable or "") or self.base_url
        return OpenAIChatModel(model=model, api_key=api_key or self._key(model), base_url=url, **merged)

    def _key(self, model: str) -> str:
        if self.key_variable is None:
            return "none needed"  # the SDK wants one
        key = os.environ.get(self.key_variable)
        if not key:
            raise BuildError(f"model {model!r} of {self.name} has no key: pass api_key= or set {self.key_variable}")
        return key


_DEEPSEEK: Final = Service(
    "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", reasoning_field="reasoning_content"
)
_QWEN: Final = Service("Qwen", "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY")
_OPENROUTER: Final = Service(
    "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", reasoning_field="reasoning_details"
)
_OLLAMA: Final = Service("Ollama", "http://localhost:11434/v1", reasoning_field="reasoning")
_GROQ: Final = Service(
    "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", max_tokens_field="max_completion_tokens"
)
_MISTRAL: Final = Service("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", include_usage=False)
_XAI: Final = Service("xAI", "https://api.x.ai/v1", "XAI_API_KEY", max_tokens_field="max_completion_tokens")
_MOONSHOT: Final = Service(
    "Moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", reasoning_field="reasoning_content"
)

SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {each.name: each for each in (_DEEPSEEK, _QWEN, _OPENROUTER, _OLLAMA, _GROQ, _MISTRAL, _XAI, _MOONSHOT)}
)
"""The services with a preset, by name."""

deepseek = _DEEPSEEK.chat_model
"""DeepSeek. It gets its reasoning back, which it demands when it calls tools while thinking."""
openrouter = _OPENROUTER.chat_model
"""OpenRouter. It gets its reasoning back in blocks. Routing and the like go in `extra_fields={"provider": {...}}`."""
groq = _GROQ.chat_model
"""Groq."""
mistral = _MISTRAL.chat_model
"""Mistral. It refuses requests that ask streams for the usage, and sends it anyway."""
xai = _XAI.chat_model
"""xAI's Grok models."""
moonshot = _MOONSHOT.chat_model
"""Moonshot's Kimi models."""


def qwen(
    model: str,
    *,
    api_key: Key | None = None,
    base_url: str | None = None,
    enable_thinking: bool | None = None,
    **settings: Unpack[OpenAISettings],
) -> OpenAIChatModel:
    """Return a chat model of Alibaba's Model Studio; outside China, give the region's `base_url`.

    Args:
        model: Name of the model.
        api_key: Key; unless given, `DASHSCOPE_API_KEY`.
        base_url: Another address.
        enable_thinking: Whether the model thinks first; unless given, as the model does by itself.
        settings: As for `OpenAIChatModel`.

    Raises:
        BuildError: If there is no key.
    """
    if enable_thinking is not None:
        fields = dict(settings.get("extra_fields") or {})
        settings["extra_fields"] = {"enable_thinking": enable_thinking} | fields
    return _QWEN.chat_model(model, api_key=api_key, base_url=base_url, **settings)


def ollama(model: str, *, base_url: str | None = None, **settings: Unpack[OpenAISettings]) -> OpenAIChatModel:
    """Return a chat model of an Ollama server, through its OpenAI-compatible door.

    Unless `base_url` is given, the server is the one in `OLLAMA_HOST`, else the one on this machine.
    """
    url = base_url or _ollama_url(os.environ.get("OLLAMA_HOST", "")) or None
    return _OLLAMA.chat_model(model, base_url=url, **settings)


def azure(
    deployment: str,
    *,
    endpoint: str | None = None,
    api_version: str | None = None,
    api_key: str | None = None,
    token: Callable[[], Awaitable[str]] | None = None,
    **settings: Unpack[OpenAISettings],
) -> OpenAIChatModel:
    """Return a chat model of an Azure OpenAI deployment.

    With `api_version`, requests go to the deployment's own address, as all versions with a date want it; without, to
    the versionless `/openai/v1` interface.

    Args:
        deployment: Name of the deployment.
        endpoint: Address of the resource, such as `https://NAME.openai.azure.com`; unless given,
            `AZURE_OPENAI_ENDPOINT`.
        api_version: Version of the interface, such as `2024-10-21`; unless given, `OPENAI_API_VERSION`.
        api_key: Key of the resource, sent in the header `api-key`; unless given, and without `token`,
            `AZURE_OPENAI_API_KEY`.
        token: An async function that returns a Microsoft Entra ID token, asked before each request; for example
            `azure.identity.aio.get_bearer_token_provider(...)`.
        settings: As for `OpenAIChatModel`.

    Raises:
        BuildError: If the address or the credentials are missing, or there are both kinds of credentials.
    """
    address = (endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT") or "").rstrip("/")
    if not address:
        raise BuildError(f"deployment {deployment!r} has no address: pass endpoint= or set AZURE_OPENAI_ENDPOINT")
    if api_key is not None and token is not None:
        raise BuildError(f"deployment {deployment!r} has two kinds of credentials: pass api_key= or token=, not both")
    credentials = token or api_key or os.environ.get("AZURE_OPENAI_API_KEY")
    if not credentials:
        raise BuildError(
            f"deployment {deployment!r} has no credentials: pass api_key= or token=, or set AZURE_OPENAI_API_KEY"
        )
    version = api_version or os.environ.get("OPENAI_API_VERSION")
    if version:
        url = f"{address}/openai/deployments/{quote(deployment, safe='')}"
        settings["default_query"] = {"api-version": version, **(settings.get("default_query") or {})}
    else:
        url = f"{address}/openai/v1"
    if isinstance(credentials, str):  # a token goes as `Authorization: Bearer`, a key does not
        settings.setdefault("key_header", "api-key")
    settings.setdefault("max_tokens_field", "max_completion_tokens")
    return OpenAIChatModel(model=deployment, api_key=credentials, base_url=url, **settings)


def _ollama_url(host: str) -> str:
    """Return the address that `OLLAMA_HOST` stands for: a host, with or without scheme and port."""
    if not host:
        return ""
    parts = urlsplit(host if "//" in host else f"http://{host}")
    name = "localhost" if parts.hostname in (None, "0.0.0.0", "::") else parts.hostname  # noqa: S104 - where it listens
    shown = f"[{name}]" if ":" in str(name) else name
    default = {"https": 443, "http": 80}[parts.scheme] if "//" in host else 11434
    return f"{parts.scheme}://{shown}:{parts.port or default}/v1"
