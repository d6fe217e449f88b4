"""The clients of one cluster that a process shares."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from platform_events.errors import ClosedError
from platform_events.kafka.admin import Admin
from platform_events.kafka.producer import RecordProducer
from platform_events.kafka.tail import Tail
from platform_events.kafka.watch import TopicWatch

if TYPE_CHECKING:
    from platform_events.settings import Settings


class Clients:
    """One client of each kind for all who use a cluster with the same credentials. Thread-safe.

    Each is made when it is first asked for. Settings that say whose events are meant, or what they
    are called, mean nothing here.

    Raises:
        ClosedError: on asking for a client, after `close`.
        ConfigurationError: on asking for one, a property of the user's is not accepted.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._making = threading.RLock()
        self._closed = False
        self._is_tail_closed = False
        self._admin: Admin | None = None
        self._watch: TopicWatch | None = None
        self._tail: Tail | None = None
        self._producer: RecordProducer | None = None

    @property
    def admin(self) -> Admin:
        """Asks the cluster, and changes it."""
        if self._admin is None:
            with self._making:
                self._check_open()
                self._admin = self._admin or Admin(self._settings)
        return self._admin

    @property
    def watch(self) -> TopicWatch:
        """Looks at the topics that are in use; somebody has to call its `tick`."""
        if self._watch is None:
            with self._making:
                self._watch = self._watch or TopicWatch(self.admin)
        return self._watch

    @property
    def tail(self) -> Tail:
        """Reads the newest records."""
        if self._tail is None:
            with self._making:
                self._check_open(is_open=not self._is_tail_closed)
                self._tail = self._tail or Tail(self._settings)
        return self._tail

    @property
    def producer(self) -> RecordProducer:
        """Sends records."""
        if self._producer is None:
            with self._making:
                self._check_open()
                self._producer = self._producer or RecordProducer(self._settings)
        return self._producer

    def flush(self, timeout: float) -> None:
        """End sending: wait up to `timeout` seconds for what is on its way, give up the rest."""
        with self._making:
            producer = self._producer
        if producer is not None:
            producer.close(timeout)

    def close(self) -> None:
        """End all clients, at once; doing so again does nothing."""
        with self._making:
            self._closed = True
        self.flush(0)
        self.close_tail()
        if self._admin is not None:
            self._admin.close()

    def close_tail(self) -> None:
        """End the reading of the newest records, at once; doing so again does nothing."""
        with self._making:
            was_closed, self._is_tail_closed = self._is_tail_closed, True
        if self._tail is not None and not was_closed:
            self._tail.close()

    def _check_open(self, *, is_open: bool = True) -> None:
        if self._closed or not is_open:
            raise ClosedError("the connection is closed; make a new EventBus or Cluster")
