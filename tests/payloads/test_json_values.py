from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings

from platform_events.errors import PayloadError
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from platform_events.payloads.json_values import compile_from_json, compile_to_json
from tests.payloads.expectations import JSON_KIND, kind_of, logical, record, same
from tests.payloads.payload_strategies import schemas_and_payloads

DATE = logical("int", "date")
TIME = logical("int", "time-millis")
TIME_MICROS = logical("long", "time-micros")
STAMP = logical("long", "timestamp-millis")
STAMP_MICROS = logical("long", "timestamp-micros")
LOCAL = logical("long", "local-timestamp-millis")
LOCAL_MICROS = logical("long", "local-timestamp-micros")
MONEY = logical("bytes", "decimal", precision=9, scale=2)
UUID_TYPE = logical("string", "uuid")
ID = UUID("123e4567-e89b-12d3-a456-426614174000")
NOON = datetime(2024, 1, 31, 12, 30, tzinfo=UTC)
FOUR = {"type": "fixed", "name": "Four", "size": 4}


def read(avro_type: Any, value: Any) -> Any:
    return compile_from_json(record(avro_type))({"a": value})["a"]


def publish(avro_type: Any, value: Any) -> Any:
    """What a field reads back as after its JSON went all the way."""
    schema = record(avro_type)
    body = PayloadEncoder(schema).encode(compile_from_json(schema)({"a": value}))
    return PayloadDecoder(schema).decode(body)["a"]


def write(avro_type: Any, value: Any) -> Any:
    return compile_to_json(record(avro_type))({"a": value})["a"]


def loses_nan(schema: Any, value: Any) -> bool:
    """Whether NaN or an infinity is in a union that also takes text."""
    match kind_of(schema):
        case "array":
            return any(loses_nan(schema["items"], item) for item in value)
        case "map":
            return any(loses_nan(schema["values"], item) for item in value.values())
        case "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            return any(loses_nan(types[name], item) for name, item in value.items())
        case "union":
            kinds = {JSON_KIND.get(kind_of(branch), "string") for branch in schema}
            if isinstance(value, float) and not math.isfinite(value):
                return "string" in kinds
            containers = {list: "array", dict: "object"}
            kind = containers.get(type(value))
            inner = [item for item in schema if JSON_KIND.get(kind_of(item)) == kind]
            return bool(kind) and loses_nan(inner[0], value)
    return False


