"""This SDK, used as its documentation shows: `publish_many`, and loops over `subscribe`."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.events import CREATED_BY
from benchmarks.rivals.base import (
    BATCH,
    SOURCE,
    Consumed,
    NotAcknowledgedError,
    Published,
    Stopwatch,
    Target,
)
from platform_events import EventBus, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.shapes import Payload
    from platform_events import Subscription


def open_bus(target: Target) -> EventBus:
    """Connect with default settings, but the source and author of all benchmark events."""
    return EventBus(
        bootstrap_servers=target.bootstrap_servers,
        tenant=target.tenant,
        source=SOURCE,
        created_by=CREATED_BY,
    )


def publish(target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]) -> Published:
    """Publish with `publish_many`, whose results are in the order of the payloads."""
    with open_bus(target) as bus:
        results = list(bus.publish_many(target.event, warmup))
        watch = Stopwatch()
        results += bus.publish_many(target.event, payloads)
        took = watch.read()
    failed = [result.error for result in results if result.status.name != "PERSISTED"]
    if failed:
        raise NotAcknowledgedError(f"{len(failed)} failed, the first with {failed[0]!r}")
    return Published([result.event_id for result in results], len(payloads), took)


@contextmanager
def reading(target: Target) -> Iterator[Subscription[Payload]]:
    """Give a subscription that reads the stream from the beginning to its end."""
    with open_bus(target) as bus, subscribe(bus, target) as subscription:
        yield subscription


def subscribe(bus: EventBus, target: Target) -> Subscription[Payload]:
    """Read the stream from the beginning to its end."""
    return bus.subscribe(target.event, start=Start.EARLIEST, follow=False)


def consume(target: Target, count: int) -> Consumed:
    """Consume event by event."""
    ids: list[str] = []
    payload: Payload = {}
    position = None
    watch = Stopwatch()
    with reading(target) as subscription:
        for event in subscription:
            if not ids:
                watch.start()
            payload = event.payload
            position = event.replay_id
            ids.append(event.event_id)
            if len(ids) == count:
                break
        took = watch.read()
    assert position is not None
    return Consumed(ids, took, payload)


def consume_batches(target: Target, count: int) -> Consumed:
    """Consume lists of up to 500 events."""
    ids: list[str] = []
    payload: Payload = {}
    position = None
    watch = Stopwatch()
    with reading(target) as subscription:
        for batch in subscription.batches(BATCH):
            if not ids:
                watch.start()
            for event in batch:
                payload = event.payload
                position = event.replay_id
                ids.append(event.event_id)
            if len(ids) >= count:
                break
        took = watch.read()
    assert position is not None
    return Consumed(ids, took, payload)


@contextmanager
def single_publisher(target: Target) -> Iterator[Callable[[Payload], str]]:
    """Give a function that publishes one event and waits for it."""
    with open_bus(target) as bus:
        yield lambda payload: bus.publish(target.event, payload).event_id


def follow(target: Target, count: int, ready: Callable[[], None]) -> dict[str, int]:
    """Receive `count` new events as they come; return each ID's arrival on the monotonic clock, ns.

    The subscription is at the end before `subscribe` returns.
    """
    arrivals: dict[str, int] = {}
    with open_bus(target) as bus, bus.subscribe(target.event, start=Start.LATEST) as subscription:
        ready()
        for event in subscription:
            if event.payload:
                arrivals[event.event_id] = time.monotonic_ns()
            if len(arrivals) == count:
                break
    return arrivals
