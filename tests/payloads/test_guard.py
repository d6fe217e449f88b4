from __future__ import annotations

import collections
import copy
import enum
import threading
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.errors import PayloadError
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.guard import compile_guard
from platform_events.payloads.library_schema import library_schema
from platform_events.payloads.types import parse_record
from tests.payloads.payload_strategies import (
    EXAMPLES,
    kind_of,
    logical,
    record,
    record_schemas,
    schemas_and_payloads,
)


class Color(enum.StrEnum):
    RED = "red"


class Named(enum.StrEnum):
    OPEN = "red"

    def __str__(self) -> str:
        return "something else"


class Level(enum.IntEnum):
    HIGH = 3


class Nowhere(tzinfo):
    """A zone that knows no offset: what has it is naive."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None


class Order(dict[str, Any]):
    """A mapping of somebody's own."""


def round_trip(schema: dict[str, Any], payload: Any) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(PayloadEncoder(schema).encode(payload))


def refuse(schema: dict[str, Any], payload: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        PayloadEncoder(schema).encode(payload)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return caught.value


NOW = datetime(2024, 1, 31, 12, 30, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)
DAY = date(2024, 1, 31)
NOON = time(12)
ID = UUID("123e4567-e89b-12d3-a456-426614174000")
COLORS = {"type": "enum", "name": "Color", "symbols": ["red", "green"]}
FOUR = {"type": "fixed", "name": "Four", "size": 4}
MONEY = logical("bytes", "decimal", precision=5, scale=2)
STAMP = logical("long", "timestamp-millis")
LOCAL = logical("long", "local-timestamp-micros")
TEXTS = {"type": "array", "items": "string"}
COUNTS = {"type": "map", "values": "int"}

TAKEN = [
    ("boolean", True, True),
    ("int", -(2**31), -(2**31)),
    ("int", 2**31 - 1, 2**31 - 1),
    ("int", Level.HIGH, 3),
    ("long", -(2**63), -(2**63)),
    ("long", 2**63 - 1, 2**63 - 1),
    ("double", 2**53, 2.0**53),
    ("double", 10**22, 1e22),
    ("double", float("-inf"), float("-inf")),
    ("float", 2**24, 2.0**24),
    ("float", 0.1, 0.10000000149011612),
    ("float", float("inf"), float("inf")),
    ("string", Color.RED, "red"),
    ("string", "\U0001f600\0", "\U0001f600\0"),
    ("bytes", bytearray(b"ab"), b"ab"),
    (COLORS, Color.RED, "red"),
    (COLORS, Named.OPEN, "red"),
    (FOUR, bytearray(b"abcd"), b"abcd"),
    (TEXTS, ("a", "b"), ["a", "b"]),
    (["null", TEXTS], ("null", "b"), ["null", "b"]),
    (["null", TEXTS], ("string", "b"), ["string", "b"]),
    (COUNTS, collections.Counter("aab"), {"a": 2, "b": 1}),
    (COUNTS, {Color.RED: 1}, {"red": 1}),
    (COUNTS, {"-type": 1}, {"-type": 1}),
    (MONEY, Decimal("999.99"), Decimal("999.99")),
    (MONEY, Decimal("1.500000"), Decimal("1.50")),
    (MONEY, Decimal("0E+1000000"), Decimal(0)),
    (MONEY, Decimal("0E-1000000"), Decimal(0)),
    (MONEY, 999, Decimal(999)),
    (logical("int", "date"), DAY, DAY),
    (logical("int", "time-millis"), NOON, NOON),
    (STAMP, NOW, NOW),
    (LOCAL, NAIVE, NAIVE),
    (LOCAL, NAIVE.replace(tzinfo=Nowhere()), NAIVE),
    (logical("string", "uuid"), ID, ID),
    (["int", MONEY], 5, 5),
    (["int", MONEY], Decimal(5), Decimal(5)),
    ([MONEY, "int"], 5, 5),
    (["int", MONEY], Level.HIGH, 3),
    (["null", MONEY], Level.HIGH, Decimal(3)),
    (["double", STAMP], 5, 5.0),
    (["double", STAMP], NOW, NOW),
    (["bytes", {"type": "array", "items": "int"}], b"", b""),
    (["bytes", {"type": "array", "items": "int"}], b"ab", b"ab"),
    (["bytes", {"type": "array", "items": "int"}], (), []),
    ([MONEY, {"type": "array", "items": "int"}], Decimal(1), Decimal(1)),
    ({"type": "array", "items": MONEY}, (1, Decimal(2)), [Decimal(1), Decimal(2)]),
    ({"type": "map", "values": MONEY}, MappingProxyType({"a": 1}), {"a": Decimal(1)}),
    (["boolean", "int"], True, True),
    (["null", "int", "string"], "5", "5"),
]


@pytest.mark.parametrize(("avro_type", "value", "expected"), TAKEN)
def test_a_value_of_the_right_kind_is_taken(avro_type: Any, value: Any, expected: Any) -> None:
    result = round_trip(record(avro_type), {"a": value})["a"]
    assert result == expected
    assert type(result) is type(expected)


REFUSED = [
    ("null", 0, "null"),
    ("boolean", "false", "true or false"),
    ("boolean", None, "true or false"),
    ("boolean", 0, "got 0"),
    ("boolean", 1.0, "true or false"),
    ("int", 3.0, "whole number"),
    ("int", True, "got True"),
    ("int", "3", "got '3'"),
    ("int", None, "got None"),
    ("int", 2**31, "range of int"),
    ("int", -(2**31) - 1, "range of int"),
    ("int", 10**5000, "16610 bits"),
    ("int", Decimal(3), "whole number"),
    ("long", 2**63, "range of long"),
    ("long", -(2**63) - 1, "range of long"),
    ("long", NOW, "whole number"),
    ("double", True, "number"),
    ("double", "1.5", "number"),
    ("double", Decimal("1.5"), "number"),
    ("double", None, "number"),
    ("double", 2**53 + 1, "without loss"),
    ("double", 10**400, "range of double"),
    ("float", 2**24 + 1, "without loss"),
    ("float", 1e39, "range of float"),
    ("string", 5, "text"),
    ("string", b"abc", "text"),
    ("string", None, "text"),
    ("string", ID, "text"),
    ("string", "a\ud800", "surrogate at index 1"),
    ("bytes", "abc", "bytes"),
    ("bytes", [1, 2], "bytes"),
    ("bytes", memoryview(b"ab"), "bytes"),
    (COLORS, "RED", "one of red, green"),
    (COLORS, 0, "one of red, green"),
    (COLORS, ["red"], "one of red, green"),
    (COLORS, "red\ud800", "one of red, green"),
    (FOUR, b"abc", "length 4"),
    (FOUR, b"abcde", "length 4"),
    (FOUR, "abcd", "length 4"),
    (TEXTS, "abc", "list"),
    (TEXTS, {"a": "b"}, "list"),
    (TEXTS, {"a"}, "list"),
    (TEXTS, None, "list"),
    (COUNTS, [("a", 1)], "mapping"),
    (COUNTS, "a", "mapping"),
    (MONEY, 1.5, "decimal"),
    (MONEY, True, "decimal"),
    (MONEY, "1.50", "decimal"),
    (MONEY, Decimal("NaN"), "finite"),
    (MONEY, Decimal("sNaN"), "finite"),
    (MONEY, Decimal("-Infinity"), "finite"),
    (MONEY, Decimal("1.505"), "2 digits after the point"),
    (MONEY, Decimal("1E-1000000"), "2 digits after the point"),
    (MONEY, Decimal("1000"), "3 digits before the point"),
    (MONEY, Decimal("1E+999999"), "3 digits before the point"),
    (MONEY, 1000, "3 digits before the point"),
    (MONEY, -(10**5000), "3 digits before the point"),
    (logical("int", "date"), NOW, "no datetime"),
    (logical("int", "date"), "2024-01-31", "date"),
    (logical("int", "date"), 5, "date"),
    (logical("int", "time-millis"), NOON.replace(tzinfo=UTC), "without zone"),
    (logical("long", "time-micros"), NAIVE, "time"),
    (STAMP, NAIVE, "with zone"),
    (STAMP, NOW.replace(tzinfo=Nowhere()), "with zone"),
    (STAMP, DAY, "with zone"),
    (STAMP, 1706704200000, "with zone"),
    (STAMP, "2024-01-31T12:30:00Z", "with zone"),
    (STAMP, datetime.fromisoformat("0001-01-01T00:00:00+01:00"), "years 1 to 9999"),
    (STAMP, datetime.fromisoformat("9999-12-31T23:59:59-01:00"), "years 1 to 9999"),
    (LOCAL, NOW, "without zone"),
    (LOCAL, DAY, "without zone"),
    (logical("string", "uuid"), str(ID), "UUID"),
    (logical("string", "uuid"), ID.bytes, "UUID"),
    (["null", "int"], "5", "whole number"),
    (["null", "int"], 2**31, "range of int"),
    (["null", "int", "string"], 5.5, "whole number"),
    (["null", "int", "string"], [], "text"),
    (["null", "int", TEXTS], "5", "one of null, int, array"),
    (["null", "boolean", "int"], "5", "one of null, boolean, int"),
    (["int", "string"], None, "text"),
    (["int", "string"], True, "got True"),
    (["int", MONEY], True, "got True"),
    (["double", STAMP], NAIVE, "with zone"),
    (["bytes", TEXTS], "ab", "bytes"),
    (["null"], 5, "one of null"),
    ("int", complex(1), "got complex"),
    ("string", "x" * 10**6 + "\ud800", "surrogate"),
    ("int", "x" * 10**6, "got 'xxx"),
]
REFUSED_IDS = [f"{kind_of(case[0])}-{number}" for number, case in enumerate(REFUSED)]


@pytest.mark.parametrize(("avro_type", "value", "reason"), REFUSED, ids=REFUSED_IDS)
def test_a_value_of_a_wrong_kind_is_refused(avro_type: Any, value: Any, reason: str) -> None:
    error = refuse(record(avro_type), {"a": value})
    assert error.path == "a"
    assert reason in str(error)


@pytest.mark.parametrize(("avro_type", "value", "reason"), REFUSED, ids=REFUSED_IDS)
def test_a_wrong_value_is_refused_wherever_it_is(avro_type: Any, value: Any, reason: str) -> None:
    fields = [{"name": "x", "type": avro_type}, {"name": "y", "type": "int", "default": 0}]
    inner = {"type": "record", "name": "Inner", "fields": fields}
    error = refuse(record({"type": "array", "items": inner}), {"a": [{"x": value}]})
    assert error.path == "a[0].x"
    assert reason in str(error)
    error = refuse(record({"type": "map", "values": inner}), {"a": {"k k": {"x": value}}})
    assert error.path == 'a["k k"].x'
    assert reason in str(error)


ITEM = {
    "type": "record",
    "name": "Item",
    "fields": [
        {"name": "price", "type": "double"},
        {"name": "amount", "type": "int", "default": 1},
    ],
}
SHOP = {
    "type": "record",
    "name": "Order_Placed__e",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": ITEM}},
        {"name": "first", "type": ["null", "Item"], "default": None},
        {"name": "by_sku", "type": {"type": "map", "values": "Item"}, "default": {}},
    ],
}
FITTING = {"order_id": "A-1", "items": [{"price": 1.5}]}


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"items": [{"price": 1}, {"price": 2}, {"price": "3"}]}, "items[2].price", "number"),
        ({"items": [FITTING]}, "items[0].order_id", "no such field"),
        ({"items": [{"prise": 1}]}, "items[0].prise", "did you mean price?"),
        ({"items": [{}]}, "items[0].price", "missing"),
        ({"items": [None]}, "items[0]", "mapping of fields"),
        ({"items": [[("price", 1)]]}, "items[0]", "mapping of fields"),
        ({"first": {"price": None}}, "first.price", "number"),
        ({"first": {"-type": "Item", "price": 1}}, 'first["-type"]', "no such field"),
        ({"first": ("Item", {"price": 1})}, "first", "mapping of fields"),
        ({"by_sku": {"a.b": {"price": "1"}}}, 'by_sku["a.b"].price', "number"),
        ({"by_sku": {5: {"price": 1}}}, "by_sku[5 (int)]", "as a key"),
        ({"by_sku": {"\ud800": {"price": 1}}}, 'by_sku["\\ud800"]', "as a key"),
        ({"amout": 1}, "amout", "no such field"),
        ({"order_ID": 1}, "order_ID", "did you mean order_id?"),
        ({5: 1}, "[5 (int)]", "field names are text"),
        ({"": 1}, '[""]', "no such field"),
        ({"two\nlines": 1}, '["two\\nlines"]', "no such field"),
        ({"x" * 10**5: 1}, f'["{"x" * 40}"]', "no such field"),
    ],
)
def test_the_path_names_the_place(change: dict[Any, Any], path: str, reason: str) -> None:
    error = refuse(SHOP, {**FITTING, **change})
    assert error.path == path
    assert reason in str(error)


