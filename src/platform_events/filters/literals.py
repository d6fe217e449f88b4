"""What literals stand for."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from platform_events.filters.error import FilterError
from platform_events.filters.expression import Literal
from platform_events.payloads.values import EPOCH_DAY, LOCAL_EPOCH
from platform_events.wording import is_unicode, shown

if TYPE_CHECKING:
    from lark import Token

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([Ee][+-]?[0-9]{1,3})?", re.ASCII)
_LONG_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?[Ee][+-]?[0-9]{4,}", re.ASCII)
_DAY = "([0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = r"([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?"
_DATE = re.compile(_DAY, re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_MOMENT = re.compile(rf"{_DAY}T{_CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.?)", re.ASCII | re.DOTALL)
_ESCAPED = {"'": "'", "\\": "\\", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_SECOND = 1_000_000
_FORMS = "a number such as 10.5, 2021-07-09, 10:30:11 or 2021-07-09T10:30:11Z"


def read_text(token: Token) -> Literal:
    """Return what a token in single quotes stands for.

    Raises:
        FilterError: an escape is unknown.
    """
    start, end = _span(token)

    def unescape(found: re.Match[str]) -> str:
        code = found[1]
        if code in _ESCAPED:
            return _ESCAPED[code]
        if code.startswith("u") and len(code) > 1:
            return chr(int(code[1:], 16))
        place = start + 1 + found.start()
        if code in {"%", "_"}:
            message = f"{code} cannot be escaped: in LIKE it is always a wildcard"
        else:
            message = rf"{found[0]} is no escape; write \\ for a backslash"
        raise FilterError(message, place, place + len(found[0]))

    text = _ESCAPE.sub(unescape, token[1:-1])
    if not is_unicode(text):
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise FilterError(
                "the text has half of a surrogate pair, which is no character", start, end
            ) from None
    return Literal("text", text, str(token), start, end)


def read_value(token: Token) -> Literal:
    """Return what a token that begins as a number stands for.

    Raises:
        FilterError: it is none of the forms, or no day or time that there is.
    """
    start, end = _span(token)
    try:
        kind, value = _read(str(token))
    except ValueError as error:
        raise FilterError(str(error), start, end) from None
    return Literal(kind, value, str(token), start, end)


def read_word(token: Token) -> Literal:
    """Return what the token null, TRUE or FALSE stands for."""
    start, end = _span(token)
    word = token.lower()
    if word == "null":
        return Literal("null", None, str(token), start, end)
    return Literal("boolean", word == "true", str(token), start, end)


def _span(token: Token) -> tuple[int, int]:
    start = token.start_pos or 0
    return start, start + len(token)


def _read(text: str) -> tuple[str, Fraction]:
    if _NUMBER.fullmatch(text):
        return "number", _number(text)
    if found := _DATE.fullmatch(text):
        return "date", Fraction(_moment(found[1], "00:00:00", text).toordinal() - EPOCH_DAY)
    if found := _TIME.fullmatch(text):
        return "time", _micros("1970-01-01", found[1], found[2], text)
    if found := _MOMENT.fullmatch(text):
        day, clock, fraction, zone = found.groups()
        micros = _micros(day, clock, fraction, text)
        if zone is None:
            return "local-timestamp", micros
        return "timestamp", micros - _offset(zone)
    if _LONG_EXPONENT.fullmatch(text):
        raise ValueError(f"{shown(text)} has an exponent of more than 3 digits")
    raise ValueError(f"{shown(text)} is no literal: write {_FORMS}; text needs single quotes")


def _number(text: str) -> Fraction:
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, digits = mantissa.partition(".")
    # int() of a text has a limit of digits; a filter's length limits this one.
    number = Fraction(_whole(whole + digits), 1)
    return number * Fraction(10) ** (int(exponent or 0) - len(digits))


def _whole(text: str) -> int:
    number = 0
    step = 4000
    digits = text.lstrip("+-")
    for index in range(0, len(digits), step):
        part = digits[index : index + step]
        number = number * 10 ** len(part) + int(part)
    return -number if text.startswith("-") else number


def _micros(day: str, clock: str, fraction: str | None, text: str) -> Fraction:
    seconds = Fraction((_moment(day, clock, text) - LOCAL_EPOCH) // timedelta(seconds=1))
    return (seconds + (_number(f"0{fraction}") if fraction else 0)) * _SECOND


def _moment(day: str, clock: str, text: str) -> datetime:
    year, month, day_of_month = map(int, day.split("-"))
    hour, minute, second = map(int, clock.split(":"))
    try:
        return datetime(year, month, day_of_month, hour, minute, second)  # noqa: DTZ001
    except ValueError as error:
        raise ValueError(f"{shown(text)} does not exist: {error}") from None


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"{zone} is no zone: write Z, or an offset such as -08:00")
    return (hours * 3600 + minutes * 60) * (-_SECOND if zone[0] == "-" else _SECOND)
