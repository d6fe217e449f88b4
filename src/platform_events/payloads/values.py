"""Which Python values an Avro type without parts takes.

One function per kind decides whether a value fits. The encoder takes shortcuts only for what
these functions accept; the diagnosis asks them for the reason.

Kinds are exact: a bool is no number, a float no int, a date no datetime, text no UUID. An int may
stand for a float if that loses nothing, and for a decimal. What a type stores less precisely than
Python does is rounded or cut off to the type: digits that a 32-bit `float` cannot hold,
microseconds of a `timestamp-millis` or `time-millis`. A decimal is never rounded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.payloads.types import Leaf

INT_LIMIT = 1 << 31
LONG_LIMIT = 1 << 63
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
EPOCH_DAY = EPOCH.toordinal()
"""Ordinal of 1970-01-01, day 0 of Avro's date."""
WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Moves a decimal point without rounding, whatever the caller's own context is."""

_FIRST = timedelta(date.min.toordinal() - EPOCH_DAY)
_AFTER_LAST = timedelta(date.max.toordinal() + 1 - EPOCH_DAY)
_SHOWN = 40

_EXPECTED = {
    "null": "null (None)",
    "boolean": "true or false (a bool)",
    "int": "a whole number (an int)",
    "long": "a whole number (an int)",
    "float": "a number (a float)",
    "double": "a number (a float)",
    "string": "text (a str)",
    "bytes": "bytes",
    "decimal": "a decimal (a Decimal or an int)",
    "uuid": "a UUID (a uuid.UUID)",
    "date": "a date (a datetime.date, no datetime)",
    "time": "a time (a datetime.time without zone)",
    "timestamp": "a point in time (a datetime with zone)",
    "local-timestamp": "a local time stamp (a datetime without zone)",
}


_BASES: dict[type, str] = {
    **dict.fromkeys((int, float), "number"),
    **dict.fromkeys((list, tuple), "array"),
    Mapping: "object",
}
_KINDS = {type(None): "null", bool: "boolean", str: "string", dict: "object", **_BASES}


class MisfitError(ValueError):
    """A value does not fit its type. The text says why."""

    path: str = ""
    """Where, as steps such as `.items[2]`, as far as it is known."""


class DecodeError(ValueError):
    """These bytes are not a payload of the schema. The text is the reason, one line."""


def expectation(leaf: Leaf) -> str:
    """Return what the type takes, in words."""
    if leaf.kind == "fixed":
        return f"bytes of length {leaf.size}"
    if leaf.kind == "enum":
        return f"one of {listed(leaf.symbols)}"
    return _EXPECTED.get(leaf.kind) or _EXPECTED[leaf.family]


def show(value: Any) -> str:
    """Return a value in short, with its type: one line, whatever the value is."""
    kind = type(value).__name__
    match value:
        case None:
            return "None"
        case Enum():
            return f"a {kind}"
        case str() | bytes() | bytearray():
            start = value[:_SHOWN]
            return f"{start!r:.80}{'...' if len(value) > _SHOWN else ''} ({kind})"
        case int() if not -LONG_LIMIT <= value < LONG_LIMIT:
            return f"an int of {value.bit_length()} bits"
        case bool() | int() | float() | UUID() | date() | time():
            return f"{value} ({kind})"
        case Decimal():
            return f"{value:.{_SHOWN}g} ({kind})" if value.is_finite() else f"{value} ({kind})"
    return kind


def json_kind(value: Any) -> str:
    """Return what a payload's value is in JSON; what is nothing else is text."""
    kind = _KINDS.get(type(value))
    if kind is None:
        kind = next((kind for base, kind in _BASES.items() if isinstance(value, base)), "string")
    return kind


def leaf_check(leaf: Leaf) -> Callable[[Any], None]:
    """Return the function that raises `MisfitError` for a value which does not fit the type."""
    match leaf.kind:
        case "enum":
            return partial(_check_symbol, leaf)
        case "fixed":
            return partial(_check_fixed, leaf.size)
        case "decimal":
            return partial(_check_decimal, leaf.precision, leaf.scale)
        case "time-millis" | "time-micros":
            return _check_time
    if "timestamp" in leaf.kind:
        return partial(_check_datetime, leaf.kind.startswith("local"), expectation(leaf))
    return _CHECKS[leaf.kind]


def check_text(value: Any) -> None:
    """Raise `MisfitError` for what is no string; also for keys of a map."""
    if not isinstance(value, str):
        raise _unlike("string", value)
    try:
        str.encode(value)
    except UnicodeEncodeError as error:
        raise MisfitError(
            f"the text has a lone surrogate at index {error.start}; it cannot be written as UTF-8",
        ) from None


