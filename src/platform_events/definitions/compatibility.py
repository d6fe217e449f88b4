"""How two versions of an event's schema differ, and whose code that breaks.

Consumers decode each event with the schema that wrote it and never resolve one schema against
another; publishers use a new version as soon as it is applied. So what can break is code: code
for the old version that gets new events (Avro's forward compatibility), and code for the new one
that gets old events (backward). Apache Avro's checker judges both, with one version as the reader
of what the other wrote. Nothing that only helps resolution makes a change compatible: aliases, enum
defaults, reading text as bytes, and defaults other than null. For the same reason some changes
break that Avro allows: a field that comes or goes and is not nullable with the default null, and
any change of a logical type, its precision or its scale, which would turn amounts into others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from platform_events.definitions.changes import Events, SchemaChange
from platform_events.payloads.kinds import LOGICAL_TYPES
from platform_events.payloads.type_names import bare_name
from platform_events.payloads.types import (
    Array,
    AvroType,
    Field,
    Leaf,
    Map,
    Record,
    Union,
    branches_of,
    kind_in_json,
    parse_record,
)
from platform_events.wording import listed, one_of

if TYPE_CHECKING:
    from platform_events.definitions.schema import Schema

_TEXT_AND_BYTES = {"string", "bytes"}
_ALL: frozenset[Events] = frozenset({"new events", "old events"})


def find_changes(old: Schema, new: Schema) -> list[SchemaChange]:
    """Return how the payloads of two versions differ, the harmless changes too.

    Raises:
        ValueError: one of them is no schema that this version can compare.
    """
    before, after = parse_record(old.parsed), parse_record(new.parsed)
    changes = _Comparison().compare(before, after)
    if old.id == new.id:
        return changes
    # The comparison knows where; the checker has the last word.
    directions: tuple[tuple[Events, Record, Record], ...] = (
        ("new events", before, after),
        ("old events", after, before),
    )
    for events, reader, writer in directions:
        if not any(events in change.breaks for change in changes):
            changes += [
                SchemaChange("", breaks=frozenset({events}), note=reason)
                for reason in _judge(reader, writer)
            ]
    return changes


class _Comparison:
    def __init__(self) -> None:
        self._records: dict[tuple[Record, Record], list[SchemaChange]] = {}
        self._leaves: dict[tuple[int, int], list[SchemaChange]] = {}
        """By the identities of two types, which fields that name a type have in common."""

    def compare(self, old: AvroType, new: AvroType) -> list[SchemaChange]:
        """Return the changes with paths below the place of these types."""
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
                return self._compare_leaves(old, new)
        return [SchemaChange("", describe_type(old), describe_type(new), _ALL)]

    def _compare_leaves(self, old: Leaf, new: Leaf) -> list[SchemaChange]:
        pair = (id(old), id(new))
        if pair not in self._leaves:
            breaks, note = _judge_leaves(old, new)
            change = SchemaChange("", describe_type(old), describe_type(new), breaks, note)
            self._leaves[pair] = [change] if breaks else []
        return self._leaves[pair]

    def _compare_branches(self, old: AvroType, new: AvroType) -> list[SchemaChange]:
        # No two branches are of one kind in JSON, so each has one counterpart at most.
        olds, news = _by_kind(old), _by_kind(new)
        here: list[SchemaChange] = []
        inside: list[SchemaChange] = []
        for kind in {**olds, **news}:
            if kind not in news:
                here.append(SchemaChange("", breaks=frozenset({"old events"})))
            elif kind not in olds:
                here.append(SchemaChange("", breaks=frozenset({"new events"})))
            else:
                for change in self.compare(olds[kind], news[kind]):
                    (inside if change.path else here).append(change)
        if here:
            breaks = frozenset[Events]().union(*(change.breaks for change in here))
            note = "; ".join(change.note for change in here if change.note)
            here = [SchemaChange("", describe_type(old), describe_type(new), breaks, note)]
        return here + inside

    def _compare_records(self, old: Record, new: Record) -> list[SchemaChange]:
        pair = (old, new)
        if pair in self._records:
            # Said in full where the pair was met first.
            return [change for change in self._records[pair] if change.breaks][:1]
        changes = _compare_names(old, new)
        before = {item.name: item for item in old.fields}
        after = {item.name: item for item in new.fields}
        for item in new.fields:
            found = (
                self.compare(before[item.name].type, item.type)
                if item.name in before
                else [_come_or_go(item, "old events")]
            )
            changes += _below(item.name, _at(found, new.name, item.name))
        for item in old.fields:
            if item.name not in after:
                gone = [_come_or_go(item, "new events")]
                changes += _below(item.name, _at(gone, new.name, ""))
        self._records[pair] = changes
        return changes


def _come_or_go(item: Field, lacking: Events) -> SchemaChange:
    """Return the change of a field that the old or the new events do not have."""
    is_optional = _is_nullable(item.type) and item.has_default and item.default is None
    breaks: frozenset[Events] = frozenset() if is_optional else frozenset({lacking})
    if lacking == "old events":
        return SchemaChange("", after=describe_type(item.type), breaks=breaks)
    note = "readers must expect it missing" if is_optional else ""
    return SchemaChange("", before=describe_type(item.type), breaks=breaks, note=note)


def _by_kind(avro_type: AvroType) -> dict[str, AvroType]:
    return {kind_in_json(branch): branch for branch in branches_of(avro_type)}


def _at(changes: list[SchemaChange], record: str, field: str) -> list[SchemaChange]:
    """Return the changes, those without a place at this field."""
    place = (record, field)
    return [change if any(change.field) else replace(change, field=place) for change in changes]


def _below(step: str, changes: list[SchemaChange]) -> list[SchemaChange]:
    """Return the changes with one more step in front of their paths."""
    return [replace(change, path=_join(step, change.path)) for change in changes]


def _join(step: str, path: str) -> str:
    return f"{step}.{path}" if path and path[0] not in "[{" else step + path


def _judge_leaves(old: Leaf, new: Leaf) -> tuple[frozenset[Events], str]:
    """Return whose code a change breaks, and what is to say of it."""
    if old.kind != new.kind and (old.kind in LOGICAL_TYPES or new.kind in LOGICAL_TYPES):
        return _ALL, "a logical type may not change"
    if (old.precision, old.scale) != (new.precision, new.scale):
        return _ALL, "precision and scale may not change"
    if {old.kind, new.kind} == _TEXT_AND_BYTES or (old.kind == new.kind and old.size != new.size):
        return _ALL, ""
    if old.kind == new.kind and bare_name(old.name) != bare_name(new.name):
        return _ALL, "a renamed type is another one"
    if old.kind == new.kind == "enum":
        removed = [symbol for symbol in old.symbols if symbol not in new.indexes]
        added = [symbol for symbol in new.symbols if symbol not in old.indexes]
        parts = [f"without {listed(removed)}"] if removed else []
        parts += [f"with {listed(added)} more"] if added else []
        return _broken(new=added, old=removed), ", ".join(parts)
    return _broken(new=_judge(old, new), old=_judge(new, old)), ""


def _broken(*, new: list[str], old: list[str]) -> frozenset[Events]:
    """Return the events whose readers are broken, given the reasons why."""
    reasons: dict[Events, list[str]] = {"new events": new, "old events": old}
    return frozenset(events for events, found in reasons.items() if found)


def _compare_names(old: Record, new: Record) -> list[SchemaChange]:
    if bare_name(old.name) == bare_name(new.name):
        return []
    note = "a renamed type is another one"
    return [SchemaChange("", describe_type(old), describe_type(new), _ALL, note, (new.name, ""))]


def _is_nullable(avro_type: AvroType) -> bool:
    return isinstance(avro_type, Union) and Leaf("null") in avro_type.branches


def describe_type(avro_type: AvroType) -> str:
    """Return a type in words, such as `a list of string`."""
    match avro_type:
        case Leaf(kind="decimal"):
            stored = f" in {avro_type.size} bytes" if avro_type.size else ""
            return f"a decimal of precision {avro_type.precision}, scale {avro_type.scale}{stored}"
        case Leaf(kind="fixed", size=size):
            return f"the fixed {bare_name(avro_type.name)} of {size} bytes"
        case Leaf(kind=kind, name=name):
            return f"the {kind} {bare_name(avro_type.name)}" if name else kind
        case Array(items=items):
            return f"a list of {describe_type(items)}"
        case Map(values=values):
            return f"a map of {describe_type(values)}"
        case Record():
            return f"the record {bare_name(avro_type.name)}"
        case Union(branches=branches):
            return one_of([describe_type(branch) for branch in branches])


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
