"""The table of Avro's types: what each is called, and what its values are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogicalType:
    """An annotation that gives a type another meaning in Python and JSON."""

    bases: tuple[str, ...]
    """Avro types that may carry it, the usual one first."""
    meaning: str
    """What the value is, and its Avro form."""


PRIMITIVES = {
    "null": "no value",
    "boolean": "true or false",
    "int": "whole number of 32 bits",
    "long": "whole number of 64 bits",
    "float": "floating-point number of 32 bits",
    "double": "floating-point number of 64 bits",
    "bytes": "bytes",
    "string": "Unicode text",
}

_JSON_KINDS = {
    "null": "null",
    "boolean": "boolean",
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    "array": "array",
    **dict.fromkeys(("map", "record"), "object"),
}

LOGICAL_TYPES = {
    "date": LogicalType(("int",), "days since 1970-01-01"),
    "time-millis": LogicalType(("int",), "milliseconds since midnight"),
    "time-micros": LogicalType(("long",), "microseconds since midnight"),
    "timestamp-millis": LogicalType(("long",), "milliseconds since 1970-01-01 UTC"),
    "timestamp-micros": LogicalType(("long",), "microseconds since 1970-01-01 UTC"),
    "local-timestamp-millis": LogicalType(("long",), "milliseconds since 1970-01-01 local time"),
    "local-timestamp-micros": LogicalType(("long",), "microseconds since 1970-01-01 local time"),
    "decimal": LogicalType(("bytes", "fixed"), "exact number with a fixed number of digits"),
    "uuid": LogicalType(("string",), "UUID as text"),
}

_DAY = 86_400
_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, which Python's dates reach."""


def _timestamps(unit: int) -> tuple[int, int]:
    return _DAYS[0] * _DAY * unit, (_DAYS[1] + 1) * _DAY * unit - 1


WHOLE_NUMBERS = {
    "int": (-(1 << 31), (1 << 31) - 1),
    "long": (-(1 << 63), (1 << 63) - 1),
    "date": _DAYS,
    "time-millis": (0, _DAY * 1_000 - 1),
    "time-micros": (0, _DAY * 1_000_000 - 1),
    "timestamp-millis": _timestamps(1_000),
    "timestamp-micros": _timestamps(1_000_000),
    "local-timestamp-millis": _timestamps(1_000),
    "local-timestamp-micros": _timestamps(1_000_000),
}
"""The least and the greatest number of each type whose values Avro stores as whole numbers."""


def json_kind_of(kind: str) -> str:
    """Return what values of a type are in JSON: of a logical type, they are text."""
    return _JSON_KINDS.get(kind, "string")


def has_room(size: int, digits: int) -> bool:
    """Whether a number of so many bytes can have so many digits (Avro 1.12, Decimal)."""
    return int(10**digits) <= 1 << max(8 * size - 1, 0)


def annotates(logical: str, base: str) -> bool:
    """Whether a logical type, `decimal` apart, may annotate a base."""
    return (
        logical != "decimal" and logical in LOGICAL_TYPES and base in LOGICAL_TYPES[logical].bases
    )
