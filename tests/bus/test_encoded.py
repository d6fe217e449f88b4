"""Payloads that somebody else encoded, published batch by batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from platform_events.bus.bus import EventBus
from platform_events.bus.encoded import Batch
from platform_events.bus.values import EncodedMessage, PublishResult, PublishStatus
from platform_events.definitions.schema import Schema
from platform_events.errors import (
    BrokerTimeoutError,
    ClosedError,
    EventTooLargeError,
    PayloadError,
    PlatformEventsError,
    UnknownStreamError,
    UsageError,
)
from platform_events.metrics import expose_metrics
from platform_events.payloads.codec import PayloadEncoder
from platform_events.settings import Settings
from platform_events.testing.proxy import Cut
from tests.bus.orders import EVENT, READING
from tests.support import KEYED, ORDER, PATIENCE, apply_texts, consume_raw

PERSISTED, NOT_PERSISTED, UNKNOWN = PublishStatus


def encoded(schema: Schema, **payload: Any) -> bytes:
    system = {"CreatedDate": 1, "CreatedById": "somebody"}
    return PayloadEncoder(schema.parsed).encode({**system, **payload})


class Sending:
    """A batch, and the wait for it."""

    def __init__(
        self,
        bus: EventBus,
        messages: Iterable[EncodedMessage | PlatformEventsError],
        event: str = EVENT,
    ) -> None:
        self.settled = threading.Semaphore(0)
        self.batch: Batch = bus.publishing().encoded.submit(event, messages, self.settled.release)

    def results(self) -> list[PublishResult]:
        assert self.settled.acquire(timeout=PATIENCE)
        # It is told once.
        assert not self.settled.acquire(blocking=False)
        return self.batch.results()


@pytest.fixture
def schema(bus: EventBus) -> Schema:
    return bus.catalog.event(EVENT).schema


def test_bodies_are_stored_as_they_came_with_what_was_given_beside_them(
    bus: EventBus, settings: Settings, schema: Schema
) -> None:
    bodies = [encoded(schema, order_id=f"A-{number}") for number in range(3)]
    own = EncodedMessage(bodies[0], schema, "mine", {"team": "shop"})
    results = Sending(bus, [own, *(EncodedMessage(body, schema) for body in bodies[1:])]).results()
    assert [result.status for result in results] == [PERSISTED] * 3
    assert results[0].event_id == "mine"
    events = list(bus.subscribe(EVENT, follow=False))
    assert [event.payload["order_id"] for event in events] == ["A-0", "A-1", "A-2"]
    assert [event.event_id for event in events] == [result.event_id for result in results]
    assert [event.replay_id for event in events] == [result.replay_id for result in results]
    assert [event.headers for event in events] == [{"team": b"shop"}, {}, {}]
    bus.publish(EVENT, {"order_id": "A-3"})
    *records, native = consume_raw(settings, EVENT, 4)
    assert [record.value() for record in records] == bodies
    fixed = [dict(record.headers() or ()) for record in (*records, native)]
    for headers in fixed:
        del headers["ce_id"]
    assert fixed[1] == fixed[2] == fixed[3]


def test_each_is_refused_alone_and_counts(bus: EventBus, schema: Schema) -> None:
    expose_metrics()

    def counted(outcome: str) -> float:
        labels = {"event": EVENT, "outcome": outcome}
        return REGISTRY.get_sample_value("platform_events_published_total", labels) or 0.0

    before = counted("PERSISTED"), counted("NOT_PERSISTED")
    body = encoded(schema, order_id="good")
    large = encoded(schema, order_id="x" * 1_100_000)
    refused = PayloadError("", "refused before")
    results = Sending(
        bus,
        [
            EncodedMessage(body, schema),
            refused,
            EncodedMessage(large, schema),
            EncodedMessage(body, schema, "x" * 37),
            EncodedMessage(body, schema, None, {"ce_id": b"taken"}),
            EncodedMessage(body, schema, "last"),
        ],
    ).results()
    assert [result.status for result in results] == [
        PERSISTED, NOT_PERSISTED, NOT_PERSISTED, NOT_PERSISTED, NOT_PERSISTED, PERSISTED,
    ]  # fmt: skip
    errors = [type(result.error) for result in results[1:-1]]
    assert errors == [PayloadError, EventTooLargeError, UsageError, UsageError]
    assert results[1].error is refused
    assert len(list(bus.subscribe(EVENT, follow=False))) == 2
    assert (counted("PERSISTED") - before[0], counted("NOT_PERSISTED") - before[1]) == (2, 4)


def test_batches_without_an_event_that_is_sent_are_settled_too(bus: EventBus) -> None:
    assert Sending(bus, []).results() == []
    (result,) = Sending(bus, [PayloadError("", "no")]).results()
    assert result.status is NOT_PERSISTED


def test_an_old_schema_stays_publishable(
    bus: EventBus, settings: Settings, schema: Schema, tmp_path: Path
) -> None:
    newer = ORDER + "  - {name: place, type: string, optional: true}\n"
    apply_texts(settings, tmp_path / "newer", newer, KEYED)
    bus.catalog.refresh()
    new = bus.catalog.event(EVENT).schema
    assert new.id != schema.id
    messages = [
        EncodedMessage(encoded(schema, order_id="old"), schema),
        EncodedMessage(encoded(new, order_id="new", place="here"), new),
    ]
    results = Sending(bus, messages).results()
    assert [result.status for result in results] == [PERSISTED] * 2
    old, newest = (event.payload for event in bus.subscribe(EVENT, follow=False))
    assert ("place" in old, newest["place"]) == (False, "here")


def test_the_key_in_the_body_decides_the_partition(bus: EventBus) -> None:
    schema = bus.catalog.event(READING).schema
    sensors = [f"sensor {number}" for number in range(12)]
    bus.publish_many(READING, [{"sensor": sensor, "value": 1} for sensor in sensors])
    bodies = [encoded(schema, sensor=sensor, value=2) for sensor in sensors]
    results = Sending(bus, [EncodedMessage(body, schema) for body in bodies], READING).results()
    assert {result.status for result in results} == {PERSISTED}
    partitions: dict[str, set[int]] = {}
    for event in bus.subscribe(READING, follow=False):
        partitions.setdefault(event.payload["sensor"], set()).add(event._run.partition)
    assert {len(found) for found in partitions.values()} == {1}
    assert len(set.union(*partitions.values())) > 1


def test_many_batches_of_many_threads_have_their_own_results_in_order(
    bus: EventBus, schema: Schema
) -> None:
    def messages(name: int, number: int) -> Iterator[EncodedMessage]:
        for event in range(100):
            text = f"{name}-{number}-{event}"
            yield EncodedMessage(encoded(schema, order_id=text), schema, text)

    def work(name: int) -> None:
        sendings = [Sending(bus, messages(name, number)) for number in range(10)]
        for number, sending in enumerate(sendings):
            ids = [result.event_id for result in sending.results()]
            assert ids == [f"{name}-{number}-{event}" for event in range(100)]
        finished.append(name)

    finished: list[int] = []
    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(finished) == [0, 1, 2, 3]
    events = list(bus.subscribe(EVENT, follow=False))
    assert len(events) == 4_000
    assert all(event.event_id == event.payload["order_id"] for event in events)
    assert not bus.publishing().encoded.is_sending
    assert not bus.clients.producer.pressing


def test_a_batch_that_comes_alone_does_not_linger(
    bus: EventBus, settings: Settings, schema: Schema
) -> None:
    lingering = {"linger": 300_000.0, "delivery_timeout": 600.0, "close_timeout": 0.0}
    message = EncodedMessage(encoded(schema, order_id="A"), schema)
    with EventBus(settings.model_copy(update=lingering)) as slow:
        for _ in range(5):
            (result,) = Sending(slow, [message]).results()
            assert result.status is PERSISTED
        assert not slow.clients.producer.pressing


def test_an_unknown_event_is_refused_as_a_whole(bus: EventBus) -> None:
    with pytest.raises(UnknownStreamError):
        bus.publishing().encoded.submit("Nothing__e", [], lambda: None)


def test_what_fails_midway_leaves_no_batch(bus: EventBus, schema: Schema) -> None:
    def failing() -> Iterator[EncodedMessage]:
        yield EncodedMessage(encoded(schema, order_id="A"), schema)
        raise LookupError

    with pytest.raises(LookupError):
        bus.publishing().encoded.submit(EVENT, failing(), lambda: None)
    assert not bus.publishing().encoded.is_sending


def test_a_closed_bus_sends_nothing(bus: EventBus, schema: Schema) -> None:
    publisher = bus.publishing()
    publisher.find(EVENT)
    publisher.close(1.0)
    settled = threading.Event()
    message = EncodedMessage(encoded(schema, order_id="late"), schema)
    batch = publisher.encoded.submit(EVENT, [message], settled.set)
    assert settled.is_set()
    (result,) = batch.results()
    assert (result.status, type(result.error)) == (NOT_PERSISTED, ClosedError)


@pytest.fixture
def broken_settings(event_bus: EventBus) -> Settings:
    """Settings of a bus that can be cut off, and that waits for nothing when it closes."""
    return event_bus.settings.model_copy(update={"close_timeout": 0.2, "delivery_timeout": 120})


def test_a_closing_bus_gives_up_what_is_under_way(
    broken_settings: Settings, break_broker: Callable[[Cut], AbstractContextManager[None]]
) -> None:
    with EventBus(broken_settings) as bus:
        bus.publish(EVENT, {"order_id": "before"})
        schema = bus.catalog.event(EVENT).schema
        body = encoded(schema, order_id="A")
        with break_broker("hang"):
            sending = Sending(bus, [EncodedMessage(body, schema, "mine"), PayloadError("", "no")])
            assert not sending.settled.acquire(blocking=False)
            bus.close()
            unknown, refused = sending.results()
    assert (unknown.status, unknown.event_id) == (UNKNOWN, "mine")
    assert isinstance(unknown.error, BrokerTimeoutError)
    assert refused.status is NOT_PERSISTED
