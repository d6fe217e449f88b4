"""Check that a field's default fits its type, in the notation of Avro's schemas.

Avro 1.12, Complex Types, Records: a union's default fits its first branch; bytes, fixed and
decimals are text whose code points are the bytes; dates and times are numbers.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING, Any

from platform_events.files.type_parts import check_symbol
from platform_events.payloads.kinds import LOGICAL_TYPES
from platform_events.payloads.types import (
    Array,
    AvroType,
    Leaf,
    Map,
    Record,
    Union,
    kind_in_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.files.document import Node, Report

_DAY = 86_400
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, which Python's dates reach."""


def _seconds(unit: int) -> tuple[int, int]:
    return _FIRST_DAY * _DAY * unit, (_LAST_DAY + 1) * _DAY * unit - 1


_RANGES = {
    "int": (-(1 << 31), (1 << 31) - 1),
    "long": (-(1 << 63), (1 << 63) - 1),
    "date": (_FIRST_DAY, _LAST_DAY),
    "time-millis": (0, _DAY * 1_000 - 1),
    "time-micros": (0, _DAY * 1_000_000 - 1),
    "timestamp-millis": _seconds(1_000),
    "timestamp-micros": _seconds(1_000_000),
    "local-timestamp-millis": _seconds(1_000),
    "local-timestamp-micros": _seconds(1_000_000),
}
_UUID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SIMPLE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "null": (lambda value: value is None, "null"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "string": (lambda value: isinstance(value, str), "text (in quotes)"),
    "uuid": (
        lambda value: isinstance(value, str) and _UUID.fullmatch(value) is not None,
        "a UUID of the form 8-4-4-4-12",
    ),
}
"""Whether a value fits, and what would."""
_NUMBER_TEXT = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def check_default(node: Node, avro_type: AvroType, report: Report) -> None:
    """Report every part of a default that does not fit its type."""
    match avro_type:
        case Leaf():
            _check_leaf(node, avro_type, report)
        case Array(items=items):
            if isinstance(node.value, tuple):
                for item in node.value:
                    check_default(item, items, report)
            else:
                _refuse(node, "a list", report)
        case Map(values=values):
            if isinstance(node.value, dict):
                for item in node.value.values():
                    check_default(item, values, report)
            else:
                _refuse(node, "a mapping", report)
        case Union():
            _check_union(node, avro_type, report)
        case Record():
            _check_record(node, avro_type, report)


def _refuse(node: Node, expected: str, report: Report) -> None:
    report.add(node, f"must be {expected}, not {node.describe()}")


def _check_union(node: Node, union: Union, report: Report) -> None:
    first = union.branches[0]
    kind = _json_kind(node)
    if kind == kind_in_json(first) or union.branch_of(kind) is None:
        check_default(node, first, report)
    else:
        report.add(
            node,
            f"the default of a union must fit its first branch, and {node.describe()} does not; "
            "put the branch for it first",
        )


def _json_kind(node: Node) -> str:
    match node.value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case tuple():
            return "array"
    return "object"


def _check_record(node: Node, record: Record, report: Report) -> None:
    if not isinstance(node.value, dict):
        _refuse(node, "a mapping of the record's fields", report)
        return
    fields = {item.name: item for item in record.fields}
    for key, entry in node.value.items():
        if key in fields:
            check_default(entry, fields[key].type, report)
        else:
            report.add_key(entry, f"the record {record.name} has no field of this name")
    for item in record.fields:
        if item.name not in node.value and not item.has_default:
            report.add(node, f"the default lacks the field {item.name}, which has no default")


def _check_leaf(node: Node, leaf: Leaf, report: Report) -> None:
    if leaf.kind in _SIMPLE:
        fits, expected = _SIMPLE[leaf.kind]
        if not fits(node.value):
            _refuse(node, expected, report)
        return
    match leaf.kind:
        case "enum":
            check_symbol(node, leaf.indexes, report)
        case "float" | "double":
            _check_floating(node, leaf.kind, report)
        case "decimal":
            _check_decimal(node, leaf, report)
        case "bytes" | "fixed":
            _read_bytes(node, leaf, report)
        case _:
            _check_whole(node, leaf.kind, report)


def _check_whole(node: Node, kind: str, report: Report) -> None:
    low, high = _RANGES[kind]
    unit = f" ({LOGICAL_TYPES[kind].meaning})" if kind in LOGICAL_TYPES else ""
    if type(node.value) is not int or not low <= node.value <= high:
        _refuse(node, f"a whole number{unit} from {low} to {high}", report)


def _check_floating(node: Node, kind: str, report: Report) -> None:
    layout = struct.Struct("<f" if kind == "float" else "<d")
    value = node.value
    if type(value) not in {int, float} or not isinstance(value, int | float):
        _refuse(node, "a number", report)
        return
    try:
        (stored,) = layout.unpack(layout.pack(value))
    except (OverflowError, struct.error):
        stored = math.inf
    if not math.isfinite(stored):
        _refuse(node, f"a finite number in the range of {kind}", report)
    elif type(value) is int and stored != value:
        _refuse(node, f"a number that {kind} holds exactly, such as {stored:.0f}", report)


def _read_bytes(node: Node, leaf: Leaf, report: Report) -> bytes | None:
    if isinstance(node.value, str) and max(node.value, default="") <= "\xff":
        data = node.value.encode("latin-1")
        if not leaf.size or len(data) == leaf.size:
            return data
    length = f"{leaf.size} characters" if leaf.size else "characters"
    _refuse(node, f"text of {length} up to U+00FF, one for each byte", report)
    return None


def _check_decimal(node: Node, leaf: Leaf, report: Report) -> None:
    meant = node.value
    if isinstance(meant, str) and not _NUMBER_TEXT.fullmatch(meant):
        data = _read_bytes(node, leaf, report)
        if data is None:
            return
        if not data or abs(int.from_bytes(data, "big", signed=True)) >= 10**leaf.precision:
            _refuse(node, f"an unscaled value of 1 to {leaf.precision} digits, as bytes", report)
        return
    # Text that reads as a number is that only by chance as bytes: 12.50 would be 825,372,976.
    right = ""
    if isinstance(meant, int | float | str) and not isinstance(meant, bool):
        right = _decimal_bytes(str(meant), leaf)
    hint = f': write "{right}" for {meant}' if right else ""
    report.add(node, f"must be the decimal's unscaled value as bytes{hint}")


def _decimal_bytes(number: str, leaf: Leaf) -> str:
    """Return a number in the notation of a decimal's default, empty if it does not fit."""
    if not _NUMBER_TEXT.fullmatch(number):
        return ""
    scaled = Decimal(number).scaleb(leaf.scale, _EXACT)
    if scaled != int(scaled) or abs(scaled) >= 10**leaf.precision:
        return ""
    whole = int(scaled)
    size = leaf.size or (whole + (whole < 0)).bit_length() // 8 + 1
    return "".join(f"\\u{byte:04x}" for byte in whole.to_bytes(size, "big", signed=True))
