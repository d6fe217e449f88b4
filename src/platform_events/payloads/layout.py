"""How a payload lies in its bytes, as lines of generated source that read it.

The lines move `at`, a position in `body`, over a value and may give it to a variable, as Avro
stores it. They judge its structure: lengths, booleans, branches, symbols. A slice beyond the end
is silently short, so `at` is compared with the end when all is read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NoReturn

from platform_events.payloads.source import indent
from platform_events.payloads.types import AvroType, Leaf, Union
from platform_events.payloads.values import DecodeError
from platform_events.payloads.varints import (
    SIGNED,
    SPANS,
    int_at,
    long_at,
    micros_at,
    millis_at,
    number_at,
    pass_long,
    span_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.payloads.source import Source

_SIZES = {"boolean": 1, "float": 4, "double": 8}
_FORMATS = {"boolean": "B", "float": "f", "double": "d"}
"""What `struct` calls them."""
_IN_A_BYTE = 64
"""Symbols at most whose numbers take one byte each."""
_ABSENT = "a boolean is neither 0 nor 1, or a branch or symbol is not there"


def whole_body(lines: list[str]) -> list[str]:
    """Return the lines that read a whole body and raise `DecodeError` for any that is damaged."""
    return [
        "at = 0",
        "try:",
        *indent(lines),
        "except Exception as error: explain_damage(error)",
        "if at != len(body): explain_end(at, body)",
    ]


def size_of(leaf: Leaf) -> int:
    """Return how many bytes every value takes, 0 if that varies."""
    return leaf.size or _SIZES.get(leaf.kind, 0)


def is_fixed(avro_type: AvroType) -> bool:
    """Whether values of a type have one size and one format of `struct`."""
    return isinstance(avro_type, Leaf) and (
        avro_type.kind in _FORMATS or (avro_type.kind == "fixed" and avro_type.size > 0)
    )


def format_of(leaves: Sequence[Leaf]) -> str:
    """Return the format of such values one after the other."""
    return "<" + "".join(_FORMATS.get(leaf.kind, f"{leaf.size}s") for leaf in leaves)


def number(kind: str, variable: str) -> list[str]:
    """Return the lines that read an `int` or a `long`."""
    return [
        "n = body[at]",
        f"if n < 128: {variable} = SIGNED[n]; at += 1",
        # CPython is faster at products than at shifts, and a branch beats a zigzag of operators.
        "elif (m := body[at + 1]) < 128:",
        f" n += m * 128 - 128; {variable} = n >> 1 if not n & 1 else ~(n >> 1); at += 2",
        "elif (k := body[at + 2]) < 128:",
        " n += m * 128 + k * 16384 - 16512; at += 3",
        f" {variable} = n >> 1 if not n & 1 else ~(n >> 1)",
        f"else: {variable}, at = {kind}_at(body, at)",
    ]


def symbol(source: Source, meanings: Sequence[Any], variable: str) -> list[str]:
    """Return the lines that read a symbol of an enum as what it means."""
    if len(meanings) > _IN_A_BYTE:
        by_index = source.constant(dict(enumerate(meanings)))
        return [*number("int", variable), f"{variable} = {by_index}[{variable}]"]
    by_byte = source.constant({2 * index: meaning for index, meaning in enumerate(meanings)})
    return [f"{variable} = {by_byte}[body[at]]", "at += 1"]


def stored(leaf: Leaf, variable: str) -> list[str]:
    """Return the lines that read a value as Avro stores it; not for enums."""
    size = size_of(leaf)
    match leaf.base:
        case "null":
            return [f"{variable} = None"]
        case "boolean":
            return [f"{variable} = BOOLEANS[body[at]]", "at += 1"]
        case "float" | "double":
            return [f"({variable},) = {leaf.kind}_at(body, at)", f"at += {size}"]
        case "fixed":
            return [f"{variable} = body[at : at + {size}]", f"at += {size}"]
        case "string" | "bytes":
            decoded = ".decode()" if leaf.base == "string" else ""
            return [
                "n = SPANS[body[at]]",
                f"if n: {variable} = body[at + 1 : at + n]{decoded}; at += n",
                f"else: n, at = span_at(body, at); {variable} = body[n:at]{decoded}",
            ]
    if "timestamp" in leaf.kind:
        return [f"{variable}, at = {leaf.kind.rpartition('-')[2]}_at(body, at)"]
    return number(leaf.base, variable)


def passed(leaf: Leaf) -> list[str]:
    """Return the lines that pass over a value by its size alone; not for enums."""
    match leaf.base:
        case "null":
            return []
        case "boolean" | "float" | "double" | "fixed":
            return [f"at += {size_of(leaf)}"]
        case "string" | "bytes":
            return ["n = SPANS[body[at]]", "at = at + n if n else span_at(body, at)[1]"]
    return ["at = at + 1 if body[at] < 128 else pass_long(body, at)"]


def union(avro_type: Union, branch: Callable[[AvroType], list[str]]) -> list[str]:
    """Return the lines that read a union; `branch` returns those of a branch."""
    lines = ["n = body[at]", "at += 1"]
    word = "if"
    # Values first: null is the rarer branch, and mostly the first.
    order = sorted(enumerate(avro_type.branches), key=lambda each: each[1] == Leaf("null"))
    for index, each in order:
        lines += [f"{word} n == {2 * index}:", *indent(branch(each))]
        word = "elif"
    return [*lines, "else: refuse()"]


def blocks(smallest: int, item: list[str], whole: Sequence[str] = ()) -> list[str]:
    """Return the lines that read the blocks of an array or map.

    Args:
        smallest: bytes that no item falls short of, at least 1: a count may promise more items
            than there are bytes.
        item: the lines that read one.
        whole: lines that come before them, in which `continue` is for a block that they read.
    """
    return [
        "while True:",
        " n = body[at]",
        " if n < 128: count = SIGNED[n]; at += 1",
        " else: count, at = number_at(body, at)",
        " if not count: break",
        # A negative count, the bytes of the block, then the items.
        " if count < 0: count = -count; at = pass_long(body, at)",
        f" if count * {smallest} > len(body) - at: raise IndexError",
        *indent(whole),
        " for _ in range(count):",
        *indent(indent(item)),
    ]


def _refuse() -> NoReturn:
    raise DecodeError(_ABSENT)


def _explain_damage(error: Exception) -> NoReturn:
    match error:
        case DecodeError() | MemoryError() | RecursionError():
            raise error
        case KeyError():
            reason = _ABSENT
        case IndexError() | struct.error():
            reason = "the bytes end within a value"
        case UnicodeDecodeError():
            reason = "a text is not valid UTF-8"
        case OverflowError():
            reason = "a date or time is outside the years 1 to 9999"
        case _:
            reason = f"{error!s:.100}".partition("\n")[0] or type(error).__name__
    raise DecodeError(reason) from error


def _explain_end(at: int, body: bytes) -> NoReturn:
    if at > len(body):
        raise DecodeError("the bytes end within a value")
    raise DecodeError(f"{len(body) - at} bytes are left over after the payload")


NAMES: dict[str, Any] = {
    "BOOLEANS": {0: False, 1: True},
    "SIGNED": SIGNED,
    "SPANS": SPANS,
    "double_at": struct.Struct("<d").unpack_from,
    "explain_damage": _explain_damage,
    "explain_end": _explain_end,
    "float_at": struct.Struct("<f").unpack_from,
    "int_at": int_at,
    "long_at": long_at,
    "micros_at": micros_at,
    "millis_at": millis_at,
    "number_at": number_at,
    "pass_long": pass_long,
    "refuse": _refuse,
    "span_at": span_at,
}
"""What the lines use."""
