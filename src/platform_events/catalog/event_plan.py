"""What happens to an event's definition and topic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change
from platform_events.catalog.ownership import begin, exists, refuse_other_owner, with_latest
from platform_events.catalog.state import Entry
from platform_events.catalog.topics import (
    compare_topic,
    count_partitions,
    delete_topics,
    describe_drift,
    topic_config,
)
from platform_events.definitions.compatibility import find_breaks
from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import EventDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState
    from platform_events.catalog.topics import TopicFacts
    from platform_events.definitions.schema import Schema


def plan_event(
    definition: EventDefinition,
    project: str,
    state: CatalogState,
    topics: Mapping[str, TopicFacts | None],
    options: PlanOptions,
) -> Change:
    """Return what makes an event what its definition says.

    Args:
        definition: what the event should be.
        project: whose definition it is.
        state: the catalog.
        topics: what topics are, by their names in Kafka.
        options: what the operator allows.
    """
    entry = state.entries.get(definition.name)
    refusal = refuse_other_owner(entry, project)
    if refusal is not None:
        return Change(Action.NONE, definition.name, refusals=(refusal,))
    before = entry.active if entry is not None else None
    details: list[str] = []
    refusals: list[str] = []
    if isinstance(before, EventDefinition) and entry is not None:
        versions = [state.schemas[schema_id] for schema_id in entry.schema_ids]
        _compare(before, definition, versions, details, refusals)
    name = options.namespace.topic(definition.name)
    topic = topics.get(name)
    grow_to = None
    if topic is None:
        if before is not None:
            details.append("the topic is gone with its events: make it again")
    else:
        if not exists(entry):
            details.append("use the topic that is there already")
        grow_to = _plan_partitions(definition, topic, options, details, refusals)
    touched = compare_topic(
        name,
        topic,
        topic_config(definition, options),
        partitions=definition.partitions,
        grow_to=grow_to,
    )
    if topic is not None:
        details += describe_drift(topic, touched, options)
    updated = _update_entry(definition, project, entry, topic)
    if before is None:
        details.insert(0, _describe(definition))
        action = begin(entry, details)
    elif updated.wanted != before:
        action = Action.UPDATE
    elif touched is not None or updated != entry:
        action = Action.REPAIR
    else:
        action = Action.NONE
    return Change(
        action,
        definition.name,
        tuple(details),
        tuple(refusals),
        entry=None if action is Action.NONE else updated,
        topics=() if touched is None else (touched,),
    )


def delete_event(
    entry: Entry, topics: Mapping[str, TopicFacts | None], options: PlanOptions
) -> Change:
    """Return the deletion of an event with its topic."""
    return Change(
        Action.DELETE,
        entry.name,
        ("delete the topic with all its events",),
        entry=replace(entry, wanted=None, unreadable=""),
        topics=tuple(delete_topics([options.namespace.topic(entry.name)], topics)),
    )


def _describe(definition: EventDefinition) -> str:
    key = f", keyed by {definition.partition_key}" if definition.partition_key else ""
    return (
        f"{count_partitions(definition.partitions)}{key}, kept "
        f"{format_duration(definition.retention_ms)}, schema {definition.schema.id}"
    )


def _compare(
    before: EventDefinition,
    after: EventDefinition,
    versions: Sequence[Schema],
    details: list[str],
    refusals: list[str],
) -> None:
    if before.schema.id != after.schema.id:
        details.append(f"schema {before.schema.id} -> {after.schema.id}")
    elif before.schema.text != after.schema.text:
        details.append("schema text (same ID)")
    # All versions, not only the last: a field that was dropped may come back, but not as another.
    breaks = {
        (found.path, found.reason): None
        for version in (before.schema, *versions)
        for found in find_breaks(version, after.schema)
    }
    refusals += [
        f"{path + ': ' if path else ''}{reason}; give the changed event a new name"
        for path, reason in breaks
    ]
    if before.partition_key != after.partition_key:
        details.append(f"partition key {before.partition_key} -> {after.partition_key}")
        if before.partitions > 1:
            refusals.append(
                f"partition_key {before.partition_key} -> {after.partition_key}: events of one key "
                "would be spread over partitions and lose their order; give the event a new name"
            )
    details += [
        label
        for label in ("label", "description", "owner")
        if getattr(before, label) != getattr(after, label)
    ]


def _plan_partitions(
    definition: EventDefinition,
    topic: TopicFacts,
    options: PlanOptions,
    details: list[str],
    refusals: list[str],
) -> int | None:
    wanted = definition.partitions
    if wanted == topic.partitions:
        return None
    details.append(f"partitions: {topic.partitions} -> {wanted}")
    if wanted < topic.partitions:
        refusals.append(
            f"partitions {topic.partitions} -> {wanted}: Kafka cannot remove partitions; "
            "give the event a new name"
        )
        return None
    if not options.allow_growth:
        refusals.append(
            f"partitions {topic.partitions} -> {wanted}: keys move to other partitions, so events "
            "of one key published before and after are no longer in order; allow it with "
            "--allow-partition-growth when no consumer depends on that, or when the stream is empty"
        )
    return wanted


def _update_entry(
    definition: EventDefinition, project: str, entry: Entry | None, topic: TopicFacts | None
) -> Entry:
    entry = entry or Entry(definition.name, project, None, None)
    return replace(
        entry,
        project=project,
        wanted=definition,
        unreadable="",
        topic_ids=with_latest(entry.topic_ids, topic.topic_id if topic else None),
    )
