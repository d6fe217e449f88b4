"""A channel filled by hand: confluent-kafka's consume, transform, produce, with transactions.

What a good engineer writes for one output topic, one process and members that never change. One
consumer is assigned to the members' topics and read in batches; each batch is one transaction with
the members' offsets. Each record goes on as it is, with one more header that names where it comes
from. A filter is a Python expression on what fastavro decodes, with the one schema of each member.
`retry.backoff.ms` is lowered, without which each transaction takes 100 ms, and the garbage
collector is told to leave millions of short-lived objects alone, as the router tells it.

It has no merge by time, no second process to take over or to fence, no schemas but these, nowhere
to put a record that it cannot decode, and no way to change members or filters.
"""

from __future__ import annotations

import gc
import io
import sys
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader

from benchmarks.rivals.base import LIBRDKAFKA_CONSUMER, LIBRDKAFKA_PRODUCER

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastavro.types import Schema

_TIMEOUT = 30.0
_COLLECT_AFTER = 50_000


def route(
    bootstrap_servers: str,
    schemas: dict[str, Schema],
    counts: dict[str, int],
    output: str,
    batch: int,
    is_filtered: bool,
) -> dict[str, int]:
    """Move all records of the members into the output topic (runs in a worker).

    It prints a line when it is ready and one when it is done, and waits for one after each.

    Args:
        bootstrap_servers: a running broker.
        schemas: of each member, by its topic.
        counts: records of each member's topic.
        output: an empty topic with one partition; also the group and the transactional ID.
        batch: records of one transaction.
        is_filtered: only late flights from JFK, and cancelled ones.

    Returns:
        How many records were written.
    """
    consumer = Consumer(
        LIBRDKAFKA_CONSUMER
        | {
            "bootstrap.servers": bootstrap_servers,
            "group.id": output,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        LIBRDKAFKA_PRODUCER
        | {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": output,
            "retry.backoff.ms": 1,
        }
    )
    producer.init_transactions(_TIMEOUT)
    group = consumer.consumer_group_metadata()
    tests = {topic: _make_test(schema) for topic, schema in schemas.items()} if is_filtered else {}
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    _say("ready")

    consumer.assign([TopicPartition(topic, 0, 0) for topic in schemas])
    left = sum(counts.values())
    written = 0
    while left:
        # Not more than are left: `consume` waits for the whole batch.
        messages: list[Any] = consumer.consume(min(batch, left), 1.0)
        if not messages:
            continue
        offsets: dict[str, int] = {}
        producer.begin_transaction()
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            topic, offset, value = message.topic(), message.offset(), message.value()
            offsets[topic] = offset + 1
            if is_filtered and not tests[topic](value):
                continue
            headers = message.headers()
            origin = b"%b %d %d %d" % (topic.encode(), 0, offset, message.timestamp()[1])
            headers.append(("origin", origin))
            producer.produce(output, value, message.key(), 0, headers=headers)
            written += 1
        producer.send_offsets_to_transaction(
            [TopicPartition(topic, 0, offset) for topic, offset in offsets.items()], group, _TIMEOUT
        )
        producer.commit_transaction(_TIMEOUT)
        left -= len(messages)
    _say("done")
    consumer.close()
    return {"written": written}


def _make_test(schema: Schema) -> Callable[[bytes], bool]:
    parsed = parse_schema(schema)

    def is_late(value: bytes) -> bool:
        payload: Any = schemaless_reader(io.BytesIO(value), parsed, None)
        delay = payload["delay_minutes"]
        return delay is not None and delay >= 15 and payload["origin"] == "JFK"

    def is_from_jfk(value: bytes) -> bool:
        payload: Any = schemaless_reader(io.BytesIO(value), parsed, None)
        return bool(payload["origin"] == "JFK")

    has_delay = any(field["name"] == "delay_minutes" for field in schema["fields"])  # type: ignore[call-overload,index]
    return is_late if has_delay else is_from_jfk


def _say(line: str) -> None:
    print(line, flush=True)
    sys.stdin.readline()
