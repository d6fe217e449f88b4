"""Bytes that are no value of a type: the type, the bytes, and what the reason says."""

from __future__ import annotations

from typing import Any

from tests.payloads.expectations import logical
from tests.payloads.samples import varint

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
