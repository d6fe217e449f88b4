"""How single values look in JSON, read and written.

- Dates, times and time stamps are ISO 8601 text (`2024-01-31`, `12:30:00.000`,
  `2024-01-31T12:30:00.000Z`). A time stamp has a zone, a local one and a time have none. Read, the
  bare number that Avro stores is taken too. Digits below the type's precision are cut off, as
  they are from Python's own values.
- Decimals are text in plain notation. Read, a whole number is taken too, and an exponent; a number
  with a point is refused, because on its way it may have been a binary fraction.
- UUIDs are text of the form 8-4-4-4-12.
- `bytes` and `fixed` are base64 in the standard alphabet, padded.
- `float` and `double` are numbers, or "NaN", "Infinity", "-Infinity".

Everything else is as it is in Python.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

from platform_events.payloads.values import (
    EPOCH,
    EPOCH_DAY,
    LOCAL_EPOCH,
    MisfitError,
    decimal_reader,
    show,
    time_of,
)

if TYPE_CHECKING:
    from platform_events.payloads.types import Leaf

Converter = Callable[[Any], Any]

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = "[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
_ZONE = "(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)"
_DECIMAL_TEXT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]{1,9})?")
_UUID_TEXT = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_UUID_EXAMPLE = "123e4567-e89b-12d3-a456-426614174000"


def leaf_reader(leaf: Leaf) -> Converter | None:
    """Return what makes a value of JSON one of Python, None if nothing is to be done.

    The function raises `MisfitError`.
    """
    match leaf.family:
        case "bytes" | "fixed":
            return _read_base64
        case "float" | "double":
            return _read_floating
        case "decimal":
            return _read_decimal
        case "uuid":
            return _read_uuid
        case family if family in _TEMPORAL:
            from_number = partial(_NUMBERS[family], leaf.micros)
            return partial(_read_temporal, *_TEMPORAL[family], from_number)
    return None


def default_reader(leaf: Leaf) -> Converter | None:
    """As `leaf_reader`, for the notation of Avro's field defaults."""
    match leaf.family:
        case family if family in _TEMPORAL:
            return partial(_read_number, partial(_NUMBERS[family], leaf.micros))
        case "bytes" | "fixed":
            return _read_code_points
        case "float" | "double":
            return _read_finite
        case "decimal":
            read = decimal_reader(leaf)
            return read and partial(_read_decimal_bytes, leaf.size, read)
    return leaf_reader(leaf)


def leaf_writer(leaf: Leaf) -> Converter | None:
    """Return what makes a decoded value one of JSON, None if nothing is to be done."""
    digits = "milliseconds" if leaf.micros > 1 else "microseconds"
    match leaf.family:
        case "bytes" | "fixed":
            return _write_base64
        case "float" | "double":
            return _write_floating
        case "decimal":
            return "{:f}".format
        case "uuid":
            return str
        case "date":
            return date.isoformat
        case "time" | "local-timestamp":
            return partial(_write_local, digits)
        case "timestamp":
            return partial(_write_timestamp, digits)
    return None


def _refuse(expected: str, value: Any) -> NoReturn:
    raise MisfitError(f"expected {expected}, got {show(value)}")


def _read_base64(value: Any) -> bytes:
    if isinstance(value, str):
        with suppress(ValueError):
            return base64.b64decode(value, validate=True)
    _refuse("base64 text (standard alphabet, padded)", value)


def _read_floating(value: Any) -> Any:
    return _WORDS.get(value, value) if isinstance(value, str) else value


def _read_decimal(value: Any) -> Decimal | int:
    if type(value) is int:
        return value
    if isinstance(value, str) and _DECIMAL_TEXT.fullmatch(value):
        return Decimal(value)
    hint = "; write it as text" if isinstance(value, float) else ""
    raise MisfitError(f'expected a decimal as text such as "12.50", got {show(value)}{hint}')


def _read_uuid(value: Any) -> UUID:
    if isinstance(value, str) and _UUID_TEXT.fullmatch(value):
        return UUID(value)
    _refuse(f'a UUID as text such as "{_UUID_EXAMPLE}"', value)


def _date_of(_: int, number: int) -> date:
    return date.fromordinal(number + EPOCH_DAY)


def _datetime_of(epoch: datetime, micros: int, number: int) -> datetime:
    return epoch + timedelta(microseconds=number * micros)


_TEMPORAL: dict[str, tuple[re.Pattern[str], Callable[[str], Any], str]] = {
    "date": (re.compile(_DATE), date.fromisoformat, 'a date such as "2024-01-31"'),
    "time": (re.compile(_TIME), time.fromisoformat, 'a time without zone such as "12:30:00"'),
    "timestamp": (
        re.compile(f"{_DATE}[Tt ]{_TIME}{_ZONE}"),
        datetime.fromisoformat,
        'a time stamp with zone such as "2024-01-31T12:30:00Z"',
    ),
    "local-timestamp": (
        re.compile(f"{_DATE}[Tt ]{_TIME}"),
        datetime.fromisoformat,
        'a time stamp without zone such as "2024-01-31T12:30:00"',
    ),
}
_NUMBERS: dict[str, Callable[[int, int], Any]] = {
    "date": _date_of,
    "time": lambda micros, number: time_of(number, micros),
    "timestamp": partial(_datetime_of, EPOCH),
    "local-timestamp": partial(_datetime_of, LOCAL_EPOCH),
}
"""From the unit in microseconds and the number in that unit to the value."""


def _read_temporal(
    pattern: re.Pattern[str],
    parse: Callable[[str], Any],
    expected: str,
    from_number: Callable[[int], Any],
    value: Any,
) -> Any:
    if type(value) is int:
        return _read_number(from_number, value)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        _refuse(expected, value)
    try:
        return parse(value.upper())
    except ValueError as error:
        raise MisfitError(f"expected {expected}, got {show(value)}: {error}") from None


def _read_number(from_number: Callable[[int], Any], value: Any) -> Any:
    if type(value) is not int:
        _refuse("a whole number", value)
    try:
        return from_number(value)
    except (ValueError, OverflowError):
        raise MisfitError(f"{show(value)} is out of range") from None


def _read_code_points(value: Any) -> bytes:
    if isinstance(value, str):
        with suppress(UnicodeEncodeError):
            return value.encode("latin-1")
    _refuse("text of code points up to 255, one for each byte", value)


def _read_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse("a finite number", value)
    return value


def _read_decimal_bytes(size: int, read: Converter, value: Any) -> Any:
    data = _read_code_points(value)
    if not data or len(data) != (size or len(data)):
        _refuse(f"text of {size or 'at least 1'} characters, one for each byte", value)
    return read(data)


def _write_base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _write_floating(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_local(digits: str, value: time | datetime) -> str:
    return value.isoformat(timespec=digits)


def _write_timestamp(digits: str, value: datetime) -> str:
    text = value.isoformat("T", digits)
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
