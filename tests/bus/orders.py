"""Orders published and read, for tests."""

from __future__ import annotations

from typing import Any

from platform_events.bus.bus import EventBus
from platform_events.bus.subscription import Subscription
from platform_events.replay import ReplayId

EVENT = "Order_Placed__e"
READING = "Reading_Taken__e"


def publish_orders(bus: EventBus, count: int, first: int = 0) -> list[ReplayId]:
    results = bus.publish_many(
        EVENT, ({"order_id": f"A-{number}"} for number in range(first, first + count))
    )
    replay_ids = [result.replay_id for result in results]
    assert None not in replay_ids
    return replay_ids  # type: ignore[return-value]


def orders(subscription: Subscription[dict[str, Any]]) -> list[int]:
    return [int(event.payload["order_id"][2:]) for event in subscription]


def order_ids(bus: EventBus) -> list[str]:
    return [event.payload["order_id"] for event in bus.subscribe(EVENT, follow=False)]
