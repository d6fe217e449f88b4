"""How channels are doing, as Kafka alone tells it: any process can ask."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.catalog.positions import (
    Checkpoint,
    Place,
    beginning,
    channel_checkpoint,
    read_positions,
)
from platform_events.channels.states import FeedState
from platform_events.kafka.holding import append_times
from platform_events.kafka.offsets import GroupOffsets, read_committed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from platform_events.catalog.state import Entry, Feeding
    from platform_events.kafka.admin import Admin
    from platform_events.settings import Settings

_AT_ONCE = 8
"""Channels that are asked about at the same time; each takes a client for a moment."""
_POLL_INTERVAL = 0.2
_FILL_INTERVAL = 0.05
"""Seconds between two looks at positions of a channel that is about to be complete."""


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """How far a channel is with one member."""

    event: str
    filter: str
    definition: int | None
    """Number of the definition in force; None if no router has begun with the member."""
    lag: int | None
    """Records that are not judged yet, an upper bound; None if the member's topic is gone."""
    lag_ms: int | None
    """Age of the oldest of them in ms; 0 if there is none, None if it is not known."""
    passed: int
    filtered: int
    dead_lettered: int
    expired: int
    """Records since the member was added: in the channel, not passed, dead-lettered, lost."""


@dataclass(frozen=True, slots=True)
class LeaderStatus:
    """Who feeds one partition of a channel, and how it goes."""

    partition: int
    leader: str | None
    """Name of the process; None if there is no router."""
    host: str | None
    state: str
    """`taking over`, `catching up`, `live`, `fenced`, `broken`, or `no router`."""
    detail: str
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """How a channel is doing."""

    definition: int
    """Number of the definition that was applied last."""
    members: tuple[MemberStatus, ...]
    partitions: tuple[LeaderStatus, ...]


def channel_statuses(
    settings: Settings, admin: Admin, entries: Iterable[Entry], partitions: Mapping[str, int]
) -> dict[str, ChannelStatus]:
    """Return the status of each active channel by name.

    Args:
        settings: which cluster and tenant.
        admin: to ask with.
        entries: the catalog's; others than active channels are passed over.
        partitions: of each of the tenant's topics that exist.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    feedings = {entry.name: entry.feeding for entry in entries if entry.active and entry.feeding}
    if not feedings:
        return {}
    routing = _Routing(settings, admin, list(feedings), partitions)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        members = pool.map(
            lambda name: tuple(_members(settings, admin, name, feedings[name], partitions)),
            feedings,
        )
        return {
            name: ChannelStatus(
                feedings[name].number, found, tuple(routing.leaders(name, partitions))
            )
            for name, found in zip(feedings, members, strict=True)
        }


def await_definition(
    settings: Settings,
    entry: Entry,
    partitions: int,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> list[int] | None:
    """Wait until routers use the newest definition of a channel.

    Args:
        settings: which cluster and tenant.
        entry: the channel's.
        partitions: of the channel.
        seconds: to wait at most.
        sleep: waits between two looks.

    Returns:
        For each partition the offset in the channel from which on it holds; None if not all of
        them have come to it in time.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    assert entry.feeding is not None
    topic, group = settings.namespace.topic(entry.name), settings.namespace.positions(entry.name)
    places = [(topic, partition) for partition in range(partitions)]
    deadline = time.monotonic() + seconds
    while True:
        committed = read_committed(settings, group, places)
        found = [channel_checkpoint(committed, topic, partition) for partition in range(partitions)]
        at = [one.at for one in found if one and one.definition >= entry.feeding.number]
        if len(at) == partitions:
            return at
        if time.monotonic() >= deadline:
            return None
        sleep(_POLL_INTERVAL)