@pytest.mark.parametrize("name", ["order_id", "items"])
def test_a_field_without_default_must_be_there(name: str) -> None:
    error = refuse(SHOP, {key: value for key, value in FITTING.items() if key != name})
    assert error.path == name
    assert "missing" in str(error)


def test_an_unknown_field_does_not_stand_in_for_a_missing_one() -> None:
    whole = {**FITTING, "first": None, "by_sku": {}}
    round_trip(SHOP, whole)
    for name in whole:
        others = {key: value for key, value in whole.items() if key != name}
        assert refuse(SHOP, {**others, "unknown": 1}).path == "unknown"


@pytest.mark.parametrize("payload", [None, [], "text", 5, [("order_id", "A-1")]])
def test_a_payload_is_a_mapping(payload: Any) -> None:
    error = refuse(SHOP, payload)
    assert error.path == ""
    assert "mapping of fields" in str(error)


@pytest.mark.parametrize(
    "kind", [Order, collections.OrderedDict, MappingProxyType, collections.UserDict]
)
def test_any_mapping_is_a_record(kind: Any) -> None:
    expected = round_trip(SHOP, FITTING)
    nested = {**FITTING, "items": [kind({"price": 1.5})]}
    assert round_trip(SHOP, kind(nested)) == expected


class Fickle(collections.UserDict[str, Any]):
    """A mapping that another thread changes while it is encoded."""

    reads = 0

    def __getitem__(self, key: str) -> Any:
        self.reads += 1
        return 1.5 if self.reads == 1 else "1.5"


