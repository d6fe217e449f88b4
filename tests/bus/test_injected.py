"""Faults that a real cluster does not produce on demand, injected at one call."""

from __future__ import annotations

import dataclasses
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.pending import PendingEvent
from platform_events.bus.values import EventMessage, PublishResult, PublishStatus
from platform_events.catalog.live import Catalog
from platform_events.errors import (
    BrokerTimeoutError,
    CatalogCorruptError,
    ClosedError,
    UndecodableRecordError,
    UnknownStreamError,
)
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.support import produce_to, topic_of

EVENT = "Order_Placed__e"


def test_a_schema_that_cannot_be_asked_for_loses_no_event(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.publish_many(EVENT, ({"order_id": f"A-{number}"} for number in range(5)))
    original = Catalog.schema
    failures = iter([BrokerTimeoutError("away"), BrokerTimeoutError("still away")])

    def unreliable(*asked: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return original(*asked, **options)

    monkeypatch.setattr(Catalog, "schema", unreliable)
    with bus.subscribe(EVENT, follow=False) as subscription:
        for _ in range(2):
            with pytest.raises(BrokerTimeoutError):
                next(subscription)
        read = [event.payload["order_id"] for event in subscription]
    assert read == [f"A-{number}" for number in range(5)]


def test_a_model_that_fails_makes_the_record_undecodable_and_reading_goes_on(
    bus: EventBus,
) -> None:
    @dataclasses.dataclass
    class Picky:
        order_id: str

        def __post_init__(self) -> None:
            if self.order_id == "A-1":
                raise TypeError("not this one")

    bus.publish_many(EVENT, ({"order_id": f"A-{number}"} for number in range(3)))
    with bus.subscribe(EVENT, follow=False, model=Picky) as subscription:
        assert next(subscription).payload.order_id == "A-0"
        with pytest.raises(UndecodableRecordError, match="not this one"):
            next(subscription)
        assert [event.payload.order_id for event in subscription] == ["A-2"]


def test_an_event_submitted_while_the_bus_closes_has_a_result(bus: EventBus) -> None:
    """A caller that has passed the check for a closed bus meets a closed producer."""
    publisher = bus.publishing()
    publisher.find(EVENT)
    publisher.close(1.0)
    future = publisher.submit(EVENT, EventMessage({"order_id": "late"}), urgent=False)
    result = future.result(5)
    assert result.status is PublishStatus.NOT_PERSISTED
    assert isinstance(result.error, ClosedError)


def test_a_corrupt_catalog_record_is_reported_to_those_who_ask_for_it_alone(
    bus: EventBus, settings: Settings
) -> None:
    bus.catalog.refresh()
    produce_to(settings, settings.namespace.catalog, b"event/Other__e", b"junk")
    for _ in range(2):
        with pytest.raises(CatalogCorruptError, match="apply the definition of Other__e again"):
            bus.publish("Other__e", {})
    assert bus.publish(EVENT, {"order_id": "A-1"})


def test_a_topic_that_is_described_slowly_holds_up_no_other_event(
    bus: EventBus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()
    describe = Admin.describe_one

    def slow(admin: Admin, name: str, **options: Any) -> Any:
        if name == topic_of(settings, EVENT):
            asked.set()
            assert answer.wait(60)
        return describe(admin, name, **options)

    monkeypatch.setattr(Admin, "describe_one", slow)
    waiting = threading.Thread(target=bus.publish, args=(EVENT, {"order_id": "A-1"}))
    waiting.start()
    try:
        assert asked.wait(20)
        reading = {"sensor": "s", "value": 1}
        assert bus.submit("Reading_Taken__e", reading).result(20).status is PublishStatus.PERSISTED
    finally:
        answer.set()
        waiting.join(60)
    (event,) = bus.subscribe(EVENT, follow=False)
    assert event.payload["order_id"] == "A-1"


def test_an_urgent_event_after_a_settled_one_does_not_linger(
    settings: Settings, bus: EventBus
) -> None:
    """It comes as the thread that serves deliveries finds that there is nothing left to do."""
    lingering = {"linger": 300_000.0, "delivery_timeout": 600.0, "close_timeout": 0.0}
    with EventBus(settings.model_copy(update=lingering)) as slow:
        publisher = slow.publishing()
        for _ in range(20):
            second: Future[Future[PublishResult]] = Future()

            def submit_another(_: object, second: Future[Future[PublishResult]] = second) -> None:
                message = EventMessage({"order_id": "B"})
                second.set_result(publisher.submit(EVENT, message, urgent=True))

            message = EventMessage({"order_id": "A"})
            publisher.submit(EVENT, message, urgent=True).add_done_callback(submit_another)
            assert second.result(20).result(20).status is PublishStatus.PERSISTED


def test_a_result_never_has_the_replay_id_of_another_topic(bus: EventBus) -> None:
    publisher = bus.publishing()
    target = publisher.find(EVENT)
    pending = PendingEvent(publisher._outbox, target, b"mine", 0.0)
    pending.in_log, pending.partition, pending.offset, pending.append_time_ms = True, 0, 7, 1
    pending.told_at = time.monotonic()
    pending.settled = True
    assert pending.result().replay_id == target.stream.identity.position_id([8])
    grown = dataclasses.replace(target.stream.topic, partitions=3)
    target.watched.observe(grown)
    assert pending.result().replay_id == target.stream.identity.position_id([8])
    assert publisher.find(EVENT).identity.partitions == 3
    again = dataclasses.replace(grown, topic_id="another", partitions=1)
    target.watched.observe(again)
    # It may be in the one or the other.
    assert pending.result().replay_id is None
    with pytest.raises(UnknownStreamError, match="made again by other software"):
        publisher.find(EVENT)
