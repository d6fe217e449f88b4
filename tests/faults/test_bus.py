"""What publishers and subscribers get when their broker is killed, frozen and restarted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishResult, PublishStatus
from platform_events.errors import BrokerError, BrokerUnreachableError, PublishError
from platform_events.kafka.health import Health
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.bus.orders import order_ids
from tests.support import ORDER, apply_texts, wait_until

EVENT = "Order_Placed__e"
PERSISTED, UNKNOWN = PublishStatus.PERSISTED, PublishStatus.UNKNOWN


def payloads(count: int) -> Iterator[dict[str, Any]]:
    return ({"order_id": f"A-{number}"} for number in range(count))


def publish_first(bus: EventBus) -> None:
    """Publish, whatever time-out the bus has: a busy machine may need longer."""
    wait_until(lambda: bus.publish_many(EVENT, [{"order_id": "first"}])[0].status is PERSISTED)


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    """A broker that these tests kill, pause and restart."""
    with LocalKafka() as kafka:
        yield kafka


@pytest.fixture
def settings(kafka: LocalKafka, tenant: str, tmp_path: Path) -> Settings:
    if not kafka.pids:  # a test before has failed
        kafka.restart()
    settings = Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        tenant=tenant,
        delivery_timeout=60,
        request_timeout=30,
    )
    apply_texts(settings, tmp_path / "schemas", ORDER)
    return settings


def test_killed_while_publishing_and_back_later(kafka: LocalKafka, settings: Settings) -> None:
    with EventBus(settings) as bus:
        with bus.subscribe(EVENT) as live:
            futures = [bus.submit(EVENT, payload) for payload in payloads(2000)]
            kafka.kill()
            futures += [bus.submit(EVENT, {"order_id": f"B-{n}"}) for n in range(2000)]
            kafka.restart()
            results = [future.result(60) for future in futures]
            assert {result.status for result in results} == {PERSISTED}
            delivered = [next(live).event_id for _ in range(4000)]
        assert delivered == [result.event_id for result in results]
        assert len(order_ids(bus)) == len(set(order_ids(bus))) == 4000


def test_dead_for_good_gives_results_and_bounded_memory(
    kafka: LocalKafka, settings: Settings
) -> None:
    """The buffer fills, further calls wait, and at the time-out every event has a result."""
    settings = settings.model_copy(
        update={"delivery_timeout": 2.0, "publish_buffer": 500_000, "close_timeout": 0.5}
    )
    bus = EventBus(settings)
    publish_first(bus)
    kafka.kill()
    results = bus.publish_many(EVENT, payloads(1200))
    assert {result.status for result in results} == {UNKNOWN}
    assert {type(result.error) for result in results} <= {BrokerUnreachableError, BrokerError}
    assert all(result.replay_id is None for result in results)
    with pytest.raises(PublishError, match="UNKNOWN") as caught:
        bus.publish(EVENT, {"order_id": "late"})
    assert caught.value.retriable
    late = bus.submit(EVENT, {"order_id": "later"})
    bus.close()
    assert late.result(0).status is UNKNOWN
    assert "the bus was closed" in str(late.result(0).error)
    kafka.restart()


def test_an_event_that_a_frozen_broker_may_have_is_unknown_not_refused(
    kafka: LocalKafka, settings: Settings
) -> None:
    settings = settings.model_copy(update={"delivery_timeout": 2.0})
    with EventBus(settings) as bus:
        publish_first(bus)
        kafka.pause()
        try:
            results = bus.publish_many(EVENT, payloads(10))
        finally:
            kafka.resume()
        assert {result.status for result in results} == {UNKNOWN}
        again: list[PublishResult] = []

        def is_persisted() -> bool:
            with suppress(PublishError):
                again.append(bus.publish(EVENT, {"order_id": "A-0"}, event_id=results[0].event_id))
            return bool(again)

        wait_until(is_persisted)
        assert again[0].status is PERSISTED
        assert again[0].event_id == results[0].event_id


def test_a_subscriber_goes_on_after_a_restart(kafka: LocalKafka, settings: Settings) -> None:
    with EventBus(settings) as bus, bus.subscribe(EVENT) as subscription:
        bus.publish(EVENT, {"order_id": "before"})
        kafka.restart()
        bus.publish(EVENT, {"order_id": "after"})
        assert [next(subscription).payload["order_id"] for _ in range(2)] == [
            "before", "after",
        ]  # fmt: skip


def test_reading_to_the_end_of_a_dead_cluster_is_an_error(
    kafka: LocalKafka, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the client said so before what it had fetched was read."""
    unheard = property(lambda _: False, lambda *_: None)
    monkeypatch.setattr(Health, "brokers_down", unheard, raising=False)
    settings = settings.model_copy(update={"request_timeout": 3.0})
    with EventBus(settings) as bus:
        # More than is fetched at once, and not compressible.
        bus.publish_many(EVENT, ({"order_id": os.urandom(50_000).hex()} for _ in range(400)))
        subscription = bus.subscribe(EVENT, follow=False)
        next(subscription)
        kafka.kill()
        with pytest.raises(BrokerUnreachableError):
            list(subscription)
        subscription.close()
    kafka.restart()


def test_a_fatal_error_ends_one_producer_and_not_the_bus(
    kafka: LocalKafka, settings: Settings
) -> None:
    """With gapless guarantee librdkafka raises a real fatal error at a time-out."""
    settings = settings.model_copy(
        update={"delivery_timeout": 2.0, "kafka": {"enable.gapless.guarantee": True}}
    )
    with EventBus(settings) as bus:
        publish_first(bus)
        kafka.pause()
        try:
            results = bus.publish_many(EVENT, payloads(50))
        finally:
            kafka.resume()
        assert {result.status for result in results} == {UNKNOWN}
        wait_until(lambda: bus.publish_many(EVENT, payloads(1))[0].status is PERSISTED)
        assert bus.publish(EVENT, {"order_id": "after"}).status is PERSISTED
