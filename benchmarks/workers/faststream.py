"""FastStream on its confluent-kafka broker, set up as in `benchmarks.rivals.faststream`.

To handle at least once, its documentation says to give another `ack_policy` than its default, which
lets the client commit what it has handed over, handled or not: at most once. `handle` takes
`NACK_ON_ERROR`, which commits after each event, without waiting for the answer, and goes back to
one that failed. Its handlers run one by one: `max_workers` is refused with it.

`handle_first` keeps the default, a row of its own: it commits every five seconds, loses what was
under way when it is killed, and with `max_workers`, which it gets for handlers that wait, keeps no
order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from faststream import AckPolicy

from benchmarks.rivals.faststream import make_broker, parse
from benchmarks.workers.ways import WAIT_SECONDS

if TYPE_CHECKING:
    from confluent_kafka import Message
    from faststream.confluent import KafkaMessage

    from benchmarks.rivals.base import Target
    from benchmarks.workers.ways import Tally

_WORKERS = 32
"""As many as a `Worker` has."""


def handle(target: Target, tally: Tally, waits: bool) -> None:
    """Handle events one by one until all are."""
    asyncio.run(_handle(target, tally, waits, AckPolicy.NACK_ON_ERROR, None))


def handle_first(target: Target, tally: Tally, waits: bool) -> None:
    """Handle events, those that wait beside each other, until all are."""
    asyncio.run(_handle(target, tally, waits, AckPolicy.ACK_FIRST, _WORKERS if waits else None))


async def _handle(
    target: Target, tally: Tally, waits: bool, policy: AckPolicy, workers: int | None
) -> None:
    over = asyncio.Event()

    async def parse_own(message: Message) -> KafkaMessage:
        return await parse(message, None if policy is AckPolicy.ACK_FIRST else subscriber.consumer)

    broker = make_broker(target)
    subscriber = broker.subscriber(
        target.topic,
        group_id=f"faststream-{uuid4()}",
        auto_offset_reset="earliest",
        check_crcs=False,
        parser=parse_own,
        ack_policy=policy,
        max_workers=workers,
    )

    async def note(event: dict[str, Any]) -> None:
        tally.begin()
        if tally.note(event["event_id"]):
            over.set()

    async def wait(event: dict[str, Any]) -> None:
        tally.begin()
        await asyncio.sleep(WAIT_SECONDS)
        if tally.note(event["event_id"]):
            over.set()

    subscriber(wait if waits else note)
    await broker.start()
    await over.wait()
    await broker.stop()
