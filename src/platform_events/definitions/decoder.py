"""Compiles a payload's type into one function that reads it from Avro bytes.

The function is Python source, generated once per schema, in which only checked names appear, as
string literals. It reads hostile bytes safely: every count is checked against the bytes that are
left, every index and branch against its range, nesting against `MAX_DEPTH`. (A general Avro
reader that descends in C ends the process on a recursive schema and loops on a count of 2**60.)
"""

from __future__ import annotations

import struct
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.definitions.avro_numbers import (
    READ_INT,
    READ_LENGTH,
    DecodeError,
    read_int,
    read_length,
    read_long,
)
from platform_events.definitions.avro_types import (
    MAX_DEPTH,
    Array,
    AvroType,
    Leaf,
    Map,
    Record,
    Union,
    is_recursive,
    smallest_size,
)
from platform_events.definitions.avro_values import (
    EPOCH,
    EPOCH_DAY,
    LOCAL_EPOCH,
    MICROS,
    decimal_of,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

FAULTS: dict[type[Exception], str] = {
    IndexError: "the bytes end within a value",
    struct.error: "the bytes end within a value",
    UnicodeDecodeError: "a text is not valid UTF-8",
    OverflowError: "a date or time is outside the years 1 to 9999",
    ValueError: "a date, time or UUID is malformed",
}
"""What the compiled function raises besides `DecodeError`, and what it means."""


def compile_decoder(record: Record) -> Callable[[bytes, int], tuple[dict[str, Any], int]]:
    """Return a thread-safe function from body and start index to payload and end index.

    The end index may lie behind the body's end: then the body is cut short and the payload void.
    """
    return _Source(record).compile()


def _refuse_branch(code: int) -> None:
    raise DecodeError(f"a union has no branch with code {code}")


def _refuse_depth() -> None:
    raise DecodeError(f"records are nested deeper than {MAX_DEPTH} levels")


def _read_boolean(byte: int) -> bool:
    if byte > 1:
        raise DecodeError(f"a boolean is {byte}")
    return byte == 1


def _read_symbol(symbols: tuple[str, ...], code: int) -> str:
    if not 0 <= code < len(symbols):
        raise DecodeError(f"an enum has no symbol with code {code}")
    return symbols[code]


def _read_decimal(limit: int, scale: int, data: bytes) -> Decimal:
    number = int.from_bytes(data, "big", signed=True)
    # Before it becomes a Decimal, which takes minutes for a megabyte of digits.
    if not -limit < number < limit:
        raise DecodeError("a decimal has more digits than its type")
    return decimal_of(number, scale)


def _read_block(body: bytes, index: int, count: int, smallest: int) -> tuple[int, int, int]:
    """Return count, index and stated end (-1 if none) of a block of an array or map."""
    end = -1
    if count < 0:
        count = -count
        size, index = read_length(body, index)
        end = index + size
    if count * smallest > len(body) - index:
        raise DecodeError(f"{count} items do not fit the bytes that are left")
    return count, index, end


def _check_block(index: int, end: int) -> None:
    if index != end:
        raise DecodeError("a block of items has another size than stated")


class _Source:
    """The source under construction: functions by composite type, constants by name."""

    def __init__(self, root: Record) -> None:
        self._root = root
        self._deep = is_recursive(root)
        self._functions: dict[AvroType, str] = {}
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {
            "INTS": READ_INT,
            "LENGTHS": READ_LENGTH,
            "EPOCH": EPOCH,
            "LOCAL_EPOCH": LOCAL_EPOCH,
            "UUID": UUID,
            "check_block": _check_block,
            "date_of": date.fromordinal,
            "delta": timedelta,
            "double_at": struct.Struct("<d").unpack_from,
            "float_at": struct.Struct("<f").unpack_from,
            "read_block": _read_block,
            "read_boolean": _read_boolean,
            "read_int": read_int,
            "read_length": read_length,
            "read_long": read_long,
            "refuse_branch": _refuse_branch,
            "refuse_depth": _refuse_depth,
            "time_of": time_of,
        }

    def compile(self) -> Callable[[bytes, int], tuple[dict[str, Any], int]]:
        name = self._function(self._root)
        source = "\n".join(self._lines)
        exec(compile(source, f"<decoder of {self._root.name}>", "exec"), self._globals)  # noqa: S102
        decode: Callable[[bytes, int], tuple[dict[str, Any], int]] = self._globals[name]
        return decode

    def _constant(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{len(self._globals)}"
        self._globals[name] = value
        return name

    def _function(self, avro_type: Array | Map | Record) -> str:
        if avro_type not in self._functions:
            self._functions[avro_type] = f"decode{len(self._functions)}"
            match avro_type:
                case Array(items=items):
                    read = self._read(items, "item")
                    body = _blocks("items = []", smallest_size(items), read, "items.append(item)")
                case Map(values=values):
                    read = [*self._read(Leaf("string"), "key"), *self._read(values, "item")]
                    size = 1 + smallest_size(values)
                    body = _blocks("items = {}", size, read, "items[key] = item")
                case Record():
                    body = self._record(avro_type)
            depth = ", depth=0" if self._deep else ""
            self._lines.append(f"def {self._functions[avro_type]}(b, i{depth}):")
            self._lines += _indent(body)
        return self._functions[avro_type]

    def _record(self, record: Record) -> list[str]:
        lines = []
        if self._deep:
            lines += [f"if depth >= {MAX_DEPTH}: refuse_depth()", "depth += 1"]
        for index, item in enumerate(record.fields):
            lines += self._read(item.type, f"v{index}")
        pairs = (f"{item.name!r}: v{index}" for index, item in enumerate(record.fields))
        return [*lines, f"return {{{', '.join(pairs)}}}, i"]

    def _read(self, avro_type: AvroType, name: str) -> list[str]:
        """Return lines that read a value at `b[i]` into the variable and move `i` behind it."""
        match avro_type:
            case Leaf():
                return self._leaf(avro_type, name)
            case Union(branches=branches):
                lines = ["code = b[i]", "i += 1"]
                for index, branch in enumerate(branches):
                    lines.append(f"{'el' if index else ''}if code == {2 * index}:")
                    lines += _indent(self._read(branch, name))
                return [*lines, "else: refuse_branch(code)"]
        depth = ", depth" if self._deep else ""
        return [f"{name}, i = {self._function(avro_type)}(b, i{depth})"]

    def _leaf(self, leaf: Leaf, name: str) -> list[str]:
        raw = _read_fixed(leaf.size, name) if leaf.size else _read_bytes(name)
        match leaf.kind:
            case "null":
                return [f"{name} = None"]
            case "boolean":
                return [f"{name} = read_boolean(b[i])", "i += 1"]
            case "float" | "double":
                size = 4 if leaf.kind == "float" else 8
                return [f"({name},) = {leaf.kind}_at(b, i)", f"i += {size}"]
            case "string":
                return [*raw, f"{name} = {name}.decode()"]
            case "bytes":
                return raw
            case "fixed":
                return _read_fixed(leaf.size, name)
            case "decimal":
                limit = 10**leaf.precision
                read = self._constant("decimal", partial(_read_decimal, limit, leaf.scale))
                return [*raw, f"{name} = {read}({name})"]
            case "uuid":
                return [*raw, f"{name} = UUID({name}.decode())"]
        return [*_read_number(leaf.kind, name), *self._convert(leaf, name)]

    def _convert(self, leaf: Leaf, name: str) -> list[str]:
        """Return lines that make the number which was read into a value of the kind."""
        kind, _, unit = leaf.kind.rpartition("-")
        match kind or leaf.kind:
            case "enum":
                read = self._constant("symbol", partial(_read_symbol, leaf.symbols))
                return [f"{name} = {read}({name})"]
            case "date":
                return [f"{name} = date_of({name} + {EPOCH_DAY})"]
            case "time":
                return [f"{name} = time_of({name}, {MICROS[unit]})"]
            case "timestamp" | "local-timestamp":
                epoch = "EPOCH" if kind == "timestamp" else "LOCAL_EPOCH"
                return [f"{name} = {epoch} + delta(0, 0, {name} * {MICROS[unit]})"]
        return []


def _indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _read_number(kind: str, name: str) -> list[str]:
    wide = kind == "long" or kind.endswith("micros") or "timestamp" in kind
    read = "read_long" if wide else "read_int"
    return [
        f"{name} = INTS[b[i]]",
        f"if {name} is None: {name}, i = {read}(b, i)",
        "else: i += 1",
    ]


def _read_fixed(size: int, name: str) -> list[str]:
    # A slice stops at the body's end while the index goes on: that is how a cut shows at last.
    return [f"{name} = b[i:(i := i + {size})]"]


def _read_bytes(name: str) -> list[str]:
    return [
        "n = LENGTHS[b[i]]",
        "if n < 0: n, i = read_length(b, i)",
        "else: i += 1",
        f"{name} = b[i:(i := i + n)]",
    ]


def _blocks(start: str, smallest: int, read: list[str], keep: str) -> list[str]:
    loop = ["for _ in range(count):", *_indent([*read, keep])]
    return [
        start,
        "while True:",
        *_indent(
            [
                *_read_number("long", "count"),
                "if not count: return items, i",
                f"count, i, end = read_block(b, i, count, {smallest})",
                *loop,
                "if end >= 0: check_block(i, end)",
            ]
        ),
    ]
