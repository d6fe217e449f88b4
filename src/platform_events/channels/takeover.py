"""Where the last commit of a channel partition ended, and what feeds it from there on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from platform_events.catalog.positions import (
    Checkpoint,
    Place,
    Position,
    beginning,
    channel_checkpoint,
    places_of,
    plan_resumption,
    read_positions,
    skip_expired,
)
from platform_events.channels.members import Source, member_writers
from platform_events.channels.recovery import find_highest
from platform_events.channels.topics import ChannelTopics
from platform_events.channels.transfer import Destination, FedPartition
from platform_events.envelope import Stamp
from platform_events.kafka.offsets import GroupOffsets
from platform_events.names import stream_path
from platform_events.replay import StreamIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_events.catalog.state import Entry, Feed
    from platform_events.channels.context import FeederContext

_logger = logging.getLogger("platform_events")


class OutdatedCatalog(Exception):  # noqa: N818 - it passes
    """A later definition was committed than this process knows; the text says which.

    It has to read the catalog on.
    """


class Takeover:
    """Finds where feeding a channel goes on as `entry` defines it; raises as `ChannelTopics`."""

    def __init__(self, context: FeederContext, entry: Entry) -> None:
        assert entry.feeding is not None
        self._context = context
        self._entry = entry
        self._feeding = entry.feeding
        self.topics = ChannelTopics(context.admin, context.settings.namespace, entry, self._feeding)

    def resume(self, partition: int, check: Callable[[], None]) -> FedPartition:
        """Return what is fed from where the last commit ended.

        Call it when this process has opened the partition's producer: only then is it settled what
        the one before committed.

        Args:
            partition: of the channel.
            check: is called now and then if it takes long; what it raises ends it.

        Raises:
            OutdatedCatalog: the entry is older than what is committed.
            BrokerError: a step failed.
        """
        namespace = self._context.settings.namespace
        channel, number = self.topics.channel, self._feeding.number
        places = places_of(self._feeding, self.topics.partitions, channel.partitions, partition)
        group = namespace.positions(self._entry.name)
        with GroupOffsets(self._context.settings, group, stable=True) as offsets:
            token = offsets.token()
            committed = offsets.read(
                [
                    (channel.name, partition),
                    *((self.topics.topic_of(place).name, place.partition) for _, place in places),
                ]
            )
        own = channel_checkpoint(committed, channel.name, partition)
        if own is not None and own.definition > number:
            raise OutdatedCatalog(
                f"definition {own.definition} was in force already, the catalog has only "
                f"{number}; if it was restored from a copy, change the channel and apply until it "
                "is ahead"
            )
        resumption = plan_resumption(places, read_positions(committed, self.topics.events), own)
        positions = dict(resumption.positions)
        if resumption.missing:
            positions |= self._recover(resumption.missing, check)
        expired = self._pass_over_expired(positions)
        end = self._context.admin.log_ends(channel.name, channel.partitions)[partition]
        checkpoints = [own] if own else [position.checkpoint for position in positions.values()]
        known = [one.at for one in checkpoints if one.definition == number]
        # Before the channel grew its members were at home in another partition, which is longer.
        at = min(max(known, default=end), end)
        return FedPartition(
            Destination(
                self._entry.name,
                channel.name,
                partition,
                namespace.dead_letters(self._entry.name),
                token,
            ),
            Checkpoint(number, at),
            self._sources([(place, positions[place]) for _, place in places]),
            expired,
        )

    def _recover(
        self, missing: Iterable[tuple[Feed, Place]], check: Callable[[], None]
    ) -> dict[Place, Position]:
        highest = find_highest(self._context, self.topics.channel, self._entry.name, missing, check)
        if highest:
            _logger.warning(
                "%s: committed positions were lost; found again in the channel itself",
                self._entry.name,
            )
        return {place: beginning(feed, place, highest.get(place)) for feed, place in missing}

    def _pass_over_expired(self, positions: dict[Place, Position]) -> list[tuple[str, int]]:
        """Move positions that retention overtook; return the events' names and what is lost."""
        expired = []
        used = [self.topics.topic_of(place) for place in positions]
        marks = self._context.admin.watermarks({topic.name: topic.partitions for topic in used})
        for place, position in positions.items():
            first, end = marks[self.topics.topic_of(place).name][place.partition]
            if position.offset > max(first, end):
                _logger.warning(
                    "%s: FUTURE: %s ends %s records before the position in it, so its log was "
                    "truncated; goes on at its end",
                    self._entry.name,
                    stream_path(place.event),
                    f"{position.offset - end:,}",
                )
                positions[place] = Position(end, position.checkpoint)
                continue
            positions[place], lost = skip_expired(position, first)
            if lost:
                expired.append((place.event, lost))
                _logger.warning(
                    "%s: EXPIRED: up to %s events of %s were removed by retention before they "
                    "were routed",
                    self._entry.name,
                    f"{lost:,}",
                    stream_path(place.event),
                )
        return expired

    def _sources(self, positions: list[tuple[Place, Position]]) -> list[Source]:
        cluster_id = self._context.admin.cluster_id()
        writers = {
            feed.event: member_writers(feed, self._context.catalog) for feed in self._feeding.feeds
        }
        sources = []
        for place, position in positions:
            topic = self.topics.topic_of(place)
            identity = StreamIdentity(cluster_id, topic.topic_id, topic.partitions)
            stamp = Stamp(place.event, place.partition, self._feeding.number, identity)
            sources.append(Source(place, topic.name, position, writers[place.event], stamp))
        return sources
