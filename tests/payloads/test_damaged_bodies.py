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
from tests.payloads.expectations import record, same
from tests.payloads.payload_strategies import numbers_in_blocks, schemas_and_payloads
from tests.payloads.samples import decode, read_by_library, round_trip, varint
from tests.payloads.wrong_bodies import HOSTILE, MISREAD


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
