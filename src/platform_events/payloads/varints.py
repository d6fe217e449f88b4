"""Avro's whole numbers: zigzag-coded, seven bits to a byte, the low ones first.

Generated code has tables for numbers of one or two bytes; longer ones come here. Those of six
bytes, as time stamps are, are put together of pairs of bytes, each of which is kept when it was
first needed: half the time of a loop over the bytes.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from platform_events.payloads.values import INT_LIMIT, LONG_LIMIT, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 1 << 13
"""Numbers below it, and down to its negative, take two bytes at most."""
SIGNED = tuple(code >> 1 ^ -(code & 1) for code in range(128))
"""The numbers that take one byte, by that byte."""
SPANS = tuple(0 if code & 129 else (code >> 1) + 1 for code in range(256))
"""By the first byte of a length, how many bytes it and what it announces take; 0: it is negative
or goes on."""

_PAIR = 1 << 14
_LONGEST = 10
"""Bytes of a number at most (Avro specification 1.12, Binary Encoding)."""
_GOES_ON = bytes(byte >> 7 for byte in range(256))
_TOO_MANY = {"int": b"\1" * 4, "long": b"\1" * (_LONGEST - 1)}
"""As many bytes that go on are in numbers that may be outside the range."""
_TOO_LONG = "a number has more than 64 bits"
_three_pairs_at = struct.Struct("<HHH").unpack_from
_four_pairs_at = struct.Struct("<HHHH").unpack_from


class Kept(dict[int, bytes]):
    """Bytes by number; those of numbers that two bytes hold are kept."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        self._make = make

    def __missing__(self, number: int) -> bytes:
        data = self._make(number)
        if -SMALL <= number < _PAIR:
            self[number] = data
        return data


def _write(code: int) -> bytes:
    data = bytearray()
    while code > 127:
        data.append(code & 127 | 128)
        code >>= 7
    data.append(code)
    return bytes(data)


_last = Kept(_write)
_inner = Kept(lambda code: bytes((code & 127 | 128, code >> 7 | 128)))
_even = Kept(lambda number: _inner[number << 1])
_odd = Kept(lambda number: _inner[number << 1 | 1])


def _only_small(number: int) -> bytes:
    if not -SMALL <= number < SMALL:
        raise OverflowError
    return number_bytes(number)


ONLY_SMALL = Kept(_only_small)
"""The bytes of small numbers; it raises `OverflowError` for others."""


@lru_cache
def small_numbers(prefix: bytes = b"") -> Kept:
    """Return the bytes of numbers, each with a prefix; meant for small ones and for lengths."""
    return Kept(lambda number: prefix + number_bytes(number))


def number_bytes(number: int) -> bytes:
    """Return the bytes of any number."""
    return _write(number << 1 ^ number >> 63)


def long_bytes(number: int, limit: int = LONG_LIMIT) -> bytes:
    """Return the bytes of a number that is not small.

    Raises:
        OverflowError: it is not below the limit, or is below its negative.
    """
    low = _even
    if number < 0:
        low, number = _odd, ~number
    if number < 1 << 27:
        return low[number & 8191] + _last[number >> 13]
    if number >= limit:
        raise OverflowError
    middle = _inner[number >> 13 & 16383]
    if number < 1 << 41:
        return low[number & 8191] + middle + _last[number >> 27]
    return low[number & 8191] + middle + _inner[number >> 27 & 16383] + _last[number >> 41]


def may_exceed(kind: str, numbers: bytes) -> bool:
    """Whether one of several numbers is so long that it may be outside the range of its type."""
    return _TOO_MANY[kind] in numbers.translate(_GOES_ON)


class _Codes(dict[int, Any]):
    """By two bytes as one number, what they say; None if they do not go on as they should."""

    def __init__(self, shift: int, mark: int) -> None:
        self._shift = shift
        self._mark = mark

    def __missing__(self, pair: int) -> int | None:
        is_right = pair & 0x8080 == self._mark
        code = self[pair] = (pair & 127 | (pair & 0x7F00) >> 1) << self._shift if is_right else None
        return code


_first, _second, _third = (_Codes(shift, 0x8080) for shift in (0, 14, 28))
_third_and_last, _fourth_and_last = _Codes(28, 0x80), _Codes(42, 0x80)


def number_at(body: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it.

    Raises:
        IndexError: the bytes end within it.
        DecodeError: it has more than 64 bits.
    """
    code = shift = 0
    for byte in body[at : at + _LONGEST]:
        code |= (byte & 127) << shift
        at += 1
        if byte < 128:
            if code >> 64:
                break
            return code >> 1 ^ -(code & 1), at
        shift += 7
    if shift < 7 * _LONGEST - 7:
        raise IndexError
    raise DecodeError(_TOO_LONG)


def long_at(body: bytes, at: int) -> tuple[int, int]:
    """As `number_at`, for one of which the first three bytes go on."""
    fourth = body[at + 3]
    if fourth < 128:
        code = body[at] + (body[at + 1] << 7) + (body[at + 2] << 14) + (fourth << 21) - 0x204080
        return code >> 1 if not code & 1 else ~(code >> 1), at + 4
    try:
        first, second, third = _three_pairs_at(body, at)
    except struct.error:
        return number_at(body, at)
    last = _third_and_last[third]
    if last is None:
        return number_at(body, at)
    code = _first[first] + _second[second] + last
    return code >> 1 if not code & 1 else ~(code >> 1), at + 6


def int_at(body: bytes, at: int) -> tuple[int, int]:
    """As `long_at`; it also raises `DecodeError` for what is outside the range of int."""
    number, at = long_at(body, at)
    if not -INT_LIMIT <= number < INT_LIMIT:
        raise DecodeError("a number is outside the range of int")
    return number, at


def millis_at(body: bytes, at: int) -> tuple[int, int]:
    """As `number_at`, and fast for the milliseconds of our time, which take six bytes."""
    try:
        first, second, third = _three_pairs_at(body, at)
        code = _first[first] + _second[second] + _third_and_last[third]
    except (TypeError, struct.error):
        return number_at(body, at)
    return code >> 1 if not code & 1 else ~(code >> 1), at + 6


def micros_at(body: bytes, at: int) -> tuple[int, int]:
    """As `number_at`, and fast for the microseconds of our time, which take eight bytes."""
    try:
        first, second, third, fourth = _four_pairs_at(body, at)
        code = _first[first] + _second[second] + _third[third] + _fourth_and_last[fourth]
    except (TypeError, struct.error):
        return number_at(body, at)
    return code >> 1 if not code & 1 else ~(code >> 1), at + 8


def pass_long(body: bytes, at: int) -> int:
    """Return the position after a number; raises as `long_at`."""
    limit = at + _LONGEST
    while body[at] > 127:
        at += 1
        if at >= limit:
            raise DecodeError(_TOO_LONG)
    return at + 1


def span_at(body: bytes, at: int) -> tuple[int, int]:
    """Return where bytes, whose length is at a position, begin and end.

    The end may be beyond that of `body`.

    Raises:
        IndexError: the bytes end within the length.
        DecodeError: the length is negative.
    """
    size, at = (SIGNED[body[at]], at + 1) if body[at] < 128 else number_at(body, at)
    if size < 0:
        raise DecodeError("a length is negative")
    return at, at + size
