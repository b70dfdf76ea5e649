"""Tools made of functions: description, arguments, results, errors, streams."""

from __future__ import annotations

import contextvars
import dataclasses
import datetime as dt
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from eino.components import FunctionTool, StreamingFunctionTool, StreamingTool, Tool, ToolOption, as_tool, tool
from eino.errors import BuildError, RateLimitError, ToolArgumentsError, ToolError
from eino.schema import (
    Document,
    ImageMedia,
    ImagePart,
    ParameterInfo,
    ToolInfo,
    ToolResult,
    params_from_dict,
    tool_result,
)
from eino.schema.stream import StreamReader


@tool
async def get_weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Current weather.

    Measured, not forecast.

    Args:
        city: City name.
        unit: Temperature unit.

    Returns:
        A sentence.
    """
    return f"20 {unit} in {city}"


class Request(pydantic.BaseModel):
    query: str
    limit: int = 3


# Description


def test_the_description_comes_from_signature_and_docstring() -> None:
    assert get_weather.info == ToolInfo(
        name="get_weather",
        description="Current weather.\n\nMeasured, not forecast.",
        json_schema={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City name."},
                "unit": {"type": "string", "enum": ["C", "F"], "default": "C", "description": "Temperature unit."},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    )
    assert get_weather.info is get_weather.info
    assert (get_weather.name, get_weather.type_name, repr(get_weather)) == (
        "get_weather",
        "GetWeather",
        "FunctionTool('get_weather')",
    )


def test_a_function_stays_callable_and_keeps_its_name_and_docstring() -> None:
    @tool
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert add(2, b=3) == 5
    assert (add.__name__, add.__doc__) == ("add", "Add.")


@pytest.mark.parametrize(
    "docstring",
    [
        "Find.\n\n:param query: What to find.\n:returns: hits\n",
        "Find.\n\nParameters\n----------\nquery : str\n    What to find.\n",
        "Find.\n\nArgs:\n    query (str): What to find.\n",
    ],
    ids=["reStructuredText", "numpy", "google"],
)
def test_other_docstring_styles_are_read_too(docstring: str) -> None:
    def find(query: str) -> None: ...

    find.__doc__ = docstring
    info = as_tool(find).info

    assert info.description == "Find."
    assert info.parameters is not None
    assert info.parameters["properties"]["query"]["description"] == "What to find."


@pytest.mark.parametrize(("docstring", "description"), [(None, ""), ("", ""), ("Args:\n  no colon", "Args:\nno colon")])
def test_odd_docstrings_are_taken_as_they_are(docstring: str | None, description: str) -> None:
    def find(query: str) -> None: ...

    find.__doc__ = docstring

    assert as_tool(find).info.description == description


def test_a_description_in_the_annotation_wins_over_the_docstring() -> None:
    @tool
    def find(
        query: Annotated[str, pydantic.Field(description="From the annotation.")], limit: Annotated[int, "x"]
    ) -> None:
        """Find.

        Args:
            query: From the docstring.
            limit: Most hits.
        """

    properties = (find.info.parameters or {})["properties"]

    assert properties["query"]["description"] == "From the annotation."
    assert properties["limit"]["description"] == "Most hits."


async def test_settings_replace_what_the_function_says() -> None:
    @tool(
        name="find-it",
        description="Finds.",
        extra={"strict": True},
        parameters={"q": ParameterInfo(type="string", required=True)},
    )
    def find(q: str) -> str:
        """Not this."""
        return q

    assert find.info == ToolInfo(
        name="find-it",
        description="Finds.",
        extra={"strict": True},
        json_schema=params_from_dict({"q": ParameterInfo(type="string", required=True)}),
    )
    assert await find.run('{"q": "x"}') == "x"


async def test_a_whole_description_can_be_given() -> None:
    info = ToolInfo(name="any", description="d", json_schema={"type": "object"})

    def anything(**arguments: Any) -> Any:
        return arguments

    made = as_tool(anything, info=info)

    assert made.info is info
    assert await made.run('{"a": [1], "b": null}') == '{"a":[1],"b":null}'


@pytest.mark.parametrize(
    ("function", "settings", "message"),
    [
        (lambda x: x, {}, "'<lambda>' is no name for a tool"),
        (lambda x: x, {"name": "a b"}, "'a b' is no name for a tool"),
        (lambda x: x, {"name": ""}, "'' is no name for a tool"),
        (lambda x: x, {"name": "x" * 65}, "is no name for a tool"),
        (lambda x: x, {"info": ToolInfo(name="ä")}, "'ä' is no name for a tool"),
        (get_weather, {"info": ToolInfo(name="a"), "name": "b"}, "has info= and parts of it"),
        (get_weather, {"threaded": True}, "is a coroutine function; only plain functions run in a thread"),
    ],
)
def test_settings_that_cannot_work_are_refused(function: Any, settings: Any, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        as_tool(function, **settings)


def test_functions_that_cannot_be_described_are_refused() -> None:
    class Box:
        def method(self, x: int) -> int:
            return x

    def star(*names: str) -> None: ...

    def keywords(**names: str) -> None: ...

    def positional(x: int, /) -> None: ...

    def option(x: Annotated[str, ToolOption()]) -> None: ...

    def unresolved(x: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function, message in [
        (Box.method, "takes 'self', which no model can give"),
        (keywords, "takes any keyword; say what a model may give with parameters="),
        (positional, "parameter 'x' of .* is positional-only"),
        (option, "option 'x' of .* needs a default"),
        (unresolved, "cannot be resolved: name 'NoSuchName'"),
    ]:
        with pytest.raises(BuildError, match=message):
            as_tool(function)  # type: ignore[arg-type]
    with pytest.raises(BuildError, match=r"\*names of .* cannot be described"):
        _ = as_tool(star).info


def test_a_type_without_a_schema_is_named_when_the_description_is_asked_for() -> None:
    class Handle: ...

    @tool
    def use(handle: Handle) -> None: ...

    with pytest.raises(BuildError, match=r"the parameters of .*use.* cannot be read from JSON"):
        _ = use.info


def test_local_types_are_found() -> None:
    class Local(pydantic.BaseModel):
        x: int

    @tool
    def use(value: Local) -> int:
        return value.x

    assert (use.info.parameters or {})["properties"]["value"]["properties"] == {"x": {"type": "integer"}}


# What can be a tool


async def test_partials_methods_and_callable_objects() -> None:
    def scale(x: int, factor: int) -> int:
        """Scale."""
        return x * factor

    class Box:
        """Not this."""

        def __init__(self, content: int) -> None:
            self.content = content

        def add(self, x: int) -> int:
            return self.content + x

        async def __call__(self, x: int) -> int:
            """Call."""
            return self.content * x

    partial = as_tool(functools.partial(scale, factor=3))
    method = as_tool(Box(5).add)
    instance = as_tool(Box(5), name="box", description="Multiplies.")

    assert partial.info.name == "scale"
    assert partial.info.description == "Scale."
    assert list((partial.info.parameters or {})["properties"]) == ["x"]
    assert [await each.run('{"x": 2}') for each in (partial, method, instance)] == ["6", "7", "10"]


async def test_a_wrapped_function_keeps_its_signature() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    @tool
    @traced
    async def double(x: int) -> int:
        return 2 * x

    assert await double.run('{"x": 2}') == "4"


async def test_a_plain_function_may_run_in_a_thread_with_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    @tool(threaded=True)
    def where() -> str:
        return f"{threading.current_thread() is threading.main_thread()} {variable.get()}"

    variable.set("inside")

    assert await where.run("{}") == "False inside"


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("function", [lambda city: get_weather(city), lambda city: Later()], ids=["coroutine", "other"])
async def test_a_plain_function_that_returns_an_awaitable_is_an_error(function: Any) -> None:
    made = as_tool(function, name="weather")

    with pytest.raises(
        ToolError, match="tool 'weather': the plain function returned an awaitable; declare it `async def`"
    ):
        await made.run('{"city": "Oslo"}')


# Arguments


async def test_arguments_are_converted() -> None:
    @tool
    def plan(day: dt.date, hours: list[float], request: Request, note: str | None = None) -> str:
        return f"{day.year} {hours} {request.query} {request.limit} {note}"

    text = '{"day": "2024-01-02", "hours": ["1", 2], "request": {"query": "q"}}'

    assert await plan.run(text) == "2024 [1.0, 2.0] q 3 None"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{}", "- city: missing; expected {\"type\": \"string\"}"),
        ('{"city": 5}', '- city: Input should be a valid string; got 5; expected {"type": "string"}'),
        ('{"city": null}', "- city: Input should be a valid string; got null"),
        ('{"city": "a", "unit": "K"}', "- unit: Input should be 'C' or 'F'; got \"K\"; expected {\"type\": \"string\", \"enum\": [\"C\", \"F\"]}"),
        ('{"city": "a", "town": "b"}', "- town: unknown; the parameters are city, unit"),
        ("[1]", "tool 'get_weather': the arguments must be one JSON object, got [1]; the parameters are city, unit"),
        ("null", "the arguments must be one JSON object, got null"),
        ('"x"', 'the arguments must be one JSON object, got "x"'),
        ('{"city": "a"', "tool 'get_weather': the arguments are not valid JSON: EOF while parsing an object at line 1 column 12; got {\"city\": \"a\"; send one JSON object"),
        ("", "the arguments are not valid JSON"),
        ("{'city': 'a'}", "the arguments are not valid JSON: key must be a string"),
        ("[" * 100_000, "the arguments are not valid JSON: recursion limit exceeded"),
        ('{"city": "' + "x" * 500 + '"', "(511 characters)"),
    ],
)  # fmt: skip
async def test_a_model_can_repair_what_it_wrote_from_the_error(arguments: str, message: str) -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        await get_weather.run(arguments)

    assert message in str(caught.value)
    assert "get_weather" in str(caught.value)
    assert caught.value.__cause__ is not None


async def test_problems_inside_of_values_are_placed() -> None:
    @tool
    def order(requests: list[Request]) -> None: ...

    with pytest.raises(ToolArgumentsError) as caught:
        await order.run('{"requests": [{"query": "q"}, {"limit": "x"}]}')

    assert str(caught.value).splitlines() == [
        "tool 'order': the arguments do not fit; correct them and call the tool again:",
        '- requests[1].query: missing; expected {"type": "string"}',
        '- requests[1].limit: Input should be a valid integer, unable to parse string as an integer; got "x"; expected {"type": "integer"}',
    ]


async def test_problems_of_alternatives_show_all_of_them() -> None:
    @tool
    def add(numbers: int | list[int]) -> None: ...

    with pytest.raises(ToolArgumentsError) as caught:
        await add.run('{"numbers": "x"}')

    expected = 'expected {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}'
    assert [line.rpartition("; ")[2] for line in str(caught.value).splitlines()[1:]] == [expected, expected]


async def test_many_problems_are_cut() -> None:
    @tool
    def add(numbers: list[int]) -> None: ...

    with pytest.raises(ToolArgumentsError, match="- and 5 more"):
        await add.run('{"numbers": ["x"' + ', "x"' * 14 + "]}")


async def test_a_validator_that_fails_in_its_own_way_is_reported() -> None:
    def check(value: str) -> str:
        raise RuntimeError(f"no {value}")

    @tool
    def use(value: Annotated[str, pydantic.AfterValidator(check)]) -> None: ...

    with pytest.raises(ToolArgumentsError, match="tool 'use': the arguments do not fit: no x; got"):
        await use.run('{"value": "x"}')


async def test_arguments_that_are_no_text_are_refused() -> None:
    with pytest.raises(ToolArgumentsError, match="the arguments must be JSON text, got dict"):
        await get_weather.run({"city": "a"})  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
async def test_a_tool_without_parameters_needs_no_arguments(arguments: str) -> None:
    @tool
    def ping() -> str:
        return "pong"

    assert await ping.run(arguments) == "pong"
    assert ping.info.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    with pytest.raises(ToolArgumentsError, match="- x: unknown; there are no parameters"):
        await ping.run('{"x": 1}')


class Struct(msgspec.Struct):
    """A request as msgspec struct."""

    query: str


@dataclasses.dataclass
class Data:
    query: str


@pytest.mark.parametrize("of", [Request, Struct, Data])
async def test_the_arguments_as_a_whole_may_be_one_value(of: type[Any]) -> None:
    def search(request: Any, limit: int = 1) -> str:
        return f"{type(request).__name__} {request.query} {limit}"

    made = as_tool(search, arguments=of)

    assert await made.run('{"query": "q"}') == f"{of.__name__} q 1"
    assert (made.info.parameters or {})["required"] == ["query"]
    with pytest.raises(ToolArgumentsError, match=r"tool 'search'.*query|tool 'search'(.|\n)*query: missing"):
        await made.run("{}")
    with pytest.raises(ToolArgumentsError, match="the arguments are not valid JSON"):
        await made.run("{")


def test_the_whole_needs_exactly_one_required_parameter() -> None:
    with pytest.raises(BuildError, match=r"cannot take its arguments as a whole .*; it has none"):
        as_tool(lambda: 1, name="a", arguments=str)
    with pytest.raises(BuildError, match=r"it has x, y"):
        as_tool(lambda x, y: 1, name="a", arguments=str)


# Results


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ({"ä": [1, None]}, '{"ä":[1,null]}'),
        ((1, 2), "[1,2]"),
        (dt.date(2024, 1, 2), '"2024-01-02"'),
        (Request(query="q"), '{"query":"q","limit":3}'),
        ([Request(query="q")], '[{"query":"q","limit":3}]'),
        (Data("q"), '{"query":"q"}'),
        (Document(id="1", content="x"), '{"id":"1","content":"x","meta_data":{}}'),
    ],
)
async def test_results_are_text_or_json(value: object, text: str) -> None:
    assert await as_tool(lambda: value, name="give").run("{}") == text


async def test_a_tool_result_is_given_as_it_is() -> None:
    result = tool_result("see", ImagePart(image=ImageMedia(url="u")))

    assert await as_tool(lambda: result, name="give").run("{}") is result


@pytest.mark.parametrize("value", [object(), {"a": {object()}}, {(1, 2): 3}], ids=["object", "set", "keys"])
async def test_a_result_without_a_json_form_is_an_error(value: object) -> None:
    with pytest.raises(
        ToolError, match=r"tool 'give' returned .* with no JSON form: .*; return a string, a ToolResult, or data"
    ):
        await as_tool(lambda: value, name="give").run("{}")


# Errors


async def test_an_error_of_the_function_is_the_cause() -> None:
    cause = ValueError("broken")

    @tool
    async def fail() -> None:
        raise cause

    with pytest.raises(ToolError, match="tool 'fail' failed: broken") as caught:
        await fail.run("{}")
    assert caught.value.__cause__ is cause


async def test_an_error_without_text_is_named_by_its_class() -> None:
    @tool
    def fail() -> None:
        raise KeyError

    with pytest.raises(ToolError, match="tool 'fail' failed: KeyError"):
        await fail.run("{}")


async def test_errors_of_eino_pass_as_they_are() -> None:
    error = RateLimitError("slow down", retry_after_s=2.0)

    @tool
    async def fail() -> None:
        raise error

    @tool
    async def stream() -> AsyncIterator[str]:
        yield "a"
        raise error

    for each in (fail, stream):
        with pytest.raises(RateLimitError) as caught:
            await each.run("{}")
        assert caught.value is error


class Signal(BaseException):
    """What an interrupt or a cancellation is to a tool."""


async def test_signals_pass_through() -> None:
    @tool
    async def stop() -> None:
        raise Signal

    @tool
    async def stream() -> AsyncIterator[str]:
        yield "a"
        raise Signal

    with pytest.raises(Signal):
        await stop.run("{}")
    with pytest.raises(Signal):
        await stream.run("{}")


# Streams


@tool
async def count(n: int) -> AsyncIterator[str]:
    """Count."""
    for number in range(n):
        yield str(number)


@tool
def count_plainly(n: int) -> Iterator[int]:
    yield from range(n)


@tool(name="counted")
async def count_later(n: int) -> AsyncIterator[Any]:
    return count(n)


@tool
def count_with_reader(n: int) -> StreamReader[int]:
    return StreamReader.from_iterable(range(n))


@pytest.mark.parametrize(
    "streaming", [count, count_plainly, count_later, count_with_reader], ids=lambda each: each.name
)
async def test_all_kinds_of_streams_are_streaming_tools(streaming: Any) -> None:
    assert isinstance(streaming, StreamingFunctionTool)
    assert isinstance(streaming, StreamingTool)
    assert [piece async for piece in streaming.stream('{"n": 3}')] == ["0", "1", "2"]
    assert await streaming.run('{"n": 3}') == "012"
    assert await streaming.run('{"n": 0}') == ""


def test_a_tool_that_does_not_stream_is_no_streaming_tool() -> None:
    assert isinstance(get_weather, FunctionTool)
    assert isinstance(get_weather, Tool)
    assert not isinstance(get_weather, StreamingTool)


async def test_pieces_with_parts_are_joined_into_one_result() -> None:
    @tool
    async def look() -> AsyncIterator[str | ToolResult]:
        yield "a"
        yield tool_result("b", ImagePart(image=ImageMedia(url="u")))

    assert await look.run("{}") == tool_result("ab", ImagePart(image=ImageMedia(url="u")))


async def test_an_error_in_the_stream_names_the_tool_and_wrong_arguments_wait_for_the_first_pull() -> None:
    @tool
    async def fail(n: int) -> AsyncIterator[str]:
        yield "a"
        raise ValueError("broken")

    pieces = []
    with pytest.raises(ToolError, match="tool 'fail' failed: broken"):
        async for piece in fail.stream('{"n": 1}'):
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    assert pieces == ["a"]
    with pytest.raises(ToolArgumentsError, match="- n: missing"):
        await anext(fail.stream("{}"))


async def test_a_stream_that_ends_early_closes_its_source() -> None:
    closed = []

    @tool
    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "a"
        finally:
            closed.append("async")

    @tool
    def plainly() -> Iterator[str]:
        try:
            while True:
                yield "a"
        finally:
            closed.append("plain")

    for each in (endless, plainly):
        pieces = each.stream("{}")
        assert await anext(pieces) == "a"
        await pieces.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert closed == ["async", "plain"]


async def test_an_iterator_that_cannot_be_closed_is_fine() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.left = 2

        def __aiter__(self) -> AsyncIterator[int]:
            return self  # type: ignore[return-value]  # it has __anext__

        async def __anext__(self) -> int:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    @tool
    def numbers() -> AsyncIterator[int]:
        return Numbers()  # type: ignore[return-value]  # as above

    assert await numbers.run("{}") == "10"


# Options


async def test_options_are_set_by_the_program_and_hidden_from_the_model() -> None:
    @tool
    def whoami(
        greeting: str, user: Annotated[str, ToolOption()] = "nobody", tenant: Annotated[int, ToolOption] = 0
    ) -> str:
        return f"{greeting} {user} {tenant}"

    bob = whoami.with_options(user="Bob", tenant=1)

    assert list((whoami.info.parameters or {})["properties"]) == ["greeting"]
    assert await whoami.run('{"greeting": "hi"}') == "hi nobody 0"
    assert await bob.run('{"greeting": "hi"}') == "hi Bob 1"
    assert await bob.with_options(tenant=2).run('{"greeting": "hi"}') == "hi Bob 2"
    assert bob.info == whoami.info
    with pytest.raises(ToolArgumentsError, match="- user: unknown; the parameters are greeting"):
        await whoami.run('{"greeting": "hi", "user": "Eve"}')
    with pytest.raises(BuildError, match="tool 'whoami' has no option 'usr'; its options are: tenant, user"):
        whoami.with_options(usr="Bob")
    with pytest.raises(BuildError, match="its options are: none"):
        get_weather.with_options(user="Bob")


async def test_a_streaming_tool_with_options_stays_one() -> None:
    @tool
    async def greet(user: Annotated[str, ToolOption()] = "nobody") -> AsyncIterator[str]:
        yield user

    assert [piece async for piece in greet.with_options(user="Bob").stream("")] == ["Bob"]
