"""Which Python values a type takes, and which it refuses, for what reason."""

from __future__ import annotations

import collections
import enum
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from tests.payloads.expectations import kind_of, logical, record
from tests.payloads.samples import (
    DAY,
    ID,
    NAIVE,
    NOON,
    NOW,
    TEXTS,
    Color,
    Level,
    refuse,
    round_trip,
)


class Named(enum.StrEnum):
    OPEN = "red"

    def __str__(self) -> str:
        return "something else"


class Nowhere(tzinfo):
    """A zone that knows no offset: what has it is naive."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None


COLORS = {"type": "enum", "name": "Color", "symbols": ["red", "green"]}
FOUR = {"type": "fixed", "name": "Four", "size": 4}
MONEY = logical("bytes", "decimal", precision=5, scale=2)
STAMP = logical("long", "timestamp-millis")
LOCAL = logical("long", "local-timestamp-micros")
COUNTS = {"type": "map", "values": "int"}
TAKEN = [
    ("boolean", True, True),
    ("int", -(2**31), -(2**31)),
    ("int", 2**31 - 1, 2**31 - 1),
    ("int", Level.HIGH, 3),
    ("long", -(2**63), -(2**63)),
    ("long", 2**63 - 1, 2**63 - 1),
    ("double", 2**53, 2.0**53),
    ("double", 10**22, 1e22),
    ("double", float("-inf"), float("-inf")),
    ("float", 2**24, 2.0**24),
    ("float", 0.1, 0.10000000149011612),
    ("float", float("inf"), float("inf")),
    ("string", Color.RED, "red"),
    ("string", "\U0001f600\0", "\U0001f600\0"),
    ("bytes", bytearray(b"ab"), b"ab"),
    (COLORS, Color.RED, "red"),
    (COLORS, Named.OPEN, "red"),
    (FOUR, bytearray(b"abcd"), b"abcd"),
    (TEXTS, ("a", "b"), ["a", "b"]),
    (["null", TEXTS], ("null", "b"), ["null", "b"]),
    (["null", TEXTS], ("string", "b"), ["string", "b"]),
    (COUNTS, collections.Counter("aab"), {"a": 2, "b": 1}),
    (COUNTS, {Color.RED: 1}, {"red": 1}),
    (COUNTS, {"-type": 1}, {"-type": 1}),
    (MONEY, Decimal("999.99"), Decimal("999.99")),
    (MONEY, Decimal("1.500000"), Decimal("1.50")),
    (MONEY, Decimal("0E+1000000"), Decimal(0)),
    (MONEY, Decimal("0E-1000000"), Decimal(0)),
    (MONEY, 999, Decimal(999)),
    (logical("int", "date"), DAY, DAY),
    (logical("int", "time-millis"), NOON, NOON),
    (STAMP, NOW, NOW),
    (LOCAL, NAIVE, NAIVE),
    (LOCAL, NAIVE.replace(tzinfo=Nowhere()), NAIVE),
    (logical("string", "uuid"), ID, ID),
    (["int", MONEY], 5, 5),
    (["int", MONEY], Decimal(5), Decimal(5)),
    ([MONEY, "int"], 5, 5),
    (["int", MONEY], Level.HIGH, 3),
    (["null", MONEY], Level.HIGH, Decimal(3)),
    (["double", STAMP], 5, 5.0),
    (["double", STAMP], NOW, NOW),
    (["bytes", {"type": "array", "items": "int"}], b"", b""),
    (["bytes", {"type": "array", "items": "int"}], b"ab", b"ab"),
    (["bytes", {"type": "array", "items": "int"}], (), []),
    ([MONEY, {"type": "array", "items": "int"}], Decimal(1), Decimal(1)),
    ({"type": "array", "items": MONEY}, (1, Decimal(2)), [Decimal(1), Decimal(2)]),
    ({"type": "map", "values": MONEY}, MappingProxyType({"a": 1}), {"a": Decimal(1)}),
    (["boolean", "int"], True, True),
    (["null", "int", "string"], "5", "5"),
]


@pytest.mark.parametrize(("avro_type", "value", "expected"), TAKEN)
def test_a_value_of_the_right_kind_is_taken(avro_type: Any, value: Any, expected: Any) -> None:
    result = round_trip(record(avro_type), {"a": value})["a"]
    assert result == expected
    assert type(result) is type(expected)


REFUSED = [
    ("null", 0, "null"),
    ("boolean", "false", "true or false"),
    ("boolean", None, "true or false"),
    ("boolean", 0, "got 0"),
    ("boolean", 1.0, "true or false"),
    ("int", 3.0, "whole number"),
    ("int", True, "got True"),
    ("int", "3", "got '3'"),
    ("int", None, "got None"),
    ("int", 2**31, "range of int"),
    ("int", -(2**31) - 1, "range of int"),
    ("int", 10**5000, "16610 bits"),
    ("int", Decimal(3), "whole number"),
    ("long", 2**63, "range of long"),
    ("long", -(2**63) - 1, "range of long"),
    ("long", NOW, "whole number"),
    ("double", True, "number"),
    ("double", "1.5", "number"),
    ("double", Decimal("1.5"), "number"),
    ("double", None, "number"),
    ("double", 2**53 + 1, "without loss"),
    ("double", 10**400, "range of double"),
    ("float", 2**24 + 1, "without loss"),
    ("float", 1e39, "range of float"),
    ("string", 5, "text"),
    ("string", b"abc", "text"),
    ("string", None, "text"),
    ("string", ID, "text"),
    ("string", "a\ud800", "surrogate at index 1"),
    ("bytes", "abc", "bytes"),
    ("bytes", [1, 2], "bytes"),
    ("bytes", memoryview(b"ab"), "bytes"),
    (COLORS, "RED", "one of red, green"),
    (COLORS, 0, "one of red, green"),
    (COLORS, ["red"], "one of red, green"),
    (COLORS, "red\ud800", "one of red, green"),
    (FOUR, b"abc", "length 4"),
    (FOUR, b"abcde", "length 4"),
    (FOUR, "abcd", "length 4"),
    (TEXTS, "abc", "list"),
    (TEXTS, {"a": "b"}, "list"),
    (TEXTS, {"a"}, "list"),
    (TEXTS, None, "list"),
    (COUNTS, [("a", 1)], "mapping"),
    (COUNTS, "a", "mapping"),
    (MONEY, 1.5, "decimal"),
    (MONEY, True, "decimal"),
    (MONEY, "1.50", "decimal"),
    (MONEY, Decimal("NaN"), "finite"),
    (MONEY, Decimal("sNaN"), "finite"),
    (MONEY, Decimal("-Infinity"), "finite"),
    (MONEY, Decimal("1.505"), "2 digits after the point"),
    (MONEY, Decimal("1E-1000000"), "2 digits after the point"),
    (MONEY, Decimal("1000"), "3 digits before the point"),
    (MONEY, Decimal("1E+999999"), "3 digits before the point"),
    (MONEY, 1000, "3 digits before the point"),
    (MONEY, -(10**5000), "3 digits before the point"),
    (logical("int", "date"), NOW, "no datetime"),
    (logical("int", "date"), "2024-01-31", "date"),
    (logical("int", "date"), 5, "date"),
    (logical("int", "time-millis"), NOON.replace(tzinfo=UTC), "without zone"),
    (logical("long", "time-micros"), NAIVE, "time"),
    (STAMP, NAIVE, "with zone"),
    (STAMP, NOW.replace(tzinfo=Nowhere()), "with zone"),
    (STAMP, DAY, "with zone"),
    (STAMP, 1706704200000, "with zone"),
    (STAMP, "2024-01-31T12:30:00Z", "with zone"),
    (STAMP, datetime.fromisoformat("0001-01-01T00:00:00+01:00"), "years 1 to 9999"),
    (STAMP, datetime.fromisoformat("9999-12-31T23:59:59-01:00"), "years 1 to 9999"),
    (LOCAL, NOW, "without zone"),
    (LOCAL, DAY, "without zone"),
    (logical("string", "uuid"), str(ID), "UUID"),
    (logical("string", "uuid"), ID.bytes, "UUID"),
    (["null", "int"], "5", "whole number"),
    (["null", "int"], 2**31, "range of int"),
    (["null", "int", "string"], 5.5, "whole number"),
    (["null", "int", "string"], [], "text"),
    (["null", "int", TEXTS], "5", "one of null, int, array"),
    (["null", "boolean", "int"], "5", "one of null, boolean, int"),
    (["int", "string"], None, "text"),
    (["int", "string"], True, "got True"),
    (["int", MONEY], True, "got True"),
    (["double", STAMP], NAIVE, "with zone"),
    (["bytes", TEXTS], "ab", "bytes"),
    (["null"], 5, "one of null"),
    ("int", complex(1), "got complex"),
    ("string", "x" * 10**6 + "\ud800", "surrogate"),
    ("int", "x" * 10**6, "got 'xxx"),
]


REFUSED_IDS = [f"{kind_of(case[0])}-{number}" for number, case in enumerate(REFUSED)]


@pytest.mark.parametrize(("avro_type", "value", "reason"), REFUSED, ids=REFUSED_IDS)
def test_a_value_of_a_wrong_kind_is_refused_wherever_it_is(
    avro_type: Any, value: Any, reason: str
) -> None:
    fields = [{"name": "x", "type": avro_type}, {"name": "y", "type": "int", "default": 0}]
    inner = {"type": "record", "name": "Inner", "fields": fields}
    for schema, field, path in (
        (avro_type, value, "a"),
        ({"type": "array", "items": inner}, [{"x": value}], "a[0].x"),
        ({"type": "map", "values": inner}, {"k k": {"x": value}}, 'a["k k"].x'),
    ):
        error = refuse(record(schema), {"a": field})
        assert error.path == path
        assert reason in str(error)
