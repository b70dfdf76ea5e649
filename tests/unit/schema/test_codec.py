"""Storing values: what is accepted, under which names, and what every refusal says."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypedDict
from zoneinfo import ZoneInfo

import msgspec
import pytest
from pydantic import BaseModel, Field, PrivateAttr, RootModel, SecretStr

from eino.errors import BuildError, CodecError
from eino.schema import (
    TYPES,
    Codec,
    Document,
    Message,
    TextPart,
    TypeRegistry,
    assistant_message,
    image_part,
    register,
    register_with_fields,
    token_usage,
    tool_call,
    user_message,
)

FORMATS: list[Literal["json", "msgpack"]] = ["json", "msgpack"]


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Literal["json", "msgpack"]:
    """Run the test with both formats."""
    return request.param  # type: ignore[no-any-return]  # one of FORMATS


@pytest.fixture
def types() -> TypeRegistry:
    """Return a registry of the test's own."""
    return TypeRegistry(TYPES)


@dataclasses.dataclass
class Order:
    """An order."""

    number: int
    items: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Priced:
    """A frozen dataclass with a computed field."""

    net: float
    gross: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gross", self.net * 1.2)


class Colour(enum.Enum):
    """Members with values that could not be stored."""

    RED = (object(), 1)
    GREEN = (object(), 2)


class Access(enum.Flag):
    """Members that may be combined."""

    READ = 1
    WRITE = 2


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: int = 0


class Customer(BaseModel):
    """A model with an alias and a private attribute."""

    name: str = Field(alias="customerName")
    age: int = 0
    _cache: int = PrivateAttr(default=0)


class Open(BaseModel, extra="allow"):
    """A model that takes any further field."""

    a: int


class Names(RootModel[list[str]]):
    """A model that is a list."""


class Row(msgspec.Struct, frozen=True):
    """A struct of the user."""

    key: str
    value: tuple[int, ...] = ()


class Opaque:
    """A class that can only be stored with functions of its own."""

    def __init__(self, text: str) -> None:
        self.text = text


