"""Presets: where each service is, which key it takes, and in what its requests differ."""

from __future__ import annotations

from typing import Any

import pytest

from eino.errors import AuthenticationError, BuildError
from eino.ext.models import openai_services
from eino.ext.models.openai import OpenAIChatModel
from eino.ext.models.openai_services import SERVICES, Service
from eino.schema import Message, assistant_message, tool_call, tool_message, user_message
from eino_fixtures import ErrorAnswer, ProviderServer

HI = [user_message("hi")]
THOUGHT = [
    *HI,
    assistant_message("", [tool_call("look", {}, id="1")]).replace(reasoning_content="I must look."),
    tool_message("seen", "1"),
    assistant_message("", [tool_call("look", {}, id="2")]),
    tool_message("seen", "2"),
]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *(each.key_variable for each in SERVICES.values()),
        "OLLAMA_HOST",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ):
        monkeypatch.delenv(name or "none", raising=False)
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


async def sent(make: Any, messages: list[Message] = HI, *, stream: bool = True) -> Any:
    """Return the request that a model made by `make(base_url)` sends."""
    with ProviderServer(["x"]) as server:
        async with make(server.openai_url) as model:
            if stream:
                [chunk async for chunk in model.stream(messages)]
            else:
                await model.generate(messages)
        return server.requests[0]


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
async def test_each_service_is_asked_in_its_dialect(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    if service.key_variable:
        monkeypatch.setenv(service.key_variable, "key-from-the-environment")

    request = await sent(lambda url: service.chat_model("m", base_url=url, max_tokens=9), THOUGHT)

    assert request.json[service.max_tokens_field] == 9
    assert ("stream_options" in request.json) is service.include_usage
    assert (
        request.headers["authorization"]
        == f"Bearer {'key-from-the-environment' if service.key_variable else 'none needed'}"
    )
    blocks = service.reasoning_field == "reasoning_details"  # there are none, so it is the text
    name = "reasoning" if blocks else service.reasoning_field or ""
    reasoning = [message.get(name) for message in request.json["messages"][1::2]]
    assert reasoning == (["I must look.", None if blocks else ""] if service.reasoning_field else [None, None])


@pytest.mark.parametrize(
    ("make", "host"),
    [
        (lambda: openai_services.deepseek("m", api_key="k"), "api.deepseek.com"),
        (lambda: openai_services.qwen("m", api_key="k"), "dashscope.aliyuncs.com"),
        (lambda: openai_services.openrouter("m", api_key="k"), "openrouter.ai"),
        (lambda: openai_services.ollama("m"), "localhost:11434"),
        (lambda: openai_services.groq("m", api_key="k"), "api.groq.com"),
        (lambda: openai_services.mistral("m", api_key="k"), "api.mistral.ai"),
        (lambda: openai_services.xai("m", api_key="k"), "api.x.ai"),
        (lambda: openai_services.moonshot("m", api_key="k"), "api.moonshot.ai"),
        (lambda: openai_services.azure("d", endpoint="https://n.openai.azure.com/", api_key="k"), "n.openai.azure.com"),
    ],
)
def test_each_service_has_its_address(make: Any, host: str) -> None:
    assert f"host={host!r}" in repr(make())


def test_a_missing_key_names_the_variable() -> None:
    with pytest.raises(BuildError, match="model 'm' of DeepSeek has no key: pass api_key= or set DEEPSEEK_API_KEY"):
        openai_services.deepseek("m")


async def test_what_is_given_goes_over_the_preset() -> None:
    request = await sent(
        lambda url: openai_services.mistral("m", api_key="k", base_url=url, include_usage=True, extra_fields={"a": 1})
    )

    assert request.json["stream_options"] == {"include_usage": True}
    assert request.json["a"] == 1


@pytest.mark.parametrize(("thinking", "fields"), [(None, {}), (False, {"enable_thinking": False})])
async def test_qwen_thinks_when_told(thinking: bool | None, fields: dict[str, object]) -> None:
    request = await sent(
        lambda url: openai_services.qwen(
            "m", api_key="k", base_url=url, enable_thinking=thinking, extra_fields={"seed": 1}
        )
    )

    told = {name: value for name, value in request.json.items() if name in ("enable_thinking", "seed")}
    assert told == fields | {"seed": 1}


@pytest.mark.parametrize(
    ("variable", "host"),
    [
        ("", "localhost:11434"),
        ("0.0.0.0", "localhost:11434"),
        ("box:9999", "box:9999"),
        ("https://box", "box:443"),
        ("http://[::1]:1234", "[::1]:1234"),
    ],
)
def test_ollama_is_where_its_variable_says(variable: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", variable)

    assert f"host={host!r}" in repr(openai_services.ollama("llama3.2"))


def test_an_address_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_URL", "https://my.example/v1")
    mine = Service("Mine", "https://other.example/v1", url_variable="MY_URL")

    assert "host='my.example'" in repr(mine.chat_model("m"))


async def azure_request(**settings: Any) -> Any:
    with ProviderServer(lambda request: "x") as server:
        async with openai_services.azure("my deployment", endpoint=server.url, **settings) as model:
            answer = await model.generate(HI)
        assert isinstance(model, OpenAIChatModel)
        return answer, server.requests[0]


async def test_azure_without_a_version_is_asked_at_the_versionless_address() -> None:
    _, request = await azure_request(api_key="azure-key-0123456789", max_tokens=5)

    assert request.path == "/openai/v1/chat/completions"
    assert request.headers["api-key"] == "azure-key-0123456789"
    assert "authorization" not in request.headers
    assert (request.json["model"], request.json["max_completion_tokens"]) == ("my deployment", 5)


async def test_azure_with_a_version_is_asked_at_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-0123456789")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")

    _, request = await azure_request()

    assert request.path == "/openai/deployments/my%20deployment/chat/completions"
    assert request.query == "api-version=2024-10-21"
    assert request.headers["api-key"] == "azure-key-0123456789"


async def test_azure_asks_for_an_entra_token_before_each_request() -> None:
    tokens = iter(["token-1", "token-2"])

    async def token() -> str:
        return next(tokens)

    with ProviderServer(lambda request: "x") as server:
        async with openai_services.azure("d", endpoint=server.url, token=token) as model:
            await model.generate(HI)
            await model.generate(HI)

    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]
    assert all("api-key" not in request.headers for request in server.requests)


async def test_azure_s_key_is_in_no_error() -> None:
    key = "abcdef0123456789abcdef"
    with ProviderServer([ErrorAnswer(401, f"bad key {key}")]) as server:
        async with openai_services.azure("d", endpoint=server.url, api_key=key) as model:
            with pytest.raises(AuthenticationError) as caught:
                await model.generate(HI)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": None, "api_key": "k"}, "has no address: pass endpoint= or set AZURE_OPENAI_ENDPOINT"),
        ({"endpoint": "https://n.example"}, "has no credentials: pass api_key= or token="),
        ({"endpoint": "https://n.example", "api_key": "k", "token": lambda: None}, "two kinds of credentials"),
    ],
)
def test_azure_says_what_is_missing(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        openai_services.azure("d", **settings)


def test_a_key_in_a_header_of_its_own_is_a_text() -> None:
    async def key() -> str:
        return "k"

    with pytest.raises(BuildError, match="key_header='api-key' takes a key that is a text"):
        OpenAIChatModel(model="m", api_key=key, key_header="api-key")
