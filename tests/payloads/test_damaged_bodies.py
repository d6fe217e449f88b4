"""Bytes that no encoder wrote are a payload or an error, in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.payloads.codec import DecodeError, PayloadDecoder, PayloadEncoder
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.types import parse_record
from tests.payloads.expectations import logical, record, same
from tests.payloads.payload_strategies import schemas_and_payloads
from tests.payloads.samples import decode, round_trip, varint


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


@given(schemas_and_payloads(), st.binary(max_size=64), st.data())
def test_bodies_cut_short_too_long_damaged_or_made_up_are_judged(
    case: tuple[dict[str, Any], Any], made_up: bytes, data: st.DataObject
) -> None:
    schema, payload = case
    check_that_bytes_are_judged(schema, made_up)
    body = bytearray(PayloadEncoder(schema).encode(payload))
    with pytest.raises(DecodeError, match="left over"):
        decode(schema, bytes(body) + (made_up[:3] or b"\0"))
    if body:
        places = st.integers(0, len(body) - 1)
        with pytest.raises(DecodeError):
            decode(schema, bytes(body[: data.draw(places)]))
        for _ in range(3):
            body[data.draw(places)] = data.draw(st.integers(0, 255))
        check_that_bytes_are_judged(schema, bytes(body))


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
FIXED = {"type": "fixed", "name": "F", "size": 4}
MILLIS = logical("long", "timestamp-millis")
LOCAL = logical("long", "local-timestamp-millis")
MONEY = logical("bytes", "decimal", precision=4, scale=2)
HOSTILE: list[tuple[Any, bytes, str]] = [
    ("long", b"", "end within"),
    # Counts of items or entries that are not there.
    ({"type": "array", "items": "long"}, varint(2**60) + b"\0" * 9, "end within"),
    ({"type": "array", "items": "long"}, varint(-(2**62)) + b"\2\0\0", "end within"),
    ({"type": "map", "values": "null"}, varint(2**60) + b"\0", "end within"),
    ({"type": "array", "items": FIXED}, varint(3) + b"12341234", "end within"),
    # Lengths of what is not there.
    ("string", varint(2**62) + b"abc", "end within"),
    ("bytes", varint(4) + b"abc", "end within"),
    (FIXED, b"abc", "end within"),
    ("double", b"1234567", "end within"),
    ("string", varint(-1) + b"abc", "negative"),
    ("bytes", varint(-(2**40)) + b"abc", "negative"),
    # Branches and symbols that are not there.
    (["null", "int"], b"\4", "branch"),
    (ENUM, varint(2), "symbol"),
    # Text that is no UTF-8, and half of a surrogate pair.
    ("string", varint(2) + b"\xff\xfe", "UTF-8"),
    ("string", varint(3) + b"\xed\xa0\x80", "UTF-8"),
    ({"type": "map", "values": "int"}, varint(1) + varint(1) + b"\xff\0\0", "UTF-8"),
    # The years 10000 and 0, and hour 24.
    (MILLIS, varint(253402300800000), "years"),
    (logical("long", "timestamp-micros"), varint(-62135596800000001), "years"),
    (MILLIS, varint(2**63 - 1), "years"),
    (LOCAL, varint(253402300800000), "years"),
    (logical("int", "date"), varint(2932897), "year 10000"),
    (logical("int", "time-millis"), varint(86400000), "hour"),
    (logical("string", "uuid"), varint(3) + b"abc", "UUID"),
    (MONEY, varint(2) + (10000).to_bytes(2, "big"), "digits"),
    (MONEY, varint(1_000_000) + b"\x7f" * 1_000_000, "digits"),
    # An array of a megabyte.
    ({"type": "array", "items": ["null", "long"]}, varint(2**60) + b"\0" * 10**6, "end within"),
]


@pytest.mark.parametrize(
    ("avro", "body", "reason"), HOSTILE, ids=[f"{n}-{case[2]}" for n, case in enumerate(HOSTILE)]
)
def test_hostile_bytes_are_an_error_with_the_reason_in_bounded_memory(
    avro: Any, body: bytes, reason: str
) -> None:
    decoder = PayloadDecoder(record(avro))
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=reason) as caught:
            decoder.decode(body)
        # Items before the end have been read when it is reached.
        most = (32 if len(body) > 10**6 and "items" in avro else 4) * len(body) + 100_000
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