class TestRoundTrips:
    """What is stored comes back; the laws are in `tests/property`."""

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param({"$type": "set", "value": [1]}, id="dictionary that looks tagged"),
            pytest.param({1: "a", (1, 2): "b", None: "c", frozenset({1}): "d"}, id="keys of any type"),
            pytest.param({"a": {1, 2}, "b": frozenset({"x"})}, id="sets"),
            pytest.param((1, [2, (3,)], ()), id="tuples in lists"),
            pytest.param([2**200, -(2**200), 2**64 - 1, -(2**63), 2**64], id="huge numbers"),
            pytest.param([math.inf, -math.inf, -0.0, 1e-320], id="odd floats"),
            pytest.param([complex(1, -2), complex(math.inf, 0)], id="complex numbers"),
            pytest.param([decimal.Decimal("1.10"), decimal.Decimal("Infinity")], id="decimals"),
            pytest.param(b"\x00\xff", id="bytes"),
            pytest.param(dt.datetime(2024, 3, 31, 2, 30, tzinfo=ZoneInfo("Europe/Paris")), id="a time that never was"),
            pytest.param(dt.datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1), id="a second time"),
            pytest.param(dt.datetime(1, 1, 1), id="naive datetime"),
            pytest.param(dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, seconds=1))), id="offset"),
            pytest.param([dt.date(2024, 2, 29), dt.time(1, 2, 3, 4, tzinfo=dt.UTC)], id="date and time"),
            pytest.param(dt.timedelta(-1, 2, 3), id="negative duration"),
            pytest.param(uuid.UUID(int=7), id="uuid"),
            pytest.param(
                {
                    "m": assistant_message(
                        "", [tool_call("f", extra={"t": (1, {2})})], extra={"at": dt.date(2024, 1, 1)}
                    )
                },
                id="types in free-form data of messages",
            ),
            pytest.param([user_message([image_part(data=b"x", extra={"k": (1,)})]), token_usage(1, 2)], id="parts"),
            pytest.param(Document(content="x").with_sparse_vector({1: 0.5}), id="document"),
        ],
    )
    def test_value_and_types_come_back(self, value: Any, form: Literal["json", "msgpack"]) -> None:
        """Exact types: a tuple is no list, a set no list, a key no text."""
        codec = Codec(form)

        read = codec.decode(codec.encode(value))

        assert read == value
        assert repr(read) == repr(value)

    def test_a_number_that_python_refuses_to_print_comes_back(self, form: Literal["json", "msgpack"]) -> None:
        """Decimal texts of numbers are limited to some thousand digits, stored numbers are not."""
        codec = Codec(form)

        assert codec.decode(codec.encode([10**5000])) == [10**5000]

    def test_not_a_number_comes_back(self, form: Literal["json", "msgpack"]) -> None:
        """NaN is not equal to itself, but it is itself."""
        codec = Codec(form)

        assert math.isnan(codec.decode(codec.encode([math.nan]))[0])

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(Order(1, ["a"]), id="dataclass"),
            pytest.param(Priced(10.0), id="frozen dataclass with a computed field"),
            pytest.param(Colour.GREEN, id="enum"),
            pytest.param(Access.READ | Access.WRITE, id="flags"),
            pytest.param(Point(1, 2), id="named tuple"),
            pytest.param(Customer(customerName="a", age=3), id="model with alias"),
            pytest.param(Open(a=1, b=2), id="open model"),  # type: ignore[call-arg]  # extra="allow"
            pytest.param(Names(["a"]), id="root model"),
            pytest.param(Row("a", (1, 2)), id="struct"),
        ],
    )
    def test_registered_types_come_back(
        self, value: Any, types: TypeRegistry, form: Literal["json", "msgpack"]
    ) -> None:
        """Inside everything else, too."""
        types.add(type(value), "shop.Value")
        codec = Codec(form, types=types)

        read = codec.decode(codec.encode({"a": [value, (value,)]}))

        assert read == {"a": [value, (value,)]}
        assert type(read["a"][0]) is type(value)

    def test_own_functions_store_any_class(self, types: TypeRegistry) -> None:
        """What `encode` returns may hold further values."""
        types.add(Order, "order")
        types.add(Opaque, "opaque", encode=lambda value: (value.text, Order(1)), decode=lambda data: Opaque(data[0]))
        codec = Codec(types=types)

        assert codec.decode(codec.encode([Opaque("a")]))[0].text == "a"

    def test_equal_sets_have_equal_bytes(self) -> None:
        """Their order depends on the process: stored forms are sorted."""
        words = [f"word{i}" for i in range(50)]

        assert Codec().encode(set(words)) == Codec().encode({*reversed(words)})

    def test_streaming_index_is_not_stored(self, form: Literal["json", "msgpack"]) -> None:
        """It has no meaning outside its stream."""
        codec = Codec(form)
        message = assistant_message([TextPart("a", index=1)])

        assert codec.decode(codec.encode(message)) == assistant_message([TextPart("a")])
        assert codec.decode(codec.encode(TextPart("a", index=1))) == TextPart("a")

    def test_stored_json_is_readable(self) -> None:
        """A person can see what a checkpoint holds."""
        data = msgspec.json.decode(Codec().encode({"messages": [user_message("a")], "at": (1,)}))

        assert data == {
            "messages": [{"$type": "eino.Message", "plain": {"role": "user", "content": "a"}}],
            "at": {"$type": "tuple", "value": [1]},
        }


