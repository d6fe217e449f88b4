"""aiokafka and fastavro by hand: `getmany` of 500, and a coroutine that is awaited for each event.

Its documentation has two ways to commit. Auto commit may commit what is not handled yet, so the
loop commits by itself once a batch is handled. As in the race, checksums are not looked at.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from fastavro import parse_schema, schemaless_reader

from benchmarks.rivals.base import BATCH
from benchmarks.workers.ways import WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.rivals.base import Target
    from benchmarks.shapes import Payload
    from benchmarks.workers.ways import Tally


def handle(target: Target, tally: Tally, waits: bool) -> None:
    """Handle events one by one until all are."""

    async def note(payload: Payload, event_id: str) -> bool:
        tally.begin()
        return tally.note(event_id)

    async def wait(payload: Payload, event_id: str) -> bool:
        tally.begin()
        await asyncio.sleep(WAIT_SECONDS)
        return tally.note(event_id)

    asyncio.run(_handle(target, wait if waits else note))


async def _handle(target: Target, handler: Callable[[Payload, str], Awaitable[bool]]) -> None:
    schema = parse_schema(target.schema)
    consumer = AIOKafkaConsumer(
        target.topic,
        bootstrap_servers=target.bootstrap_servers,
        group_id=f"aiokafka-{uuid4()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        check_crcs=False,
    )
    is_over = False
    async with consumer:
        while not is_over:
            fetched = await consumer.getmany(max_records=BATCH, timeout_ms=1000)
            for records in fetched.values():
                for record in records:
                    payload: Any = schemaless_reader(io.BytesIO(record.value), schema, None)
                    name, event_id = record.headers[0]
                    if name != "ce_id":
                        event_id = dict(record.headers)["ce_id"]
                    is_over = await handler(payload, event_id.decode())
            if fetched:
                await consumer.commit()
