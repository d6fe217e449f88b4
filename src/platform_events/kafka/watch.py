"""Noticing that a topic was deleted, created again, or grew.

librdkafka tells neither of a deleted nor of a re-created topic: it waits, or silently reads the
new log at the old offset. So the topics in use are described every few seconds.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import TYPE_CHECKING

from platform_events.errors import AuthorizationError, BrokerError

if TYPE_CHECKING:
    from platform_events.kafka.admin import Admin, Topic

INTERVAL = 5.0
"""Seconds between looks."""
_CONFIRM_AFTER = 1.0
"""Seconds after which a missing topic is looked for once more: a broker that has just started may
not know it yet."""

_logger = logging.getLogger("platform_events")


class Watched:
    """A topic in use, as it was when its use began and as it is now."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        """As it was last seen; another object only when it has changed."""
        self.topic_id = topic.topic_id
        """The UUID when its use began."""
        self.deleted = False
        self._missing_since: float | None = None

    @property
    def recreated(self) -> bool:
        """Whether there is another topic of this name now."""
        return self.topic.topic_id != self.topic_id

    def observe(self, topic: Topic | None) -> None:
        """Take what the cluster says now."""
        now = time.monotonic()
        if topic is not None:
            if topic != self.topic:
                self.topic = topic
            self.deleted = False
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since >= _CONFIRM_AFTER:
            self.deleted = True

    @property
    def doubtful(self) -> bool:
        """Whether it seems to be missing, which the next look will tell."""
        return self._missing_since is not None and not self.deleted


class TopicWatch:
    """Describes all topics in use, at intervals and when asked. Thread-safe."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._lock = threading.Lock()
        # Weak, so that a subscription nobody closed is not watched for ever.
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._next = 0.0

    def add(self, topic: Topic) -> Watched:
        """Begin to watch a topic."""
        watched = Watched(topic)
        with self._lock:
            self._watched.add(watched)
        return watched

    def remove(self, watched: Watched) -> None:
        """Stop watching."""
        with self._lock:
            self._watched.discard(watched)

    def tick(self) -> None:
        """Look if it is time. An unreachable cluster is logged: nothing was learnt."""
        with self._lock:
            now = time.monotonic()
            if now < self._next or not self._watched:
                return
            watched = list(self._watched)
            self._next = now + INTERVAL
        try:
            self.look(watched)
        except BrokerError as error:
            _logger.warning("topics could not be checked: %s", error)
        if any(one.doubtful for one in watched):
            with self._lock:
                self._next = now + _CONFIRM_AFTER

    def look(self, watched: list[Watched]) -> None:
        """Look now.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        seen = self._admin.describe_each({one.topic.name for one in watched})
        for found in seen.values():
            if isinstance(found, AuthorizationError):
                # One topic that may not be seen any more must not hide what becomes of the others.
                _logger.warning("%s", found)
        for one in watched:
            topic = seen[one.topic.name]
            if not isinstance(topic, AuthorizationError):
                one.observe(topic)
