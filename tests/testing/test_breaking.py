"""The fixture `break_broker`: a test's own buses are cut off, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from platform_events import (
    AsyncEventBus,
    BrokerError,
    EventBus,
    PublishError,
    PublishStatus,
    Settings,
    UsageError,
)
from platform_events.definitions.model import Definitions
from platform_events.testing import KafkaBroker
from platform_events.testing.proxy import Cut
from platform_events.testing.tenancy import Tenancy

Break = Callable[[Cut], AbstractContextManager[None]]
ORDERS = "Order_Placed__e"
WAYS: tuple[Cut, ...] = ("refuse", "hang")


@pytest.mark.parametrize("how", WAYS)
def test_publishing_fails_while_the_broker_is_broken_and_works_after(
    event_bus: EventBus, break_broker: Break, kafka_broker: KafkaBroker, how: Cut
) -> None:
    with EventBus(delivery_timeout=0.7) as bus, EventBus(_direct(kafka_broker)) as unbroken:
        for one in (bus, event_bus, unbroken):
            one.publish(ORDERS, {"order_id": "before"})
        with break_broker(how):
            with pytest.raises(PublishError) as caught:
                bus.publish(ORDERS, {"order_id": "during"})
            unbroken.publish(ORDERS, {"order_id": "of others"})
        assert caught.value.result.status is not PublishStatus.PERSISTED
        event_bus.publish(ORDERS, {"order_id": "after"})
    found = [event.payload["order_id"] for event in event_bus.subscribe(ORDERS, follow=False)]
    assert [one for one in found if one != "during"] == [*["before"] * 3, "of others", "after"]


def test_a_new_bus_finds_no_broker(event_bus: EventBus, break_broker: Break) -> None:
    with (
        break_broker("refuse"),
        EventBus(request_timeout=1.0) as bus,
        pytest.raises(BrokerError),
    ):
        bus.publish(ORDERS, {"order_id": "A-1"})
    assert event_bus.publish(ORDERS, {"order_id": "A-1"}).status is PublishStatus.PERSISTED


def test_what_hangs_is_published_after_it(
    async_event_bus: AsyncEventBus, break_broker: Break
) -> None:
    async def publish() -> list[str]:
        await async_event_bus.publish(ORDERS, {"order_id": "before"})
        with break_broker("hang"):
            future = await async_event_bus.submit(ORDERS, {"order_id": "during"})
            done, _ = await asyncio.wait([future], timeout=0.3)
            assert not done
        assert (await future).status is PublishStatus.PERSISTED
        subscription = await async_event_bus.subscribe(ORDERS, follow=False)
        return [event.payload["order_id"] async for event in subscription]

    assert asyncio.run(publish()) == ["before", "during"]


def test_a_subscriber_goes_on_after_it(event_bus: EventBus, break_broker: Break) -> None:
    received: list[str] = []
    arrived = threading.Event()

    def read() -> None:
        for event in subscription:
            received.append(event.payload["order_id"])
            arrived.set()
            if len(received) == 2:
                return

    with event_bus.subscribe(ORDERS) as subscription:
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        event_bus.publish(ORDERS, {"order_id": "before"})
        assert arrived.wait(60)
        with break_broker("refuse"):
            pass
        event_bus.publish(ORDERS, {"order_id": "after"})
        reader.join(60)
    assert received == ["before", "after"]


def test_breaking_needs_buses_that_go_through_the_proxy(
    event_bus: EventBus, request: pytest.FixtureRequest
) -> None:
    late: Break = request.getfixturevalue("break_broker")
    with pytest.raises(UsageError, match="among the test's arguments"), late("hang"):
        pass
    assert event_bus.settings.kafka == {}


def test_breaking_needs_a_broker_with_a_proxy(kafka_broker: KafkaBroker, tenant: str) -> None:
    foreign = KafkaBroker(kafka_broker.bootstrap_servers)
    tenancy = Tenancy(foreign, tenant, Definitions(), is_breakable=True)
    with pytest.raises(UsageError, match="PLATFORM_EVENTS_TEST_BROKER"), tenancy:
        pass


def _direct(broker: KafkaBroker) -> Settings:
    """Settings of the test's tenant that lead past the proxy."""
    return Settings(bootstrap_servers=broker.bootstrap_servers, kafka={"client_id": "other"})
