"""Subscribe while the broker is away: the call stays, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import grpc
import pytest

from platform_events import EventBus
from platform_events.service.messages import LATEST
from platform_events.testing import KafkaBroker
from platform_events.testing.proxy import Cut
from platform_events.testing.tenancy import Tenancy
from tests.service.pubsub import Client, serving
from tests.service.subscribed import payloads, subscribed

Break = Callable[[Cut], AbstractContextManager[None]]
ORDERS = "Order_Placed__e"
TOPIC = f"/event/{ORDERS}"


@pytest.fixture
def client(break_broker: Break, _tenancy: Tenancy) -> Iterator[Client]:
    with serving(_tenancy.settings) as target:
        client = Client(target)
        yield client
        client.close()


@pytest.fixture
def unbroken(kafka_broker: KafkaBroker, _tenancy: Tenancy) -> Iterator[EventBus]:
    settings = _tenancy.settings.model_copy(
        update={"bootstrap_servers": kafka_broker.bootstrap_servers, "kafka": {}}
    )
    with EventBus(settings) as bus:
        yield bus


def publish(bus: EventBus, first: int, count: int) -> None:
    bus.publish_many(ORDERS, [{"order_id": f"{n}"} for n in range(first, first + count)])


def orders(bus: EventBus, events: list[Any]) -> list[int]:
    return [int(payload["order_id"]) for payload in payloads(bus, events)]


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_those_who_follow_go_on_after_it(
    client: Client, unbroken: EventBus, break_broker: Break, how: Cut
) -> None:
    publish(unbroken, 0, 3_000)
    with (
        subscribed(client, TOPIC, 100, LATEST) as live,
        subscribed(client, TOPIC, 100) as behind,
    ):
        live.response()
        assert orders(unbroken, behind.take(150)) == list(range(150))
        with break_broker(how):
            publish(unbroken, 3_000, 500)
        assert orders(unbroken, live.take(500)) == list(range(3_000, 3_500))
        rest = behind.take(3_350)
        assert orders(unbroken, rest) == list(range(150, 3_500))


def test_one_that_cannot_be_settled_is_unavailable(
    client: Client, unbroken: EventBus, break_broker: Break
) -> None:
    publish(unbroken, 0, 1)
    with subscribed(client, TOPIC) as known:
        known.take(1)
    with break_broker("refuse"), subscribed(client, TOPIC) as subscription:
        status, code, _ = subscription.failure()
    assert (status, code) == (grpc.StatusCode.UNAVAILABLE, "subscription.internal.error")
