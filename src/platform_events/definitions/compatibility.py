"""Whether a new version of an event's schema may follow an old one.

Apache Avro's checker judges, with the new schema as reader of what the old one wrote (mode
BACKWARD). Consumers decode each event with the schema that wrote it and never resolve one schema
against another. So nothing that only helps resolution makes a change compatible: aliases, enum
defaults, and reading text as bytes. For the same reason some changes break that Avro allows: a new
field that is not nullable with the default null, and any change of a logical type, its precision
or its scale, which would turn amounts into others.

A field may be removed. Types may be promoted (int to long, float or double, long to float or
double, float to double), and a type may become one branch of a union. Symbols may be added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from platform_events.payloads.kinds import LOGICAL_TYPES
from platform_events.payloads.type_names import bare_name
from platform_events.payloads.types import (
    Array,
    AvroType,
    Leaf,
    Map,
    Record,
    Union,
    parse_record,
)

if TYPE_CHECKING:
    from platform_events.definitions.schema import Schema

_TEXT_AND_BYTES = {"string", "bytes"}


@dataclass(frozen=True, slots=True)
class Break:
    """One change that breaks readers of older events."""

    path: str
    """The field, such as `lines[].price` for a part of a list's items; empty for the whole."""
    reason: str
    """What changed and what would be allowed, for people."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def find_breaks(old: Schema, new: Schema) -> list[Break]:
    """Return what breaks if `new` follows `old`; empty if it may."""
    before, after = parse_record(old.parsed), parse_record(new.parsed)
    breaks = _Comparison().compare(before, after)
    if not breaks:
        # The comparison knows where; the checker has the last word.
        breaks = [Break("", reason) for reason in _judge(after, before)]
    return breaks


class _Comparison:
    def __init__(self) -> None:
        self._records: dict[tuple[Record, Record], list[Break]] = {}

    def compare(self, old: AvroType, new: AvroType) -> list[Break]:
        """Return the breaks with paths below the place of these types."""
        match old, new:
            case (Union(), _) | (_, Union()):
                return self._compare_branches(old, new)
            case Record(), Record():
                return self._compare_records(old, new)
            case Array(items=before), Array(items=after):
                return _below("[]", self.compare(before, after))
            case Map(values=before), Map(values=after):
                return _below("{}", self.compare(before, after))
            case Leaf(), Leaf():
                return [Break("", reason) for reason in _compare_leaves(old, new)]
        return [Break("", f"was {_label(old)} and is {_label(new)}")]

    def _compare_branches(self, old: AvroType, new: AvroType) -> list[Break]:
        choices = new.branches if isinstance(new, Union) else (new,)
        breaks = []
        for branch in old.branches if isinstance(old, Union) else (old,):
            attempts = [(choice, self.compare(branch, choice)) for choice in choices]
            if all(found for _, found in attempts):
                alike = (found for choice, found in attempts if _are_alike(branch, choice))
                lost = Break("", f"no longer takes {_label(branch)}; keep it among the types")
                breaks += next(alike, [lost])
        return breaks

    def _compare_records(self, old: Record, new: Record) -> list[Break]:
        pair = (old, new)
        if pair in self._records:
            # Said in full where the pair was met first; a pair that is being compared holds.
            return self._records[pair][:1]
        self._records[pair] = []
        breaks = [Break("", reason) for reason in _compare_names(old, new)]
        before = {item.name: item.type for item in old.fields}
        for item in new.fields:
            if item.name in before:
                breaks += _below(item.name, self.compare(before[item.name], item.type))
            elif not (_is_nullable(item.type) and item.has_default and item.default is None):
                breaks.append(
                    Break(
                        item.name,
                        "a new field must be nullable with the default null (optional: true); "
                        "a renamed field is a new one",
                    )
                )
        self._records[pair] = breaks
        return breaks


def _below(step: str, breaks: list[Break]) -> list[Break]:
    """Return the breaks with one more step in front of their paths."""
    return [replace(item, path=_join(step, item.path)) for item in breaks]


def _join(step: str, path: str) -> str:
    return f"{step}.{path}" if path and path[0] not in "[{" else step + path


def _compare_leaves(old: Leaf, new: Leaf) -> list[str]:
    if old.kind != new.kind and (old.kind in LOGICAL_TYPES or new.kind in LOGICAL_TYPES):
        return [f"was {_label(old)} and is {_label(new)}; a logical type may not change"]
    if (old.precision, old.scale) != (new.precision, new.scale):
        return [f"was {_label(old)} and is {_label(new)}; precision and scale may not change"]
    if {old.kind, new.kind} == _TEXT_AND_BYTES:
        return [f"was {_label(old)} and is {_label(new)}"]
    if old.kind == new.kind == "enum":
        removed = [symbol for symbol in old.symbols if symbol not in new.symbols]
        if removed:
            return [f"the symbols {', '.join(removed)} were removed; keep them"]
    if old.size != new.size and old.kind == new.kind:
        return [f"was stored as {_storage(old)} and is stored as {_storage(new)}"]
    names = _compare_names(old, new) if old.kind == new.kind else []
    return names or _judge(new, old)


def _compare_names(old: Leaf | Record, new: Leaf | Record) -> list[str]:
    before, after = _bare_name(old), _bare_name(new)
    return [f"the type {before} was renamed to {after}; keep its name"] if before != after else []


def _bare_name(named: Leaf | Record) -> str:
    return bare_name(named.name)


def _is_nullable(avro_type: AvroType) -> bool:
    return isinstance(avro_type, Union) and Leaf("null") in avro_type.branches


def _are_alike(old: AvroType, new: AvroType) -> bool:
    """Whether a branch is the other one changed, rather than another one."""
    if isinstance(old, Leaf) and isinstance(new, Leaf):
        return old.kind == new.kind
    return type(old) is type(new)


def _label(avro_type: AvroType) -> str:
    match avro_type:
        case Leaf(kind="decimal"):
            return f"a decimal of precision {avro_type.precision}, scale {avro_type.scale}"
        case Leaf(kind=kind, name=name):
            return f"the {kind} {_bare_name(avro_type)}" if name else kind
        case Array(items=items):
            return f"a list of {_label(items)}"
        case Map(values=values):
            return f"a map of {_label(values)}"
        case Record():
            return f"the record {_bare_name(avro_type)}"
        case Union(branches=branches):
            return f"one of {', '.join(_label(branch) for branch in branches)}"


def _storage(leaf: Leaf) -> str:
    return f"a fixed of {leaf.size} bytes" if leaf.size else LOGICAL_TYPES[leaf.kind].bases[0]


def _judge(reader: AvroType, writer: AvroType) -> list[str]:
    """Ask Apache Avro whether `reader` can read whatever `writer` wrote; return why not."""
    from avro.compatibility import (  # only plan and check need it
        ReaderWriterCompatibilityChecker,
        SchemaCompatibilityType,
    )
    from avro.schema import make_avsc_object

    checker = ReaderWriterCompatibilityChecker()
    verdict = checker.get_compatibility(
        make_avsc_object(_plain(reader, set())), make_avsc_object(_plain(writer, set()))
    )
    if verdict.compatibility is SchemaCompatibilityType.compatible:
        return []
    return sorted(verdict.messages)


def _plain(avro_type: AvroType, written: set[str]) -> Any:
    """Return a type in Avro's notation without logical types, aliases and enum defaults."""
    match avro_type:
        case Array(items=items):
            return {"type": "array", "items": _plain(items, written)}
        case Map(values=values):
            return {"type": "map", "values": _plain(values, written)}
        case Union(branches=branches):
            return [_plain(branch, written) for branch in branches]
        case Leaf(name="", kind=kind):
            return LOGICAL_TYPES[kind].bases[0] if kind in LOGICAL_TYPES else kind
    # Apache's library takes the null namespace for that of the record around it.
    name = f"root.{avro_type.name}"
    if name in written:
        return name
    written.add(name)
    named = {"name": name}
    match avro_type:
        case Leaf(kind="enum", symbols=symbols):
            return {"type": "enum", "symbols": list(symbols)} | named
        case Leaf(size=size):
            return {"type": "fixed", "size": size} | named
    fields = []
    for item in avro_type.fields:
        field = {"name": item.name, "type": _plain(item.type, written)}
        fields.append(field | {"default": item.default} if item.has_default else field)
    return {"type": "record", "fields": fields} | named
