"""What topics hold, read with a bare consumer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from platform_events.replay import StreamIdentity
from platform_events.settings import Settings

READ_SECONDS = 20.0


@dataclass(slots=True)
class Row:
    """One record as it is stored. Not frozen, which would make each cost three times as much."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def read_topic(settings: Settings, topic: str) -> list[list[Row]]:
    """Return the committed records of each partition of a topic, up to its present end."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    described = admin.describe_topics(TopicCollection([topic]))[topic].result(READ_SECONDS)
    rows: list[list[Row]] = [[] for _ in described.partitions]
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": f"checker-{settings.tenant}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        # Looked up before: a consumer takes half a second to find the beginning.
        parts = {
            TopicPartition(topic, number): OffsetSpec.earliest() for number in range(len(rows))
        }
        firsts = admin.list_offsets(parts)
        consumer.assign(
            [
                TopicPartition(topic, one.partition, future.result(READ_SECONDS).offset)
                for one, future in firsts.items()
            ]
        )
        left = set(range(len(rows)))
        while left:
            first = consumer.poll(READ_SECONDS)
            assert first is not None, f"reading {topic} is stuck"
            for message in (first, *consumer.consume(10_000, 0)):
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard(message.partition() or 0)
                else:
                    rows[message.partition() or 0].append(_row(message))
    finally:
        consumer.close()
    return rows


def _row(message: Any) -> Row:
    return Row(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


def read_identities(settings: Settings, events: Iterable[str]) -> dict[str, StreamIdentity]:
    """Return whose replay IDs the members' streams give out."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    topics = {settings.namespace.topic(event): event for event in events}
    described = admin.describe_topics(TopicCollection(list(topics)))
    cluster = str(admin.describe_cluster().result(READ_SECONDS).cluster_id)
    found = {topic: future.result(READ_SECONDS) for topic, future in described.items()}
    return {
        event: StreamIdentity(cluster, str(found[topic].topic_id), len(found[topic].partitions))
        for topic, event in topics.items()
    }
