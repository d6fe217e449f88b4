"""Python source that walks through an Avro body and takes out the values of some fields.

Every field is passed over by its length, and only wanted ones become Python values: those that
Avro stores, text folded, nested fields without their records. That takes a fraction of decoding
(measured with fastavro 1.13 and Python 3.11, one field wanted; here with the comparison):

| event | fastavro, all fields | fastavro, schema of one field | this |
|---|---|---|---|
| flight, 11 fields, 80 bytes | 4.8 us | 4.7 us | 1.6 us |
| 22 fields, 20 of them texts, 1 kB | 13.3 us | 8.1 us | 2.6 us |

What is passed over is checked for its structure: lengths, branches, symbols, the body's end. Its
text is not checked for UTF-8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union

_MAX_VARINT = 10
"""Bytes of a long at most (Avro specification 1.12, Binary Encoding)."""
_SIZES = {"boolean": 1, "float": 4, "double": 8}
_TEXTUAL = frozenset({"string", "uuid"})
_LENGTH_FIRST = _TEXTUAL | {"bytes", "decimal"}


class DamagedError(ValueError):
    """The bytes are no payload. The text says why."""


@dataclass(slots=True)
class Wanted:
    """What is wanted of one field."""

    variable: str = ""
    """Name that gets the value, or True if only its presence matters; empty: nothing."""
    only_presence: bool = True
    """Whether all that matters is that the value is not null."""
    parts: dict[str, Wanted] = field(default_factory=dict)
    """What is wanted of the record's fields, by name."""


def read_long(body: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, zigzag-coded as it is there, and the position after it.

    Raises:
        IndexError: the bytes end within it.
        DamagedError: it has too many bytes.
    """
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift >= 7 * _MAX_VARINT:
            raise DamagedError("a number has more than 64 bits")


def pass_long(body: bytes, at: int) -> int:
    """Return the position after the number at a position; raises as `read_long` does."""
    limit = at + _MAX_VARINT
    while body[at] > 127:
        at += 1
        if at >= limit:
            raise DamagedError("a number has more than 64 bits")
    return at + 1


def refuse() -> None:
    """Raise `DamagedError` for a length, branch or symbol that cannot be."""
    raise DamagedError("a length is negative, or a branch or symbol is not there")


HELPERS: dict[str, Any] = {
    "read_long": read_long,
    "pass_long": pass_long,
    "refuse": refuse,
    "float_at": struct.Struct("<f").unpack_from,
    "double_at": struct.Struct("<d").unpack_from,
    "whole": int.from_bytes,
}
"""The names that the source uses."""


class Walk:
    """The source under construction."""

    def __init__(self) -> None:
        self.functions: list[str] = []
        """Lines of the functions that pass over composite types."""
        self._names: dict[AvroType, str] = {}

    def record(self, record: Record, wanted: Wanted) -> list[str]:
        """Return the lines that move `at` over a record in `body`.

        They assign the wanted variables, but for those whose field or parent is null or missing.
        """
        nothing = Wanted()
        return [
            line
            for item in record.fields
            for line in self._value(item.type, wanted.parts.get(item.name, nothing))
        ]

    def _value(self, avro_type: AvroType, wanted: Wanted) -> list[str]:
        match avro_type:
            case Union():
                return self._union(avro_type, wanted)
            case Leaf() if wanted.variable and not wanted.only_presence:
                return _read(avro_type, wanted.variable)
            case Leaf():
                lines = _pass(avro_type)
            case Record() if wanted.parts:
                lines = self.record(avro_type, wanted)
            case _:
                lines = [f"at = {self._function(avro_type)}(body, at)"]
        is_told = wanted.variable and avro_type != Leaf("null")
        return [*lines, f"{wanted.variable} = True"] if is_told else lines

    def _union(self, union: Union, wanted: Wanted) -> list[str]:
        lines = ["n = body[at]", "at += 1"]
        word = "if"
        # Values first: null is the rarer branch, and mostly the first.
        order = sorted(range(len(union.branches)), key=lambda i: union.branches[i] == Leaf("null"))
        for index in order:
            branch = self._value(union.branches[index], wanted) or ["pass"]
            lines += [f"{word} n == {2 * index}:", *(f" {line}" for line in branch)]
            word = "elif"
        return [*lines, "else:", " refuse()"]

    def _function(self, avro_type: Array | Map | Record) -> str:
        """Return the name of the function that passes over a composite type."""
        if avro_type not in self._names:
            match avro_type:
                case Record():
                    lines = self.record(avro_type, Wanted())
                case Array(items=part):
                    lines = self._blocks(self._value(part, Wanted()))
                case Map(values=part):
                    lines = self._blocks([*_pass(Leaf("string")), *self._value(part, Wanted())])
            name = self._names[avro_type] = f"pass{len(self._names)}"
            body = (f" {line}" for line in [*lines, "return at"])
            self.functions += [f"def {name}(body, at):", *body]
        return self._names[avro_type]

    def _blocks(self, item: list[str]) -> list[str]:
        return [
            "while True:",
            *(f" {line}" for line in _number("n")),
            " n = n >> 1 ^ -(n & 1)",
            " if not n: break",
            " if n < 0:",
            "  n = -n",
            "  at = pass_long(body, at)",
            " for _ in range(n):",
            *(f"  {line}" for line in item),
            # A count may promise more items than there are bytes.
            "  if at > len(body): raise IndexError",
        ]


def _number(variable: str) -> list[str]:
    """Return the lines that read a number as it is there."""
    return [
        f"{variable} = body[at]",
        "at += 1",
        f"if {variable} > 127: {variable}, at = read_long(body, at - 1)",
    ]


def _length() -> list[str]:
    return [*_number("n"), "if n & 1: refuse()"]


def _pass(leaf: Leaf) -> list[str]:
    """Return the lines that pass over a value without parts."""
    size = leaf.size or _SIZES.get(leaf.kind, 0)
    if leaf.kind == "null":
        return []
    if size or leaf.kind == "fixed":
        return [f"at += {size}"]
    if leaf.kind in _LENGTH_FIRST:
        return [*_length(), "at += n >> 1"]
    if leaf.kind == "enum":
        return _read(leaf, "n")
    return ["if body[at] < 128: at += 1", "else: at = pass_long(body, at)"]


def _read(leaf: Leaf, variable: str) -> list[str]:
    """Return the lines that give a variable the value as Avro stores it."""
    match leaf.kind:
        case "null":
            return []
        case "boolean":
            return [f"{variable} = body[at] != 0", "at += 1"]
        case "float" | "double":
            return [f"({variable},) = {leaf.kind}_at(body, at)", f"at += {_SIZES[leaf.kind]}"]
        case "string" | "uuid":
            text = "body[at : at + (n >> 1)].decode().casefold()"
            return [*_length(), f"{variable} = {text}", "at += n >> 1"]
        case "decimal":
            length = [f"n = {2 * leaf.size}"] if leaf.size else _length()
            data = 'body[at : at + (n >> 1)], "big", signed=True'
            return [*length, f"{variable} = whole({data})", "at += n >> 1"]
        case "enum":
            limit = 2 * len(leaf.symbols)
            refused = f"if n & 1 or n >= {limit}: refuse()"
            return [*_number("n"), refused, f"{variable} = n >> 1"]
    return [*_number("n"), f"{variable} = n >> 1 ^ -(n & 1)"]
