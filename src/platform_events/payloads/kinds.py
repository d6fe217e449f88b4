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


def annotates(logical: str, base: str) -> bool:
    """Whether a logical type, `decimal` apart, may annotate a base."""
    return (
        logical != "decimal" and logical in LOGICAL_TYPES and base in LOGICAL_TYPES[logical].bases
    )
