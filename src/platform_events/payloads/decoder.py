"""Generated source that reads a payload."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any

from platform_events.payloads import layout
from platform_events.payloads.conversions import FROM_NUMBER, NAMES
from platform_events.payloads.source import Source
from platform_events.payloads.types import (
    Array,
    AvroType,
    Field,
    Leaf,
    Map,
    Record,
    Union,
    smallest_size,
)
from platform_events.payloads.values import decimal_reader
from platform_events.payloads.varints import may_exceed

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = (Leaf("int"), Leaf("long"))
_MANY, _MANY_LONG = 24, 4
"""Numbers, and numbers of more than 3 bytes, above which it is worth asking fastavro."""


def compile_decoder(record: Record) -> Callable[[bytes], dict[str, Any]]:
    """Return the function from a body to its payload; it raises `DecodeError`."""
    source = Source(record, {**layout.NAMES, **NAMES})
    lines, value = _Decoder(source).record(record)
    return source.compile("decode", "body", [*layout.whole_body(lines), f"return {value}"])


def decoded(source: Source, leaf: Leaf, variable: str) -> list[str]:
    """Return the lines that give a variable the value of a type without parts."""
    if leaf.kind == "enum":
        return layout.symbol(source, leaf, leaf.symbols, variable)
    lines = layout.stored(leaf, variable)
    if leaf.kind in FROM_NUMBER:
        return [*lines, f"{variable} = {FROM_NUMBER[leaf.kind].format(variable)}"]
    if leaf.kind == "uuid":
        return [*lines, f"{variable} = uuid_of({variable})"]
    if leaf.kind == "decimal":
        return [*lines, f"{variable} = {source.constant(decimal_reader(leaf))}({variable})"]
    return lines


class _Decoder:
    """Lines that move `at` over a value in `body` and give it to a variable."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def record(self, record: Record) -> tuple[list[str], str]:
        """Return the lines that read a record's fields, and the expression for the record."""
        lines, names = [], []
        for is_fixed, group in groupby(record.fields, lambda item: layout.is_fixed(item.type)):
            fields = list(group)
            variables = [self._source.variable() for _ in fields]
            names += variables
            if is_fixed and len(fields) > 1:
                lines += self._run(fields, variables)
            else:
                for item, variable in zip(fields, variables, strict=True):
                    lines += self._value(item.type, variable)
        pairs = zip(record.fields, names, strict=True)
        return lines, f"{{{', '.join(f'{item.name!r}: {name}' for item, name in pairs)}}}"

    def _run(self, fields: list[Field], variables: list[str]) -> list[str]:
        """Return the lines that read fields of fixed sizes at once."""
        leaves = [item.type for item in fields if isinstance(item.type, Leaf)]
        unpack = struct.Struct(layout.format_of(leaves)).unpack_from
        lines = [
            f"{', '.join(variables)} = {self._source.constant(unpack)}(body, at)",
            f"at += {sum(map(layout.size_of, leaves))}",
        ]
        pairs = zip(leaves, variables, strict=True)
        return lines + [
            f"{name} = BOOLEANS[{name}]" for leaf, name in pairs if leaf.kind == "boolean"
        ]

    def _value(self, avro_type: AvroType, variable: str) -> list[str]:
        match avro_type:
            case Leaf():
                return decoded(self._source, avro_type, variable)
            case Union():
                return layout.union(avro_type, lambda branch: self._value(branch, variable))
            case Record() if self._source.is_inline(avro_type):
                lines, value = self.record(avro_type)
                return [*lines, f"{variable} = {value}"]
        name = self._source.function(avro_type, "body, at", lambda: self._body(avro_type))
        return [f"{variable}, at = {name}(body, at)"]

    def _body(self, avro_type: Array | Map | Record) -> list[str]:
        item = self._source.variable()
        match avro_type:
            case Record():
                lines, value = self.record(avro_type)
                return [*lines, f"return {value}, at"]
            case Map(values=part):
                entry = [*layout.stored(Leaf("string"), "key"), *self._value(part, item)]
                loop = layout.blocks(1 + smallest_size(part), [*entry, f"items[key] = {item}"])
                return ["items = {}", *loop, "return items, at"]
            case Array(items=part):
                entry = [*self._value(part, item), f"add({item})"]
                many = self._many(part) if part in _NUMBERS else []
                loop = layout.blocks(smallest_size(part), entry, many)
                return ["start, items = at, []", "add = items.append", *loop, "return items, at"]

    def _many(self, leaf: Leaf) -> list[str]:
        """Return the lines that read a block of numbers at once, if that can be."""
        return [
            "few = body[at : at + count]",
            "if few.isascii(): items += map(SIGNED.__getitem__, few); at += count; continue",
            f"if count > {_MANY} or (count > {_MANY_LONG} and body[at] & body[at + 1] & body[at + 2] > 127):",
            f" found = {self._source.constant(_numbers_reader(leaf.kind))}(body, start)",
            " if found: return found",
        ]


def _numbers_reader(kind: str) -> Callable[[bytes, int], tuple[list[int], int] | None]:
    """Return the function that reads an array of `int` or `long`, and the position after it.

    It returns None for what has to be looked at more closely: damage, or a number that is so long
    that it may be outside the range, which fastavro does not notice.
    """
    from fastavro import parse_schema, schemaless_reader

    read_array: Any = schemaless_reader
    schema = parse_schema({"type": "array", "items": kind})

    def read(body: bytes, at: int) -> tuple[list[int], int] | None:
        stream = BytesIO(body)
        stream.seek(at)
        try:
            items: list[int] = read_array(stream, schema, None)
        except (EOFError, IndexError):
            return None
        end = stream.tell()
        return None if may_exceed(kind, body[at:end]) else (items, end)

    return read
