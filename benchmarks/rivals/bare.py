"""confluent-kafka and fastavro, used by hand and well.

The schema is parsed once and the write buffer reused (the fastest way to call fastavro). One
shared delivery callback notes the offset of a success and keeps the whole message of a failure;
a callback per event, which would tie each outcome to its event, is left out because it halves the
speed of `produce`. Callbacks are served every few hundred events, and a full queue waits. The
consumer is assigned to the beginning without a group and takes batches of 500. The event ID is
looked for where publishers put it, first, and anywhere only if it is not there. `consume_batches`
hands each batch on as a list of payloads; its loop is written out again, because a call for each
event would be measured too.
"""

from __future__ import annotations

import io
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import (
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from benchmarks.rivals.base import (
    BATCH,
    LIBRDKAFKA_CONSUMER,
    LIBRDKAFKA_PRODUCER,
    Consumed,
    NotAcknowledgedError,
    Published,
    Stopwatch,
    Target,
    complete,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import KafkaError, Message

    from benchmarks.shapes import Payload

_POLL_EVERY = 500


class BarePublisher:
    """A hand-written publisher of one event, with a producer of its own unless one is given."""

    def __init__(self, target: Target, producer: Producer | None = None) -> None:
        self.producer = producer or Producer(
            LIBRDKAFKA_PRODUCER | {"bootstrap.servers": target.bootstrap_servers}
        )
        self._topic = target.topic
        self._key_field = target.key_field
        self._schema = parse_schema(target.schema)
        self._headers = target.fixed_headers
        self._buffer = io.BytesIO()
        self.offsets: list[int] = []
        self.failures: list[tuple[KafkaError, Message]] = []

    def send(self, payload: Payload) -> str:
        """Queue one event and return its ID; a full queue waits."""
        event_id = str(uuid4())
        buffer = self._buffer
        buffer.seek(0)
        buffer.truncate()
        schemaless_writer(buffer, self._schema, complete(payload))
        key = None if self._key_field is None else payload[self._key_field]
        while True:
            try:
                self.producer.produce(
                    self._topic,
                    buffer.getvalue(),
                    key,
                    on_delivery=self._report,
                    headers=[("ce_id", event_id), *self._headers],
                )
            except BufferError:
                self.producer.poll(0.1)
            else:
                return event_id

    def send_all(self, payloads: Sequence[Payload]) -> list[str]:
        """Publish every payload, wait for all outcomes, return the event IDs."""
        ids: list[str] = []
        for number, payload in enumerate(payloads):
            ids.append(self.send(payload))
            if number % _POLL_EVERY == 0:
                self.producer.poll(0)
        self.flush()
        return ids

    def flush(self) -> None:
        """Wait until everything sent is acknowledged.

        Raises:
            NotAcknowledgedError: something was not.
        """
        left = self.producer.flush(60)
        if self.failures or left:
            raise NotAcknowledgedError(f"{len(self.failures)} failed, {left} without an outcome")

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.offsets.append(message.offset() or 0)
        else:
            self.failures.append((error, message))


def publish(target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]) -> Published:
    """Publish with one producer."""
    publisher = BarePublisher(target)
    ids = publisher.send_all(warmup)
    watch = Stopwatch()
    ids += publisher.send_all(payloads)
    took = watch.read()
    if len(publisher.offsets) != len(ids):
        raise NotAcknowledgedError(f"{len(publisher.offsets)} of {len(ids)} acknowledged")
    return Published(ids, len(payloads), took)


@contextmanager
def reading(target: Target, *, at_end: bool = False) -> Iterator[Consumer]:
    """Give a consumer that is assigned to the beginning of the stream, or to its end."""
    consumer = Consumer(
        LIBRDKAFKA_CONSUMER
        | {"bootstrap.servers": target.bootstrap_servers, "group.id": f"bare-{uuid4()}"}
    )
    # Looked up here: OFFSET_BEGINNING would be half a second later, while no leader is known yet,
    # and OFFSET_END would be resolved at some later time.
    starts = [
        consumer.get_watermark_offsets(TopicPartition(target.topic, n), timeout=10)[at_end]
        for n in range(target.partitions)
    ]
    consumer.assign([TopicPartition(target.topic, n, start) for n, start in enumerate(starts)])
    yield consumer
    consumer.close()


def fetch(consumer: Consumer, count: int) -> Iterator[list[Any]]:
    """Yield the next `count` messages: the first one alone, so that time runs from it."""
    wanted = 1
    while count:
        messages = consumer.consume(wanted, 1.0)
        if messages:
            count -= len(messages)
            # Not more than are left: `consume` waits for the whole batch.
            wanted = min(BATCH, count)
            yield messages


def consume(target: Target, count: int) -> Consumed:
    """Consume event by event, fetched in batches of 500."""
    schema = parse_schema(target.schema)
    ids: list[str] = []
    payload: Any = {}
    positions = [0] * target.partitions
    watch = Stopwatch()
    with reading(target) as consumer:
        for messages in fetch(consumer, count):
            if not ids:
                watch.start()
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                payload = schemaless_reader(io.BytesIO(message.value()), schema, None)
                headers = message.headers()
                name, event_id = headers[0]
                if name != "ce_id":
                    event_id = dict(headers)["ce_id"]
                ids.append(event_id.decode())
                positions[message.partition()] = message.offset()
        took = watch.read()
    return Consumed(ids, took, payload)


def consume_batches(target: Target, count: int) -> Consumed:
    """Consume lists of up to 500 payloads."""
    schema = parse_schema(target.schema)
    ids: list[str] = []
    payloads: list[Any] = []
    positions = [0] * target.partitions
    watch = Stopwatch()
    with reading(target) as consumer:
        for messages in fetch(consumer, count):
            if not ids:
                watch.start()
            payloads = []
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                payloads.append(schemaless_reader(io.BytesIO(message.value()), schema, None))
                headers = message.headers()
                name, event_id = headers[0]
                if name != "ce_id":
                    event_id = dict(headers)["ce_id"]
                ids.append(event_id.decode())
                positions[message.partition()] = message.offset()
        took = watch.read()
    return Consumed(ids, took, payloads[-1])


@contextmanager
def single_publisher(target: Target) -> Iterator[Callable[[Payload], str]]:
    """Give a function that publishes one event and waits for it: produce, then flush."""
    publisher = BarePublisher(target)

    def publish_one(payload: Payload) -> str:
        event_id = publisher.send(payload)
        publisher.flush()
        return event_id

    yield publish_one


def follow(target: Target, count: int, ready: Callable[[], None]) -> dict[str, int]:
    """Receive `count` new events as they come; return each ID's arrival on the monotonic clock, ns.

    `poll` hands an event over at once, where `consume` would wait for its batch to fill.
    """
    schema = parse_schema(target.schema)
    arrivals: dict[str, int] = {}
    with reading(target, at_end=True) as consumer:
        ready()
        while len(arrivals) < count:
            message: Any = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                raise KafkaException(message.error())
            schemaless_reader(io.BytesIO(message.value()), schema, None)
            headers = message.headers()
            name, event_id = headers[0]
            if name != "ce_id":
                event_id = dict(headers)["ce_id"]
            arrivals[event_id.decode()] = time.monotonic_ns()
    return arrivals