@given(schemas_and_payloads())
@settings(max_examples=50)
def test_json_reads_back_as_what_was_written(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    decoded = PayloadDecoder(schema).decode(PayloadEncoder(schema).encode(payload))
    before = repr(decoded)
    text = json.dumps(compile_to_json(schema)(decoded))
    assert repr(decoded) == before
    if loses_nan(schema, decoded):
        return
    document = json.loads(text, parse_constant=pytest.fail)
    again = compile_from_json(schema)(document)
    assert json.dumps(document) == text
    body = PayloadEncoder(schema).encode(again)
    assert same(PayloadDecoder(schema).decode(body), decoded)


WRITTEN = [
    (DATE, date(33, 1, 31), "0033-01-31"),
    (TIME, time(12, 30), "12:30:00.000"),
    (TIME_MICROS, time(12, 30, 1, 5), "12:30:01.000005"),
    (STAMP, datetime(2024, 1, 31, 12, 30, tzinfo=UTC), "2024-01-31T12:30:00.000Z"),
    (STAMP_MICROS, datetime(2024, 1, 31, 12, 30, 0, 5, UTC), "2024-01-31T12:30:00.000005Z"),
    (LOCAL, NOON.replace(tzinfo=None), "2024-01-31T12:30:00.000"),
    (LOCAL_MICROS, NOON.replace(tzinfo=None), "2024-01-31T12:30:00.000000"),
    (MONEY, Decimal("12.50"), "12.50"),
    (MONEY, Decimal("0.00"), "0.00"),
    (logical("bytes", "decimal", precision=9, scale=9), Decimal("1E-9"), "0.000000001"),
    (UUID_TYPE, ID, str(ID)),
    ("bytes", b"\xfb\xff\x00", "+/8A"),
    ("bytes", b"", ""),
    (FOUR, b"\x00\x01\x02\x03", "AAECAw=="),
    ("double", math.nan, "NaN"),
    ("double", math.inf, "Infinity"),
    ("float", -math.inf, "-Infinity"),
    ("double", 1.5, 1.5),
    ("long", 2**60, 2**60),
    (["null", DATE], None, None),
    (["null", DATE], date(2024, 1, 31), "2024-01-31"),
    (["null", "double", "string"], math.inf, "Infinity"),
    (["null", "double", "string"], "Infinity", "Infinity"),
    ({"type": "array", "items": DATE}, [date(2024, 1, 31)], ["2024-01-31"]),
    ({"type": "map", "values": "bytes"}, {"x": b"A"}, {"x": "QQ=="}),
    ({"type": "enum", "name": "E", "symbols": ["A"]}, "A", "A"),
]


@pytest.mark.parametrize(("avro_type", "value", "document"), WRITTEN)
def test_values_are_written(avro_type: Any, value: Any, document: Any) -> None:
    result = write(avro_type, value)
    assert same(result, document)


def test_a_time_stamp_that_is_not_in_utc_keeps_its_zone() -> None:
    moment = datetime(2024, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    assert write(STAMP, moment) == "2024-01-31T12:30:00.000+02:00"


READ = [
    (DATE, "2024-01-31", date(2024, 1, 31)),
    (DATE, 1, date(1970, 1, 2)),
    (DATE, -719162, date(1, 1, 1)),
    (TIME, "12:30", time(12, 30)),
    (TIME, "12:30:01.5", time(12, 30, 1, 500000)),
    (TIME, "12:30:01,5", time(12, 30, 1, 500000)),
    (TIME, 1, time(0, 0, 0, 1000)),
    (TIME, "12:30:00.0019999999", time(12, 30, 0, 1000)),
    (TIME_MICROS, 86_399_999_999, time(23, 59, 59, 999999)),
    (STAMP, "2024-01-31T12:30:00Z", NOON),
    (STAMP, "2024-01-31t12:30z", NOON),
    (STAMP, "2024-01-31 12:30:00+00:00", NOON),
    (STAMP, "2024-01-31T14:30:00.000+02:00", NOON),
    (STAMP, "2024-01-31T14:30:00+0200", NOON),
    (STAMP, "2024-01-31T07:30:00-05", NOON),
    (STAMP, "2024-01-31T12:30:00.0009Z", NOON),
    (STAMP_MICROS, "2024-01-31T12:30:00.000001999Z", NOON.replace(microsecond=1)),
    (STAMP, 1706704200000, NOON),
    (STAMP_MICROS, -1, datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
    (LOCAL, "2024-01-31T12:30:00", NOON.replace(tzinfo=None)),
    (LOCAL, 1706704200000, NOON.replace(tzinfo=None)),
    (MONEY, "12.5", Decimal("12.50")),
    (MONEY, "-.5", Decimal("-0.50")),
    (MONEY, "1e3", Decimal("1000.00")),
    (MONEY, 12, Decimal("12.00")),
    (UUID_TYPE, str(ID).upper(), ID),
    ("bytes", "+/8A", b"\xfb\xff\x00"),
    ("double", "NaN", math.nan),
    ("double", "-Infinity", -math.inf),
    ("float", "Infinity", math.inf),
    ("double", 3, 3.0),
    (["null", "double"], "NaN", math.nan),
    (["null", "double", "string"], "NaN", "NaN"),
    (["null", STAMP], 1706704200000, NOON),
    (["int", STAMP], 5, 5),
    (["int", STAMP], "2024-01-31T12:30:00Z", NOON),
    (["long", MONEY], 5, 5),
    (["null", "int", {"type": "array", "items": DATE}], [1], [date(1970, 1, 2)]),
]


@pytest.mark.parametrize(("avro_type", "document", "value"), READ)
def test_documents_are_read(avro_type: Any, document: Any, value: Any) -> None:
    assert same(publish(avro_type, document), value)


REFUSED = [
    (DATE, "20240131", "a date such as"),
    (DATE, "2024-W05-3", "a date such as"),
    (DATE, "2024-02-30", "a date such as"),
    (DATE, "2024-01-31T00:00:00Z", "a date such as"),
    (DATE, "\u0662024-01-31", "a date such as"),
    (DATE, 2932897, "out of range"),
    (DATE, 10**30, "out of range"),
    (DATE, 1.0, "a date such as"),
    (DATE, True, "a date such as"),
    (DATE, None, "a date such as"),
    (TIME, "12:30Z", "without zone"),
    (TIME, "25:00", "without zone"),
    (TIME, 86_400_000, "out of range"),
    (TIME, -1, "out of range"),
    (STAMP, "2024-01-31T12:30:00", "with zone"),
    (STAMP, "2024-01-31", "with zone"),
    (STAMP, "2024-01-31T12:30:00+99:00", "with zone"),
    (STAMP, "tomorrow", "got 'tomorrow'"),
    (STAMP, "2024-01-31T12:30:00Z\n", "with zone"),
    (STAMP, 1706704200.5, "with zone"),
    (STAMP, 2**63, "out of range"),
    (STAMP, ["2024"], "with zone"),
    (STAMP, "0001-01-01T00:00:00+01:00", "years 1 to 9999"),
    (LOCAL, "2024-01-31T12:30:00Z", "without zone"),
    (MONEY, 12.5, "write it as text"),
    (MONEY, "12.505", "after the point"),
    (MONEY, "1e999999999", "before the point"),
    (MONEY, "NaN", "decimal as text"),
    (MONEY, "1_000", "decimal as text"),
    (MONEY, " 1", "decimal as text"),
    (MONEY, True, "decimal as text"),
    (UUID_TYPE, ID.hex, "UUID as text"),
    (UUID_TYPE, f"{{{ID}}}", "UUID as text"),
    (UUID_TYPE, 5, "UUID as text"),
    ("bytes", "-_8A", "base64"),
    ("bytes", "+/8", "base64"),
    ("bytes", "QQ", "base64"),
    ("bytes", "QQ==\n", "base64"),
    ("bytes", "\u00e9", "base64"),
    ("bytes", [65], "base64"),
    (FOUR, "QQ==", "length 4"),
    ("int", 3.0, "whole number"),
    ("int", "3", "whole number"),
    ("long", 2**63, "range of long"),
    ("double", "nan", "number"),
    ("double", 2**53 + 1, "without loss"),
    ("boolean", "true", "true or false"),
    (["null", MONEY], 1.5, "write it as text"),
    (["null", DATE], "soon", "a date such as"),
    (["null", "double"], "soon", "a number"),
]


@pytest.mark.parametrize(("avro_type", "document", "reason"), REFUSED)
def test_wrong_documents_are_refused_with_their_path(
    avro_type: Any, document: Any, reason: str
) -> None:
    fields = [{"name": "x", "type": avro_type}, {"name": "y", "type": "int", "default": 0}]
    inner = {"type": "record", "name": "Inner", "fields": fields}
    outer = {"type": "map", "values": {"type": "array", "items": ["null", inner]}}
    with pytest.raises(PayloadError) as caught:
        publish(avro_type, document)
    assert caught.value.path == "a"
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(PayloadError) as caught:
        publish(outer, {"k": [None, {"x": document}]})
    assert caught.value.path == 'a["k"][1].x'
    assert reason in str(caught.value)


@pytest.mark.parametrize("document", [None, [], 5, "text", {"a": []}, {"a": 5}, {"b": 1}, {}])
def test_documents_of_another_shape_are_left_to_the_encoder(document: Any) -> None:
    schema = record({"type": "map", "values": DATE})
    payload = compile_from_json(schema)(document)
    assert payload == document
    with pytest.raises(PayloadError):
        PayloadEncoder(schema).encode(payload)


def test_nothing_to_convert_means_nothing_copied() -> None:
    schema = record("string", ["null", "int"], {"type": "array", "items": "long"})
    document = {"a": "x", "b": None, "c": [1]}
    assert compile_from_json(schema)(document) is document
    assert compile_to_json(schema)(document) is document


def test_conversion_leaves_its_argument_alone() -> None:
    schema = record({"type": "array", "items": DATE})
    document = {"a": ["2024-01-31"]}
    payload = compile_from_json(schema)(document)
    assert document == {"a": ["2024-01-31"]}
    assert compile_to_json(schema)(payload) == document
    assert payload == {"a": [date(2024, 1, 31)]}
