"""Whether what a broker stored is in the stream: PERSISTED means that a subscriber can read it.

Kafka does not say into which topic of a name it wrote. So a stored event counts if the catalog was
read a moment ago, which names the topic and says 5 s before that it goes, and if the topic stamps
events with its own time, which topics that other software makes do not. Both cost nothing for each
event. In doubt the topic itself is looked at.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from platform_events.catalog.retirement import TRUSTED_FOR
from platform_events.errors import (
    BrokerError,
    ClosedError,
    PlatformEventsError,
    StreamDeletedError,
    StreamRecreatedError,
    UnknownStreamError,
)
from platform_events.names import stream_path

if TYPE_CHECKING:
    from platform_events.catalog.live import Catalog
    from platform_events.catalog.state import Entry
    from platform_events.kafka.admin import Admin, Topic
    from platform_events.kafka.watch import Watched

_EXCUSED_FOR = 1.0
"""Seconds for which a topic is taken for the right one although it does not stamp events."""


def own_entry(entry: Entry, topic: Topic, catalog: Catalog) -> Entry:
    """Return the entry of an event, which names the topic that is there now.

    Raises:
        UnknownStreamError: there is none: other software made the topic, or the event is gone.
        BrokerError: the catalog cannot be read.
    """
    if _names(entry, topic):
        return entry
    catalog.refresh()
    entry = catalog.entry(entry.name)
    if _names(entry, topic):
        return entry
    raise UnknownStreamError(
        stream_path(entry.name),
        f"{entry.name} is in the catalog, but its topic {topic.name} was deleted and made again by "
        "other software; platform-events apply takes it over",
    )


def _names(entry: Entry, topic: Topic) -> bool:
    return entry.topic_ids[-1:] == (topic.topic_id,)


class Voucher:
    """Vouches for what is stored in one topic of an event. Thread-safe."""

    def __init__(
        self, topic: Topic, watched: Watched, entry: Entry, catalog: Catalog, admin: Admin
    ) -> None:
        self._entry = entry
        self._watched = watched
        self._topic = topic
        self._catalog = catalog
        self._admin = admin
        self._looking = threading.Lock()
        self._excused_until = -math.inf
        self._verdict: PlatformEventsError | None = None
        """What the last look found wrong."""
        self._found_at = -math.inf
        """What this process was told before then, the verdict holds for."""
        self.is_wrong = False
        """Whether the topic was found not to be the stream's any more."""
        self.sure_until = -math.inf
        """What this process is told before then, by `time.monotonic()`, is in the stream."""
        self.learn()

    def learn(self) -> None:
        """Take what the catalog and the watch know, without asking."""
        known_at = self._catalog.known_at
        topic = None if self._watched.deleted else self._watched.topic
        if topic is None or topic.topic_id != self._topic.topic_id:
            self.sure_until = -math.inf
        # The entry is at least as new as that moment.
        elif self._judge(topic) is None:
            self.sure_until = max(self.sure_until, known_at + TRUSTED_FOR)

    def is_sure(self, told_at: float, *, stamped: bool) -> bool:
        """Whether a stored event is in the stream by what is known, without asking or waiting."""
        self.learn()
        return told_at < self.sure_until and (stamped or told_at < self._excused_until)

    def doubt(self, told_at: float, *, stamped: bool) -> PlatformEventsError | None:
        """Say why a stored event may not be in the stream; None if it is.

        Args:
            told_at: when this process was told that it is stored, by `time.monotonic()`.
            stamped: whether the topic gave it the time at which it was stored.
        """
        with self._looking:
            if self.is_sure(told_at, stamped=stamped):
                return None
            # Many events may have been told at once, and a look may take its time.
            if self._verdict is None or told_at >= self._found_at:
                self._verdict = self._look()
            return self._verdict

    def _look(self) -> PlatformEventsError | None:
        began = time.monotonic()
        try:
            self._catalog.refresh()
            topic = self._admin.describe_one(self._topic.name, expected=True)
        except (BrokerError, ClosedError) as error:
            self._found_at = time.monotonic()
            return error
        doubt = self._judge(topic)
        self._found_at = began
        self.is_wrong = doubt is not None
        if doubt is None:
            self.sure_until = max(self.sure_until, began + TRUSTED_FOR)
            self._excused_until = began + _EXCUSED_FOR
        return doubt

    def _judge(self, topic: Topic | None) -> PlatformEventsError | None:
        name = self._entry.name
        path = stream_path(name)
        entry = self._catalog.current(self._entry)
        if entry is None or entry.active is None:
            return UnknownStreamError(path, f"{name} was deleted while it was published to")
        if topic is None:
            return StreamDeletedError(
                path,
                f"the topic of {name} was deleted while it was published to; "
                "platform-events apply makes it again",
            )
        if topic.topic_id != self._topic.topic_id or not _names(entry, topic):
            return StreamRecreatedError(
                path,
                f"the topic of {name} was deleted and made again while it was published to; "
                "the event may be in the one or the other",
            )
        return None
