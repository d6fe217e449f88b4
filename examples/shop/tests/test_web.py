"""The web application publishes, and says when it cannot."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from shop.web import app


@pytest.fixture
def client(event_bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The application, whose own bus is of this test's tenant and gives up early."""
    monkeypatch.setenv("PLATFORM_EVENTS_DELIVERY_TIMEOUT", "1")
    with TestClient(app) as client:
        yield client


def test_an_order_is_published(client, event_bus):
    response = client.post("/orders", json={"order_id": "A-1", "amount": 20})
    assert response.status_code == 201
    (event,) = event_bus.subscribe("/event/Order_Placed__e", follow=False)
    assert (event.payload["order_id"], event.payload["amount"]) == ("A-1", 20.0)
    assert event.event_id == "A-1"


def test_only_large_orders_are_in_the_channel(client, event_bus):
    for order_id, amount in [("A-1", 20), ("A-2", 2000), ("A-3", 1000)]:
        client.post("/orders", json={"order_id": order_id, "amount": amount})
    large = event_bus.subscribe("/event/Large_Orders__chn", follow=False)
    assert [event.payload["order_id"] for event in large] == ["A-2", "A-3"]


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_an_order_that_may_be_lost_is_sent_again(client, event_bus, break_broker, how):
    order = {"order_id": "A-2", "amount": 20}
    client.post("/orders", json={"order_id": "A-1", "amount": 20})
    with break_broker(how):
        assert client.post("/orders", json=order).status_code == 503
    assert any(client.post("/orders", json=order).status_code == 201 for _ in range(10))
    published = [event.event_id for event in event_bus.subscribe("Order_Placed__e", follow=False)]
    assert published[0] == "A-1"
    assert set(published[1:]) == {"A-2"}
