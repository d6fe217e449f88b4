"""How subscriptions are doing, as Kafka alone tells it: any process can ask."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.bus.starts import identify
from platform_events.catalog.topics import kept_ms
from platform_events.errors import AuthorizationError, UnknownSubscriptionError
from platform_events.kafka.offsets import read_committed
from platform_events.names import check_subscription, stream_path
from platform_events.workers.backlog import read_backlog
from platform_events.workers.control import pending_partitions
from platform_events.workers.journal import SUBSCRIPTION_KEY
from platform_events.workers.log import load, subscription_in, subscription_names
from platform_events.workers.position import position_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import Stream
    from platform_events.kafka.groups import Group, GroupMember
    from platform_events.settings import Settings
    from platform_events.workers.backlog import Backlog
    from platform_events.workers.journal import (
        Control,
        Order,
        PartitionJournal,
        SubscriptionRecord,
    )
    from platform_events.workers.position import PartitionPosition

Kind: TypeAlias = Literal["worker"]
"""Who keeps a subscription's position."""
State: TypeAlias = Literal["running", "paused", "idle", "pending"]

_AT_ONCE = 8
"""Subscriptions that are asked about at the same time; each takes some clients for a moment."""
_logger = logging.getLogger("platform_events")


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """A process that works for a subscription."""

    client_id: str
    host: str
    partitions: tuple[int, ...]
    """Those of the stream that it has."""


@dataclass(frozen=True, slots=True)
class SubscriptionStatus:
    """How a subscription is doing."""

    name: str
    kind: Kind
    stream: str
    """Path, such as `/event/Order_Placed__e`."""
    order: Order
    state: State
    """`pending`: a command is not applied in every partition yet; `idle`: nobody works for it."""
    protocol: str | None
    """By which its workers share partitions: `classic` or `consumer`; None if there are none."""
    members: tuple[MemberStatus, ...]
    in_flight: int
    """Events in handlers, when positions were last committed."""
    failing_keys: int
    """Keys that fail now: an event failed, and none of the key has gone well since; likewise."""
    dead_letters: int
    """Those that failed, and those that are parked behind one."""
    generation: int
    """Of the last command; 0 if there was none."""
    backlog: Backlog | None
    """None if the stream is gone."""
    troubles: tuple[str, ...]
    """What is wrong with it, in words for people."""


def list_subscriptions(bus: EventBus) -> list[SubscriptionStatus]:
    """Return the status of each subscription of a tenant, by name.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    names = subscription_names(bus.settings, bus.admin)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        loaded = dict(
            zip(names, pool.map(lambda name: _load_if_there(bus, name), names), strict=True)
        )
    for name, journals in loaded.items():
        if journals and (why := journals[0].why_unreadable(SUBSCRIPTION_KEY)):
            _logger.warning("subscription %s is left out: %s", name, why)
    # Others without a record are just being made, or just gone.
    return _describe_all(bus, {name: one for name, one in loaded.items() if _record_in(one)})


def show_subscription(bus: EventBus, name: str) -> SubscriptionStatus:
    """Return the status of one subscription.

    Raises:
        UnknownSubscriptionError: there is none of that name, or its stream is gone.
        SubscriptionConflictError: a newer version made it.
        UsageError: `name` cannot name a subscription.
        BrokerError: the cluster cannot be asked.
    """
    journals = _load(bus, name)
    subscription_in(name, journals)
    (status,) = _describe_all(bus, {name: journals})
    if status.backlog is None:
        raise UnknownSubscriptionError(name, f"subscription {name}: {status.troubles[0]}")
    return status


def count_dead_letters(bus: EventBus, name: str) -> int:
    """Return how many dead letters a subscription has, though not all else of it may be left.

    Raises:
        UnknownSubscriptionError: there is no such subscription.
        UsageError: `name` cannot name a subscription.
        BrokerError: the cluster cannot be asked.
    """
    return sum(len(one.letters) for one in _load(bus, name))


def await_applied(
    bus: EventBus, name: str, generation: int, timeout: float
) -> tuple[list[int], bool]:
    """Wait until a command is applied everywhere; not if nobody works for the subscription.

    Args:
        bus: of which tenant.
        name: the subscription's.
        generation: of the command.
        timeout: seconds to wait at most.

    Returns:
        The partitions in which it is not applied, and whether somebody works for the subscription.

    Raises:
        UnknownSubscriptionError: there is no such subscription.
        BrokerError: the cluster cannot be asked.
    """
    pending = pending_partitions(bus, name, generation)
    if not pending:
        return [], True
    if not bus.admin.members(bus.settings.namespace.worker(name)):
        return pending, False
    return pending_partitions(bus, name, generation, timeout), True


def _load(bus: EventBus, name: str) -> list[PartitionJournal]:
    topic = bus.settings.namespace.journal(check_subscription(name))
    return load(bus.settings, bus.admin, topic)


def _load_if_there(bus: EventBus, name: str) -> list[PartitionJournal]:
    try:
        return _load(bus, name)
    except UnknownSubscriptionError:
        # It was deleted meanwhile.
        return []


def _record_in(journals: Sequence[PartitionJournal]) -> SubscriptionRecord | None:
    return journals[0].subscription if journals else None


def _describe_all(
    bus: EventBus, journals: Mapping[str, Sequence[PartitionJournal]]
) -> list[SubscriptionStatus]:
    """Return the status of subscriptions by all partitions of their journals."""
    group_of = {name: bus.settings.namespace.worker(name) for name in journals}
    records = map(_record_in, journals.values())
    streams = _read_streams(bus, {record.stream for record in records if record})
    groups = bus.admin.groups(group_of.values())

    def describe(name: str) -> SubscriptionStatus:
        return _describe(bus.settings, name, journals[name], groups[group_of[name]], streams)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(describe, journals))


@dataclass(slots=True)
class _Streams:
    """The streams of some subscriptions, as they are now."""

    found: dict[str, Stream] = field(default_factory=dict)
    """By name."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why others are not there, by name."""
    marks: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """First offset and end of each partition, by topic."""
    kept_ms: dict[str, float] = field(default_factory=dict)
    """For how long events are kept, by topic, as far as one may know."""


