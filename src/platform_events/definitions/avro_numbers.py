"""Avro's variable-length numbers: zigzag varints of up to 64 bits.

Written from tables of 14 bits at once, read with one table look-up for the common single byte.
"""

from __future__ import annotations

import struct

INT_LIMIT = 1 << 31
LONG_LIMIT = 1 << 63

_BITS = 14
_CHUNK = 1 << _BITS
_MASK = _CHUNK - 1
_ONE_BYTE = [bytes((low,)) for low in range(128)]
_VARINTS = (
    *_ONE_BYTE,
    *(bytes((low | 128, high)) for high in range(1, 128) for low in range(128)),
)
_CONTINUED = tuple(bytes((low | 128, high | 128)) for high in range(128) for low in range(128))

SMALL = _CHUNK // 2
"""Numbers n with -SMALL <= n < SMALL are in `SMALL_INTS`, lengths below it in `SMALL_LENGTHS`."""
SMALL_INTS = _VARINTS[::2] + _VARINTS[::-2]
"""Encoded numbers, indexed by themselves: a negative index counts from the end, where the odd
codes stand in reverse."""
SMALL_LENGTHS = SMALL_INTS[:SMALL]

READ_INT = tuple([code >> 1 ^ -(code & 1) for code in range(128)] + [None] * 128)
"""The number that a first byte is on its own, None if more bytes follow."""
READ_LENGTH = tuple([-1 if code & 1 else code >> 1 for code in range(128)] + [-1] * 128)
"""The length that a first byte is on its own, -1 if more bytes follow or it is negative."""

_LAST_SHIFT = 63
"""Bits before the tenth byte, the last that 64 bits can have."""
_three_pairs = struct.Struct("<HHH").unpack_from
_FIRST, _BOTH = 0x0080, 0x8080
"""Flags of a pair of bytes of which only the first or both go on."""
_PAIRS: list[int] = []
"""The 14 bits of a pair of bytes, whatever their flags."""
for _high in range(0, _CHUNK, 128):
    _PAIRS += [*range(_high, _high + 128)] * 2
_PAIRS += _PAIRS


class DecodeError(ValueError):
    """These bytes are not a payload of the schema. The text is the reason, one line."""


def encode_integer(value: int) -> bytes:
    """Encode an int of at most 64 bits, which the caller has checked."""
    code = value << 1 if value >= 0 else ~(value << 1)
    if code < _CHUNK:
        return _VARINTS[code]
    if code >> 28 == 0:
        return _CONTINUED[code & _MASK] + _VARINTS[code >> 14]
    pieces = _CONTINUED[code & _MASK] + _CONTINUED[code >> 14 & _MASK]
    code >>= 28
    while code >= _CHUNK:
        pieces += _CONTINUED[code & _MASK]
        code >>= _BITS
    return pieces + _VARINTS[code]


def read_long(body: bytes, start: int) -> tuple[int, int]:
    """Return the number that begins at `start` and the index behind it.

    Raises:
        IndexError: the body ends within the number.
        DecodeError: it has more than 64 bits.
    """
    if len(body) >= start + 6:
        low, middle, high = _three_pairs(body, start)
        if low & middle & _BOTH == _BOTH:
            # Six bytes are milliseconds of our time, eight its microseconds.
            if high & _BOTH == _FIRST:
                code = _PAIRS[low] | _PAIRS[middle] << 14 | _PAIRS[high] << 28
                return code >> 1 ^ -(code & 1), start + 6
            if high & _BOTH == _BOTH and len(body) >= start + 8:
                top = body[start + 6] | body[start + 7] << 8
                if top & _BOTH == _FIRST:
                    code = _PAIRS[low] | _PAIRS[middle] << 14 | _PAIRS[high] << 28
                    code |= _PAIRS[top] << 42
                    return code >> 1 ^ -(code & 1), start + 8
    return _read_bytewise(body, start)


def _read_bytewise(body: bytes, start: int) -> tuple[int, int]:
    code = byte = body[start]
    index = start + 1
    shift = 0
    while byte > 127 and shift < _LAST_SHIFT:
        byte = body[index]
        index += 1
        shift += 7
        # The flag of the byte before is taken out with the next one.
        code += (byte << shift) - (1 << shift)
    if code >> 64:
        raise DecodeError("a number has more than 64 bits")
    return code >> 1 ^ -(code & 1), index


def read_int(body: bytes, start: int) -> tuple[int, int]:
    """As `read_long`, for numbers of 32 bits."""
    value, index = read_long(body, start)
    if not -INT_LIMIT <= value < INT_LIMIT:
        raise DecodeError(f"{value} is outside the range of an int")
    return value, index


def read_length(body: bytes, start: int) -> tuple[int, int]:
    """As `read_long`, for lengths, which are never negative."""
    value, index = read_long(body, start)
    if value < 0:
        raise DecodeError(f"{value} cannot be a length")
    return value, index
