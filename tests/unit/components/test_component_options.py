"""The protocols of components: options, their order of merging, and types that a graph can read."""

from __future__ import annotations

import typing
from types import MappingProxyType

import pytest

from eino.components import (
    Embedder,
    EmbedderOptions,
    ExtraOptions,
    Indexer,
    IndexerOptions,
    Loader,
    LoaderOptions,
    Options,
    ParserOptions,
    Retriever,
    RetrieverOptions,
    Source,
    Transformer,
    TransformerOptions,
    camel_case,
    type_name,
)
from eino.schema import Document


@pytest.mark.parametrize(
    ("method", "takes", "gives", "options"),
    [
        (Embedder.embed, list[str], list[list[float]], EmbedderOptions),
        (Retriever.retrieve, str, list[Document], RetrieverOptions),
        (Indexer.store, list[Document], list[str], IndexerOptions),
        (Loader.load, Source, list[Document], LoaderOptions),
        (Transformer.transform, list[Document], list[Document], TransformerOptions),
    ],
)
def test_types_are_readable_for_a_graph(method: object, takes: object, gives: object, options: type[Options]) -> None:
    hints = typing.get_type_hints(method)

    assert hints.pop("return") == gives
    assert list(hints.values()) == [takes, options]
    assert list(hints)[1] == "options"


def test_later_levels_win_and_extras_merge_by_key() -> None:
    base = RetrieverOptions(top_k=3, index="a", extra_fields={"x": 1, "y": 1}, dsl={"a": 1})
    over = RetrieverOptions(top_k=5, score_threshold=None, extra_fields={"y": 2}, dsl={"b": 2})

    merged = base.merge(over)

    assert merged == RetrieverOptions(
        top_k=5, index="a", score_threshold=None, extra_fields={"x": 1, "y": 2}, dsl={"b": 2}
    )
    assert base.extra_fields == {"x": 1, "y": 1}


def test_options_inside_options_merge_field_by_field() -> None:
    base = LoaderOptions(parser=ParserOptions(uri="a.md", extra_metadata={"a": 1}))

    merged = base.merge(LoaderOptions(parser=ParserOptions(extra_metadata={"b": 2})))

    assert merged == LoaderOptions(parser=ParserOptions(uri="a.md", extra_metadata={"b": 2}))
    assert merged.merge(LoaderOptions(parser=None)) == LoaderOptions(parser=None)


def test_extras_of_a_third_party_class_merge_by_key_in_any_mapping() -> None:
    class Mine(ExtraOptions, frozen=True, kw_only=True):
        def __post_init__(self) -> None:
            """Forgets to copy the extras."""

    merged = Mine(extra_fields=MappingProxyType({"x": 1})).merge(Mine(extra_fields={"y": 2}))

    assert merged.extra_fields == {"x": 1, "y": 2}


def test_options_do_not_share_what_the_caller_may_change() -> None:
    extra = {"x": 1}
    options = [
        EmbedderOptions(extra_fields=extra),
        TransformerOptions(extra_fields=extra),
        LoaderOptions(extra_fields=extra, parser=ParserOptions(extra_metadata=extra)),
    ]
    extra["x"] = 2

    assert [each.extra_fields for each in options] == [{"x": 1}] * 3
    assert ParserOptions(uri=None).source == ""
    assert ParserOptions().metadata == {}


def test_nothing_given_decides_nothing() -> None:
    assert IndexerOptions().given() == {}
    assert IndexerOptions(embedder=None).given() == {"embedder": None}


def test_names_of_indexes_are_a_tuple() -> None:
    assert IndexerOptions(sub_indexes=["a", "b"]).sub_indexes == ("a", "b")
    with pytest.raises(TypeError, match="sub_indexes must be a sequence of names, got the single text 'ab'"):
        IndexerOptions(sub_indexes="ab")


@pytest.mark.parametrize("top_k", [0, -1])
def test_a_retriever_returns_at_least_one_document(top_k: int) -> None:
    with pytest.raises(ValueError, match=f"top_k must be at least 1, got {top_k}"):
        RetrieverOptions(top_k=top_k)


@pytest.mark.parametrize(
    ("name", "camel"),
    [
        ("google_search_3", "GoogleSearch3"),
        ("_HTTP_HOST_", "HttpHost"),
        ("get-weather", "GetWeather"),
        ("getWeather", "GetWeather"),
        ("", ""),
    ],
)
def test_snake_case_becomes_camel_case(name: str, camel: str) -> None:
    assert camel_case(name) == camel


def test_the_type_name_is_the_components_own_or_its_class_or_function() -> None:
    class Own:
        type_name = "Mine"

    class Plain: ...

    def function() -> None: ...

    assert [type_name(each) for each in (Own(), Plain(), function, lambda: 1)] == ["Mine", "Plain", "function", ""]