class TestRefusals:
    """What cannot be stored or read, with the path to the spot."""

    @pytest.mark.parametrize(
        ("value", "path", "text"),
        [
            pytest.param(
                Opaque("a"), "$", "type tests.*Opaque|Opaque cannot be stored: the type is not registered", id="root"
            ),
            pytest.param({"a": [1, {"b c": object()}]}, "$.a[1]['b c']", "builtins.object cannot", id="nested"),
            pytest.param(({1: {2: lambda: None}},), "$[0][1][2]", "builtins.function cannot", id="function"),
            pytest.param(user_message("", extra={"x": [Opaque("a")]}), "$.extra.x[0]", "Opaque cannot", id="message"),
            pytest.param([OrderedDict(a=1)], "$[0]", "collections.OrderedDict cannot", id="subclass of dict"),
            pytest.param([enum.IntEnum("Own", "A").A], "$[0]", "Own cannot", id="enum that is not registered"),  # type: ignore[attr-defined]  # made here
            pytest.param({"k" * 100: object()}, f"$.{'k' * 100}", "object cannot", id="long key"),
            pytest.param({("k" * 100,): object()}, f"$[('{'k' * 55}...]", "object cannot", id="long odd key"),
            pytest.param({object(): 1}, None, "builtins.object cannot", id="key"),
            pytest.param(
                [dt.time(1, tzinfo=ZoneInfo("Europe/Paris"))], "$[0]", "depends on a date", id="time in a zone"
            ),
            pytest.param({"a": ["\ud800"]}, "$.a[0]", "no valid text", id="lone surrogate"),
            pytest.param({"a": user_message("\ud800")}, "$.a.content", "no valid", id="lone surrogate in a message"),
        ],
    )
    def test_what_cannot_be_stored(
        self, value: Any, path: str | None, text: str, form: Literal["json", "msgpack"]
    ) -> None:
        """The error names the type, the path and the remedy."""
        with pytest.raises(CodecError, match=text) as caught:
            Codec(form).encode(value)

        if path is not None:
            assert caught.value.path.startswith(path)

    def test_a_field_is_named(self, types: TypeRegistry) -> None:
        """Paths go through registered types by the names of their fields."""
        types.add(Order, "order")

        with pytest.raises(CodecError, match=r"at `\$\[0\]\.items\[1\]`"):
            Codec(types=types).encode([Order(1, ["a", object()])])  # type: ignore[list-item]  # the mistake under test

    def test_a_value_that_contains_itself(self) -> None:
        """The depth is bounded; the text of the error too."""
        loop: list[Any] = []
        loop.append(loop)

        with pytest.raises(CodecError, match="nested deeper than max_depth=100") as caught:
            Codec().encode(loop)

        assert len(str(caught.value)) < 400
        assert caught.value.path == "$" + "[0]" * 100

    def test_depth_is_counted_the_same_both_ways(self, form: Literal["json", "msgpack"]) -> None:
        """What can be stored can be read, for every kind of container."""
        codec = Codec(form, max_depth=30)
        for wrap in (lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {1: v}):
            value: Any = 1
            for _ in range(30):
                value = wrap(value)
            assert codec.decode(codec.encode(value)) == value
            with pytest.raises(CodecError, match="max_depth=30"):
                codec.encode(wrap(value))

    @pytest.mark.parametrize("depth", [400, 100_000])
    def test_huge_nesting_of_data(self, depth: int) -> None:
        """Not a crash, and not a `RecursionError`."""
        with pytest.raises(CodecError, match="nested"):
            Codec().decode(b"[" * depth + b"]" * depth)
        with pytest.raises(CodecError, match="nested"):
            Codec("msgpack").decode(b"\x91" * depth + b"\x90")

    def test_a_depth_that_python_cannot_do(self) -> None:
        """A limit set too high is reported, not a crash."""
        value: list[Any] = []
        for _ in range(5000):
            value = [value]

        with pytest.raises(CodecError, match="nested too deeply"):
            Codec(max_depth=10_000).encode(value)

    def test_size_is_bounded(self) -> None:
        """Both ways."""
        codec = Codec(max_bytes=10)

        assert codec.decode(codec.encode("12345678")) == "12345678"
        with pytest.raises(CodecError, match="takes 11 bytes, max_bytes=10"):
            codec.encode("123456789")
        with pytest.raises(CodecError, match="has 11 bytes, max_bytes=10"):
            codec.decode(b'"123456789"')

    @pytest.mark.parametrize(
        ("data", "path", "text"),
        [
            pytest.param(b"{", "$", "no valid json", id="malformed"),
            pytest.param(
                b'[{"$type":"shop.Gone","value":1}]', "$[0]", "unknown type 'shop.Gone': import", id="unknown"
            ),
            pytest.param(b'{"a":{"$type":7,"value":1}}', "$.a", "malformed data", id="type is no name"),
            pytest.param(b'{"$type":"tuple"}', "$", "malformed data", id="no value"),
            pytest.param(b'{"$type":"tuple","plain":[]}', "$", "no stored tuple", id="built-in type as plain"),
            pytest.param(b'{"$type":"date","value":"soon"}', "$", "'soon'.* is no stored date", id="no date"),
            pytest.param(b'{"$type":"bytes","value":"a&b"}', "$", "is no stored bytes", id="no Base64"),
            pytest.param(b'{"$type":"set","value":[[1]]}', "$", "is no stored set", id="set of lists"),
            pytest.param(b'{"$type":"dict","value":[["a"]]}', "$", "is no stored dict", id="dictionary without pairs"),
            pytest.param(
                b'{"$type":"dict","value":[["a",{"$type":"x","value":1}]]}', "$.a", "unknown type 'x'", id="in dict"
            ),
            pytest.param(
                b'{"$type":"tuple","value":[1,{"$type":"x","value":1}]}', "$[1]", "unknown type 'x'", id="in tuple"
            ),
            pytest.param(
                b'{"$type":"datetime","value":["2024-01-01","Mars/North",0]}', "$", "no stored datetime", id="zone"
            ),
            pytest.param(
                b'{"a":{"$type":"eino.Message","value":{"role":"x","content":""}}}',
                "$.a.role",
                "does not fit",
                id="message",
            ),
        ],
    )
    def test_what_cannot_be_read(self, data: bytes, path: str, text: str) -> None:
        """The error names what was found, and where."""
        with pytest.raises(CodecError, match=text) as caught:
            Codec().decode(data)

        assert caught.value.path == path

    def test_stored_fields_that_do_not_fit_their_class(self, types: TypeRegistry) -> None:
        """A missing field, a wrong one, an unknown member; secrets in the data do not show."""
        types.add(Order, "order")
        types.add(Customer, "customer")
        types.add(Colour, "colour")
        codec = Codec(types=types)

        with pytest.raises(CodecError, match=r"cannot build a value of type 'order'.*missing .*number"):
            codec.decode(b'[{"$type":"order","value":{}}]')
        with pytest.raises(CodecError, match="age: Input should be a valid integer") as caught:
            codec.decode(b'[{"$type":"customer","value":{"name":"a","age":"sk-live"}}]')
        assert "sk-live" not in str(caught.value)
        with pytest.raises(CodecError, match="Colour has no member 'BLUE'; it has RED, GREEN"):
            codec.decode(b'{"$type":"colour","value":"BLUE"}')

    def test_errors_of_own_functions(self, types: TypeRegistry) -> None:
        """They are wrapped, with the type's name."""

        def fail(value: object) -> object:
            raise KeyError("secret door")

        types.add(Opaque, "opaque", encode=fail, decode=fail)

        with pytest.raises(CodecError, match=r"cannot take a value of type .*Opaque apart: KeyError"):
            Codec(types=types).encode([Opaque("a")])
        with pytest.raises(CodecError, match=r"cannot build a value of type 'opaque' .*KeyError"):
            Codec(types=types).decode(b'{"$type":"opaque","value":1}')

    def test_secrets_of_pydantic_are_not_stored_by_accident(self, types: TypeRegistry) -> None:
        """A `SecretStr` is no registered type."""

        class Login(BaseModel):
            password: SecretStr

        types.add(Login, "login")

        with pytest.raises(CodecError, match=r"pydantic.types.SecretStr cannot be stored") as caught:
            Codec(types=types).encode(Login(password=SecretStr("hunter2")))
        assert caught.value.path == "$.password"

    @pytest.mark.parametrize(
        "settings", [{"format": "pickle"}, {"max_depth": 0}, {"max_bytes": 0}], ids=["format", "depth", "bytes"]
    )
    def test_wrong_settings(self, settings: dict[str, Any]) -> None:
        """At construction."""
        with pytest.raises(ValueError, match="must be"):
            Codec(**settings)


