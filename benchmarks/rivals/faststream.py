"""FastStream on its confluent-kafka broker, used as its documentation shows.

Avro is a codec, FastStream's own hook for another body format. Publishing goes through
`publisher.publish(..., no_confirm=True)`, which returns the outcome as a future instead of
waiting for each event in turn; futures are awaited every 10,000 events. The event ID is also the
correlation ID, which FastStream would otherwise make up, and which it sends as a seventh header.
Consuming is a handler per event, whose body the codec hands over together with the event ID and the
position. Asking for FastStream's message object as a second argument, as its first examples do,
halves the speed, because injecting it costs a switch to another thread; turning off argument
injection altogether, which is what the framework is for, would gain 15 %.
`consume_batches` is its batch handler, up to 500 events a call: a second row of its own.

Two things do not fit records with a binary header. Header values must be text on the way out:
`_BinaryHeader` passes the schema ID through. On the way in the default parser decodes every header
as UTF-8 and fails on these records: `parse` and `_parse_batch` are its custom parsers, which
differ only in keeping that header as bytes.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Message
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from faststream.confluent import KafkaBroker, KafkaMessage
from faststream.confluent.message import FAKE_CONSUMER

from benchmarks.rivals.base import (
    BATCH,
    CONTENT_TYPE,
    LIBRDKAFKA_PRODUCER,
    LINGER_MS,
    SCHEMA_ID_HEADER,
    Consumed,
    Elapsed,
    NotAcknowledgedError,
    Published,
    Stopwatch,
    Target,
    complete,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastavro.types import Schema

    from benchmarks.shapes import Payload

_IN_FLIGHT = 10_000


class _BinaryHeader(bytes):
    """A header value that FastStream can call `encode` on."""

    def encode(self) -> bytes:
        return self


class _AvroCodec:
    """Bodies as Avro of one schema, for single events and batches."""

    def __init__(self, schema: Schema) -> None:
        self._schema = parse_schema(schema)
        self._buffer = io.BytesIO()

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        buffer = self._buffer
        buffer.seek(0)
        buffer.truncate()
        schemaless_writer(buffer, self._schema, msg)
        return buffer.getvalue(), CONTENT_TYPE

    async def decode(self, msg: Any) -> dict[str, Any]:
        return {
            "payload": schemaless_reader(io.BytesIO(msg.body), self._schema, None),
            "event_id": msg.headers["ce_id"],
            "partition": msg.raw_message.partition(),
            "offset": msg.raw_message.offset(),
        }

    async def encode_batch(
        self, msgs: Sequence[Any], serializer: Any = None
    ) -> list[tuple[bytes, str | None]]:
        return [await self.encode(msg) for msg in msgs]

    async def decode_batch(self, msg: Any) -> list[Any]:
        return [schemaless_reader(io.BytesIO(body), self._schema, None) for body in msg.body]


def make_broker(target: Target) -> KafkaBroker:
    """Return a broker with the settings that all share."""
    return KafkaBroker(
        target.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=LINGER_MS,
        partitioner=LIBRDKAFKA_PRODUCER["partitioner"],
        codec=_AvroCodec(target.schema),
        allow_auto_create_topics=False,
        logger=None,
    )


def publish(target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]) -> Published:
    """Publish through a publisher of the broker."""
    return asyncio.run(_publish(target, warmup, payloads))


async def _publish(
    target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]
) -> Published:
    fixed: dict[str, Any] = {
        name: _BinaryHeader(value) if name == SCHEMA_ID_HEADER else value.decode()
        for name, value in target.fixed_headers
    }
    broker = make_broker(target)
    publisher = broker.publisher(target.topic)

    async def send_all(batch: Sequence[Payload]) -> list[str]:
        ids: list[str] = []
        waiting: list[asyncio.Future[Message | None]] = []
        for payload in batch:
            event_id = str(uuid4())
            waiting.append(
                await publisher.publish(
                    complete(payload),
                    headers={"ce_id": event_id, **fixed},
                    correlation_id=event_id,
                    no_confirm=True,
                )
            )
            ids.append(event_id)
            if len(waiting) == _IN_FLIGHT:
                await settle(waiting)
        await settle(waiting)
        return ids

    async def settle(waiting: list[asyncio.Future[Message | None]]) -> None:
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if not isinstance(outcome, Message):
                raise NotAcknowledgedError(repr(outcome))
        waiting.clear()

    await broker.start()
    ids = await send_all(warmup)
    watch = Stopwatch()
    ids += await send_all(payloads)
    took = watch.read()
    await broker.stop()
    return Published(ids, len(payloads), took)


def _headers(message: Message) -> dict[str, Any]:
    received: Any = message.headers() or ()
    return {name: value if name == SCHEMA_ID_HEADER else value.decode() for name, value in received}


async def parse(message: Message, consumer: Any = None) -> KafkaMessage:
    """Return what FastStream makes of a record, which it acknowledges to `consumer`, if any."""
    headers = _headers(message)
    _, timestamp = message.timestamp()
    return KafkaMessage(
        body=message.value() or b"",
        headers=headers,
        content_type=headers.get("content-type"),
        message_id=f"{message.offset()}-{timestamp}",
        correlation_id=headers.get("correlation_id"),
        raw_message=message,
        consumer=consumer or FAKE_CONSUMER,
        is_manual=consumer is not None,
    )


async def _parse_batch(messages: tuple[Message, ...]) -> KafkaMessage:
    headers = [_headers(message) for message in messages]
    return KafkaMessage(
        body=[message.value() or b"" for message in messages],
        headers=headers[0],
        batch_headers=headers,
        content_type=headers[0].get("content-type"),
        message_id=f"{messages[0].offset()}-{messages[-1].offset()}",
        correlation_id=headers[0].get("correlation_id"),
        raw_message=messages,
        consumer=FAKE_CONSUMER,
    )


def consume(target: Target, count: int) -> Consumed:
    """Consume with a handler that is called for each event."""
    return asyncio.run(_consume(target, count))


async def _consume(target: Target, count: int) -> Consumed:
    broker = make_broker(target)
    ids: list[str] = []
    positions = [0] * target.partitions
    seen = _Progress()

    @broker.subscriber(
        target.topic,
        group_id=f"faststream-{uuid4()}",
        auto_offset_reset="earliest",
        check_crcs=False,
        parser=parse,
    )
    async def handle(event: dict[str, Any]) -> None:
        if not ids:
            seen.watch.start()
        ids.append(event["event_id"])
        positions[event["partition"]] = event["offset"]
        if len(ids) == count:
            seen.finish(len(ids), event["payload"])

    await broker.start()
    await seen.done.wait()
    await broker.stop()
    return Consumed(ids[: seen.events], seen.took, seen.last)


def consume_batches(target: Target, count: int) -> Consumed:
    """Consume with a handler that is called for each batch of up to 500 events."""
    return asyncio.run(_consume_batches(target, count))


async def _consume_batches(target: Target, count: int) -> Consumed:
    broker = make_broker(target)
    ids: list[str] = []
    positions = [0] * target.partitions
    seen = _Progress()

    @broker.subscriber(
        target.topic,
        group_id=f"faststream-{uuid4()}",
        auto_offset_reset="earliest",
        check_crcs=False,
        parser=_parse_batch,
        batch=True,
        max_records=BATCH,
    )
    async def handle(bodies: list[dict[str, Any]], message: KafkaMessage) -> None:
        if not ids:
            seen.watch.start()
        records: Any = message.raw_message
        for raw, headers in zip(records, message.batch_headers, strict=True):
            ids.append(headers["ce_id"])
            positions[raw.partition()] = raw.offset()
        if len(ids) >= count and not seen.done.is_set():
            seen.finish(len(ids), bodies[-1])

    await broker.start()
    await seen.done.wait()
    await broker.stop()
    return Consumed(ids[: seen.events], seen.took, seen.last)


class _Progress:
    """When a handler began, ended, and what it saw last."""

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.events = 0
        self.took = Elapsed(0.0, 0.0)
        self.last: Payload = {}
        self.done = asyncio.Event()

    def finish(self, events: int, last: Payload) -> None:
        self.took = self.watch.read()
        self.events = events
        self.last = last
        self.done.set()
