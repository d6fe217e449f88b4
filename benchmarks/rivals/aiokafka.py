"""aiokafka and fastavro, used by hand and well.

Idempotent producer with a batch limit of 1 MB like librdkafka's (its own default of 16 kB is a good
deal slower) and the same linger. `send` returns a future, which is the outcome; they are awaited
every 10,000 events, so that memory stays bounded. The consumer is assigned without a group,
takes batches of 500 and skips the check of checksums, as librdkafka does. aiokafka compresses lz4
at level 9 and has no option to change that.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from benchmarks.rivals.base import (
    BATCH,
    LINGER_MS,
    Consumed,
    NotAcknowledgedError,
    Published,
    Stopwatch,
    Target,
    complete,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.shapes import Payload

_BATCH_BYTES = 1_000_000
_IN_FLIGHT = 10_000


def publish(target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]) -> Published:
    """Publish with one producer on one event loop."""
    return asyncio.run(_publish(target, warmup, payloads))


async def _publish(
    target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]
) -> Published:
    schema = parse_schema(target.schema)
    fixed = target.fixed_headers
    buffer = io.BytesIO()
    producer = AIOKafkaProducer(
        bootstrap_servers=target.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=LINGER_MS,
        max_batch_size=_BATCH_BYTES,
    )

    async def send_all(batch: Sequence[Payload]) -> list[str]:
        ids: list[str] = []
        waiting: list[asyncio.Future[object]] = []
        for payload in batch:
            event_id = str(uuid4())
            buffer.seek(0)
            buffer.truncate()
            schemaless_writer(buffer, schema, complete(payload))
            waiting.append(
                await producer.send(
                    target.topic,
                    buffer.getvalue(),
                    headers=[("ce_id", event_id.encode()), *fixed],
                )
            )
            ids.append(event_id)
            if len(waiting) == _IN_FLIGHT:
                await settle(waiting)
        await settle(waiting)
        return ids

    async def settle(waiting: list[asyncio.Future[object]]) -> None:
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise NotAcknowledgedError(repr(outcome))
        waiting.clear()

    async with producer:
        ids = await send_all(warmup)
        watch = Stopwatch()
        ids += await send_all(payloads)
        took = watch.read()
    return Published(ids, len(payloads), took)


def consume(target: Target, count: int) -> Consumed:
    """Consume in batches of 500."""
    return asyncio.run(_consume(target, count))


async def _consume(target: Target, count: int) -> Consumed:
    schema = parse_schema(target.schema)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=target.bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="none",
        check_crcs=False,
    )
    parts = [TopicPartition(target.topic, number) for number in range(target.partitions)]
    ids: list[str] = []
    payload: Any = {}
    positions = [0] * target.partitions
    async with consumer:
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        watch: Stopwatch | None = None
        while len(ids) < count:
            fetched = await consumer.getmany(max_records=BATCH, timeout_ms=1000)
            if watch is None:
                if not fetched:
                    continue
                watch = Stopwatch()
            for records in fetched.values():
                for record in records:
                    payload = schemaless_reader(io.BytesIO(record.value), schema, None)
                    name, event_id = record.headers[0]
                    if name != "ce_id":
                        event_id = dict(record.headers)["ce_id"]
                    ids.append(event_id.decode())
                    positions[record.partition] = record.offset
        assert watch is not None
        took = watch.read()
    return Consumed(ids, took, payload)
