"""The catalog as a running process asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus
from platform_events.catalog.live import Catalog
from platform_events.errors import UnknownSchemaError, UnknownStreamError
from tests.support import ORDER

EVENT = "Order_Placed__e"

Define = Callable[..., None]


@pytest.fixture
def refreshes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When catalogs were refreshed."""
    times: list[float] = []
    refresh = Catalog.refresh

    def count(catalog: Catalog) -> None:
        times.append(time.monotonic())
        refresh(catalog)

    monkeypatch.setattr(Catalog, "refresh", count)
    return times


def test_what_is_unknown_costs_one_refresh_a_second_whoever_asks(
    bus: EventBus, define: Define, refreshes: list[float]
) -> None:
    define(ORDER)
    bus.publish(EVENT, {"order_id": "A"})
    names = [f"Nothing_{number}__e" for number in range(12)]

    def ask(name: str) -> None:
        with pytest.raises(UnknownStreamError):
            bus.submit(name, {})
        with pytest.raises(UnknownStreamError):
            bus.subscribe(name)
        with pytest.raises(UnknownSchemaError):
            bus.catalog.schema("A" * 22)

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(later - earlier >= 1 for earlier, later in pairwise(refreshes))
    assert len(refreshes) > 1


def test_what_was_just_applied_is_known_to_who_asked_just_before(
    bus: EventBus, define: Define
) -> None:
    define(ORDER)
    for number in range(3):
        name = f"Thing_{number}__e"
        for _ in range(2):
            with pytest.raises(UnknownStreamError):
                bus.publish(name, {"order_id": "A"})
        define(ORDER.replace(EVENT, name), prune=False)
        assert bus.publish(name, {"order_id": "A"}).status is PublishStatus.PERSISTED


def test_who_does_not_wait_is_answered_by_what_has_arrived(
    bus: EventBus, define: Define, refreshes: list[float]
) -> None:
    define(ORDER)
    bus.publish(EVENT, {"order_id": "A"})
    refreshes.clear()
    asked = time.monotonic()
    for _ in range(100):
        with pytest.raises(UnknownSchemaError):
            bus.catalog.schema("A" * 22, asked, wait=False)
    assert len(refreshes) <= 1
