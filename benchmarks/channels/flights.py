"""The demo's flight events as members of a channel, and the processes that publish them."""

from __future__ import annotations

import shutil
from collections import Counter, deque
from dataclasses import asdict
from itertools import chain, cycle, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events import CREATED_BY, digest
from benchmarks.rivals.base import SOURCE
from benchmarks.shapes import Payload
from platform_events import EventBus, PublishStatus
from platform_events.demo.flights import (
    ARRIVED,
    CANCELLED,
    DEPARTED,
    SCHEMAS,
    WEEK,
    flight_events,
    read_flights,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from platform_events import PublishResult

MEMBERS = (ARRIVED, CANCELLED, DEPARTED)
"""In the order in which a channel has them: by name."""
LATE_FROM_JFK = {
    ARRIVED: "delay_minutes >= 15 AND origin = 'JFK'",
    CANCELLED: "origin = 'JFK'",
    DEPARTED: "delay_minutes >= 15 AND origin = 'JFK'",
}
"""A filter for each member; it takes fields out of every body."""
EVERYTHING = dict.fromkeys(MEMBERS, "")
_ON_THEIR_WAY = 20_000
_Flight = tuple[str, Payload]


def write_events(folder: Path) -> None:
    """Write the definitions of the members."""
    for event in MEMBERS:
        shutil.copy(SCHEMAS / f"{event}.yaml", folder)


def publish_evenly(bootstrap_servers: str, tenant: str, per_member: int) -> dict[str, Any]:
    """Publish as many events of each member, in turn (runs in a worker).

    Returns what `_publish` returns.
    """
    return _publish(bootstrap_servers, tenant, _in_turn(per_member))


def publish_year(
    bootstrap_servers: str, tenant: str, flights: str | None, count: int
) -> dict[str, Any]:
    """Publish the first `count` events of flights in the order of their time (runs in a worker).

    Without a file of flights it is the demo's week again and again.
    """
    path = WEEK if flights is None else Path(flights)
    passes = repeat(path) if flights is None else [path]
    events = chain.from_iterable(flight_events(read_flights(each)) for each in passes)
    return _publish(
        bootstrap_servers, tenant, ((one.event, one.payload) for one in islice(events, count))
    )


def _in_turn(per_member: int) -> Iterator[_Flight]:
    """Yield the week's events so that the members take turns; they begin again when they end."""
    payloads: dict[str, list[Payload]] = {event: [] for event in MEMBERS}
    for one in flight_events(read_flights(WEEK)):
        payloads[one.event].append(one.payload)
    endless = {event: cycle(each) for event, each in payloads.items()}
    for _ in range(per_member):
        for event in MEMBERS:
            yield event, next(endless[event])


def _publish(bootstrap_servers: str, tenant: str, events: Iterator[_Flight]) -> dict[str, Any]:
    """Publish and return how many events of each member, and digests of the event IDs.

    The digests are of all events, and of those that pass `LATE_FROM_JFK`.
    """
    counts: Counter[str] = Counter()
    ids: list[str] = []
    passing: list[str] = []
    waiting: deque[tuple[Future[PublishResult], bool]] = deque()

    def settle(most: int) -> None:
        while len(waiting) > most:
            future, passes = waiting.popleft()
            result = future.result()
            if result.status is not PublishStatus.PERSISTED:
                raise RuntimeError(f"an event was not published: {result.error}")
            ids.append(result.event_id)
            if passes:
                passing.append(result.event_id)

    with EventBus(
        bootstrap_servers=bootstrap_servers, tenant=tenant, source=SOURCE, created_by=CREATED_BY
    ) as bus:
        for event, payload in events:
            waiting.append((bus.submit(event, payload), _passes(event, payload)))
            counts[event] += 1
            settle(_ON_THEIR_WAY)
        settle(0)
    return {"counts": counts, "all": asdict(digest(ids)), "passing": asdict(digest(passing))}


def _passes(event: str, payload: Payload) -> bool:
    """Return what the filters say, from the payload."""
    if payload["origin"] != "JFK":
        return False
    return event == CANCELLED or (payload["delay_minutes"] or 0) >= 15
