"""Which Python values an Avro type without parts takes, and how they become Avro bytes.

One function per kind decides whether a value fits and writes it. The compiled encoder takes
shortcuts only for what these functions accept; the diagnosis asks them for the reason.

Kinds are exact: a bool is no number, a float no int, a date no datetime, text no UUID. An int may
stand for a float if that loses nothing, and for a decimal. What a type stores less precisely than
Python does is rounded or cut off to the type: digits that a 32-bit `float` cannot hold,
microseconds of a `timestamp-millis` or `time-millis`. A decimal is never rounded.
"""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, time
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.definitions.avro_numbers import INT_LIMIT, LONG_LIMIT, encode_integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.definitions.avro_types import Leaf

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
EPOCH_DAY = EPOCH.toordinal()
"""Ordinal of 1970-01-01, day 0 of Avro's date."""
WIDE = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Moves a decimal point without rounding, whatever the caller's own context is."""
MICROS = {"millis": 1000, "micros": 1}
"""Microseconds of the unit that a time's or timestamp's kind ends with."""

_DAY = 86_400_000_000
_FIRST = (date.min.toordinal() - EPOCH_DAY) * _DAY
_AFTER_LAST = (date.max.toordinal() + 1 - EPOCH_DAY) * _DAY
_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_SHOWN = 40
_SHOWN_SYMBOLS = 10

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
    "local": "a local time stamp (a datetime without zone)",
}


class MisfitError(ValueError):
    """A value does not fit its type. The text says why."""

    path: str = ""
    """Where, as steps such as `.items[2]`, as far as it is known."""


def expectation(leaf: Leaf) -> str:
    """Return what the type takes, in words."""
    if leaf.kind == "fixed":
        return f"bytes of length {leaf.size}"
    if leaf.kind == "enum":
        listed = ", ".join(leaf.symbols[:_SHOWN_SYMBOLS])
        return f"one of {listed}{', ...' if len(leaf.symbols) > _SHOWN_SYMBOLS else ''}"
    return _EXPECTED.get(leaf.kind) or _EXPECTED[leaf.kind.partition("-")[0]]


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


def leaf_encoder(leaf: Leaf) -> Callable[[Any], bytes]:
    """Return the function that writes a value of the type or raises `MisfitError`."""
    match leaf.kind:
        case "enum":
            codes = {symbol: encode_integer(code) for code, symbol in enumerate(leaf.symbols)}
            return partial(_encode_symbol, codes, expectation(leaf))
        case "fixed":
            return partial(_encode_fixed, leaf.size)
        case "decimal":
            return partial(_encode_decimal, leaf.precision, leaf.scale, leaf.size)
        case "time-millis" | "time-micros":
            return partial(_encode_time, MICROS[leaf.kind.rpartition("-")[2]])
    if "timestamp" in leaf.kind:
        local = leaf.kind.startswith("local")
        micros = MICROS[leaf.kind.rpartition("-")[2]]
        return partial(_encode_datetime, local, micros, expectation(leaf))
    return _ENCODERS[leaf.kind]


def encode_text(value: Any) -> bytes:
    """Write a string; also the key of a map."""
    if not isinstance(value, str):
        raise _unlike("string", value)
    try:
        data = str.encode(value)
    except UnicodeEncodeError as error:
        raise MisfitError(
            f"the text has a lone surrogate at index {error.start}; it cannot be written as UTF-8",
        ) from None
    return encode_integer(len(data)) + data


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
            raise MisfitError(f"{show(value)} has more than {scale} digits behind the point")
    if abs(number) >= limit:
        raise MisfitError(
            f"{show(value)} has more than {precision - scale} digits before the point "
            f"(precision {precision}, scale {scale})",
        )
    return number


def _unlike(kind: str, value: Any) -> MisfitError:
    return MisfitError(f"expected {_EXPECTED[kind]}, got {show(value)}")


def _encode_null(value: Any) -> bytes:
    if value is not None:
        raise _unlike("null", value)
    return b""


def _encode_boolean(value: Any) -> bytes:
    if value is True:
        return b"\1"
    if value is False:
        return b"\0"
    raise _unlike("boolean", value)


def _encode_number(limit: int, kind: str, value: Any) -> bytes:
    if type(value) is not int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _unlike(kind, value)
        value = int(value)
    if -limit <= value < limit:
        return encode_integer(value)
    raise MisfitError(f"{show(value)} is outside the range of {kind}, {-limit} to {limit - 1}")


def _encode_floating(layout: struct.Struct, kind: str, value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unlike(kind, value)
    try:
        data = layout.pack(float(value))
    except OverflowError:
        raise MisfitError(f"{show(value)} is outside the range of {kind}") from None
    if isinstance(value, int) and layout.unpack(data)[0] != value:
        raise MisfitError(
            f"{show(value)} cannot be a {kind} without loss; round it to a float first"
        )
    return data


def _encode_bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise _unlike("bytes", value)
    return encode_integer(len(value)) + value


def _encode_fixed(size: int, value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray)):
        raise MisfitError(f"expected bytes of length {size}, got {show(value)}")
    if len(value) != size:
        raise MisfitError(f"expected bytes of length {size}, got {len(value)} bytes")
    return bytes(value)


def _encode_symbol(codes: dict[str, bytes], expected: str, value: Any) -> bytes:
    if isinstance(value, str):
        # A member of a StrEnum may hash and print otherwise than the text it is.
        code = codes.get(str.__str__(value))
        if code is not None:
            return code
    raise MisfitError(f"expected {expected}, got {show(value)}")


def _encode_decimal(precision: int, scale: int, size: int, value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise _unlike("decimal", value)
    number = unscaled(value, precision, scale)
    if size:
        return number.to_bytes(size, "big", signed=True)
    length = ((number if number >= 0 else ~number).bit_length() + 8) // 8
    return encode_integer(length) + number.to_bytes(length, "big", signed=True)


def _encode_uuid(value: Any) -> bytes:
    if not isinstance(value, UUID):
        raise _unlike("uuid", value)
    return b"\x48" + str(value).encode()


def _encode_date(value: Any) -> bytes:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _unlike("date", value)
    return encode_integer(value.toordinal() - EPOCH_DAY)


def _encode_time(micros: int, value: Any) -> bytes:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise _unlike("time", value)
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return encode_integer((seconds * 1_000_000 + value.microsecond) // micros)


def _encode_datetime(local: bool, micros: int, expected: str, value: Any) -> bytes:
    if not isinstance(value, datetime):
        raise MisfitError(f"expected {expected}, got {show(value)}")
    try:
        since = value - (LOCAL_EPOCH if local else EPOCH)
    except TypeError:
        # Python's own test of naive and aware: it never mixes the two.
        raise MisfitError(f"expected {expected}, got {show(value)}") from None
    number = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    if not _FIRST <= number < _AFTER_LAST:
        raise MisfitError(f"{show(value)} is outside the years 1 to 9999 in UTC")
    return encode_integer(number // micros)


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "null": _encode_null,
    "boolean": _encode_boolean,
    "int": partial(_encode_number, INT_LIMIT, "int"),
    "long": partial(_encode_number, LONG_LIMIT, "long"),
    "float": partial(_encode_floating, _FLOAT, "float"),
    "double": partial(_encode_floating, _DOUBLE, "double"),
    "string": encode_text,
    "bytes": _encode_bytes,
    "date": _encode_date,
    "uuid": _encode_uuid,
}
