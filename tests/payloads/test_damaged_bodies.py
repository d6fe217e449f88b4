"""Bytes that no encoder wrote are a payload or an error, in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.payloads.codec import DecodeError, PayloadDecoder, PayloadEncoder
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.types import parse_record
from tests.payloads.expectations import logical, record, same
from tests.payloads.payload_strategies import EXAMPLES, record_schemas, schemas_and_payloads
from tests.payloads.samples import decode, round_trip, varint


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
