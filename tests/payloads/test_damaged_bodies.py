"""Bytes that no encoder wrote are a payload or an error, in bounded memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.payloads.codec import (
    DecodeError,
    PayloadDecoder,
    PayloadEncoder,
    PayloadWalk,
)
from tests.payloads.expectations import logical, record, same
from tests.payloads.payload_strategies import numbers_in_blocks, schemas_and_payloads
from tests.payloads.samples import decode, read_by_library, round_trip, varint


def check_that_bytes_are_judged(schema: dict[str, Any], body: bytes) -> None:
    """They are an error, also for the walk, or a payload for both, which encodes again."""
    walk = PayloadWalk(schema).check
    try:
        payload = decode(schema, body)
    except DecodeError as refusal:
        reason = str(refusal)
        assert "\n" not in reason
        assert len(reason) < 200
        with pytest.raises(DecodeError, match=r"^[^\n]{1,200}$"):
            walk(body)
        return
    walk(body)
    assert same(read_by_library(schema, body), payload)
    assert same(round_trip(schema, payload), payload)


@given(schemas_and_payloads(), st.binary(max_size=64), st.data())
def test_bodies_cut_short_too_long_damaged_or_made_up_are_judged(
    case: tuple[dict[str, Any], Any], made_up: bytes, data: st.DataObject
) -> None:
    schema, payload = case
    check_that_bytes_are_judged(schema, made_up)
    body = bytearray(PayloadEncoder(schema).encode(payload))
    check_that_bytes_are_judged(schema, bytes(body))
    with pytest.raises(DecodeError, match="left over"):
        decode(schema, bytes(body) + (made_up[:3] or b"\0"))
    if body:
        places = st.integers(0, len(body) - 1)
        with pytest.raises(DecodeError):
            decode(schema, bytes(body[: data.draw(places)]))
        for _ in range(3):
            body[data.draw(places)] = data.draw(st.integers(0, 255))
        check_that_bytes_are_judged(schema, bytes(body))


@given(numbers_in_blocks(), st.data())
def test_arrays_of_numbers_are_judged_whatever_their_blocks_are(
    case: tuple[str, bytes, list[int]], data: st.DataObject
) -> None:
    kind, written, numbers = case
    schema = record({"type": "array", "items": kind}, "int")
    body = bytearray(written + varint(7))
    assert decode(schema, bytes(body)) == {"a": numbers, "b": 7}
    check_that_bytes_are_judged(schema, bytes(body))
    for _ in range(2):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
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


MANY = {"type": "array", "items": "int"}
LONGS = {"type": "array", "items": "long"}
NEGATIVE = varint(-1)
MISREAD: list[tuple[Any, bytes, str]] = [
    ("boolean", b"\2", "boolean"),
    # Python counts the last of a list as -1.
    (["null", "int"], NEGATIVE + b"\2", "branch"),
    (ENUM, NEGATIVE, "symbol"),
    (ENUM | {"symbols": [f"S{number}" for number in range(100)]}, NEGATIVE, "symbol"),
    ("int", varint(2**31), "range of int"),
    ("int", varint(-(2**31) - 1), "range of int"),
    ("long", b"\xff" * 9 + b"\x02", "64 bits"),
    ("long", b"\x80" * 10 + b"\0", "64 bits"),
    (MANY, varint(30) + varint(9) * 29 + varint(2**31) + b"\0", "range of int"),
    (MANY, varint(2) + varint(9) + varint(-(2**31) - 1) + b"\0", "range of int"),
    (LONGS, varint(30) + b"\2" * 29 + b"\xff" * 9 + b"\x7f\0", "64 bits"),
]


@pytest.mark.parametrize(
    ("avro", "body", "reason"), MISREAD, ids=[f"{n}-{case[2]}" for n, case in enumerate(MISREAD)]
)
def test_bytes_that_the_library_misreads_are_refused(avro: Any, body: bytes, reason: str) -> None:
    schema = record(avro)
    read_by_library(schema, body)
    for read in (PayloadDecoder(schema).decode, PayloadWalk(schema).check):
        with pytest.raises(DecodeError, match=reason):
            read(body)


@pytest.mark.parametrize(
    ("avro", "body", "reason"), HOSTILE, ids=[f"{n}-{case[2]}" for n, case in enumerate(HOSTILE)]
)
def test_hostile_bytes_are_an_error_with_the_reason_in_bounded_memory(
    avro: Any, body: bytes, reason: str
) -> None:
    schema = record(avro)
    with pytest.raises(DecodeError):
        PayloadWalk(schema).check(body)
    decoder = PayloadDecoder(schema)
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


class Failing(bytes):
    """A body that fails when it is read."""

    failure: Exception

    def __getitem__(self, key: Any) -> Any:
        raise self.failure


@pytest.mark.parametrize("failure", [MemoryError(), RecursionError()])
def test_what_is_no_damage_passes(failure: Exception) -> None:
    body = Failing(b"\x02")
    body.failure = failure
    for judge in (PayloadDecoder(record("int")).decode, PayloadWalk(record("int")).check):
        with pytest.raises(type(failure)) as caught:
            judge(body)
        assert caught.value is failure


def test_a_reason_is_never_empty() -> None:
    body = Failing(b"\x02")
    body.failure = ValueError()
    with pytest.raises(DecodeError, match=r"^ValueError$"):
        PayloadDecoder(record("int")).decode(body)
