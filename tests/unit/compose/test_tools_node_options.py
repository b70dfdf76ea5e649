"""Aliases, mapped arguments, and options of one call."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from eino.components import ModelOptions, ToolOption, tool
from eino.compose import Chain
from eino.compose._tool_arguments import with_canonical_keys
from eino.compose.tools_node import NO_TOOLS_OPTIONS, ToolAliases, ToolsNode, ToolsOptions
from eino.errors import BuildError, ControlSignal, RunError, ToolError
from eino.schema import Message, assistant_message, tool_call
from eino_fixtures import fake_tool


@tool
async def search(query: str, limit: int = 3) -> str:
    """Search."""
    return f"{limit} of {query}"


@tool
def greet(name: str, language: Annotated[str, ToolOption] = "en") -> str:
    """Greet."""
    return f"{language}: {name}"


def call(name: str, arguments: Any = "") -> Message:
    return assistant_message("", [tool_call(name, arguments, id="c0")])


async def content(node: ToolsNode, message: Message, options: ToolsOptions = NO_TOOLS_OPTIONS) -> str:
    [result] = await node.invoke(message, options)
    return result.content


async def test_an_alias_calls_the_tool_and_stays_the_name_of_the_answer() -> None:
    node = ToolsNode([search], aliases={"search": ToolAliases(names=["find"], arguments={"query": ["q", "text"]})})

    [result] = await node.invoke(call("find", {"text": "cats", "limit": 1}))

    assert (result.content, result.tool_name) == ("1 of cats", "find")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param('{"q": 1}', '{"query":1}', id="renamed"),
        pytest.param('{"a": 1, "q": 2, "b": 3}', '{"a":1,"query":2,"b":3}', id="the others stay, in their order"),
        pytest.param('{"q": 1, "query": 2}', '{"q": 1, "query": 2}', id="the argument itself wins, both stay"),
        pytest.param('{"text": 1, "q": 2}', '{"text":1,"query":2}', id="the first alias wins"),
        pytest.param('{"q": {"q": 1}}', '{"query":{"q": 1}}', id="only at the top"),
        pytest.param('{"q": 12345678901234567890123}', '{"query":12345678901234567890123}', id="long numbers"),
        pytest.param('{"q": 0.10}', '{"query":0.10}', id="the text of a number"),
        pytest.param('{"q": "\u00e4\\u00e4"}', '{"query":"\u00e4\\u00e4"}', id="escapes"),
        pytest.param('{"other": 1}', '{"other": 1}', id="no alias"),
        pytest.param("[1]", "[1]", id="no object"),
        pytest.param('{"q": ', '{"q": ', id="no JSON"),
        pytest.param("", "", id="empty"),
        pytest.param("{}", "{}", id="empty object"),
        pytest.param('{"q": "\ud800"}', '{"q": "\ud800"}', id="no Unicode"),
    ],
)
def test_argument_aliases_rename_the_keys_and_touch_nothing_else(given: str, expected: str) -> None:
    assert with_canonical_keys(given, {"query": ("q", "text")}) == expected


BOTH = [search, greet]


@pytest.mark.parametrize(
    ("tools", "aliases", "text"),
    [
        pytest.param(
            BOTH, {"search": {"names": ["greet"]}}, r"'greet' of tool 'search' is already the name of", id="name"
        ),
        pytest.param(
            BOTH,
            {"search": {"names": ["x"]}, "greet": {"names": ["x"]}},
            r"'x' of tool 'greet' is already an alias of tool 'search'",
            id="alias",
        ),
        pytest.param(BOTH, {"search": {"names": [""]}}, r"names has the alias ''", id="empty"),
        pytest.param(BOTH, {"search": {"names": "find"}}, r"names must be a sequence of names, got 'find'", id="text"),
        pytest.param(
            BOTH, {"search": {"arguments": {"query": [""]}}}, r"arguments\['query'\] has the alias ''", id="e"
        ),
        pytest.param(BOTH, {"search": {"arguments": ["q"]}}, r"arguments=\['q'\]\): give a mapping", id="no mapping"),
        pytest.param(
            BOTH,
            {"search": {"arguments": {"query": ["limit"]}}},
            r"'limit' cannot stand for 'query', because",
            id="arg",
        ),
        pytest.param(
            BOTH,
            {"search": {"arguments": {"query": ["x"], "limit": ["x"]}}},
            r"'x' cannot stand for 'limit' and 'query' at once",
            id="argument alias twice",
        ),
        pytest.param(BOTH, {"search": {"arguments": {"": ["x"]}}}, r"'' is no top-level argument", id="empty key"),
        pytest.param(
            BOTH, {"search": {"arguments": {"a.b": ["x"]}}}, r"'a.b' is no top-level argument", id="nested key"
        ),
        pytest.param(
            BOTH,
            {"search": {"arguments": {"quest": ["q"]}}},
            r"has no argument 'quest'; its arguments are \['query', 'limit'\]",
            id="unknown argument",
        ),
    ],
)
def test_ambiguous_aliases_are_refused(tools: Any, aliases: dict[str, dict[str, Any]], text: str) -> None:
    with pytest.raises(BuildError, match=text):
        ToolsNode(tools, aliases={name: ToolAliases(**given) for name, given in aliases.items()})


@pytest.mark.parametrize("aliases", [{"search": ["find"]}, ["find"]], ids=["a list", "no mapping"])
def test_aliases_of_another_form_are_refused(aliases: Any) -> None:
    with pytest.raises(BuildError, match=r"aliases=.*ToolAliases"):
        ToolsNode([search], aliases=aliases)


async def test_aliases_that_do_nothing_are_allowed() -> None:
    free = fake_tool("free")
    node = ToolsNode(
        [search, free],
        aliases={
            "search": ToolAliases(names=["search", "find", "find"]),
            "not_here": ToolAliases(names=["search"]),
            "free": ToolAliases(arguments={"anything": ["a"]}),
        },
    )

    assert await content(node, call("find", {"query": "x"})) == "3 of x"
    await node.invoke(call("free", {"a": 1}))
    assert free.calls[0].arguments == '{"anything":1}'


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
async def test_arguments_are_mapped_for_all_calls_before_any_tool_runs(is_async: bool) -> None:
    seen: list[str] = []

    def at_once(name: str, arguments: str) -> str:
        seen.append(f"{name} {arguments}")
        return '{"mapped": true}'

    async def later(name: str, arguments: str) -> str:
        return at_once(name, arguments)

    def ran(arguments: object) -> str:
        seen.append("ran")
        return str(arguments)

    node = ToolsNode(
        [fake_tool("a", returns=ran)],
        map_arguments=later if is_async else at_once,
        aliases={"a": ToolAliases(names=["b"], arguments={"key": ["k"]})},
        on_unknown_tool=lambda name, arguments: f"unknown {arguments}",
    )

    results = await node.invoke(
        assistant_message("", [tool_call(name, '{"k":1}', id=name) for name in ("a", "unknown", "b")])
    )

    assert seen == ['a {"key":1}', 'a {"key":1}', "ran", "ran"]
    assert [each.content for each in results] == ["{'mapped': True}", 'unknown {"k":1}', "{'mapped': True}"]


async def test_an_error_while_arguments_are_mapped_fails_the_node_whatever_the_policy() -> None:
    ask = fake_tool("ask")

    def refuse(name: str, arguments: str) -> str:
        raise PermissionError("not allowed")

    node = ToolsNode([ask], map_arguments=refuse, on_error="return_to_model")

    with pytest.raises(ToolError, match=r"failed to invoke tool\[name:ask id:c0\]: PermissionError: not allowed"):
        await node.invoke(call("ask"))
    with pytest.raises(ToolError, match=r"failed to stream tool call c0: PermissionError: not allowed"):
        await anext(aiter(node.stream(call("ask"))))
    assert ask.calls == []


async def test_mapped_arguments_must_be_text() -> None:
    node = ToolsNode([search], map_arguments=lambda name, arguments: {"query": 1})  # type: ignore[arg-type,return-value]

    with pytest.raises(ToolError, match=r"map_arguments must return JSON text, got \{'query': 1\}"):
        await node.invoke(call("search"))


async def test_an_interrupt_while_arguments_are_mapped_passes() -> None:
    def stop(name: str, arguments: str) -> str:
        raise ControlSignal("ask first")

    with pytest.raises(ControlSignal, match="ask first"):
        await ToolsNode([search], map_arguments=stop).invoke(call("search"))


async def test_a_call_may_bring_its_own_tools_which_keep_the_aliases() -> None:
    node = ToolsNode([search], aliases={"search": ToolAliases(names=["find"]), "extra": ToolAliases(names=["more"])})
    extra = fake_tool("extra", returns="extra")

    assert await content(node, call("more"), ToolsOptions(tools=[extra])) == "extra"
    with pytest.raises(ToolError, match=r"tool 'find' not found in toolsNode indexes; the tools are \['extra'\]"):
        await node.invoke(call("find"), ToolsOptions(tools=[extra]))
    with pytest.raises(ToolError, match=r"tool 'search' not found in toolsNode indexes; the tools are \[\]"):
        await node.invoke(call("search"), ToolsOptions(tools=None))


async def test_a_call_may_bring_its_own_aliases() -> None:
    node = ToolsNode([search], aliases={"search": ToolAliases(names=["find"])})
    options = ToolsOptions(aliases={"search": ToolAliases(names=["look"])})

    assert await content(node, call("look", {"query": "x"}), options) == "3 of x"
    with pytest.raises(ToolError, match="tool 'find' not found"):
        await node.invoke(call("find"), options)
    with pytest.raises(ToolError, match="tool 'find' not found"):
        await node.invoke(call("find"), ToolsOptions(aliases=None))
    with pytest.raises(BuildError, match="'x' of tool 'search' is already the name"):
        await node.invoke(
            call("search"), ToolsOptions(tools=[search, fake_tool("x")], aliases={"search": ToolAliases(names=["x"])})
        )


async def test_a_call_may_set_options_of_a_tool_by_name_or_alias() -> None:
    node = ToolsNode([greet, search], aliases={"greet": ToolAliases(names=["hello"])})
    message = call("hello", {"name": "Ada"})

    assert await content(node, message) == "en: Ada"
    assert await content(node, message, ToolsOptions(tool_options={"greet": {"language": "fr"}})) == "fr: Ada"
    assert await content(node, message, ToolsOptions(tool_options={"hello": {"language": "de"}})) == "de: Ada"
    assert await content(node, message) == "en: Ada"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"nobody": {}}, r"there is no such tool; the tools are \['greet', 'fake'\]", id="unknown tool"),
        pytest.param(
            {"greet": {"tone": 1}}, r"tool 'greet' has no option 'tone'; its options are: language", id="option"
        ),
        pytest.param({"fake": {"a": 1}}, r"tool_options=\{'fake': \{'a': 1\}\}: .* takes no options", id="no options"),
    ],
)
async def test_options_that_no_tool_takes_are_refused(options: dict[str, dict[str, Any]], text: str) -> None:
    node = ToolsNode([greet, fake_tool("fake")])

    with pytest.raises(BuildError, match=text):
        await node.invoke(call("greet"), ToolsOptions(tool_options=options))


async def test_options_of_another_component_are_refused() -> None:
    with pytest.raises(BuildError, match=r"the options of a ToolsNode are ToolsOptions\(...\), got ModelOptions"):
        await ToolsNode([search]).invoke(call("search"), ModelOptions())  # type: ignore[arg-type]


def test_options_merge_field_by_field_and_options_of_tools_name_by_name() -> None:
    below = ToolsOptions(tools=[search], tool_options={"a": {"x": 1, "y": 1}, "b": {"z": 1}})
    above = ToolsOptions(tool_options={"a": {"y": 2}, "c": {"z": 3}})

    merged = below.merge(above)

    assert merged.tools == (search,)
    assert merged.tool_options == {"a": {"x": 1, "y": 2}, "b": {"z": 1}, "c": {"z": 3}}
    assert below.merge(ToolsOptions(tool_options=None)).tool_options is None
    assert NO_TOOLS_OPTIONS.merge(above).tool_options == above.tool_options
    assert below.merge(None) is below
    with pytest.raises(TypeError, match="cannot merge ModelOptions into ToolsOptions"):
        below.merge(ModelOptions())  # type: ignore[arg-type]


async def test_in_a_graph_options_come_by_key_and_by_class() -> None:
    extra = fake_tool("extra", returns="extra")
    chain = Chain[Message, list[Message]]().append_tools_node(ToolsNode([search]), key="tools").compile()
    options = ToolsOptions(tools=[extra])

    for addressed in ({"tools": options}, {ToolsNode: options}):
        [result] = await chain.invoke(call("extra"), options=addressed)
        assert result.content == "extra"
        reader = await chain.stream(call("extra"), options=addressed)
        assert (await reader.concat())[0].content == "extra"
    with pytest.raises(RunError, match="tool 'extra' not found"):
        await chain.invoke(call("extra"))
    with pytest.raises(RunError, match=r"the options of a ToolsNode are ToolsOptions\(...\), got ModelOptions"):
        await chain.invoke(call("search"), options={"tools": ModelOptions()})