def _read_streams(bus: EventBus, names: Iterable[str]) -> _Streams:
    streams = _Streams()
    entries = {entry.name: entry for entry in bus.catalog.entries()}
    topic_of = {name: bus.settings.namespace.topic(name) for name in names}
    active = [name for name in topic_of if name in entries and entries[name].active]
    topics = [topic_of[name] for name in active]
    described = bus.admin.describe(topics, expected=topics)
    for name, topic_name in topic_of.items():
        topic = described.get(topic_name)
        if topic is not None:
            streams.found[name] = identify(entries[name], topic, bus.admin.cluster_id())
        elif name in active:
            streams.missing[name] = (
                f"topic {topic_name} of its stream {stream_path(name)} is gone; platform-events "
                "apply makes it again"
            )
        elif name in entries and entries[name].unreadable:
            streams.missing[name] = f"its stream is {stream_path(name)}: {entries[name].unreadable}"
        else:
            streams.missing[name] = (
                f"its stream {stream_path(name)} was deleted; platform-events subscriptions delete "
                "removes the rest"
            )
    counts = {one.topic.name: one.topic.partitions for one in streams.found.values()}
    streams.marks = bus.admin.watermarks(counts)
    with suppress(AuthorizationError):
        streams.kept_ms = {name: kept_ms(one) for name, one in bus.admin.configs(counts).items()}
    return streams


def _describe(
    settings: Settings,
    name: str,
    journals: Sequence[PartitionJournal],
    group: Group,
    streams: _Streams,
) -> SubscriptionStatus:
    record = _record_in(journals)
    assert record is not None
    control = max((one.control for one in journals), key=lambda one: one.generation)
    topic = settings.namespace.topic(record.stream)
    members = tuple(_describe_member(member, topic) for member in group.members)
    troubles = [text for one in journals for text in one.unreadable]
    stream = streams.found.get(record.stream)
    if control.deleted:
        troubles.insert(0, "it is being deleted; delete it again to finish what was interrupted")
    positions: list[PartitionPosition] = []
    backlog = None
    if stream is None:
        troubles.insert(0, streams.missing[record.stream])
    else:
        marks = streams.marks[topic]
        positions = _read_positions(settings, journals, stream, marks)
        backlog = read_backlog(settings, stream, positions, marks, streams.kept_ms.get(topic))
    troubles += [
        f"what was committed for partition {number} is not of this version: some events after "
        "the position are handled again"
        for number, one in enumerate(positions)
        if not one.saved.is_known
    ]
    numbers = {one for member in members for one in member.partitions}
    owned = [one for number, one in enumerate(positions) if number in numbers]
    if any(one.saved.is_stuck for one in owned):
        troubles.append(
            f"dead letters cannot be written into {settings.namespace.journal(name)}: what failed "
            "waits, and its key with it; a worker's log says why"
        )
    return SubscriptionStatus(
        name=name,
        kind="worker",
        stream=stream_path(record.stream),
        order=record.order,
        state=_state(control, positions, members),
        protocol=group.protocol,
        members=members,
        # What nobody has is in no handler, whatever was committed before its owner was killed.
        in_flight=sum(one.saved.running for one in owned),
        failing_keys=sum(one.saved.failing for one in owned),
        dead_letters=sum(len(one.letters) for one in journals),
        generation=control.generation,
        backlog=backlog,
        troubles=tuple(troubles),
    )


def _read_positions(
    settings: Settings,
    journals: Sequence[PartitionJournal],
    stream: Stream,
    marks: Sequence[tuple[int, int]],
) -> list[PartitionPosition]:
    assert journals[0].subscription is not None
    topic, group = stream.topic, settings.namespace.worker(journals[0].subscription.name)
    places = [(topic.name, partition) for partition in range(len(marks))]
    committed = read_committed(settings, group, places)
    return [
        position_in(partition, committed.get(place), journals, topic.topic_id, first)
        for (partition, place), (first, _) in zip(enumerate(places), marks, strict=True)
    ]


def _state(
    control: Control, positions: Iterable[PartitionPosition], members: Sequence[MemberStatus]
) -> State:
    if any(one.saved.generation < control.generation for one in positions):
        return "pending"
    if control.paused:
        return "paused"
    return "running" if members else "idle"


def _describe_member(member: GroupMember, topic: str) -> MemberStatus:
    partitions = sorted(number for name, number in member.partitions if name == topic)
    return MemberStatus(member.client_id, member.host, tuple(partitions))
