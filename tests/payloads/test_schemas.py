"""Schemas that payloads may have: types, names, defaults."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings

from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from tests.payloads.expectations import LOCAL_EPOCH, default_value, logical, record, same
from tests.payloads.payload_strategies import record_schemas
from tests.payloads.samples import round_trip


@given(record_schemas())
@settings(max_examples=50)
def test_fields_left_out_read_back_as_their_defaults(schema: dict[str, Any]) -> None:
    schema["fields"] = [field for field in schema["fields"] if "default" in field]
    expected = {
        field["name"]: default_value(field["type"], field["default"]) for field in schema["fields"]
    }
    assert same(round_trip(schema, {}), expected)


MONEY = logical("bytes", "decimal", precision=4, scale=2)
DEFAULTS = [
    ("bytes", "\u00ff\u0000", b"\xff\x00"),
    ({"type": "fixed", "name": "F", "size": 1}, "\u00ff", b"\xff"),
    (MONEY, "\u0004\u00e2", Decimal("12.50")),
    (logical("int", "date"), 1, date(1970, 1, 2)),
    (logical("int", "time-millis"), 1, time(0, 0, 0, 1000)),
    (logical("long", "timestamp-millis"), -1, datetime(1969, 12, 31, 23, 59, 59, 999000, UTC)),
    (logical("long", "local-timestamp-micros"), 1, LOCAL_EPOCH.replace(microsecond=1)),
    (["null", logical("int", "date")], None, None),
    ([logical("int", "date"), "null"], 0, date(1970, 1, 1)),
    (["bytes", "null"], "\u0080", b"\x80"),
    (["null", "double", MONEY], "\u0001", Decimal("0.01")),
    (["null", "long", logical("int", "date")], 1, 1),
    ("double", 1, 1.0),
    ({"type": "array", "items": "bytes"}, ["\u00fe"], [b"\xfe"]),
]


@pytest.mark.parametrize(("avro_type", "default", "value"), DEFAULTS)
def test_a_default_is_in_avros_notation(avro_type: Any, default: Any, value: Any) -> None:
    assert same(round_trip(record(avro_type, default=default), {}), {"a": value})


def test_a_records_default_is_completed_by_those_of_its_fields() -> None:
    inner = {
        "type": "record",
        "name": "Inner",
        "fields": [
            {"name": "x", "type": "int", "default": 7},
            {"name": "y", "type": "bytes", "default": "\u00ff"},
        ],
    }
    assert round_trip(record(inner, default={"x": 1}), {}) == {"a": {"x": 1, "y": b"\xff"}}


@pytest.mark.parametrize(
    ("avro_type", "default"),
    [("int", "1"), (logical("int", "date"), "2024-01-01"), ("bytes", "\u0100"), ("boolean", None)],
)
def test_a_default_that_does_not_fit_is_refused_when_compiled(avro_type: Any, default: Any) -> None:
    for make in (PayloadEncoder, PayloadDecoder):
        with pytest.raises(ValueError, match=r"(?i)default") as caught:
            make(record(avro_type, default=default))
        assert "\n" not in str(caught.value)


def of(*names: str, avro: Any = "int", name: str = "R") -> dict[str, Any]:
    """A record of fields of one type."""
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": avro} for field in names],
    }


UNUSABLE = {
    "no record": {"type": "array", "items": "int"},
    "unknown type": record("Unknown"),
    "two numbers": record(["int", "double"]),
    "two texts": record(["string", logical("int", "date")]),
    "two objects": record([{"type": "map", "values": "int"}, record("int")]),
    "union in union": record(["null", ["int"]]),
    "empty union": record([]),
    "date before number": record([logical("int", "date"), "null", "double"]),
    "array before bytes": record([{"type": "array", "items": "int"}, "bytes"]),
    "array before decimal": record([{"type": "array", "items": "int"}, MONEY]),
    "record in itself": record(["null", "Sample"]),
    "record in itself, through others": record(of("x", avro={"type": "map", "values": "Sample"})),
    "items without bytes": record({"type": "array", "items": "null"}),
    "records without bytes": record({"type": "array", "items": of()}),
    "field that is no name": of("a'] + exit() #"),
    "repeated field": of("a", "a"),
    "type defined twice": record({"type": "fixed", "name": "F", "size": 1}, of("a", name="F")),
    "enum without symbols": record({"type": "enum", "name": "E", "symbols": []}),
    "fixed without size": record({"type": "fixed", "name": "F"}),
    "no type": record({"name": "F"}),
    "endless digits": record(logical("bytes", "decimal", precision=10**9)),
    "scale beyond the precision": record(logical("bytes", "decimal", precision=2, scale=3)),
    "precision beyond the size": record(logical("fixed", "decimal", name="F", size=1, precision=3)),
    "record without fields": record({"type": "record", "name": "R"}),
}


@pytest.mark.parametrize("schema", UNUSABLE.values(), ids=UNUSABLE)
def test_schemas_that_payloads_cannot_have_are_refused(schema: Any) -> None:
    for make in (PayloadEncoder, PayloadDecoder):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            make(schema)


def chain(length: int) -> dict[str, Any]:
    """A schema of so many records, each of which holds the one before twice."""
    links = [of("x", name="R0")]
    links += [of("x", "y", avro=f"R{index - 1}", name=f"R{index}") for index in range(1, length)]
    fields = [{"name": f"f{index}", "type": link} for index, link in enumerate(links)]
    return {"type": "record", "name": "Top", "fields": fields}


def test_types_nested_too_deeply_are_refused() -> None:
    for levels in (100, 100_000):
        inline: Any = "int"
        for _ in range(levels):
            inline = {"type": "array", "items": inline}
        with pytest.raises(ValueError, match="deeper"):
            PayloadDecoder(record(inline))
    with pytest.raises(ValueError, match="deeper"):
        PayloadDecoder(chain(100))


def test_names_resolve_in_their_namespace() -> None:
    inner = {
        "type": "record",
        "name": "Inner",
        "fields": [
            {"name": "color", "type": {"type": "enum", "name": "Color", "symbols": ["RED"]}},
            {"name": "again", "type": "Color"},
            {"name": "full", "type": "shop.Color"},
        ],
    }
    schema = {
        "type": "record",
        "name": "Top",
        "namespace": "shop",
        "fields": [{"name": "inner", "type": inner}, {"name": "other", "type": ["null", "Inner"]}],
    }
    payload = {"inner": dict.fromkeys(("color", "again", "full"), "RED"), "other": None}
    assert round_trip(schema, payload) == payload
    assert PayloadEncoder(fastavro.parse_schema(schema)).encode(payload) == PayloadEncoder(
        schema
    ).encode(payload)


@pytest.mark.parametrize(
    ("avro_type", "value"),
    [
        (logical("long", "timestamp-nanos"), 1_700_000_000_000_000_000),
        (logical("string", "unheard-of"), "text"),
        (logical("int", "timestamp-millis"), 5),
        (logical("bytes", "decimal"), b"\1"),
        (logical("fixed", "duration", name="F", size=12), bytes(12)),
    ],
)
def test_logical_types_that_avro_does_not_define_are_their_base(avro_type: Any, value: Any) -> None:
    assert round_trip(record(avro_type), {"a": value}) == {"a": value}
