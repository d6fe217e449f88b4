"""Buses of one cluster that is cut off: none fills the buffer for the others, each closes alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

import pytest

from platform_events import Cluster, EventBus, PublishError, PublishResult, PublishStatus, Settings
from platform_events.testing.proxy import Cut
from tests.bus.orders import EVENT
from tests.support import wait_until

Break = Callable[[Cut], AbstractContextManager[None]]
UNKNOWN = PublishStatus.UNKNOWN
PERSISTED = PublishStatus.PERSISTED
ROOM = 1024 * 1024


class Filling:
    """Submits events until it has to wait for room, in a thread."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self.futures: list[Future[PublishResult]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.futures.append(self._bus.submit(EVENT, {"order_id": "x" * 1000}))

    @property
    def is_waiting(self) -> bool:
        outbox = self._bus.publishing()._outbox
        return outbox.under_way + 5_000 > outbox.limit

    def end(self) -> None:
        self._stopping.set()
        self._thread.join(60)


def cluster_of(bus: EventBus, **changes: Any) -> Cluster:
    """Return a cluster for the tenant of a bus that can be cut off."""
    settings: Settings = bus.settings.model_copy(update={"publish_buffer": ROOM, **changes})
    return Cluster(settings)


def test_a_bus_that_fills_its_part_does_not_keep_another_from_sending(
    event_bus: EventBus, break_broker: Break
) -> None:
    with cluster_of(event_bus, delivery_timeout=120) as cluster:
        full, other = (cluster.bus(event_bus.settings.tenant) for _ in range(2))
        for bus in (full, other):
            bus.publish(EVENT, {"order_id": "before"})
        with break_broker("hang"):
            filling = Filling(full)
            wait_until(lambda: filling.is_waiting)
            # It would wait here for as long as the other one does.
            futures = [other.submit(EVENT, {"order_id": str(number)}) for number in range(100)]
            assert not any(future.done() for future in filling.futures)
        filling.end()
        results = [future.result(60).status for future in (*filling.futures, *futures)]
    assert results == [PERSISTED] * len(results)


def test_a_closing_bus_gives_up_its_own_events_alone(
    event_bus: EventBus, break_broker: Break
) -> None:
    outcomes: list[PublishResult] = []
    with cluster_of(event_bus, close_timeout=0.5, delivery_timeout=120) as cluster:
        closing, other = (cluster.bus(event_bus.settings.tenant) for _ in range(2))
        for bus in (closing, other):
            bus.publish(EVENT, {"order_id": "before"})

        def publish() -> None:
            with pytest.raises(PublishError) as caught:
                closing.publish(EVENT, {"order_id": "waited for"})
            outcomes.append(caught.value.result)

        with break_broker("hang"):
            waiting = threading.Thread(target=publish)
            waiting.start()
            wait_until(lambda: closing.publishing()._outbox.under_way > 0)
            futures = [closing.submit(EVENT, {"order_id": str(number)}) for number in range(10)]
            kept = other.submit(EVENT, {"order_id": "kept"})
            closing.close()
            waiting.join(60)
            outcomes += [future.result(0) for future in futures]
            assert not kept.done()
        assert kept.result(60).status is PERSISTED
        # Their reports come too late; the connection goes on.
        wait_until(lambda: cluster._connection.clients.producer.buffer.is_settled)
        other.publish(EVENT, {"order_id": "after"})
    assert [one.status for one in outcomes] == [UNKNOWN] * 11
    for one in outcomes:
        assert str(one.error).startswith("the bus was closed and the broker had not answered 0.5 s")
    stored = [one.payload["order_id"] for one in event_bus.subscribe(EVENT, follow=False)]
    assert stored.count("kept") == stored.count("after") == 1


def test_a_cluster_that_closes_gives_up_what_is_left_of_all(
    event_bus: EventBus, break_broker: Break
) -> None:
    cluster = cluster_of(event_bus, close_timeout=0.5)
    buses = [cluster.bus(event_bus.settings.tenant) for _ in range(3)]
    for bus in buses:
        bus.publish(EVENT, {"order_id": "before"})
    with break_broker("hang"):
        futures = [bus.submit(EVENT, {"order_id": "left"}) for bus in buses for _ in range(5)]
        cluster.close()
        assert {future.result(0).status for future in futures} == {UNKNOWN}
