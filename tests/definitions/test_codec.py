from __future__ import annotations

import io
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from payload_strategies import (
    default_value,
    kind_of,
    logical,
    nodes,
    parts,
    payloads,
    record,
    record_schemas,
    recursive_schema,
    same,
    schemas_and_payloads,
    stored,
)

from platform_events.definitions.codec import DecodeError, PayloadDecoder, PayloadEncoder


def round_trip(schema: dict[str, Any], payload: Any) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(PayloadEncoder(schema).encode(payload))


def decode(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(body)


@given(schemas_and_payloads())
def test_what_fits_reads_back_equal(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    result = round_trip(schema, payload)
    assert same(result, stored(schema, payload)), (result, stored(schema, payload))


@given(nodes())
def test_recursive_payloads_read_back_equal(node: dict[str, Any]) -> None:
    result = round_trip(recursive_schema(), node)
    again = round_trip(recursive_schema(), result)
    assert result == again
    assert result["name"] == node["name"]
    assert result["next"] is None or result["next"]["name"] == node["next"]["name"]


@given(schemas_and_payloads())
def test_another_library_reads_the_same(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    body = PayloadEncoder(schema).encode(payload)
    stream = io.BytesIO(body)
    other = fastavro.schemaless_reader(stream, schema)
    assert stream.read() == b""
    assert same(other, PayloadDecoder(schema).decode(body))


def is_written_alike(part: Any) -> bool:
    """Whether fastavro writes the shortest decimals and picks the branch that a value is of.

    It spends a byte more on negative powers of two, and b"" may become an empty array.
    """
    return kind_of(part) != "decimal" and not (isinstance(part, list) and len(part) > 2)


@given(schemas_and_payloads())
def test_bytes_equal_those_of_another_library(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case
    assume(all(map(is_written_alike, parts(schema))))
    stream = io.BytesIO()
    whole = stored(schema, payload)
    fastavro.schemaless_writer(stream, schema, whole, disable_tuple_notation=True)
    assert PayloadEncoder(schema).encode(payload) == stream.getvalue()


@given(schemas_and_payloads(), st.data())
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


@given(record_schemas(), st.binary(max_size=64))
def test_random_bytes_decode_or_are_an_error(schema: dict[str, Any], body: bytes) -> None:
    decoder = PayloadDecoder(schema)
    try:
        payload = decoder.decode(body)
    except DecodeError:
        return
    assert same(round_trip(schema, payload), payload)


@given(schemas_and_payloads(), st.data())
def test_damaged_bodies_decode_or_are_an_error(
    case: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, payload = case
    body = bytearray(PayloadEncoder(schema).encode(payload))
    if not body:
        return
    for _ in range(3):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decoder = PayloadDecoder(schema)
    try:
        payload = decoder.decode(bytes(body))
    except DecodeError:
        return
    assert same(round_trip(schema, payload), payload)


def varint(number: int) -> bytes:
    code = number << 1 if number >= 0 else ~(number << 1)
    data = bytearray()
    while code > 127:
        data.append(code & 127 | 128)
        code >>= 7
    return bytes([*data, code])


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9))
def test_every_long_is_written_and_read_as_avro_says(number: int, behind: bytes) -> None:
    schema = record("long", {"type": "fixed", "name": "F", "size": len(behind)})
    body = PayloadEncoder(schema).encode({"a": number, "b": behind})
    assert body == varint(number) + behind
    assert decode(schema, body) == {"a": number, "b": behind}


@pytest.mark.parametrize("bits", range(64))
def test_longs_next_to_powers_of_two(bits: int) -> None:
    schema = record("long")
    for number in {2**bits - 1, 2**bits, -(2**bits), -(2**bits) - 1}:
        if -(2**63) <= number < 2**63:
            body = PayloadEncoder(schema).encode({"a": number})
            assert body == varint(number)
            assert decode(schema, body) == {"a": number}


NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "next", "type": ["null", "Node"]}],
}
HOSTILE = {
    "empty": (record("long"), b"", "end within"),
    "count beyond the body": (
        record({"type": "array", "items": "long"}),
        varint(2**60) + b"\0" * 9,
        "do not fit",
    ),
    "negative count beyond the body": (
        record({"type": "array", "items": "long"}),
        varint(-(2**63)) + b"\2\0\0",
        "do not fit",
    ),
    "count of entries beyond the body": (
        record({"type": "map", "values": "null"}),
        varint(2**60) + b"\0",
        "do not fit",
    ),
    "count of fixed items beyond the body": (
        record({"type": "array", "items": {"type": "fixed", "name": "F", "size": 4}}),
        varint(3) + b"12341234",
        "do not fit",
    ),
    "block of another size": (
        record({"type": "array", "items": "int"}),
        varint(-1) + varint(2) + b"\2\0",
        "another size",
    ),
    "text beyond the body": (record("string"), varint(2**62) + b"abc", "end within"),
    "bytes beyond the body": (record("bytes"), varint(4) + b"abc", "end within"),
    "fixed beyond the body": (
        record({"type": "fixed", "name": "F", "size": 4}),
        b"abc",
        "end within",
    ),
    "double beyond the body": (record("double"), b"1234567", "end within"),
    "negative length": (record("string"), varint(-1) + b"abc", "cannot be a length"),
    "long negative length": (record("bytes"), varint(-(2**40)) + b"abc", "cannot be a length"),
    "number without end": (record("long"), b"\xff" * 64 + b"\1", "64 bits"),
    "number of 65 bits": (record("long"), b"\xff" * 9 + b"\2", "64 bits"),
    "number of eleven bytes": (record("long"), b"\x80" * 10 + b"\0", "64 bits"),
    "int of 33 bits": (record("int"), varint(2**31), "range of an int"),
    "boolean 2": (record("boolean"), b"\2", "boolean"),
    "branch that is not there": (record(["null", "int"]), b"\4", "no branch"),
    "negative branch": (record(["null", "int"]), b"\1\2", "no branch"),
    "symbol that is not there": (
        record({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
        varint(2),
        "no symbol",
    ),
    "negative symbol": (
        record({"type": "enum", "name": "E", "symbols": ["A", "B"]}),
        varint(-1),
        "no symbol",
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
    "date beyond the calendar": (record(logical("int", "date")), varint(2932897), "malformed"),
    "24 o'clock": (record(logical("int", "time-millis")), varint(86400000), "malformed"),
    "time before midnight": (record(logical("long", "time-micros")), varint(-1), "malformed"),
    "no UUID": (record(logical("string", "uuid")), varint(3) + b"abc", "malformed"),
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
    "a million levels": (NODE, b"\2" * 1_000_000 + b"\0", "deeper"),
    "65 levels": (NODE, b"\2" * 64 + b"\0", "deeper"),
}


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_an_error_with_the_reason(
    case: tuple[dict[str, Any], bytes, str],
) -> None:
    schema, body, reason = case
    with pytest.raises(DecodeError, match=reason) as caught:
        decode(schema, body)
    assert "\n" not in str(caught.value)


def test_64_levels_are_read_and_written() -> None:
    body = b"\2" * 63 + b"\0"
    payload = decode(NODE, body)
    assert PayloadEncoder(NODE).encode(payload) == body


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
def test_fields_left_out_read_back_as_their_defaults(schema: dict[str, Any]) -> None:
    schema["fields"] = [field for field in schema["fields"] if "default" in field]
    expected = {
        field["name"]: default_value(field["type"], field["default"]) for field in schema["fields"]
    }
    assert same(round_trip(schema, {}), expected)


DEFAULTS = [
    ("bytes", "\u00ff\u0000", b"\xff\x00"),
    ({"type": "fixed", "name": "F", "size": 1}, "\u00ff", b"\xff"),
    (logical("bytes", "decimal", precision=4, scale=2), "\u0004\u00e2", Decimal("12.50")),
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
    (["null", logical("int", "date"), "long"], 1, date(1970, 1, 2)),
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
    with pytest.raises(ValueError, match="default of a in Sample"):
        PayloadEncoder(record(avro_type, default=default))
    PayloadDecoder(record(avro_type, default=default))


UNUSABLE = {
    "no record": {"type": "array", "items": "int"},
    "unknown type": record("Unknown"),
    "two numbers": record(["int", "double"]),
    "two texts": record(["string", logical("int", "date")]),
    "two objects": record([{"type": "map", "values": "int"}, record("int")]),
    "union in union": record(["null", ["int"]]),
    "empty union": record([]),
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
    "record without fields": record({"type": "record", "name": "R"}),
}


@pytest.mark.parametrize("schema", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("make", [PayloadEncoder, PayloadDecoder])
def test_schemas_that_payloads_cannot_have_are_refused(
    schema: Any, make: type[PayloadEncoder | PayloadDecoder]
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        make(schema)


def test_types_nested_too_deeply_are_refused() -> None:
    inline: Any = "int"
    for _ in range(100):
        inline = {"type": "array", "items": inline}
    with pytest.raises(ValueError, match="deeper"):
        PayloadDecoder(record(inline))
    chain = [{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}]
    for index in range(1, 100):
        parts = [{"name": name, "type": f"R{index - 1}"} for name in ("x", "y")]
        chain.append({"type": "record", "name": f"R{index}", "fields": parts})
    fields = [{"name": f"f{index}", "type": item} for index, item in enumerate(chain)]
    with pytest.raises(ValueError, match="deeper"):
        PayloadDecoder({"type": "record", "name": "Top", "fields": fields})


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
        (logical("bytes", "decimal", precision=2, scale=3), b"\1"),
        (logical("fixed", "decimal", name="F", size=1, precision=3), b"\1"),
        (logical("fixed", "duration", name="F", size=12), bytes(12)),
    ],
)
def test_logical_types_that_avro_does_not_define_are_their_base(avro_type: Any, value: Any) -> None:
    assert round_trip(record(avro_type), {"a": value}) == {"a": value}


@given(st.data())
def test_encoders_do_not_change_payloads(data: st.DataObject) -> None:
    schema = data.draw(record_schemas())
    payload = data.draw(payloads(schema))
    before = repr(payload)
    PayloadEncoder(schema).encode(payload)
    assert repr(payload) == before
