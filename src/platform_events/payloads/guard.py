"""Compiles a payload's type into one function that tells whether a payload fits it.

The Avro library writes wrong data without a word: "false" as true, 3.7 into an int as 3, a time
without zone as local time. So a payload is judged first, by Python source that is generated once
per schema, in which only checked names appear, as string literals. It only says yes or no; which
field is to blame is for the diagnosis to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union
from platform_events.payloads.values import (
    INT_LIMIT,
    LONG_LIMIT,
    MisfitError,
    check_text,
    leaf_check,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = {
    "null": "{0} is None",
    "boolean": "type({0}) is bool",
    "number": "isinstance({0}, (int, float))",
    "array": "isinstance({0}, (list, tuple))",
    "object": "isinstance({0}, Mapping)",
}
"""How a value names its branch of a union, tried in this order. What passes none of the tests of
the union's kinds is left to the branch of the string kind, and to the only branch beside null.
The diagnosis chooses alike."""

_SHORTCUTS = {
    "null": "{0} is None",
    "boolean": "type({0}) is bool",
    "int": f"(-{INT_LIMIT} <= {{0}} < {INT_LIMIT} if type({{0}}) is int else {{1}}({{0}}))",
    "long": f"(-{LONG_LIMIT} <= {{0}} < {LONG_LIMIT} if type({{0}}) is int else {{1}}({{0}}))",
    "float": "(type({0}) is float and -3e38 < {0} < 3e38 or {1}({0}))",
    "double": "(type({0}) is float or {1}({0}))",
    "string": "(type({0}) is str and {0}.isascii() or {1}({0}))",
    "bytes": "(type({0}) is bytes or {1}({0}))",
    "uuid": "(type({0}) is UUID or {1}({0}))",
    "date": "(type({0}) is date or {1}({0}))",
    "time": "(type({0}) is time and {0}.tzinfo is None or {1}({0}))",
    "timestamp": "(type({0}) is datetime and {0}.tzinfo is UTC or {1}({0}))",
    "local-timestamp": "(type({0}) is datetime and {0}.tzinfo is None or {1}({0}))",
}
"""What most values of a kind are; the rest is left to the kind's own check."""


def compile_guard(
    record: Record, defaults: Mapping[Record, Mapping[str, Any]]
) -> Callable[[Any], bool]:
    """Return a thread-safe function that tells whether a payload fits.

    Args:
        record: what it has to fit.
        defaults: by record in it, the values of fields that may be left out.
    """
    return _Source(record, defaults).compile()


def _judge(check: Callable[[Any], None]) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        try:
            check(value)
        except MisfitError:
            return False
        return True

    return fits


class _Source:
    """The source under construction: functions by composite type, constants by name."""

    def __init__(self, root: Record, defaults: Mapping[Record, Mapping[str, Any]]) -> None:
        self._root = root
        self._defaults = defaults
        self._functions: dict[AvroType, str] = {}
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {
            "Mapping": Mapping,
            "UTC": UTC,
            "UUID": UUID,
            "date": date,
            "datetime": datetime,
            "time": time,
            "fits_text": _judge(check_text),
        }

    def compile(self) -> Callable[[Any], bool]:
        name = self._function(self._root)
        source = "\n".join(self._lines)
        exec(compile(source, f"<guard of {self._root.name}>", "exec"), self._globals)  # noqa: S102
        guard: Callable[[Any], bool] = self._globals[name]
        return guard

    def _constant(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{len(self._globals)}"
        self._globals[name] = value
        return name

    def _function(self, avro_type: Array | Map | Record) -> str:
        if avro_type not in self._functions:
            match avro_type:
                case Array(items=items):
                    body = [
                        "if not isinstance(value, (list, tuple)): return False",
                        "for item in value:",
                        f"    if not {self._fits(items, 'item')}: return False",
                        "return True",
                    ]
                case Map(values=values):
                    key = _SHORTCUTS["string"].format("key", "fits_text")
                    body = [
                        "if not isinstance(value, Mapping): return False",
                        "for key, item in value.items():",
                        f"    if not ({key} and {self._fits(values, 'item')}): return False",
                        "return True",
                    ]
                case Record():
                    body = self._record(avro_type)
            self._functions[avro_type] = f"fits{len(self._functions)}"
            self._lines.append(f"def {self._functions[avro_type]}(value):")
            self._lines += [f"    {line}" for line in body]
        return self._functions[avro_type]

    def _record(self, record: Record) -> list[str]:
        count = len(record.fields)
        defaults = self._constant("defaults", self._defaults[record])
        lines = [
            "if type(value) is not dict:",
            "    if not isinstance(value, Mapping): return False",
            "    value = dict(value)",
            f"if len(value) != {count}:",
            f"    value = {{**{defaults}, **value}}",
            f"    if len(value) != {count}: return False",
        ]
        if not record.fields:
            return [*lines, "return True"]
        lines.append("try:")
        lines += [f"    v{i} = value[{item.name!r}]" for i, item in enumerate(record.fields)]
        lines.append("except KeyError: return False")
        fits = [self._fits(item.type, f"v{i}") for i, item in enumerate(record.fields)]
        return [*lines, f"return {' and '.join(fits)}"]

    def _fits(self, avro_type: AvroType, name: str) -> str:
        """Return an expression that is true if the variable's value fits."""
        match avro_type:
            case Leaf():
                return self._leaf(avro_type, name)
            case Union():
                return self._union(avro_type, name)
        return f"{self._function(avro_type)}({name})"

    def _leaf(self, leaf: Leaf, name: str) -> str:
        fits = self._constant("fits_", _judge(leaf_check(leaf)))
        if leaf.kind == "enum":
            symbols = self._constant("symbols", leaf.indexes)
            return f"(type({name}) is str and {name} in {symbols} or {fits}({name}))"
        return _SHORTCUTS.get(leaf.family, "{1}({0})").format(name, fits)

    def _union(self, union: Union, name: str) -> str:
        others = [branch for branch in union.branches if branch != Leaf("null")]
        if len(others) == 1:
            fits = self._fits(others[0], name)
            return f"({name} is None or {fits})" if len(union.branches) > 1 else fits
        chain = ""
        for kind, test in _TESTS.items():
            branch = union.branch_of(kind)
            if branch is not None:
                chain += f"{self._fits(branch, name)} if {test.format(name)} else "
        text = union.branch_of("string")
        return f"({chain}{self._fits(text, name) if text is not None else False})"
