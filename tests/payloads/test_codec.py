"""What is encoded is decoded again, by this codec and by another library."""

from __future__ import annotations

import io
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given

from platform_events.payloads.codec import PayloadEncoder
from tests.payloads.expectations import kind_of, logical, record, same, stored
from tests.payloads.payload_strategies import parts, schemas_and_payloads
from tests.payloads.samples import decode, read_by_library, round_trip, varint


@given(schemas_and_payloads())
def test_what_fits_is_written_as_another_library_does_and_reads_back_equal(
    case: tuple[dict[str, Any], Any],
) -> None:
    schema, payload = case
    before, whole = repr(payload), stored(schema, payload)
    body = PayloadEncoder(schema).encode(payload)
    assert repr(payload) == before
    result = decode(schema, body)
    assert same(result, whole), (result, whole)
    assert same(read_by_library(schema, body), result)
    # fastavro spends a byte more than it has to on negative powers of two.
    if "decimal" not in map(kind_of, parts(schema)):
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, whole, disable_tuple_notation=True)
        assert body == stream.getvalue()


def test_a_short_body_after_a_long_one_is_its_own() -> None:
    encoder = PayloadEncoder(record("string"))
    bodies = [encoder.encode({"a": "x" * length}) for length in (10_000, 2, 500)]
    assert bodies == [varint(length) + b"x" * length for length in (10_000, 2, 500)]


def test_blocks_of_other_writers_are_read() -> None:
    schema = record({"type": "array", "items": "int"}, {"type": "map", "values": "int"})
    items = varint(2) + b"\2\4" + varint(-1) + varint(1) + b"\6\0"
    entries = varint(-1) + varint(3) + b"\2x\2" + varint(1) + b"\2y\4\0"
    assert decode(schema, items + entries) == {"a": [1, 2, 3], "b": {"x": 1, "y": 2}}


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
        datetime(1883, 11, 18, 12, 3, 58, tzinfo=timezone(-timedelta(seconds=17_762))),
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


@pytest.mark.parametrize(
    ("number", "data"),
    [(0, "00"), (127, "7f"), (128, "0080"), (-128, "80"), (-129, "ff7f"), (-32768, "8000")],
)
def test_a_decimal_takes_as_few_bytes_as_it_can(number: int, data: str) -> None:
    schema = record(logical("bytes", "decimal", precision=5, scale=2))
    body = PayloadEncoder(schema).encode({"a": Decimal(number).scaleb(-2)})
    assert body == varint(len(data) // 2) + bytes.fromhex(data)
