"""A worker that publishes what it has handled, so that others can tell.

It takes the place of the example's, whose name it has.
"""

import asyncio
from functools import cache

from platform_events import AsyncEventBus, Event, Start, Worker

app = Worker(
    "handling",
    "/event/Parcel_Scanned__e",
    start=Start.EARLIEST,
    max_uncommitted=20,
)


@cache
def bus() -> AsyncEventBus:
    """Return the bus of this process, made when it is first used."""
    return AsyncEventBus(delivery_timeout=120)


@app.handler
async def handle(event: Event[dict[str, str]]) -> None:
    """Work for a while, then say so."""
    await asyncio.sleep(0.02)
    handled = {"parcel": event.payload["parcel"], "scan": event.event_id}
    await bus().publish("Parcel_Handled__e", handled)
