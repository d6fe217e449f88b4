"""Compiles a payload's type into one function that checks and writes it in a single pass.

The function is Python source, generated once per schema, in which only checked names appear, as
string literals. It does what a guard before a general Avro writer would do, at less than the cost
of the writer alone: it knows every type beforehand, and it never reads a value twice, so that no
other thread can change what was checked. It either returns the body or raises one of `REFUSALS`;
which field is to blame is for the diagnosis to find.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_events.definitions import json_values
from platform_events.definitions.avro_numbers import (
    INT_LIMIT,
    LONG_LIMIT,
    SMALL,
    SMALL_INTS,
    SMALL_LENGTHS,
    encode_integer,
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
)
from platform_events.definitions.avro_values import MisfitError, encode_text, leaf_encoder
from platform_events.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSALS = (MisfitError, KeyError, TypeError, UnicodeEncodeError, OverflowError)
"""What the compiled function raises when a payload does not fit: `KeyError` for a missing field,
`TypeError` and `UnicodeEncodeError` for what is no text, `OverflowError` for a float."""

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

_INTEGER = (
    f"({{1}}({{0}}) if type({{0}}) is not int else INTS[{{0}}] if -{SMALL} <= {{0}} < {SMALL}"
    " else encode_integer({0}) if -{2} <= {0} < {2} else {1}({0}))"
)
_SHORTCUTS = {
    "boolean": "(b'\\1' if {0} is True else b'\\0' if {0} is False else {1}({0}))",
    "int": _INTEGER.format("{0}", "{1}", INT_LIMIT),
    "long": _INTEGER.format("{0}", "{1}", LONG_LIMIT),
    "float": "(FLOAT({0}) if type({0}) is float else {1}({0}))",
    "double": "(DOUBLE({0}) if type({0}) is float else {1}({0}))",
}


def compile_encoder(record: Record) -> Callable[[Any], bytes]:
    """Return a thread-safe function from a payload to its Avro bytes.

    Raises:
        ValueError: a field's default does not fit its type.
    """
    return _Source(record).compile()


def _as_dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise MisfitError("expected a mapping")
    return dict(value)


def _as_list(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise MisfitError("expected a list")
    return value


def _refuse_branch(_: Any) -> bytes:
    raise MisfitError("no branch of the union takes this value")


def _refuse_depth() -> None:
    raise MisfitError("nested too deeply")


class _Source:
    """The source under construction: functions by composite type, constants by name."""

    def __init__(self, root: Record) -> None:
        self._root = root
        self._deep = is_recursive(root)
        self._functions: dict[AvroType, str] = {}
        self._lines: list[str] = []
        self._globals: dict[str, Any] = {
            "INTS": SMALL_INTS,
            "LENGTHS": SMALL_LENGTHS,
            "FLOAT": struct.Struct("<f").pack,
            "DOUBLE": struct.Struct("<d").pack,
            "Mapping": Mapping,
            "as_dict": _as_dict,
            "as_list": _as_list,
            "encode_integer": encode_integer,
            "encode_text": encode_text,
            "refuse_branch": _refuse_branch,
            "refuse_depth": _refuse_depth,
            "utf8": str.encode,
        }

    def compile(self) -> Callable[[Any], bytes]:
        name = self._function(self._root)
        source = "\n".join(self._lines)
        exec(compile(source, f"<encoder of {self._root.name}>", "exec"), self._globals)  # noqa: S102
        encode: Callable[[Any], bytes] = self._globals[name]
        return encode

    def _constant(self, prefix: str, value: Any) -> str:
        name = f"{prefix}{len(self._globals)}"
        self._globals[name] = value
        return name

    def _function(self, avro_type: Array | Map | Record) -> str:
        if avro_type not in self._functions:
            self._functions[avro_type] = f"encode{len(self._functions)}"
            match avro_type:
                case Array():
                    body = self._array(avro_type)
                case Map():
                    body = self._map(avro_type)
                case Record():
                    body = self._record(avro_type)
            depth = ", depth=0" if self._deep else ""
            self._lines.append(f"def {self._functions[avro_type]}(value{depth}):")
            self._lines += [f"    {line}" for line in body]
        return self._functions[avro_type]

    def _array(self, avro_type: Array) -> list[str]:
        return [
            "if type(value) is not list: value = as_list(value)",
            "if not value: return b'\\0'",
            f"items = [{self._joined(avro_type.items, 'item')} for item in value]",
            "return encode_integer(len(items)) + b''.join(items) + b'\\0'",
        ]

    def _map(self, avro_type: Map) -> list[str]:
        value = self._joined(avro_type.values, "item")
        return [
            "if type(value) is not dict: value = as_dict(value)",
            "if not value: return b'\\0'",
            f"items = [encode_text(key) + {value} for key, item in value.items()]",
            "return encode_integer(len(items)) + b''.join(items) + b'\\0'",
        ]

    def _record(self, record: Record) -> list[str]:
        lines = ["if type(value) is not dict: value = as_dict(value)"]
        if self._deep:
            lines += [f"if depth >= {MAX_DEPTH}: refuse_depth()", "depth += 1"]
        complete = self._constant("complete", _completion(record))
        lines.append(f"if len(value) != {len(record.fields)}: value = {complete}(value)")
        parts: list[str] = []
        for index, item in enumerate(record.fields):
            lines.append(f"v{index} = value[{item.name!r}]")
            parts += self._parts(item.type, f"v{index}")
        lines.append(f"return b''.join(({''.join(f'{part}, ' for part in parts)}))")
        return lines

    def _parts(self, avro_type: AvroType, name: str) -> list[str]:
        """Return expressions whose bytes follow one another."""
        match avro_type:
            case Leaf(kind="string"):
                length = f"LENGTHS[n] if (n := len(data := utf8({name}))) < {SMALL}"
                return [f"({length} else encode_integer(n))", "data"]
            case Leaf(kind=kind):
                encode = self._constant(kind.replace("-", "_"), leaf_encoder(avro_type))
                return [_SHORTCUTS.get(kind, "{1}({0})").format(name, encode)]
            case Union():
                return [self._union(avro_type, name)]
        return [f"{self._function(avro_type)}({name}{', depth' if self._deep else ''})"]

    def _joined(self, avro_type: AvroType, name: str) -> str:
        return " + ".join(self._parts(avro_type, name))

    def _union(self, union: Union, name: str) -> str:
        chain = ""
        rest = f"refuse_branch({name})"
        only = len(union.branches) - (union.branch_of("null") is not None) == 1
        for kind in (*_TESTS, "string"):
            branch = union.branch_of(kind)
            if branch is None:
                continue
            data = repr(encode_integer(union.branches.index(branch)))
            if kind != "null":
                data += f" + {self._joined(branch, name)}"
            if kind == "string" or (only and kind != "null"):
                rest = data
            else:
                chain += f"{data} if {_TESTS[kind].format(name)} else "
        return f"({chain}{rest})"


def _completion(record: Record) -> Callable[[dict[Any, Any]], dict[Any, Any]]:
    """Return the function that adds defaults to a payload which has not all fields."""
    defaults = {}
    for item in record.fields:
        if item.has_default:
            try:
                defaults[item.name] = json_values.read_default(item.type, item.default)
            except PayloadError as error:
                raise ValueError(f"default of {item.name} in {record.name}: {error}") from None
    count = len(record.fields)

    def complete(payload: dict[Any, Any]) -> dict[Any, Any]:
        whole = {**defaults, **payload}
        if len(whole) != count:
            raise MisfitError("missing or unknown fields")
        return whole

    return complete