def test_what_changes_between_guard_and_writer_is_a_payload_error() -> None:
    encoder = PayloadEncoder(SHOP)
    with pytest.raises(PayloadError, match="changed while it was encoded"):
        encoder.encode({**FITTING, "items": [Fickle(price=1.5)]})
    assert encoder.encode(FITTING) == PayloadEncoder(SHOP).encode(FITTING)


def test_a_mapping_that_makes_up_values_lacks_them_all_the_same() -> None:
    payload = collections.defaultdict(str, items=[])
    assert refuse(SHOP, payload).path == "order_id"
    assert list(payload) == ["items"]


def test_a_list_within_itself_is_refused() -> None:
    items: list[Any] = []
    items.append(items)
    assert refuse(record(TEXTS), {"a": items}).path == "a[0]"


def test_one_encoder_serves_many_threads() -> None:
    encoder = PayloadEncoder(SHOP)
    decoder = PayloadDecoder(SHOP)
    wrong: list[Any] = []

    def work(number: int) -> None:
        payload = {"order_id": str(number), "items": [{"price": number}] * number}
        for _ in range(200):
            result = decoder.decode(encoder.encode(payload))
            if result["order_id"] != str(number) or len(result["items"]) != number:
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.times()
    | st.uuids()
    | st.decimals(allow_nan=True)
    | st.sampled_from([Color.RED, Level.HIGH, 2**31, 2**63, 2**53 + 1, 1e300, complex(1)])
    | st.sampled_from("ABCD"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["field_0", "field_1", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def check_agreement(schema: dict[str, Any], payload: Any) -> None:
    """The guard and the diagnosis judge alike, and only `PayloadError` comes out."""
    parsed = parse_record(schema)
    _, defaults = library_schema(schema, parsed)
    error = explain(parsed, payload)
    assert compile_guard(parsed, defaults)(payload) is (error is None)
    encoder = PayloadEncoder(schema)
    if error is None:
        PayloadDecoder(schema).decode(encoder.encode(payload))
        return
    assert "\n" not in str(error)
    with pytest.raises(PayloadError) as caught:
        encoder.encode(payload)
    assert str(caught.value) == str(error)


@given(record_schemas(), st.data())
@settings(max_examples=EXAMPLES)
def test_guard_and_diagnosis_agree_on_anything(schema: dict[str, Any], data: st.DataObject) -> None:
    fields = schema["fields"]
    names = [field["name"] for field in fields]
    check_agreement(schema, data.draw(st.fixed_dictionaries(dict.fromkeys(names, JUNK))))
    check_agreement(schema, data.draw(JUNK))


def places(schema: Any, value: Any, path: str, steps: tuple[Any, ...]) -> list[Any]:
    """Every value in a payload as (path, steps to it, schema), not those within unions and maps."""
    found = [(path, steps, schema)]
    match kind_of(schema):
        case "array":
            for index, item in enumerate(value):
                found += places(schema["items"], item, f"{path}[{index}]", (*steps, index))
        case "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            for name, item in value.items():
                inner = f"{path}.{name}" if path else name
                found += places(types[name], item, inner, (*steps, name))
    return found


def thaw(value: Any) -> Any:
    """A copy in which everything can be replaced."""
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    if isinstance(value, (dict, MappingProxyType)):
        return {key: thaw(item) for key, item in value.items()}
    return value


def replace(payload: Any, steps: tuple[Any, ...], value: Any) -> Any:
    if not steps:
        return value
    result = copy.copy(payload)
    result[steps[0]] = replace(payload[steps[0]], steps[1:], value)
    return result


WRONG: dict[str, list[Any]] = {
    "boolean": ["false", 0, None],
    "int": [1.0, True, "1", 2**31, None],
    "long": [1.0, True, "1", 2**63, None],
    "float": [True, "1", 1e39, 2**24 + 1],
    "double": [True, "1", 2**53 + 1, Decimal(1)],
    "string": [1, b"a", "\ud800", None],
    "bytes": ["a", 1, None],
    "fixed": [b"", b"0123456789", "a"],
    "enum": ["lower case", 0, None],
    "decimal": [1.5, "1", Decimal("NaN"), 10**18, Decimal(1).scaleb(-30)],
    "uuid": [str(ID), None],
    "date": [NOW, NAIVE, "2024-01-31", 1],
    "time-millis": [NOON.replace(tzinfo=UTC), 1],
    "time-micros": [NOON.replace(tzinfo=UTC), 1],
    "timestamp-millis": [NAIVE, DAY, 1],
    "timestamp-micros": [NAIVE, DAY, 1],
    "local-timestamp-millis": [NOW, DAY, 1],
    "local-timestamp-micros": [NOW, DAY, 1],
    "array": ["ab", {}, None],
    "map": [[], "ab", {1: 1}],
    "record": [[], None, "ab"],
    "union": [complex(1), object()],
}


@given(schemas_and_payloads(), st.data())
@settings(max_examples=EXAMPLES)
def test_one_wrong_value_is_refused_with_its_path(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    payload = thaw(payload)
    path, steps, inner = data.draw(st.sampled_from(places(schema, payload, "", ())))
    wrong = data.draw(st.sampled_from(WRONG[kind_of(inner)]))
    error = refuse(schema, replace(payload, steps, wrong))
    if wrong == {1: 1}:
        assert error.path == f"{path}[1 (int)]"
    else:
        assert error.path == path


@given(schemas_and_payloads(), st.data())
@settings(max_examples=EXAMPLES)
def test_one_field_too_many_is_refused_with_its_path(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    payload = thaw(payload)
    records = [place for place in places(schema, payload, "", ()) if kind_of(place[2]) == "record"]
    path, steps, _ = data.draw(st.sampled_from(records))
    changed = copy.deepcopy(payload)
    target = changed
    for step in steps:
        target = target[step]
    target["unknown"] = 1
    assert refuse(schema, changed).path == (f"{path}.unknown" if path else "unknown")


@given(schemas_and_payloads(), st.data())
@settings(max_examples=EXAMPLES)
def test_one_field_too_few_is_refused_with_its_path(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    payload = thaw(payload)
    needed = [field["name"] for field in schema["fields"] if "default" not in field]
    if needed:
        name = data.draw(st.sampled_from(needed))
        del payload[name]
        assert refuse(schema, payload).path == name
