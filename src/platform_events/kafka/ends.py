"""Where partitions end, asked without waiting for the answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import OFFSET_INVALID, KafkaException

from platform_events.kafka.asking import POLL_INTERVAL
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future
    from typing import Any

    from platform_events.errors import BrokerError
    from platform_events.kafka.admin import Admin
    from platform_events.settings import Settings

_GRACE = 5.0
"""Seconds beyond the request time-out after which no answer comes any more."""


class LogEnds:
    """Asks for the ends of partitions of one topic until all are known. Use it from one thread.

    An end is the offset after the last record, committed or not: who has read as far has seen
    everything that was there when the question was asked.
    """

    def __init__(self, settings: Settings, admin: Admin, topic: str) -> None:
        self._admin = admin
        self._topic = topic
        self._timeout = settings.request_timeout + _GRACE
        self._health = Health(settings.bootstrap_servers)
        self._wanted: set[int] = set()
        self._asked: dict[int, Future[Any]] = {}
        self._asked_at = 0.0
        self.failure: BrokerError | None = None
        """Why an end is not known, if the last answer was that."""

    def want(self, partitions: Iterable[int]) -> None:
        """Ask for these ends, as they are from now on, and for no others."""
        self._wanted = set(partitions)
        self._asked = {}
        self._asked_at = 0.0
        self.failure = None

    def take(self) -> dict[int, int]:
        """Return the ends that became known since the last call; ask for the others again."""
        if not self._wanted:
            return {}
        now = time.monotonic()
        if not self._asked or now - self._asked_at > self._timeout:
            if now - self._asked_at > POLL_INTERVAL:
                self._asked_at = now
                self._asked = self._admin.begin_log_ends(self._topic, self._wanted)
            return {}
        known = {}
        for partition, future in list(self._asked.items()):
            if future.done():
                del self._asked[partition]
                end = self._read(future)
                if end is not None:
                    known[partition] = end
        self._wanted.difference_update(known)
        return known

    def _read(self, future: Future[Any]) -> int | None:
        try:
            end: int = future.result().offset
        except KafkaException as exception:
            doing = f"asking for the ends of topic {self._topic}"
            self.failure = translate(kafka_error(exception), doing, self._health)
            return None
        # It comes without an error while a leader moves (tried).
        if end == OFFSET_INVALID:
            return None
        self.failure = None
        return end