def time_of(number: int, micros: int) -> time:
    """Return the time of day that is so many units of so many microseconds after midnight.

    Raises:
        ValueError: it is outside the day.
    """
    seconds, fraction = divmod(number * micros, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return time(hour, minute, second, fraction)


def decimal_of(number: int, scale: int) -> Decimal:
    """Return the decimal that is so many units of its last digit."""
    return Decimal(number).scaleb(-scale, WIDE)


def unscaled(value: Decimal | int, precision: int, scale: int) -> int:
    """Return a decimal as a number of units of its last digit.

    Raises:
        MisfitError: it is not finite, or does not fit precision and scale without rounding.
    """
    limit: int = 10**precision
    number = limit
    if isinstance(value, int):
        # Giants are told apart before they are multiplied or written out.
        if abs(value) < limit:
            number = value * 10**scale
    elif not value.is_finite():
        raise MisfitError(f"expected a finite decimal, got {value}")
    elif not value:
        number = 0
    elif value.adjusted() + scale < precision:
        moved = value.scaleb(scale, WIDE)
        number = int(moved)
        if number != moved:
            raise MisfitError(f"{show(value)} has more than {scale} digits after the point")
    if abs(number) >= limit:
        raise MisfitError(
            f"{show(value)} has more than {precision - scale} digits before the point "
            f"(precision {precision}, scale {scale})",
        )
    return number


def decimal_writer(leaf: Leaf) -> Callable[[Any], bytes] | None:
    """Return the function from a decimal that fits to its bytes; None for other types."""
    if leaf.kind != "decimal":
        return None

    def write(value: Decimal | int) -> bytes:
        number = unscaled(value, leaf.precision, leaf.scale)
        size = leaf.size or (number if number >= 0 else ~number).bit_length() // 8 + 1
        return number.to_bytes(size, "big", signed=True)

    return write


def decimal_reader(leaf: Leaf) -> Callable[[Any], Decimal] | None:
    """Return the function from bytes to their decimal; None for other types.

    It raises `MisfitError` for too many digits.
    """
    if leaf.kind != "decimal":
        return None
    limit = 10**leaf.precision

    def read(data: bytes) -> Decimal:
        number = int.from_bytes(data, "big", signed=True)
        # Before it becomes a Decimal, which takes minutes for a megabyte of digits.
        if not -limit < number < limit:
            raise MisfitError(f"a decimal has more than {leaf.precision} digits")
        return decimal_of(number, leaf.scale)

    return read


def _unlike(kind: str, value: Any) -> MisfitError:
    return MisfitError(f"expected {_EXPECTED[kind]}, got {show(value)}")


def _check_type(types: type | tuple[type, ...], kind: str, value: Any) -> None:
    # A bool is an int and a datetime a date, but only in Python.
    if not isinstance(value, types) or (types is not bool and isinstance(value, (bool, datetime))):
        raise _unlike(kind, value)


def _check_number(limit: int, kind: str, value: Any) -> None:
    _check_type(int, kind, value)
    if not -limit <= value < limit:
        raise MisfitError(f"{show(value)} is outside the range of {kind}, {-limit} to {limit - 1}")


def _check_floating(layout: struct.Struct, kind: str, value: Any) -> None:
    _check_type((int, float), kind, value)
    try:
        data = layout.pack(float(value))
    except OverflowError:
        raise MisfitError(f"{show(value)} is outside the range of {kind}") from None
    if isinstance(value, int) and layout.unpack(data)[0] != value:
        raise MisfitError(
            f"{show(value)} cannot be a {kind} without loss; round it to a float first"
        )


def _check_fixed(size: int, value: Any) -> None:
    if not isinstance(value, (bytes, bytearray)):
        raise MisfitError(f"expected bytes of length {size}, got {show(value)}")
    if len(value) != size:
        raise MisfitError(f"expected bytes of length {size}, got {len(value)} bytes")


def _check_symbol(leaf: Leaf, value: Any) -> None:
    # A member of a StrEnum may hash and print otherwise than the text it is.
    if not isinstance(value, str) or str.__str__(value) not in leaf.indexes:
        raise MisfitError(f"expected {expectation(leaf)}, got {show(value)}")


def _check_decimal(precision: int, scale: int, value: Any) -> None:
    _check_type((Decimal, int), "decimal", value)
    unscaled(value, precision, scale)


def _check_time(value: Any) -> None:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise _unlike("time", value)


def _check_datetime(local: bool, expected: str, value: Any) -> None:
    if not isinstance(value, datetime):
        raise MisfitError(f"expected {expected}, got {show(value)}")
    try:
        since = value - (LOCAL_EPOCH if local else EPOCH)
    except TypeError:
        # Python's own test of naive and aware: it never mixes the two.
        raise MisfitError(f"expected {expected}, got {show(value)}") from None
    if not _FIRST <= since < _AFTER_LAST:
        raise MisfitError(f"{show(value)} is outside the years 1 to 9999 in UTC")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "null": partial(_check_type, type(None), "null"),
    "boolean": partial(_check_type, bool, "boolean"),
    "int": partial(_check_number, INT_LIMIT, "int"),
    "long": partial(_check_number, LONG_LIMIT, "long"),
    "float": partial(_check_floating, struct.Struct("<f"), "float"),
    "double": partial(_check_floating, struct.Struct("<d"), "double"),
    "string": check_text,
    "bytes": partial(_check_type, (bytes, bytearray), "bytes"),
    "date": partial(_check_type, date, "date"),
    "uuid": partial(_check_type, UUID, "uuid"),
}
