"""Whole numbers in every length, alone and in arrays, against an encoding written here."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder, PayloadWalk
from tests.payloads.expectations import record
from tests.payloads.samples import Level, decode, refuse, round_trip, varint

POWERS = st.integers(0, 63).map(lambda exponent: 1 << exponent)
NEAR = st.builds(
    lambda power, sign, step: max(-(2**63), min(2**63 - 1, sign * power + step)),
    POWERS,
    st.sampled_from([1, -1]),
    st.integers(-2, 2),
)
LONGS = NEAR | st.integers(-(2**63), 2**63 - 1)
LAST = record("long")
BETWEEN = record("long", "string")


@given(LONGS, st.text("x", max_size=9))
def test_a_long_is_written_and_read_in_every_length(number: int, text: str) -> None:
    tail = varint(len(text)) + text.encode()
    for schema, payload, body in (
        (LAST, {"a": number}, varint(number)),
        (BETWEEN, {"a": number, "b": text}, varint(number) + tail),
    ):
        assert PayloadEncoder(schema).encode(payload) == body
        assert PayloadDecoder(schema).decode(body) == payload
        PayloadWalk(schema).check(body)


@given(LONGS, st.integers(0, 9), st.sampled_from([b"", b"\x02x" * 4]))
def test_a_long_of_needless_bytes_is_read(number: int, extra: int, tail: bytes) -> None:
    body = bytearray(varint(number))
    extra = min(extra, 10 - len(body))
    if extra:
        body[-1] |= 128
        body += b"\x80" * (extra - 1) + b"\0"
    schema = record("long", *["string"] * (len(tail) // 2))
    assert decode(schema, bytes(body) + tail)["a"] == number
    PayloadWalk(schema).check(bytes(body) + tail)


@given(
    st.sampled_from([("int", 31), ("long", 63)]),
    st.lists(NEAR, min_size=1, max_size=4),
    st.sampled_from([1, 6, 7, 16, 17, 30]),
    st.sampled_from([list, tuple]),
)
def test_arrays_of_numbers_are_written(
    kind: tuple[str, int], few: list[int], size: int, sequence: Any
) -> None:
    limit = 1 << kind[1]
    numbers = [(number + limit) % (2 * limit) - limit for number in (few * size)[:size]]
    schema = record({"type": "array", "items": kind[0]})
    body = varint(size) + b"".join(map(varint, numbers)) + b"\0"
    assert PayloadEncoder(schema).encode({"a": sequence(numbers)}) == body
    assert decode(schema, body) == {"a": numbers}


@pytest.mark.parametrize("size", [1, 7, 17, 40])
@pytest.mark.parametrize("usual", [5, 1_000, 2**30, -(2**30)])
@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("int", True, "whole number"),
        ("int", 5.0, "whole number"),
        ("int", None, "whole number"),
        ("int", 2**31, "range of int"),
        ("int", -(2**31) - 1, "range of int"),
        ("int", 2**63, "range of int"),
        ("long", 2**63, "range of long"),
        ("long", -(2**63) - 1, "range of long"),
    ],
)
def test_one_wrong_number_is_found_among_many(
    kind: str, value: Any, reason: str, usual: int, size: int
) -> None:
    schema = record({"type": "array", "items": kind})
    for place in {0, size // 2, size - 1}:
        items: list[Any] = [usual] * size
        items[place] = value
        error = refuse(schema, {"a": items})
        assert error.path == f"a[{place}]"
        assert reason in str(error)


@pytest.mark.parametrize("usual", [5, 2**40])
def test_ints_of_other_classes_are_numbers_among_many(usual: int) -> None:
    schema = record({"type": "array", "items": "long"})
    result = round_trip(schema, {"a": [usual] * 30 + [Level.HIGH]})["a"]
    assert result == [usual] * 30 + [3]
    assert {type(item) for item in result} == {int}