class TestNames:
    """Types are stored by name; names live longer than classes."""

    def test_decorator_registers_for_all_graphs(self) -> None:
        """The class is returned as it is."""

        @register("test_codec.Ticket")
        @dataclasses.dataclass
        class Ticket:
            number: int

        assert Codec().decode(Codec().encode(Ticket(3))) == Ticket(3)
        assert b"test_codec.Ticket" in Codec().encode(Ticket(3))

    def test_old_names_are_read(self, types: TypeRegistry) -> None:
        """A renamed type is written under its new name."""
        types.add(Order, "shop.Order", aliases=("shop.Purchase",))
        codec = Codec(types=types)

        assert codec.decode(b'{"$type":"shop.Purchase","value":{"number":1,"items":[]}}') == Order(1)
        assert b"shop.Order" in codec.encode(Order(1))

    def test_old_versions_are_upgraded(self, types: TypeRegistry) -> None:
        """The hook gets the fields and their version; fields that are gone are ignored."""
        seen: list[int] = []

        def upgrade(fields: dict[str, Any], version: int) -> dict[str, Any]:
            seen.append(version)
            return {**fields, "number": fields["no"]}

        types.add(Order, "order", version=3, upgrade=upgrade)
        codec = Codec(types=types)

        assert codec.decode(b'{"$type":"order","value":{"no":1,"items":{"$type":"tuple","value":["a"]}}}') == Order(
            1,
            ("a",),  # type: ignore[arg-type]  # stored values are not converted
        )
        assert codec.decode(b'{"$type":"order","version":2,"value":{"no":2}}') == Order(2)
        assert codec.decode(codec.encode(Order(3))) == Order(3)
        assert seen == [1, 2]

    @pytest.mark.parametrize(
        ("settings", "version", "text"),
        [
            pytest.param({"version": 2}, 1, "version 1, this program has version 2 and no upgrade", id="no upgrade"),
            pytest.param({}, 2, "version 2, this program knows version 1: it was written by a newer", id="newer"),
            pytest.param({}, "x", "version 'x', this program knows", id="no version"),
            pytest.param(
                {"version": 2, "upgrade": lambda fields, version: fields["gone"]},
                1,
                "upgrade of 'order' .*KeyError",
                id="fails",
            ),
        ],
    )
    def test_versions_that_cannot_be_read(
        self, settings: dict[str, Any], version: Any, text: str, types: TypeRegistry
    ) -> None:
        """The error names both versions."""
        types.add(Order, "order", **settings)
        data = msgspec.json.encode({"$type": "order", "version": version, "value": {"number": 1}})

        with pytest.raises(CodecError, match=text):
            Codec(types=types).decode(data)

    def test_a_name_can_be_taken_once(self, types: TypeRegistry) -> None:
        """Two classes under one name would be mixed up; two names for one class are one too many."""
        types.add(Order, "order", aliases=("purchase",))

        for name in ("order", "purchase"):
            with pytest.raises(BuildError, match=f"the name '{name}' of .*Row is already taken by .*Order"):
                types.add(Row, name)
        with pytest.raises(BuildError, match=r"Order is already registered as 'order'.* give old names as aliases"):
            types.add(Order, "order2")
        with pytest.raises(BuildError, match="already registered as 'order'"):
            types.add(Order, "order")
        with pytest.raises(BuildError, match=r"already taken by eino.schema.message.Message"):
            types.add(Order2, "eino.Message")

    def test_defining_a_class_anew_replaces_it(self, types: TypeRegistry) -> None:
        """As when a notebook cell runs again."""

        def define() -> type[Any]:
            @dataclasses.dataclass
            class Cell:
                a: int

            return Cell

        first, second = define(), define()
        types.add(first, "cell")
        types.add(second, "cell")

        assert type(Codec(types=types).decode(b'{"$type":"cell","value":{"a":1}}')) is second

    def test_registration_is_undone(self, types: TypeRegistry) -> None:
        """A test can clean up; a later registration is left alone."""
        undo = types.add(Order, "order", aliases=("purchase",))
        undo()
        undo()

        again = types.add(Order, "order")
        undo()
        assert types.find_class(Order) is not None
        again()
        assert types.find_class(Order) is None
        assert types.find_name("purchase") is None

    @pytest.mark.parametrize(
        ("cls", "settings", "text"),
        [
            pytest.param(Opaque, {}, "Opaque cannot be taken apart: .*above @dataclass", id="plain class"),
            pytest.param(Order(1), {}, "only classes can be registered", id="instance"),
            pytest.param(Order, {"name": ""}, "name that is not empty", id="empty name"),
            pytest.param(Order, {"name": "tuple"}, "'tuple' is reserved", id="built-in name"),
            pytest.param(Order, {"aliases": ("set",)}, "'set' is reserved", id="built-in alias"),
            pytest.param(Order, {"version": 0}, "version of .*Order must be", id="version"),
            pytest.param(Order, {"upgrade": lambda fields, version: fields}, "nothing older to upgrade", id="upgrade"),
            pytest.param(Order, {"encode": str}, "needs both encode and decode", id="half"),
        ],
    )
    def test_wrong_registrations(self, cls: Any, settings: dict[str, Any], text: str, types: TypeRegistry) -> None:
        """Found when the module is imported."""
        with pytest.raises(BuildError, match=text):
            types.add(cls, **{"name": "x", **settings})

    def test_a_derived_class_needs_its_own_name(self, types: TypeRegistry) -> None:
        """Stored as its base it would lose fields."""
        types.add(Order, "order")

        with pytest.raises(CodecError, match="Order2 cannot be stored"):
            Codec(types=types).encode(Order2(1))


