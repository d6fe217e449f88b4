"""What `apply` would change, and what it refuses: a pure function of files, catalog and topics."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from platform_events.catalog.state import Entry
from platform_events.definitions.compatibility import find_breaks
from platform_events.definitions.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.catalog.state import CatalogState
    from platform_events.definitions.model import Definitions, EventDefinition
    from platform_events.definitions.schema import Schema

_SEGMENTS_IN_RETENTION = 12
_LONGEST_SEGMENT_MS = 7 * 24 * 3_600_000
_SHORTEST_SEGMENT_MS = 1_000


class Action(enum.Enum):
    """What happens to one event."""

    CREATE = "create"
    UPDATE = "update"
    REPAIR = "repair"
    DELETE = "delete"
    KEEP = "keep"
    """No file defines it any more; only pruning deletes it."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """An event's topic as it is now."""

    topic_id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the operator allows, and what topics are made with."""

    allow_growth: bool = False
    """Add partitions although keys move to other partitions."""
    prune: bool = False
    """Delete this project's events that no file defines any more."""
    replication_factor: int = -1
    """Replicas of new topics. -1: the broker's default."""
    min_insync_replicas: int | None = None
    """`min.insync.replicas` of topics. None: the broker's default."""
    max_message_bytes: int = 0
    """`max.message.bytes` of topics."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one event, and to its topic."""

    action: Action
    name: str
    details: tuple[str, ...] = ()
    """Each thing that changes, in words."""
    refusals: tuple[str, ...] = ()
    """Why it is refused; empty when it is not."""
    entry: Entry | None = None
    """What the catalog will say, with `wanted` set; None when it stays as it is."""
    create_topic: bool = False
    grow_to: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    """Topic config to set; all of it for a new topic."""
    delete_topic: bool = False

    @property
    def touches_topic(self) -> bool:
        """Whether a topic has to be made, changed or deleted."""
        return (
            self.create_topic or self.delete_topic or self.grow_to is not None or bool(self.config)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes for one project, by name."""

    project: str
    changes: tuple[Change, ...]

    @property
    def effective(self) -> tuple[Change, ...]:
        """The changes that change something."""
        return tuple(c for c in self.changes if c.action not in (Action.NONE, Action.KEEP))

    @property
    def refusals(self) -> tuple[str, ...]:
        """Everything refused, each beginning with the event's name."""
        return tuple(f"{c.name}: {refusal}" for c in self.changes for refusal in c.refusals)


def topic_config(definition: EventDefinition, options: PlanOptions) -> dict[str, str]:
    """Return the topic config of an event.

    `segment.ms` is a fraction of the retention, because a topic that only trickles never rolls
    its segment otherwise and never expires.
    """
    segment_ms = definition.retention_ms // _SEGMENTS_IN_RETENTION
    config = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(options.max_message_bytes),
        "retention.bytes": "-1",
        "retention.ms": str(definition.retention_ms),
        "segment.ms": str(min(max(segment_ms, _SHORTEST_SEGMENT_MS), _LONGEST_SEGMENT_MS)),
    }
    if options.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(options.min_insync_replicas)
    return config


def make_plan(
    desired: Definitions,
    state: CatalogState,
    topics: Mapping[str, TopicFacts | None],
    options: PlanOptions,
) -> Plan:
    """Compare what files define with what the catalog says and what topics are.

    Args:
        desired: the definitions of one project.
        state: the catalog.
        topics: for every event of the project, defined or in the catalog, its topic or None.
        options: what the operator allows.
    """
    changes = [
        _plan_event(definition, desired.project, state, topics.get(name), options)
        for name, definition in sorted(desired.events.items())
    ]
    changes += [
        _plan_absent(entry, topics.get(name), options)
        for name, entry in sorted(state.entries.items())
        if name not in desired.events and entry.project == desired.project and _exists(entry)
    ]
    return Plan(desired.project, tuple(changes))


def _exists(entry: Entry) -> bool:
    return entry.wanted is not None or entry.active is not None


def _plan_absent(entry: Entry, topic: TopicFacts | None, options: PlanOptions) -> Change:
    if entry.wanted is not None and not options.prune:
        return Change(
            Action.KEEP, entry.name, ("no file defines it any more; --prune would delete it",)
        )
    return Change(
        Action.DELETE,
        entry.name,
        ("delete the topic with all its events",),
        entry=replace(entry, wanted=None),
        delete_topic=topic is not None,
    )


def _plan_event(
    definition: EventDefinition,
    project: str,
    state: CatalogState,
    topic: TopicFacts | None,
    options: PlanOptions,
) -> Change:
    entry = state.entries.get(definition.name)
    if entry is not None and _exists(entry) and entry.project != project:
        refusal = (
            f"the project {entry.project!r} owns it, this is {project!r}; "
            "name the event otherwise, or change it in that project's files"
        )
        return Change(Action.NONE, definition.name, refusals=(refusal,))
    before = entry.active if entry is not None else None
    details: list[str] = []
    refusals: list[str] = []
    if before is not None and entry is not None:
        versions = [state.schemas[schema_id] for schema_id in entry.schema_ids]
        _compare(before, definition, versions, details, refusals)
    config = topic_config(definition, options)
    grow_to = None
    if topic is None:
        if before is not None:
            details.append("the topic is gone with its events: make it anew")
        differing = config
    else:
        if before is None and (entry is None or not _exists(entry)):
            details.append("use the topic that is there already")
        grow_to = _plan_partitions(definition, topic, options, details, refusals)
        differing = {k: v for k, v in config.items() if topic.config.get(k) != v}
        details += [
            f"{key}: {topic.config.get(key)} -> {value}" for key, value in differing.items()
        ]
        if options.replication_factor not in (-1, topic.replication_factor):
            details.append(
                f"note: the topic has {topic.replication_factor} replicas, the setting says "
                f"{options.replication_factor}; move it with kafka-reassign-partitions"
            )
    updated = _update_entry(definition, project, entry, topic)
    touched = topic is None or grow_to is not None or bool(differing)
    if before is None:
        action = Action.CREATE
        details.insert(0, _describe(definition))
    elif updated.wanted != before:
        action = Action.UPDATE
    elif touched or updated != entry:
        action = Action.REPAIR
    else:
        action = Action.NONE
    return Change(
        action,
        definition.name,
        tuple(details),
        tuple(refusals),
        entry=None if action is Action.NONE else updated,
        create_topic=topic is None,
        grow_to=grow_to,
        config=differing,
    )


def _describe(definition: EventDefinition) -> str:
    partitions = definition.partitions
    key = f", keyed by {definition.partition_key}" if definition.partition_key else ""
    return (
        f"{partitions} partition{'s' if partitions > 1 else ''}{key}, kept "
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
        topic_ids=with_latest(entry.topic_ids, topic.topic_id if topic else None),
    )


def with_latest(known: tuple[str, ...], latest: str | None) -> tuple[str, ...]:
    """Return IDs with the present one last."""
    if latest is None or (known and known[-1] == latest):
        return known
    return (*(one for one in known if one != latest), latest)
