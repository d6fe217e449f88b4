"""Generated source that checks a payload and writes it, in one pass.

It refuses a value by any exception; which field is to blame is for the diagnosis to find. Each
part of a payload is lines, and pieces: expressions of bytes that hold when the lines have run. A
record joins the pieces of its fields. What is usual is written in place, see `conversions`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any

from platform_events.payloads.conversions import NAMES, TO_NUMBER, UNUSUAL, checked
from platform_events.payloads.kinds import WHOLE_NUMBERS
from platform_events.payloads.layout import format_of, is_fixed
from platform_events.payloads.source import Source, indent
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union
from platform_events.payloads.values import INT_LIMIT, decimal_writer
from platform_events.payloads.varints import (
    ONLY_SMALL,
    SMALL,
    long_bytes,
    may_exceed,
    number_bytes,
    small_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TESTS = {
    "null": "{0} is None",
    "boolean": "type({0}) is bool",
    "number": "isinstance({0}, NUMBERS)",
    "array": "isinstance({0}, LISTS)",
    "object": "isinstance({0}, Mapping)",
}
"""How a value names its branch of a union, tried in this order. What passes none of the tests of
the union's kinds is left to the branch of the string kind, and to the only branch beside null.
The diagnosis chooses alike."""


_NUMBERS = (Leaf("int"), Leaf("long"))
_MANY, _MANY_LONG = 16, 6
"""Numbers, and numbers of more than 4 bytes, above which it is worth asking fastavro."""
_OWN_NAMES = {
    "BOOLEANS": {False: b"\0", True: b"\1"},
    "LISTS": (list, tuple),
    "Mapping": Mapping,
    "NUMBERS": (int, float),
    "double_bytes": struct.Struct("<d").pack,
    "encode_text": str.encode,
    "float_bytes": struct.Struct("<f").pack,
    "long_bytes": long_bytes,
}
_FEW = 3
"""Pieces up to which `+` is faster than a join."""


def compile_encoder(
    record: Record,
    defaults: Mapping[Record, Mapping[str, Any]],
    blame: Callable[[Any, Exception], None],
) -> Callable[[Any], bytes]:
    """Return the function from a payload to its body.

    Args:
        record: what it has to fit.
        defaults: by record in it, the values of fields that may be left out.
        blame: called with a payload that was refused and the reason; it raises.
    """
    source = Source(record, {**NAMES, **_OWN_NAMES, "blame": blame})
    lines, pieces = _Encoder(source, defaults).record(record, "payload")
    body = indent([*lines, f"return {_joined(pieces)}"])
    blamed = "except Exception as error: blame(payload, error)"
    return source.compile("encode", "payload", ["try:", *body, blamed])


class _Encoder:
    """Lines and pieces by type. `name` is a variable with the value, which the lines may change."""

    def __init__(self, source: Source, defaults: Mapping[Record, Mapping[str, Any]]) -> None:
        self._source = source
        self._defaults = defaults
        self._small: dict[bytes, str] = {}

    def record(self, record: Record, name: str) -> tuple[list[str], list[str]]:
        """Return the lines and pieces of a record."""
        defaults, count = self._defaults[record], len(record.fields)
        lines = [
            f"if type({name}) is not dict:",
            f" if not isinstance({name}, Mapping): raise TypeError",
            f" {name} = dict({name})",
            f"if len({name}) != {count}:",
            f" {name} = {{**{self._source.constant(defaults)}, **{name}}}",
            f" if len({name}) != {count}: raise TypeError",
        ]
        pieces: list[str] = []
        variables = {item.name: self._source.variable() for item in record.fields}
        lines += [f"{variable} = {name}[{field!r}]" for field, variable in variables.items()]
        for fixed, group in groupby(record.fields, lambda item: is_fixed(item.type)):
            values = [(item.type, variables[item.name]) for item in group]
            if fixed and len(values) > 1:
                parts = [self._run(values)]
            else:
                parts = [self._value(avro_type, variable) for avro_type, variable in values]
            for more_lines, more_pieces in parts:
                lines += more_lines
                pieces += more_pieces
        return lines, pieces

    def _run(self, values: Sequence[tuple[AvroType, str]]) -> tuple[list[str], list[str]]:
        """Write values of fixed sizes at once."""
        leaves = [(leaf, name) for leaf, name in values if isinstance(leaf, Leaf)]
        lines = [line for leaf, name in leaves for line in self._check(leaf, name)]
        pack = self._source.constant(struct.Struct(format_of([leaf for leaf, _ in leaves])).pack)
        return lines, [f"{pack}({', '.join(name for _, name in leaves)})"]

    def _value(
        self, avro_type: AvroType, name: str, prefix: bytes = b""
    ) -> tuple[list[str], list[str]]:
        match avro_type:
            case Leaf():
                return self._leaf(avro_type, name, prefix)
            case Union():
                return self._union(avro_type, name)
            case Record() if self._source.is_inline(avro_type):
                lines, pieces = self.record(avro_type, name)
            case _:
                function = self._source.function(avro_type, "value", lambda: self._body(avro_type))
                lines, pieces = [], [f"{function}({name})"]
        return lines, [repr(prefix), *pieces] if prefix else pieces

    def _check(self, leaf: Leaf, name: str) -> list[str]:
        if leaf.family not in UNUSUAL:
            return []
        test = UNUSUAL[leaf.family].format(name, leaf.size)
        return [f"if {test}: {name} = {self._source.constant(checked(leaf))}({name})"]

    def _leaf(self, leaf: Leaf, name: str, prefix: bytes) -> tuple[list[str], list[str]]:
        lines = self._check(leaf, name)
        match leaf.kind:
            case "string":
                lines = [f"{name} = encode_text({name})"]
            case "uuid":
                lines.append(f"{name} = uuid_bytes({name})")
            case "decimal":
                lines.append(f"{name} = {self._source.constant(decimal_writer(leaf))}({name})")
            case kind if kind in TO_NUMBER:
                lines.append(f"{name} = {TO_NUMBER[kind].format(name)}")
        return lines, self._pieces(leaf, name, prefix)

    def _pieces(self, leaf: Leaf, name: str, prefix: bytes) -> list[str]:
        """Return the pieces of what Avro stores."""
        before = [repr(prefix)] if prefix else []
        match leaf.base:
            case "null":
                return before
            case "boolean":
                return [*before, f"BOOLEANS[{name}]"]
            case "float" | "double":
                return [*before, f"{leaf.kind}_bytes({name})"]
            case "fixed":
                return [*before, name]
            case "enum":
                codes = {symbol: prefix + number_bytes(i) for symbol, i in leaf.indexes.items()}
                return [f"{self._source.constant(codes)}[{name}]"]
            case "string" | "bytes":
                return [f"{self._numbers(prefix)}[len({name})]", name]
        limit = f", {INT_LIMIT}" if leaf.base == "int" else ""
        long = _joined([*before, f"long_bytes({name}{limit})"])
        is_small = f"-{SMALL} <= {name} < {SMALL}"
        return [f"({self._numbers(prefix)}[{name}] if {is_small} else {long})"]

    def _numbers(self, prefix: bytes = b"") -> str:
        if prefix not in self._small:
            self._small[prefix] = self._source.constant(small_numbers(prefix))
        return self._small[prefix]

    def _union(self, union: Union, name: str) -> tuple[list[str], list[str]]:
        result = self._source.variable()
        prefixes = {branch: number_bytes(index) for index, branch in enumerate(union.branches)}

        def branch_lines(branch: AvroType) -> list[str]:
            lines, pieces = self._value(branch, name, prefixes[branch])
            return indent([*lines, f"{result} = {_joined(pieces)}"])

        others = [branch for branch in union.branches if branch != Leaf("null")]
        tests = _TESTS if len(others) != 1 else {"null": _TESTS["null"]}
        last = others[0] if len(others) == 1 else union.branch_of("string")
        lines, word = [], "if"
        for kind, test in tests.items():
            branch = union.branch_of(kind)
            if branch is not None:
                lines += [f"{word} {test.format(name)}:", *branch_lines(branch)]
                word = "elif"
        rest = indent(["raise TypeError"]) if last is None else branch_lines(last)
        lines += ["else:", *rest] if lines else [line[1:] for line in rest]
        return lines, [result]

    def _body(self, avro_type: Array | Map | Record) -> list[str]:
        """Return the lines of the function that returns the bytes of a value."""
        item = self._source.variable()
        before: list[str] = []
        start: list[str] = []
        entry: list[str] = []
        match avro_type:
            case Record():
                lines, pieces = self.record(avro_type, "value")
                return [*lines, f"return {_joined(pieces)}"]
            case Map(values=part):
                test, loop = "Mapping", f"for key, {item} in value.items():"
                before, start = self._leaf(Leaf("string"), "key", b"")
            case Array(items=part):
                test, loop = "LISTS", f"for {item} in value:"
                entry = self._many(part.kind) if part in _NUMBERS else []
        lines, pieces = self._value(part, item)
        return [
            f"if not isinstance(value, {test}): raise TypeError",
            *entry,
            "out = [b'']",
            "add = out.append",
            loop,
            *indent([*before, *lines, f"add({_joined([*start, *pieces])})"]),
            # Counted here: another thread may change the list.
            "if len(out) == 1: return b'\\0'",
            f"out[0] = {self._numbers()}[len(out) - 1]",
            "add(b'\\0')",
            "return b''.join(out)",
        ]

    def _many(self, kind: str) -> list[str]:
        """Return the lines that write an array of numbers at once, if that is worth it."""
        is_long = "type(value[0]) is int and value[0] >> 27"
        return [
            f"if len(value) > {_MANY} or (len(value) > {_MANY_LONG} and {is_long}):",
            f" body = {self._source.constant(_numbers_writer(kind))}(value)",
            " if body: return body",
        ]


def _numbers_writer(kind: str) -> Callable[[Sequence[Any]], bytes | None]:
    """Return the function that writes an array of `int` or `long`.

    It returns None if the items are not all just ints.
    """
    from fastavro import parse_schema, schemaless_writer

    write_array: Any = schemaless_writer
    schema = parse_schema({"type": "array", "items": kind})
    least, most = WHOLE_NUMBERS[kind]
    small = small_numbers()

    def write(values: Sequence[Any]) -> bytes | None:
        values = [*values]  # another thread may change the list
        if [*map(type, values)].count(int) != len(values):
            return None
        if -SMALL <= values[0] < SMALL:
            with suppress(OverflowError):
                return b"".join([small[len(values)], *map(ONLY_SMALL.__getitem__, values), b"\0"])
        stream = BytesIO()
        # By position, which is faster: not strict, no strict defaults, no tuple notation.
        write_array(stream, schema, values, False, False, True)
        body = stream.getvalue()
        if may_exceed(kind, body) and (min(values) < least or max(values) > most):
            raise OverflowError
        return body

    return write


def _joined(pieces: list[str]) -> str:
    if len(pieces) > _FEW:
        return f"b''.join(({', '.join(pieces)}))"
    return " + ".join(pieces) or "b''"
