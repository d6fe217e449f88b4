"""The topics around a channel, when feeding begins and while it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from platform_events.catalog.topics import count_partitions
from platform_events.channels.backfill import PositionGone
from platform_events.errors import CatalogError, StreamDeletedError, StreamRecreatedError
from platform_events.names import stream_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.catalog.positions import Place
    from platform_events.catalog.state import Entry, Feeding
    from platform_events.kafka.admin import Admin, Topic
    from platform_events.kafka.watch import TopicWatch
    from platform_events.names import Namespace


class Changed(Exception):  # noqa: N818 - feeding goes on
    """There is another definition, or something about the topics has changed."""


class ChannelTopics:
    """The topics around a channel, as they are now.

    Raises:
        StreamDeletedError: one of them is gone.
        StreamRecreatedError: one of them is another than the channel was defined with.
        CatalogError: they do not have the partitions that the channel was defined with.
        BrokerError: the cluster cannot be asked.
    """

    def __init__(self, admin: Admin, namespace: Namespace, entry: Entry, feeding: Feeding) -> None:
        names = {feed.event: namespace.topic(feed.event) for feed in feeding.feeds}
        name = namespace.topic(entry.name)
        topics = [name, *names.values()]
        described = admin.describe(topics, expected=topics)
        self._members = {
            feed.event: _check(
                described[names[feed.event]],
                feed.event,
                feed.topic_id,
                "the member {} was deleted and created again; platform-events apply lets the "
                "channel begin with its new events",
            )
            for feed in feeding.feeds
        }
        self.channel = _check(
            described[name],
            entry.name,
            entry.topic_ids[-1],
            "the topic of {} was deleted and created again; platform-events apply lets it be "
            "filled from its members again",
        )
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
    def all(self) -> list[Topic]:
        """The channel's and its members'."""
        return [self.channel, *self._members.values()]

    @property
    def events(self) -> dict[str, str]:
        """The members' topics to their events."""
        return {topic.name: event for event, topic in self._members.items()}

    @property
    def partitions(self) -> dict[str, int]:
        """How many partitions each member has."""
        return {event: topic.partitions for event, topic in self._members.items()}

    def topic_of(self, place: Place) -> Topic:
        """Return a place's topic."""
        return self._members[place.event]


class TopicsInUse:
    """Topics that are watched while a channel partition is fed. Use it in a `with`.

    Args:
        watch: who looks at them now and then.
        topics: as they were when feeding began.
    """

    def __init__(self, watch: TopicWatch, topics: Sequence[Topic]) -> None:
        self._watch = watch
        self._watched = [(watch.add(topic), topic.partitions) for topic in topics]
        self.partitions = {topic.name: topic.partitions for topic in topics}
        """How many partitions each had when feeding began."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for watched, _partitions in self._watched:
            self._watch.remove(watched)

    def check(self) -> None:
        """Raise if one of them is not what it was. Resuming finds out what it means.

        Raises:
            PositionGone: it was deleted, or made again.
            Changed: it has another number of partitions.
        """
        for watched, partitions in self._watched:
            if watched.deleted or watched.recreated:
                raise PositionGone
            if watched.topic.partitions != partitions:
                raise Changed


def _check(topic: Topic | None, name: str, topic_id: str, recreated: str) -> Topic:
    path = stream_path(name)
    if topic is None:
        raise StreamDeletedError(
            path,
            f"the topic of {path} was deleted; platform-events apply makes it again, "
            "without its events",
        )
    if topic.topic_id != topic_id:
        raise StreamRecreatedError(path, recreated.format(path))
    return topic
