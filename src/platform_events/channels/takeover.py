"""Taking a channel partition up where its last commit ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from platform_events.catalog.positions import (
    Place,
    Position,
    beginning,
    places_of,
    read_positions,
    read_standing,
    resume,
    skip_expired,
)
from platform_events.catalog.topics import count_partitions
from platform_events.channels.members import Sieve, Stamp
from platform_events.channels.recovery import find_highest
from platform_events.channels.transfer import Caution, Source, Transfer
from platform_events.errors import (
    CatalogError,
    StreamDeletedError,
    StreamRecreatedError,
)
from platform_events.kafka.offsets import GroupOffsets
from platform_events.names import stream_path
from platform_events.replay import StreamIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_events.catalog.state import Entry, Feed, Feeding
    from platform_events.channels.context import FeederContext
    from platform_events.kafka.admin import Topic
    from platform_events.kafka.transactions import TransactionalProducer

_logger = logging.getLogger("platform_events")


class OutdatedCatalog(Exception):  # noqa: N818 - it passes
    """A later definition was committed than this process knows; the text says which.

    It has to read the catalog on.
    """


class ChannelTopics:
    """The topics around a channel, as they are now.

    Raises:
        StreamDeletedError: one of them is gone.
        StreamRecreatedError: one of them is another than the channel was defined with.
        CatalogError: they do not have the partitions that the channel was defined with.
        BrokerError: the cluster cannot be asked.
    """

    def __init__(self, context: FeederContext, entry: Entry, feeding: Feeding) -> None:
        namespace = context.settings.namespace
        self._names = {feed.event: namespace.topic(feed.event) for feed in feeding.feeds}
        name = namespace.topic(entry.name)
        described = context.admin.describe([name, *self._names.values()])
        self._topics: dict[str, Topic] = {}
        for feed in feeding.feeds:
            topic = described[self._names[feed.event]]
            if topic is None:
                raise _missing(feed.event)
            if topic.topic_id != feed.topic_id:
                path = stream_path(feed.event)
                raise StreamRecreatedError(
                    path,
                    f"the member {path} was deleted and created anew; platform-events apply lets "
                    "the channel begin with its new events",
                )
            self._topics[feed.event] = topic
        channel = described[name]
        if channel is None:
            raise _missing(entry.name)
        if channel.topic_id != entry.topic_ids[-1]:
            path = stream_path(entry.name)
            raise StreamRecreatedError(
                path,
                f"the topic of {path} was deleted and created anew; platform-events apply lets it "
                "be filled from its members again",
            )
        self.channel = channel
        self._check_partitions(entry)

    def _check_partitions(self, entry: Entry) -> None:
        assert entry.active is not None
        name, wanted = entry.name, entry.active.partitions
        counts = {name: self.channel.partitions}
        if wanted > 1:
            counts |= self.partitions
        for other, count in counts.items():
            if count != wanted and entry.pending:
                raise CatalogError(f"{name} is being changed; if that was interrupted, apply again")
            if count != wanted:
                raise CatalogError(
                    f"{other} has {count_partitions(count)}, and {name} was applied with "
                    f"{count_partitions(wanted)}; run platform-events plan"
                )

    @property
    def topics(self) -> list[Topic]:
        """All of them."""
        return [self.channel, *self._topics.values()]

    @property
    def events(self) -> dict[str, str]:
        """The members' topics to their events."""
        return {topic: event for event, topic in self._names.items()}

    @property
    def partitions(self) -> dict[str, int]:
        """How many partitions each member has."""
        return {event: topic.partitions for event, topic in self._topics.items()}

    def topic_of(self, place: Place) -> Topic:
        """Return a place's topic."""
        return self._topics[place.event]


