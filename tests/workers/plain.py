"""Plain Kafka clients in the place of workers: members of a group, and what they commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

from confluent_kafka import Consumer, TopicPartition

from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from platform_events.workers.holes import Saved, encode
from tests.support import topic_of, wait_until

Positions: TypeAlias = "Mapping[int, tuple[int, Saved | str]]"
"""By partition: the offset, and its metadata or what that says."""


def commit(settings: Settings, name: str, stream: str, positions: Positions) -> None:
    """Commit positions while nobody is in the group."""
    consumer = _consumer(settings, name)
    _commit(consumer, settings, stream, positions)
    consumer.close()


class PlainWorker:
    """A member of a subscription's group that handles nothing."""

    def __init__(self, settings: Settings, name: str, stream: str, **properties: str) -> None:
        self._settings = settings
        self._stream = stream
        self._consumer = _consumer(settings, name, **properties)
        self._consumer.subscribe([topic_of(settings, stream)])

    def has(self, partitions: int) -> bool:
        """Whether it has so many partitions now."""
        self._consumer.poll(0)
        return len(self._consumer.assignment()) == partitions

    def commit(self, positions: Positions) -> None:
        _commit(self._consumer, self._settings, self._stream, positions)

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def working(
    settings: Settings,
    name: str,
    stream: str,
    partitions: int = 1,
    protocol: Literal["classic", "consumer"] = "classic",
    **properties: str,
) -> Iterator[PlainWorker]:
    """Have a member in a subscription's group, with all partitions."""
    worker = PlainWorker(settings, name, stream, **{"group.protocol": protocol}, **properties)
    try:
        wait_until(lambda: worker.has(partitions))
        yield worker
    finally:
        worker.close()


def await_nobody(settings: Settings, name: str) -> None:
    """Wait until a subscription's group has no members."""
    with Admin(settings) as admin:
        wait_until(lambda: not admin.members(settings.namespace.worker(name)))


def _consumer(settings: Settings, name: str, **properties: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.namespace.worker(name),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **properties,
        }
    )


def _commit(consumer: Consumer, settings: Settings, stream: str, positions: Positions) -> None:
    topic = topic_of(settings, stream)
    wanted = [
        TopicPartition(
            topic,
            partition,
            offset,
            metadata if isinstance(metadata, str) else encode(offset, metadata)[0],
        )
        for partition, (offset, metadata) in positions.items()
    ]
    for one in consumer.commit(offsets=wanted, asynchronous=False) or ():
        assert one.error is None, one.error
