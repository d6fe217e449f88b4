"""Members of a group under test: what they were told, and what they read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer

from platform_events.errors import BrokerError
from platform_events.kafka.admin import Admin
from platform_events.kafka.members import Member
from platform_events.kafka.reader import Batch
from platform_events.settings import Settings
from tests.support import PATIENCE

PROTOCOLS = ("consumer", "classic")


class Seated:
    """A member that begins what it is given where `begins_at` says, and notes everything."""

    def __init__(self, settings: Settings, topic: str, protocol: Any, **more: Any) -> None:
        self.begins_at: int | None = 0
        self.owned: set[int] = set()
        self.told: list[tuple[str, list[int]]] = []
        self.outcomes: list[dict[int, BrokerError | None]] = []
        self.records: list[tuple[int, int]] = []
        """Partition and offset of each, in the order of arrival."""
        self.ends: dict[int, int] = {}
        self.out_of_range: set[int] = set()
        self.on_assigned: Callable[[list[int]], None] = lambda _: None
        self.on_revoked: Callable[[list[int]], None] = lambda _: None
        self.on_lost: Callable[[list[int]], None] = lambda _: None
        arguments = {
            "group": group_of(settings),
            "client_id": "one",
            "on_assigned": self._assigned,
            "on_revoked": self._revoked,
            "on_lost": self._lost,
            "on_committed": self.outcomes.append,
            "protocol": protocol,
        }
        self.member = Member(settings, topic=topic, **(arguments | more))

    def _assigned(self, partitions: list[int]) -> None:
        self.told.append(("assigned", partitions))
        self.owned.update(partitions)
        if self.begins_at is not None:
            for partition in partitions:
                self.member.begin(partition, self.begins_at)
        self.on_assigned(partitions)

    def _revoked(self, partitions: list[int]) -> None:
        self.told.append(("revoked", partitions))
        self.on_revoked(partitions)
        self.owned.difference_update(partitions)

    def _lost(self, partitions: list[int]) -> None:
        self.told.append(("lost", partitions))
        self.owned.difference_update(partitions)
        self.on_lost(partitions)

    def read(self, limit: int = 1000, timeout: float = 0.1) -> Batch:
        batch = self.member.read(limit, timeout)
        self.records += [(record.partition(), record.offset()) for record in batch.records]
        self.ends |= batch.ends
        self.out_of_range |= batch.out_of_range
        return batch

    def offsets(self, partition: int) -> list[int]:
        return [offset for place, offset in self.records if place == partition]


def group_of(settings: Settings) -> str:
    return settings.namespace.worker("billing")


def read_until(condition: Callable[[], bool], *seated: Seated) -> None:
    """Let members read in turn until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        for one in seated:
            one.read(timeout=0.1 / len(seated))


@contextmanager
def seated(settings: Settings, topic: str, protocol: str, **more: Any) -> Iterator[Seated]:
    one = Seated(settings, topic, protocol, **more)
    try:
        yield one
    finally:
        one.member.close(10)


def make_topic(settings: Settings, partitions: int = 1) -> str:
    topic = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(topic, partitions, 1, {})
        admin.await_topic(topic)
    return topic


def write(settings: Settings, topic: str, count: int, partitions: Sequence[int] = (0,)) -> None:
    """Write so many records to each partition."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 1})
    for number in range(count):
        for partition in partitions:
            producer.produce(topic, str(number).encode(), partition=partition)
    assert producer.flush(30) == 0
