"""Reads what transactions left in a log, with none of the code under test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from benchmarks.deployment import LOG_LEVEL
from benchmarks.runner import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTLE_SECONDS = 30.0
_LOOK_AGAIN = 0.01
_BATCH = 1_000


def read_log(bootstrap_servers: str, topic: str, partition: int = 0) -> Iterator[Any]:
    """Yield every committed record of one partition of a topic, up to its end now.

    Raises:
        MeasurementError: transactions stay open.
    """
    await_settled(bootstrap_servers, topic, partition)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"audit-{uuid4()}",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    try:
        while True:
            for message in consumer.consume(_BATCH, 0.1):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                    return
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def await_settled(bootstrap_servers: str, topic: str, partition: int = 0) -> None:
    """Wait until no transaction is open: commits are confirmed before readers see them.

    Raises:
        MeasurementError: that does not happen.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": LOG_LEVEL})
    deadline = time.monotonic() + _SETTLE_SECONDS
    place = TopicPartition(topic, partition)
    while len({_end(admin, place, level) for level in IsolationLevel}) > 1:
        if time.monotonic() > deadline:
            raise MeasurementError(f"a transaction stays open in {topic}[{partition}]")
        time.sleep(_LOOK_AGAIN)


def _end(admin: AdminClient, place: TopicPartition, level: IsolationLevel) -> int:
    (outcome,) = admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=level).values()
    offset: int = outcome.result().offset
    return offset