def take_up(
    context: FeederContext,
    entry: Entry,
    feeding: Feeding,
    topics: ChannelTopics,
    partition: int,
    producer: TransactionalProducer,
    caution: Caution,
    check: Callable[[], None],
) -> Transfer:
    """Return the transfer that goes on where the last commit ended, under `feeding`.

    Its first transaction is committed here, with all positions: so a new definition holds from
    here on, and positions of silent members are not forgotten.

    Args:
        context: what feeders share.
        entry: the channel's.
        feeding: how it is fed.
        topics: the channel's and its members'.
        partition: of the channel.
        producer: the partition's.
        caution: what is known of records that cannot be written.
        check: is called now and then if it takes long; what it raises ends it.

    Raises:
        OutdatedCatalog: `feeding` is older than what is committed.
        BrokerError: a step failed.
    """
    namespace = context.settings.namespace
    group = namespace.positions(entry.name)
    channel = topics.channel
    places = places_of(feeding, topics.partitions, channel.partitions, partition)
    with GroupOffsets(context.settings, group, stable=True) as offsets:
        token = offsets.token()
        committed = offsets.read(
            [
                (channel.name, partition),
                *((topics.topic_of(place).name, place.partition) for _, place in places),
            ]
        )
    standing = read_standing(committed, channel.name, partition)
    if standing is not None and standing.definition > feeding.number:
        raise OutdatedCatalog(
            f"definition {standing.definition} was in force already, the catalog has only "
            f"{feeding.number}; if it was restored from a copy, change the channel and apply "
            "until it is ahead"
        )
    resumption = resume(places, read_positions(committed, topics.events), standing)
    positions = dict(resumption.positions)
    if resumption.missing:
        positions |= _recover(context, topics, entry, resumption.missing, check)
    _pass_over_expired(context, topics, entry, positions)
    end = context.admin.log_ends(channel.name, channel.partitions)[partition]
    marks = [standing] if standing else [position.mark for position in positions.values()]
    known = [mark.at for mark in marks if mark.definition == feeding.number]
    # Before the channel grew its members were at home in another partition, which is longer.
    at = min(max(known, default=end), end)
    transfer = Transfer(
        producer,
        token,
        channel.name,
        partition,
        namespace.dead_letters(entry.name),
        feeding.number,
        at,
        _make_sources(context, topics, feeding, places, positions),
        caution,
    )
    transfer.commit(everything=True)
    return transfer


def _recover(
    context: FeederContext,
    topics: ChannelTopics,
    entry: Entry,
    missing: Iterable[tuple[Feed, Place]],
    check: Callable[[], None],
) -> dict[Place, Position]:
    highest = find_highest(context, topics.channel, entry.name, missing, check)
    if highest:
        _logger.warning(
            "%s: committed positions were lost; found again in the channel itself", entry.name
        )
    return {place: beginning(feed, place, highest.get(place)) for feed, place in missing}


def _pass_over_expired(
    context: FeederContext, topics: ChannelTopics, entry: Entry, positions: dict[Place, Position]
) -> None:
    used = [topics.topic_of(place) for place in positions]
    marks = context.admin.watermarks({topic.name: topic.partitions for topic in used})
    for place, position in positions.items():
        first, end = marks[topics.topic_of(place).name][place.partition]
        if position.offset > max(first, end):
            _logger.warning(
                "%s: FUTURE: %s ends %s records before the position in it, so its log was "
                "truncated; goes on at its end",
                entry.name,
                stream_path(place.event),
                f"{position.offset - end:,}",
            )
            positions[place] = Position(end, position.mark)
            continue
        positions[place], lost = skip_expired(position, first)
        if lost:
            _logger.warning(
                "%s: EXPIRED: up to %s events of %s were removed by retention before they were "
                "routed",
                entry.name,
                f"{lost:,}",
                stream_path(place.event),
            )


def _make_sources(
    context: FeederContext,
    topics: ChannelTopics,
    feeding: Feeding,
    places: list[tuple[Feed, Place]],
    positions: dict[Place, Position],
) -> list[Source]:
    cluster_id = context.admin.cluster_id()
    sieves = {feed.event: Sieve(feed, context.catalog) for feed in feeding.feeds}
    sources = []
    for _, place in places:
        topic = topics.topic_of(place)
        identity = StreamIdentity(cluster_id, topic.topic_id, topic.partitions)
        stamp = Stamp(place, feeding.number, identity)
        sources.append(Source(place, topic.name, positions[place], sieves[place.event], stamp))
    return sources


def _missing(name: str) -> StreamDeletedError:
    return StreamDeletedError(
        stream_path(name),
        f"the topic of {stream_path(name)} was deleted; platform-events apply makes it anew, "
        "without its events",
    )
