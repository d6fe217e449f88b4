"""The topics of events and channels: their configuration, and what differs from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_events.catalog.changes import PlanOptions, TopicChange
from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import ChannelDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.definitions.model import Definition

_SEGMENTS_IN_RETENTION = 12
_LONGEST_SEGMENT_MS = 7 * 24 * 3_600_000
_SHORTEST_SEGMENT_MS = 1_000
_OURS = ("cleanup.policy", "message.timestamp.type", "retention.bytes")
"""Config by which a topic that `apply` made is known, whatever it was made for."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as it is now."""

    topic_id: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    events: int = 0
    """Records in it at most; what ends a transaction counts too."""
    outdated: int = 0
    """Those of them that are older than the definition keeps events."""


@dataclass(slots=True)
class TopicPlan:
    """What the topics of an event or channel need."""

    changes: list[TopicChange] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    """The same in words."""
    asks: list[str] = field(default_factory=list)
    """What of it has to be confirmed."""
    refusals: list[str] = field(default_factory=list)
    """Why it is refused."""

    @property
    def deletes(self) -> bool:
        """Whether a topic goes."""
        return any(change.delete for change in self.changes)

    def say(self, detail: str, *, ask: bool = False) -> None:
        """Add a detail, which has to be confirmed if `ask`."""
        self.details.append(detail)
        if ask:
            self.asks.append(detail)

    def settle(
        self,
        topic: str,
        facts: TopicFacts | None,
        config: Mapping[str, str],
        options: PlanOptions,
        *,
        partitions: int = 1,
        remake: bool = False,
        label: str = "",
    ) -> None:
        """Add what makes a topic what it should be, and say what differs if it is there.

        Args:
            topic: its name in Kafka.
            facts: what it is; None if there is none.
            config: what its config should be.
            options: how many replicas it should have.
            partitions: how many it should have; more than that are left.
            remake: delete one that is there and make another.
            label: comes before each difference.
        """
        if facts is None or remake:
            delete = facts is not None
            self.changes.append(
                TopicChange(topic, create=True, partitions=partitions, config=config, delete=delete)
            )
            return
        grow_to = partitions if partitions > facts.partitions else None
        differing = {key: value for key, value in config.items() if facts.config.get(key) != value}
        if differing or grow_to is not None:
            self.changes.append(TopicChange(topic, grow_to=grow_to, config=differing))
        for key, value in differing.items():
            self.say(f"{label}{key}: {facts.config.get(key)} -> {value}")
        if options.replication_factor not in (-1, facts.replication_factor):
            self.say(
                f"{label}note: the topic has {facts.replication_factor} replicas, the setting says "
                f"{options.replication_factor}; move it with kafka-reassign-partitions"
            )


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


def is_foreign(facts: TopicFacts, known: Sequence[str], config: Mapping[str, str]) -> bool:
    """Whether other software made a topic, such as a broker that makes whatever is asked for.

    `known` has the UUIDs of the topics that the event or channel ever had.
    """
    return facts.topic_id not in known and any(
        facts.config.get(key) != config[key] for key in _OURS
    )


def describe_loss(facts: TopicFacts, change: TopicChange) -> str | None:
    """Say how many events a topic loses to a shorter retention; None if it has none to lose."""
    after = kept_ms({**facts.config, **change.config})
    if not facts.events or change.delete or after >= kept_ms(facts.config):
        return None
    return (
        f"{facts.outdated:,} of {count_of(facts.events, 'event')} are older than "
        f"{format_duration(int(after))} and go"
    )


def kept_ms(config: Mapping[str, str]) -> float:
    """Return for how many milliseconds a topic keeps its events."""
    retention = int(config.get("retention.ms", -1))
    return retention if retention >= 0 and "delete" in config["cleanup.policy"] else math.inf


def count_partitions(partitions: int) -> str:
    """Return `1 partition` or `3 partitions`."""
    return count_of(partitions, "partition")


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 event` or `3 events`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
