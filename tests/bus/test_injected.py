"""Faults that a real cluster does not produce on demand, injected at one call."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import EventMessage, PublishStatus
from platform_events.catalog.live import Catalog
from platform_events.errors import (
    BrokerTimeoutError,
    CatalogCorruptError,
    ClosedError,
    UndecodableRecordError,
)
from platform_events.settings import Settings
from tests.support import produce_to

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
