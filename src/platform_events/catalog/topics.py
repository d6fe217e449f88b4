"""The topics of events and channels: their configuration, and what differs from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_events.definitions.model import ChannelDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.definitions.model import Definition

_SEGMENTS_IN_RETENTION = 12
_LONGEST_SEGMENT_MS = 7 * 24 * 3_600_000
_SHORTEST_SEGMENT_MS = 1_000


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as it is now."""

    topic_id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What happens to one topic."""

    topic: str
    """Its name in Kafka."""
    create: bool = False
    partitions: int = 1
    """Partitions of a new topic."""
    grow_to: int | None = None
    """Partitions that it gets; None: it keeps those it has."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Config to set; all of it for a new topic."""
    delete: bool = False


def topic_config(definition: Definition, options: PlanOptions) -> dict[str, str]:
    """Return the config of an event's topic, or of both topics of a channel.

    `segment.ms` is a fraction of the retention, because a topic that only trickles never rolls
    its segment otherwise and never expires.
    """
    segment_ms = definition.retention_ms // _SEGMENTS_IN_RETENTION
    largest = (
        options.max_channel_message_bytes
        if isinstance(definition, ChannelDefinition)
        else options.max_message_bytes
    )
    config = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(largest),
        "retention.bytes": "-1",
        "retention.ms": str(definition.retention_ms),
        "segment.ms": str(min(max(segment_ms, _SHORTEST_SEGMENT_MS), _LONGEST_SEGMENT_MS)),
    }
    if options.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(options.min_insync_replicas)
    return config


def compare_topic(
    topic: str,
    facts: TopicFacts | None,
    config: Mapping[str, str],
    *,
    partitions: int = 1,
    grow_to: int | None = None,
) -> TopicChange | None:
    """Return what makes a topic what it should be, None if it is.

    Args:
        topic: its name in Kafka.
        facts: what it is; None if there is none.
        config: what its config should be.
        partitions: of a topic that has to be made.
        grow_to: partitions that one that is there should get, if it should get more.
    """
    if facts is None:
        return TopicChange(topic, create=True, partitions=partitions, config=config)
    differing = {key: value for key, value in config.items() if facts.config.get(key) != value}
    if not differing and grow_to is None:
        return None
    return TopicChange(topic, grow_to=grow_to, config=differing)


def describe_drift(
    facts: TopicFacts, change: TopicChange | None, options: PlanOptions
) -> list[str]:
    """Say what differs in the config of a topic that is there, and in its replicas."""
    differing = change.config if change is not None else {}
    details = [f"{key}: {facts.config.get(key)} -> {value}" for key, value in differing.items()]
    if options.replication_factor not in (-1, facts.replication_factor):
        details.append(
            f"note: the topic has {facts.replication_factor} replicas, the setting says "
            f"{options.replication_factor}; move it with kafka-reassign-partitions"
        )
    return details


def delete_topics(names: list[str], topics: Mapping[str, TopicFacts | None]) -> list[TopicChange]:
    """Return the deletions of those of the topics that are there."""
    return [TopicChange(name, delete=True) for name in names if topics.get(name) is not None]


def count_partitions(partitions: int) -> str:
    """Return `1 partition` or `3 partitions`."""
    return f"{partitions} partition{'s' if partitions > 1 else ''}"
