from __future__ import annotations

import io
import tracemalloc
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from platform_events.payloads.codec import DecodeError, PayloadDecoder, PayloadEncoder
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.types import parse_record
from tests.payloads.payload_strategies import (
    EXAMPLES,
    default_value,
    kind_of,
    logical,
    parts,
    payloads,
    record,
    record_schemas,
    same,
    schemas_and_payloads,
    stored,
)


def round_trip(schema: dict[str, Any], payload: Any) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(PayloadEncoder(schema).encode(payload))


def decode(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(body)


@given(schemas_and_payloads())
@settings(max_examples=EXAMPLES)
def test_what_fits_reads_back_equal(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    result = round_trip(schema, payload)
    assert same(result, stored(schema, payload)), (result, stored(schema, payload))


@given(schemas_and_payloads())
@settings(max_examples=EXAMPLES)
def test_another_library_reads_the_same(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    body = PayloadEncoder(schema).encode(payload)
    stream = io.BytesIO(body)
    other = fastavro.schemaless_reader(stream, schema)
    assert stream.read() == b""
    assert same(other, PayloadDecoder(schema).decode(body))


@given(schemas_and_payloads())
@settings(max_examples=EXAMPLES)
def test_bytes_equal_those_of_another_library(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    # fastavro spends a byte more than it has to on negative powers of two.
    assume("decimal" not in map(kind_of, parts(schema)))
    stream = io.BytesIO()
    whole = stored(schema, payload)
    fastavro.schemaless_writer(stream, schema, whole, disable_tuple_notation=True)
    assert PayloadEncoder(schema).encode(payload) == stream.getvalue()


@given(schemas_and_payloads(), st.data())
@settings(max_examples=EXAMPLES)
def test_a_body_cut_short_or_too_long_is_an_error(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    body = PayloadEncoder(schema).encode(payload)
    with pytest.raises(DecodeError, match="left over"):
        decode(schema, body + data.draw(st.binary(min_size=1, max_size=3)))
    if body:
        with pytest.raises(DecodeError):
            decode(schema, body[: data.draw(st.integers(0, len(body) - 1))])


def test_a_short_body_after_a_long_one_is_its_own() -> None:
    encoder = PayloadEncoder(record("string"))
    bodies = [encoder.encode({"a": "x" * length}) for length in (1000, 2, 500)]
    assert bodies == [varint(length) + b"x" * length for length in (1000, 2, 500)]


def check_that_bytes_are_judged(schema: dict[str, Any], body: bytes) -> None:
    """They are an error or a payload, which may have an int that is out of range."""
    try:
        payload = decode(schema, body)
    except DecodeError as refusal:
        reason = str(refusal)
        assert "\n" not in reason
        assert len(reason) < 200
        return
    error = explain(parse_record(schema), payload)
    if error is None:
        assert same(round_trip(schema, payload), payload)
    else:
        assert "outside the range of int" in str(error)


@given(record_schemas(), st.binary(max_size=64))
@settings(max_examples=EXAMPLES)
def test_random_bytes_decode_or_are_an_error(schema: dict[str, Any], body: bytes) -> None:
    check_that_bytes_are_judged(schema, body)


@given(schemas_and_payloads(), st.data())
@settings(max_examples=EXAMPLES)
def test_damaged_bodies_decode_or_are_an_error(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    body = bytearray(PayloadEncoder(schema).encode(payload))
    if not body:
        return
    for _ in range(3):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check_that_bytes_are_judged(schema, bytes(body))


def varint(number: int) -> bytes:
    code = number << 1 if number >= 0 else ~(number << 1)
    data = bytearray()
    while code > 127:
        data.append(code & 127 | 128)
        code >>= 7
    return bytes([*data, code])


HOSTILE = {
    "empty": (record("long"), b"", "end within"),
    "count beyond the body": (
        record({"type": "array", "items": "long"}),
        varint(2**60) + b"\0" * 9,
        "end within",
    ),
    "negative count beyond the body": (
        record({"type": "array", "items": "long"}),
        varint(-(2**62)) + b"\2\0\0",
        "end within",
    ),
    "count of entries beyond the body": (
        record({"type": "map", "values": "null"}),
        varint(2**60) + b"\0",
        "end within",
    ),
    "count of fixed items beyond the body": (
        record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 4}}),
        varint(3) + b"12341234",
        "end within",
    ),
    "text beyond the body": (record("string"), varint(2**62) + b"abc", "end within"),
    "bytes beyond the body": (record("bytes"), varint(4) + b"abc", "end within"),
    "fixed beyond the body": (
        record({"type": "fixed", "name": "F", "size": 4}),
        b"abc",
        "end within",
    ),
    "double beyond the body": (record("double"), b"1234567", "end within"),
    "negative length": (record("string"), varint(-1) + b"abc", "end within"),
    "long negative length": (record("bytes"), varint(-(2**40)) + b"abc", "end within"),
    "branch that is not there": (record(["null", "int"]), b"\4", "branch"),
    "symbol that is not there": (
        record({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
        varint(2),
        "symbol",
    ),
    "text that is no UTF-8": (record("string"), varint(2) + b"\xff\xfe", "UTF-8"),
    "encoded surrogate": (record("string"), varint(3) + b"\xed\xa0\x80", "UTF-8"),
    "key that is no UTF-8": (
        record({"type": "map", "values": "int"}),
        varint(1) + varint(1) + b"\xff\0\0",
        "UTF-8",
    ),
    "year 10000": (record(logical("long", "timestamp-millis")), varint(253402300800000), "years"),
    "year 0": (record(logical("long", "timestamp-micros")), varint(-62135596800000001), "years"),
    "time stamp of 2**63": (
        record(logical("long", "timestamp-millis")),
        varint(2**63 - 1),
        "years",
    ),
    "local year 10000": (
        record(logical("long", "local-timestamp-millis")),
        varint(253402300800000),
        "years",
    ),
    "date beyond the calendar": (record(logical("int", "date")), varint(2932897), "year 10000"),
    "24 o'clock": (record(logical("int", "time-millis")), varint(86400000), "hour"),
    "no UUID": (record(logical("string", "uuid")), varint(3) + b"abc", "UUID"),
    "decimal of 5 digits": (
        record(logical("bytes", "decimal", precision=4, scale=2)),
        varint(2) + (10000).to_bytes(2, "big"),
        "digits",
    ),
    "decimal of a megabyte": (
        record(logical("bytes", "decimal", precision=4, scale=2)),
        varint(1_000_000) + b"\x7f" * 1_000_000,
        "digits",
    ),
}


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_an_error_with_the_reason(
    case: tuple[dict[str, Any], bytes, str],
) -> None:
    schema, body, reason = case
    decoder = PayloadDecoder(schema)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=reason) as caught:
            decoder.decode(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body) + 100_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_an_array_of_a_megabyte_takes_memory_in_proportion() -> None:
    schema = record({"type": "array", "items": ["null", "long"]})
    body = varint(2**60) + b"\0" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="end within"):
            decode(schema, body)
        assert tracemalloc.get_traced_memory()[1] < 32 * len(body)
    finally:
        tracemalloc.stop()


def test_blocks_of_other_writers_are_read() -> None:
    schema = record({"type": "array", "items": "int"}, {"type": "map", "values": "int"})
    body = (
        varint(2)
        + b"\2\4"
        + varint(-1)
        + varint(1)
        + b"\6"
        + b"\0"
        + varint(-1)
        + varint(3)
        + b"\2x\2"
        + varint(1)
        + b"\2y\4"
        + b"\0"
    )
    assert decode(schema, body) == {"a": [1, 2, 3], "b": {"x": 1, "y": 2}}


def test_numbers_of_needless_length_are_read() -> None:
    assert decode(record("long"), b"\x82\x80\x00") == {"a": 1}
    assert decode(record("long"), b"\x82" + b"\x80" * 8 + b"\x00") == {"a": 1}


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        datetime(
            1883, 11, 18, 12, 3, 58, tzinfo=timezone(-timedelta(hours=4, minutes=56, seconds=2))
        ),
    ],
)
@pytest.mark.parametrize("kind", ["timestamp-millis", "timestamp-micros"])
def test_moments_survive(moment: datetime, kind: str) -> None:
    result = round_trip(record(logical("long", kind)), {"a": moment})["a"]
    assert result == moment
    assert result.tzinfo is UTC


def test_what_a_type_cannot_hold_is_cut_towards_the_past() -> None:
    schema = record(logical("long", "timestamp-millis"), logical("int", "time-millis"))
    early = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    assert round_trip(schema, {"a": early, "b": time(1, 2, 3, 4999)}) == {
        "a": early.replace(microsecond=999000),
        "b": time(1, 2, 3, 4000),
    }


@pytest.mark.parametrize(
    "text", ["0", "-0", "-1.28", "-327.68", "1.5", "1E+2", "999.99", "-999.99"]
)
@pytest.mark.parametrize("base", ["bytes", "fixed"])
def test_decimals_survive(text: str, base: str) -> None:
    extra = {"name": "F", "size": 4} if base == "fixed" else {}
    schema = record(logical(base, "decimal", precision=5, scale=2, **extra))
    result = round_trip(schema, {"a": Decimal(text)})["a"]
    assert result == Decimal(text)
    assert result.as_tuple().exponent == -2


@given(record_schemas())
@settings(max_examples=EXAMPLES)
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
    (
        logical("long", "local-timestamp-micros"),
        1,
        datetime.fromisoformat("1970-01-01T00:00:00.000001"),
    ),
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
    "array before decimal": record(
        [{"type": "array", "items": "int"}, logical("bytes", "decimal", precision=4)]
    ),
    "record in itself": record(["null", "Sample"]),
    "record in itself, through others": record(
        {
            "type": "record",
            "name": "A",
            "fields": [{"name": "x", "type": {"type": "map", "values": "Sample"}}],
        }
    ),
    "items without bytes": record({"type": "array", "items": "null"}),
    "records without bytes": record(
        {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}
    ),
    "field that is no name": {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a'] + exit() #", "type": "int"}],
    },
    "repeated field": {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}],
    },
    "type defined twice": record(
        {"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 2}
    ),
    "enum without symbols": record({"type": "enum", "name": "E", "symbols": []}),
    "fixed without size": record({"type": "fixed", "name": "F"}),
    "no type": record({"name": "F"}),
    "endless digits": record(logical("bytes", "decimal", precision=10**9)),
    "scale beyond the precision": record(logical("bytes", "decimal", precision=2, scale=3)),
    "precision beyond the size": record(logical("fixed", "decimal", name="F", size=1, precision=3)),
    "record without fields": record({"type": "record", "name": "R"}),
}


@pytest.mark.parametrize("schema", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("make", [PayloadEncoder, PayloadDecoder])
def test_schemas_that_payloads_cannot_have_are_refused(
    schema: Any, make: type[PayloadEncoder | PayloadDecoder]
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        make(schema)


def chain(length: int) -> dict[str, Any]:
    """A schema of so many records, each of which holds the one before twice."""
    links = [{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}]
    for index in range(1, length):
        fields = [{"name": name, "type": f"R{index - 1}"} for name in ("x", "y")]
        links.append({"type": "record", "name": f"R{index}", "fields": fields})
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
        "fields": [
            {"name": "inner", "type": inner},
            {"name": "other", "type": ["null", "Inner"]},
        ],
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


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_encoders_do_not_change_payloads(data: st.DataObject) -> None:
    schema = data.draw(record_schemas())
    payload = data.draw(payloads(schema))
    before = repr(payload)
    PayloadEncoder(schema).encode(payload)
    assert repr(payload) == before
