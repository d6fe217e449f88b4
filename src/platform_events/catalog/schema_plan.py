"""Whether an event's schema may follow those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from platform_events.catalog.ownership import with_latest
from platform_events.definitions.changes import (
    PROTECTED,
    explain_acceptance,
    explain_refusal,
    explain_reinterpretation,
)
from platform_events.definitions.compatibility import find_changes
from platform_events.definitions.model import EventDefinition
from platform_events.errors import CatalogCorruptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.definitions.changes import SchemaChange
    from platform_events.definitions.schema import Schema


@dataclass(frozen=True, slots=True)
class SchemaVerdict:
    """What there is to say of a new version of a schema."""

    details: tuple[str, ...] = ()
    """Each thing that changes, in words."""
    refusals: tuple[str, ...] = ()
    """What it may not change; empty if it may follow."""
    breaking: str = ""
    """Its ID, if it breaks readers and that is accepted."""
    replaces: bool = False
    """Whether it is accepted only because the operator replaces the event."""


def judge_schema(
    definition: EventDefinition, entry: Entry | None, state: CatalogState, options: PlanOptions
) -> SchemaVerdict:
    """Compare an event's schema with the versions that it must fit.

    Under its own ID no logical type ever changes, whoever had it and however long ago: the ID
    ignores logical types, so what was stored under it would be read as other values. Other changes
    are compared with each version since the last break that was accepted.
    """
    schema = definition.schema
    refusals = [
        explain_reinterpretation(change, _place(definition, change))
        for change in _compare(state.find_schema(schema.id), schema) or ()
    ]
    before = entry.active if entry is not None else None
    if entry is None or not isinstance(before, EventDefinition):
        return SchemaVerdict((), tuple(refusals))
    details: list[str] = []
    if before.compatibility != definition.compatibility:
        details.append(f"compatibility: {before.compatibility} -> {definition.compatibility}")
    if before.schema.id != schema.id:
        details.append(f"schema {before.schema.id} -> {schema.id}")
    elif before.schema.text != schema.text:
        details.append("schema text (same ID)")
    accepted = definition.name in options.replace or entry.breaking == schema.id
    breaking = replaces = False
    for change in _find_all_changes(before, schema, entry, state, details):
        if change.breaks & PROTECTED[definition.compatibility] and not accepted:
            refusals.append(explain_refusal(change, definition.name, _place(definition, change)))
            continue
        details.append(str(change))
        if change.breaks:
            breaking = True
            by_mode = not change.breaks & PROTECTED[definition.compatibility]
            replaces |= not by_mode
            details[-1] += explain_acceptance(change, definition.compatibility if by_mode else None)
    return SchemaVerdict(tuple(details), tuple(refusals), schema.id if breaking else "", replaces)


def activate_event(entry: Entry) -> Entry:
    """Return the entry of an event whose apply is finished."""
    assert isinstance(entry.wanted, EventDefinition)
    latest = entry.wanted.schema.id
    return replace(
        entry,
        active=entry.wanted,
        schema_ids=with_latest(entry.schema_ids, latest),
        compared=(latest,)
        if entry.breaking == latest
        else with_latest(_compared_ids(entry), latest),
        breaking="",
    )


def _compared_ids(entry: Entry) -> tuple[str, ...]:
    """Return the versions that the next one is compared with, the present one last."""
    if not isinstance(entry.active, EventDefinition):
        return ()
    # What the catalog held before it recorded them is not judged again.
    return with_latest(entry.compared, entry.active.schema.id)


def _find_all_changes(
    before: EventDefinition,
    schema: Schema,
    entry: Entry,
    state: CatalogState,
    details: list[str],
) -> Iterator[SchemaChange]:
    """Yield what changes since the present version, then what only breaks with earlier ones."""
    seen: set[tuple[str, str]] = set()
    for schema_id in reversed(_compared_ids(entry)):
        is_present = schema_id == before.schema.id
        if schema_id == schema.id:
            continue
        changes = _compare(before.schema if is_present else state.find_schema(schema_id), schema)
        if changes is None:
            details.append(f"note: schema {schema_id} is unreadable, so it is not compared with it")
            continue
        for change in changes:
            if is_present:
                yield change
            elif change.breaks and (change.path, change.after) not in seen:
                earlier = f"compared with the earlier schema {schema_id}"
                yield replace(change, note="; ".join(filter(None, (change.note, earlier))))
            if change.breaks:
                seen.add((change.path, change.after))


def _compare(version: Schema | None, schema: Schema) -> list[SchemaChange] | None:
    """Return what changes since a version of the catalog; None if that is unreadable here."""
    if version is None:
        return None
    try:
        return find_changes(version, schema) if version != schema else []
    except (ValueError, CatalogCorruptError):
        return None


def _place(definition: EventDefinition, change: SchemaChange) -> str:
    """Return where in the files a change is made; a field that is gone was in its record."""
    record, _ = change.field
    found = definition.places.get(change.field) or definition.places.get((record, ""))
    if found is not None:
        return str(found)
    return f"{definition.file}:{definition.line}" if definition.file else ""
