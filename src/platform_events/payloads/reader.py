"""Generated source that reads a payload: decodes it, or only judges its bytes."""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from platform_events.payloads import layout
from platform_events.payloads.conversions import FROM_NUMBER, NAMES
from platform_events.payloads.kinds import WHOLE_NUMBERS
from platform_events.payloads.source import Source
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union, smallest_size
from platform_events.payloads.values import decimal_reader
from platform_events.payloads.varints import may_exceed

if TYPE_CHECKING:
    from collections.abc import Callable

ReadLeaf: TypeAlias = "Callable[[Source, Leaf, str], list[str]]"
"""Returns the lines that read a type without parts and give a variable the value."""

_ANYTHING = frozenset({"null", "float", "double", "bytes", "fixed"})
"""Types of which all bytes are values."""
_NUMBERS = (Leaf("int"), Leaf("long"))
_MANY, _MANY_LONG = 24, 4
"""Numbers, and numbers of more than 3 bytes, above which it is worth asking fastavro."""


def compile_decoder(record: Record) -> Callable[[bytes], dict[str, Any]]:
    """Return the function from a body to its payload; it raises `DecodeError`."""
    source = Source(record, {**layout.NAMES, **NAMES})
    lines = Reader(source, decoded).value(record, "payload")
    return source.compile("decode", "body", [*layout.whole_body(lines), "return payload"])


def compile_walk(record: Record) -> Callable[[bytes], None]:
    """Return the function that raises `DecodeError` for a body which is no payload."""
    source = Source(record, {**layout.NAMES, **NAMES})
    lines = Reader(source, _judged, builds=False).value(record)
    return source.compile("walk", "body", layout.whole_body(lines))


def decoded(source: Source, leaf: Leaf, variable: str) -> list[str]:
    """Return the lines that read the value of a payload."""
    if leaf.kind == "enum":
        return layout.symbol(source, leaf.symbols, variable)
    lines = layout.stored(leaf, variable)
    if leaf.kind in FROM_NUMBER:
        return [*lines, f"{variable} = {FROM_NUMBER[leaf.kind].format(variable)}"]
    if leaf.kind == "uuid":
        return [*lines, f"{variable} = uuid_of({variable})"]
    if leaf.kind == "decimal":
        return [*lines, f"{variable} = {source.constant(decimal_reader(leaf))}({variable})"]
    return lines


def _judged(source: Source, leaf: Leaf, variable: str) -> list[str]:
    """Return the lines that raise what `decoded` raises, and do no more than that needs."""
    if leaf.kind in _ANYTHING:
        return layout.passed(leaf)
    if leaf.kind not in FROM_NUMBER:
        return decoded(source, leaf, variable)
    least, most = WHOLE_NUMBERS[leaf.kind]
    in_range = f"{least} <= {variable} <= {most}"
    return [*layout.stored(leaf, variable), f"if not {in_range}: raise OverflowError"]


class Reader:
    """Lines that move `at` over a value in `body`, by its type.

    Args:
        source: what they are for.
        leaf: reads types without parts.
        builds: whether a variable gets the value; else what `leaf` reads is dropped.
    """

    def __init__(self, source: Source, leaf: ReadLeaf, *, builds: bool = True) -> None:
        self.source = source
        self._leaf = leaf
        self._builds = builds

    def value(self, avro_type: AvroType, variable: str = "v") -> list[str]:
        """Return the lines for a value, which they give to a variable."""
        match avro_type:
            case Leaf():
                return self._leaf(self.source, avro_type, variable)
            case Union():
                return layout.union(avro_type, lambda branch: self.value(branch, variable))
            case Record() if self.source.is_inline(avro_type):
                return self._record(avro_type, variable)
        name = self.source.function(avro_type, "body, at", lambda: self._body(avro_type))
        return [f"{f'{variable}, at' if self._builds else 'at'} = {name}(body, at)"]

    def _record(self, record: Record, variable: str) -> list[str]:
        if not self._builds:
            return [line for item in record.fields for line in self.value(item.type)]
        lines: list[str] = []
        names = {item.name: self.source.variable() for item in record.fields}
        for fixed, group in groupby(record.fields, lambda item: layout.is_fixed(item.type)):
            values = [(item.type, names[item.name]) for item in group]
            if fixed and len(values) > 1:
                lines += self._run(
                    [(leaf, name) for leaf, name in values if isinstance(leaf, Leaf)]
                )
            else:
                lines += [line for value in values for line in self.value(*value)]
        pairs = ", ".join(f"{field!r}: {name}" for field, name in names.items())
        return [*lines, f"{variable} = {{{pairs}}}"]

    def _run(self, values: list[tuple[AvroType, str]]) -> list[str]:
        """Return the lines that read values of fixed sizes at once."""
        leaves = [leaf for leaf, _ in values if isinstance(leaf, Leaf)]
        unpack = self.source.constant(struct.Struct(layout.format_of(leaves)).unpack_from)
        return [
            f"{', '.join(name for _, name in values)} = {unpack}(body, at)",
            f"at += {sum(map(layout.size_of, leaves))}",
            *(f"{name} = BOOLEANS[{name}]" for leaf, name in values if leaf == Leaf("boolean")),
        ]

    def _body(self, avro_type: Array | Map | Record) -> list[str]:
        """Return the lines of the function that returns a value, if any, and where it ends."""
        item = self.source.variable()
        result = f"return {item}, at" if self._builds else "return at"
        match avro_type:
            case Record():
                return [*self._record(avro_type, item), result]
            case Map(values=part):
                smallest, empty, add = 1 + smallest_size(part), "{}", f"{item}[key] = v"
                entry = [*self._leaf(self.source, Leaf("string"), "key"), *self.value(part)]
            case Array(items=part):
                smallest, empty, add = smallest_size(part), "[]", f"{item}.append(v)"
                entry = self.value(part)
        if not self._builds:
            return [*layout.blocks(smallest, entry), result]
        whole = self._numbers(part, item) if part in _NUMBERS and empty == "[]" else []
        loop = layout.blocks(smallest, [*entry, add], whole)
        return ["start = at", f"{item} = {empty}", *loop, result]

    def _numbers(self, part: AvroType, items: str) -> list[str]:
        """Return the lines that read a block of numbers, or the array, at once if they can."""
        assert isinstance(part, Leaf)
        read = self.source.constant(_numbers_reader(part.kind))
        is_long = "body[at] & body[at + 1] & body[at + 2] > 127"
        return [
            "few = body[at : at + count]",
            f"if few.isascii(): {items} += map(SIGNED.__getitem__, few); at += count; continue",
            f"if count > {_MANY} or (count > {_MANY_LONG} and {is_long}):",
            f" found = {read}(body, start)",
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
