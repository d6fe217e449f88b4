"""A loop by hand: `consume(500)`, fastavro, and a handler that is called for each event in turn.

It is a member of a group. Offsets are stored when a batch is handled, and the client commits what
is stored every five seconds and when it is closed: what librdkafka documents for handling at least
once, and what costs least. Whatever a handler raises would end it; it knows no retries, no dead
letters, no concurrency and one schema. The handler that does nothing is a plain function, the one
that waits a coroutine that an event loop runs to its end.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition
from fastavro import parse_schema, schemaless_reader

from benchmarks.rivals.bare import fetch
from benchmarks.workers.ways import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rivals.base import Target
    from benchmarks.shapes import Payload
    from benchmarks.workers.ways import Tally


def handle(target: Target, tally: Tally, waits: bool) -> None:
    """Handle events one by one until all are."""

    def note(payload: Payload, event_id: str) -> None:
        tally.begin()
        tally.note(event_id)

    async def wait(payload: Payload, event_id: str) -> None:
        tally.begin()
        await asyncio.sleep(WAIT_SECONDS)
        tally.note(event_id)

    if not waits:
        _handle(target, tally.count, note)
        return
    with asyncio.Runner() as runner:
        _handle(target, tally.count, lambda *event: runner.run(wait(*event)))


def _handle(target: Target, count: int, handler: Callable[[Payload, str], None]) -> None:
    schema = parse_schema(target.schema)
    consumer = Consumer(
        {
            "bootstrap.servers": target.bootstrap_servers,
            "group.id": f"bare-{uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
        }
    )
    consumer.subscribe([target.topic])
    for messages in fetch(consumer, count):
        positions: dict[int, int] = {}
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            payload: Any = schemaless_reader(io.BytesIO(message.value()), schema, None)
            headers = message.headers()
            name, event_id = headers[0]
            if name != "ce_id":
                event_id = dict(headers)["ce_id"]
            handler(payload, event_id.decode())
            positions[message.partition()] = message.offset() + 1
        consumer.store_offsets(
            offsets=[TopicPartition(target.topic, *place) for place in positions.items()]
        )
    consumer.close()
