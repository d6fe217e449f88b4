"""Check that a field's default fits its type, and say in the words of files what would.

Whether a single value fits is for `payloads.json_values.read_default` to say, which also reads the
defaults that are used. What Avro 1.12 allows beyond that is refused, for whoever reads the schemas
with other libraries: most take a union's default only for its first branch.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from platform_events.errors import PayloadError
from platform_events.files.type_parts import check_symbol
from platform_events.payloads.json_values import read_default
from platform_events.payloads.kinds import LOGICAL_TYPES, WHOLE_NUMBERS
from platform_events.payloads.types import (
    Array,
    AvroType,
    Field,
    Leaf,
    Map,
    Record,
    Union,
    kind_in_json,
)
from platform_events.payloads.values import MisfitError, decimal_writer, json_kind
from platform_events.wording import cut

if TYPE_CHECKING:
    from platform_events.files.document import Node, Report

MAX_VALUES = 10_000
"""Values that a default may stand for, those of fields that it leaves out included."""

_EXPECTED = {
    "null": "null",
    "boolean": "true or false",
    "string": "text (in quotes)",
    "uuid": "a UUID of the form 8-4-4-4-12",
}
_LAYOUTS = {"float": struct.Struct("<f"), "double": struct.Struct("<d")}
_NUMBER_TEXT = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")


class DefaultSizes:
    """How many values the defaults of one schema stand for."""

    def __init__(self) -> None:
        self._fields: dict[tuple[Record, str], int] = {}

    def check(self, node: Node, record: Record, field: Field, report: Report) -> None:
        """Report a field's default that stands for too many values."""
        size = self._size_of_field(record, field)
        if size > MAX_VALUES:
            report.add(
                node,
                f"the default stands for {size:,} values, with the defaults of fields that it "
                f"leaves out; at most {MAX_VALUES:,} are allowed",
            )

    def _size_of_field(self, record: Record, field: Field) -> int:
        # Each field is counted once, however many ways lead to it: they can be as many as 2**63.
        key = (record, field.name)
        if key not in self._fields:
            self._fields[key] = self._size(field.type, field.default)
        return self._fields[key]

    def _size(self, avro_type: AvroType, value: Any) -> int:
        match avro_type, value:
            case Array(items=part), list():
                return 1 + sum(self._size(part, item) for item in value)
            case Map(values=part), dict():
                return 1 + sum(self._size(part, item) for item in value.values())
            case Record(fields=fields), dict():
                return 1 + sum(
                    self._size(field.type, value[field.name])
                    if field.name in value
                    else self._size_of_field(avro_type, field)
                    for field in fields
                )
            case Union(), _:
                branch = avro_type.branch_of(json_kind(value))
                return 1 if branch is None else self._size(branch, value)
        return 1


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
                report.add_misfit(node, "a list")
        case Map(values=values):
            if isinstance(node.value, dict):
                for item in node.value.values():
                    check_default(item, values, report)
            else:
                report.add_misfit(node, "a mapping")
        case Union():
            _check_union(node, avro_type, report)
        case Record():
            _check_record(node, avro_type, report)


def _check_union(node: Node, union: Union, report: Report) -> None:
    first = union.branches[0]
    kind = json_kind(node.value)
    if kind == kind_in_json(first) or union.branch_of(kind) is None:
        check_default(node, first, report)
    else:
        report.add(
            node,
            f"the default of a union must fit its first branch, and {node.describe()} does not; "
            "put the branch for it first",
        )


def _check_record(node: Node, record: Record, report: Report) -> None:
    if not isinstance(node.value, dict):
        report.add_misfit(node, "a mapping of the record's fields")
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
    meant = node.value
    if leaf.kind == "enum":
        check_symbol(node, leaf.indexes, report)
    elif leaf.kind == "decimal" and (not isinstance(meant, str) or _NUMBER_TEXT.fullmatch(meant)):
        # Text that reads as a number is that only by chance as bytes: 12.50 would be 825,372,976.
        right = _decimal_bytes(meant, leaf)
        hint = f': write "{right}" for {cut(str(meant))}' if right else ""
        report.add(node, f"must be the decimal's unscaled value as bytes{hint}")
    else:
        try:
            read_default(leaf, meant)
        except PayloadError:
            report.add_misfit(node, _expected(leaf, meant))


def _expected(leaf: Leaf, value: Any) -> str:
    """Say what would fit instead of a value."""
    kind = leaf.kind
    if kind in WHOLE_NUMBERS:
        low, high = WHOLE_NUMBERS[kind]
        unit = f" ({LOGICAL_TYPES[kind].meaning})" if kind in LOGICAL_TYPES else ""
        return f"a whole number{unit} from {low} to {high}"
    if kind in _LAYOUTS:
        return _expected_floating(kind, value)
    is_bytes = isinstance(value, str) and max(value, default="") <= "\xff"
    if kind == "decimal" and is_bytes and len(value) == (leaf.size or len(value)):
        return f"an unscaled value of 1 to {leaf.precision} digits, as bytes"
    length = f"{leaf.size} characters" if leaf.size else "characters"
    return _EXPECTED.get(kind) or f"text of {length} up to U+00FF, one for each byte"


def _expected_floating(kind: str, value: Any) -> str:
    if type(value) not in {int, float}:
        return "a number"
    try:
        (stored,) = _LAYOUTS[kind].unpack(_LAYOUTS[kind].pack(value))
    except (OverflowError, struct.error):
        stored = math.inf
    if not math.isfinite(stored):
        return f"a finite number in the range of {kind}"
    return f"a number that {kind} holds exactly, such as {stored:.0f}"


def _decimal_bytes(meant: Any, leaf: Leaf) -> str:
    """Return a number in the notation of a decimal's default, empty if it is none that fits."""
    if isinstance(meant, bool) or not _NUMBER_TEXT.fullmatch(str(meant)):
        return ""
    write = decimal_writer(leaf)
    assert write is not None
    try:
        return "".join(f"\\u{byte:04x}" for byte in write(Decimal(str(meant))))
    except MisfitError:
        return ""