@dataclasses.dataclass
class Order2(Order):
    """A dataclass that derives from another one."""


class Shape(Protocol):
    """What some field may hold."""


class Plan(abc.ABC):
    """What some other field may hold."""

    @abc.abstractmethod
    def run(self) -> None:
        """Do it."""


class Options(TypedDict, total=False):
    """A dictionary with a known type of values."""

    colour: Colour


class Inner(BaseModel):
    """A model inside the state."""

    point: Point
    kind: ClassVar[type[Opaque]] = Opaque


@dataclasses.dataclass
class State:
    """State of a graph, with fields of every kind."""

    messages: list[Message]
    inner: Inner | None
    rows: Annotated[dict[str, tuple[Row, ...]], "by name"]
    options: Options
    shape: Shape
    plan: Plan
    anything: Any
    sequence: Sequence[Order]
    mapping: Mapping[str, Access]
    mode: Literal["a", "b"]
    maybe: Opaque | Row
    limit: ClassVar[Opaque]
    again: State | None = None


class TestDiscovery:
    """Types used as state register themselves, with the types of their fields."""

    def test_fields_are_registered_under_their_qualified_names(self, types: TypeRegistry) -> None:
        """However deep; what may hold several classes is left to the moment of storing."""
        register_with_fields(State, types)

        for cls in (State, Inner, Point, Row, Colour, Order, Access):
            found = types.find_class(cls)
            assert found is not None, cls
            assert found.name == f"{cls.__module__}.{cls.__qualname__}"
        assert types.find_class(Opaque) is None
        message = types.find_class(Message)
        assert message is not None
        assert message.name == "eino.Message"
        register_with_fields(State, types)

    def test_a_name_of_its_own_is_kept(self, types: TypeRegistry) -> None:
        """Whether it was registered before or is registered after."""
        types.add(Row, "row")
        register_with_fields(State, types)
        types.add(Order, "order")

        assert Codec(types=types).encode(Row("a")).startswith(b'{"$type":"row"')
        assert Codec(types=types).encode(Order(1)).startswith(b'{"$type":"order"')

    @pytest.mark.parametrize(
        ("annotation", "text"),
        [
            pytest.param(
                asyncio.Lock, r"Broken.field cannot be stored: asyncio.locks.Lock cannot be taken apart", id="lock"
            ),
            pytest.param(list[Opaque], r"Broken.field cannot be stored: .*Opaque", id="in a list"),
            pytest.param(
                Callable[[int], int], r"Broken.field cannot be stored: functions have no stored form", id="function"
            ),
            pytest.param(Opaque | asyncio.Lock, r"Broken.field cannot be stored: .*Opaque", id="all of a union"),
        ],
    )
    def test_a_field_that_can_never_be_stored(self, annotation: Any, text: str, types: TypeRegistry) -> None:
        """Found when the graph is compiled, not when the first run is interrupted."""
        broken = dataclasses.make_dataclass("Broken", [("field", annotation)])

        with pytest.raises(BuildError, match=text):
            register_with_fields(broken, types)

    def test_a_class_that_cannot_be_stored(self, types: TypeRegistry) -> None:
        """The text names it."""
        with pytest.raises(BuildError, match=r"Opaque cannot be stored: .*Opaque cannot be taken apart"):
            register_with_fields(Opaque, types)

    def test_annotations_that_cannot_be_resolved_are_left_alone(self, types: TypeRegistry) -> None:
        """A value that does not fit is found when it is stored."""
        odd = dataclasses.make_dataclass("Odd", [("field", "NoSuchName")])

        register_with_fields(odd, types)

        assert types.find_class(odd) is not None
        assert Codec(types=types).decode(Codec(types=types).encode(odd(1))) == odd(1)

    def test_classes_defined_anew_replace_each_other(self, types: TypeRegistry) -> None:
        """A test that runs three times defines its state three times."""

        def define() -> type[Any]:
            @dataclasses.dataclass
            class Local:
                a: int = 1

            return Local

        for cls in (define(), define()):
            register_with_fields(cls, types)
            assert type(Codec(types=types).decode(Codec(types=types).encode(cls()))) is cls


def every_value_class() -> Iterator[str]:
    """Return the names of all schema types."""
    from eino.schema import document, message, parts, tool, tool_result, usage
    from eino.schema._value import Value

    for module in (document, message, parts, tool, tool_result, usage):
        for name, cls in vars(module).items():
            if isinstance(cls, type) and issubclass(cls, Value) and cls.__module__ == module.__name__:
                yield name


@pytest.mark.parametrize("name", [name for name in every_value_class() if not name.startswith("_")])
def test_every_schema_type_is_registered(name: str) -> None:
    """A new schema type can be stored without further doing."""
    assert TYPES.find_name(f"eino.{name}") is not None