def await_filled(
    settings: Settings,
    admin: Admin,
    entry: Entry,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until a channel has what its members hold now.

    Args:
        settings: which cluster and tenant.
        admin: to ask with.
        entry: the channel's.
        seconds: to wait at most.
        sleep: waits between two looks.

    Returns:
        Whether it has, in time.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    assert entry.feeding is not None
    described = admin.describe(settings.namespace.topic(feed.event) for feed in entry.feeding.feeds)
    marks = admin.watermarks({name: one.partitions for name, one in described.items() if one})
    missing = {
        (topic, partition): end
        for topic, found in marks.items()
        for partition, (first, end) in enumerate(found)
        if first < end
    }
    deadline = time.monotonic() + seconds
    with GroupOffsets(settings, settings.namespace.positions(entry.name)) as positions:
        while missing:
            for place, one in positions.read(list(missing)).items():
                if one.offset >= missing[place]:
                    del missing[place]
            if missing:
                if time.monotonic() >= deadline:
                    return False
                sleep(_FILL_INTERVAL)
    return True


class _Routing:
    """Which process has which channel partition, and what was said about it."""

    def __init__(
        self,
        settings: Settings,
        admin: Admin,
        names: Iterable[str],
        partitions: Mapping[str, int],
    ) -> None:
        self._settings = settings
        group = settings.namespace.routers
        topics = [settings.namespace.topic(name) for name in names]
        places = [(topic, one) for topic in topics for one in range(partitions.get(topic, 0))]
        self._leaders = {
            partition: member for member in admin.members(group) for partition in member.partitions
        }
        self._statements = read_committed(settings, group, places)

    def leaders(self, name: str, partitions: Mapping[str, int]) -> Iterable[LeaderStatus]:
        topic = self._settings.namespace.topic(name)
        if topic not in partitions:
            gone = f"its topic {topic} was deleted; platform-events apply makes it again"
            yield LeaderStatus(0, None, None, "broken", gone, None)
        for partition in range(partitions.get(topic, 0)):
            leader = self._leaders.get((topic, partition))
            said = self._statements.get((topic, partition))
            statement = FeedState.parse(said.metadata) if said is not None else None
            if leader is None or statement is None or statement.router != leader.client_id:
                state, detail, since_ms = "no router" if leader is None else "taking over", "", None
            else:
                state, detail, since_ms = statement.state, statement.detail, statement.since_ms
            yield LeaderStatus(
                partition,
                leader.client_id if leader else None,
                leader.host if leader else None,
                state,
                detail,
                since_ms,
            )


def _members(
    settings: Settings, admin: Admin, name: str, feeding: Feeding, partitions: Mapping[str, int]
) -> Iterable[MemberStatus]:
    names = {feed.event: settings.namespace.topic(feed.event) for feed in feeding.feeds}
    counts = {topic: partitions[topic] for topic in names.values() if topic in partitions}
    places = [(topic, one) for topic, count in counts.items() for one in range(count)]
    committed = read_committed(settings, settings.namespace.positions(name), places)
    positions = read_positions(committed, {topic: event for event, topic in names.items()})
    marks = admin.watermarks(counts)
    for feed in feeding.feeds:
        topic = names[feed.event]
        known: list[Checkpoint] = []
        lagging: dict[int, int] = {}
        lag = 0
        for partition, (first, end) in enumerate(marks.get(topic, ())):
            position = positions.get(Place(feed.event, partition))
            if position is not None and position.checkpoint.definition >= feed.added:
                known.append(position.checkpoint)
            else:
                position = beginning(feed, Place(feed.event, partition))
            start = max(position.offset, first)
            if start < end:
                lagging[partition] = start
                lag += end - start
        yield MemberStatus(
            event=feed.event,
            filter=feed.filter,
            definition=min((one.definition for one in known), default=None),
            lag=lag if topic in counts else None,
            lag_ms=_age(settings, topic, lagging) if topic in counts else None,
            passed=sum(one.passed for one in known),
            filtered=sum(one.filtered for one in known),
            dead_lettered=sum(one.dead_lettered for one in known),
            expired=sum(one.expired for one in known),
        )


def _age(settings: Settings, topic: str, lagging: Mapping[int, int]) -> int | None:
    """Return the age in ms of the oldest record at these offsets; None if none can be read."""
    if not lagging:
        return 0
    now_ms = int(time.time() * 1000)
    times = append_times(settings, topic, lagging).values()
    oldest = min((one for one in times if one is not None), default=None)
    return None if oldest is None else max(now_ms - oldest, 0)
