"""Each order gets one invoice, whatever happens."""

import pytest

from platform_events import BrokerError, EventBus, ReplayExpiredError
from shop.invoices import Invoices


def place(event_bus, *order_ids):
    """Publish these orders; return their replay IDs."""
    orders = [{"order_id": order_id, "amount": 20.0} for order_id in order_ids]
    return [result.replay_id for result in event_bus.publish_many("Order_Placed__e", orders)]


def test_it_goes_on_where_it_was(event_bus, tmp_path):
    place(event_bus, "A-1", "A-2")
    with Invoices(tmp_path / "invoices.db") as invoices:
        invoices.make(event_bus, follow=False)
    place(event_bus, "A-3")
    with Invoices(tmp_path / "invoices.db") as invoices:
        invoices.make(event_bus, follow=False)
        assert invoices.order_ids() == ["A-1", "A-2", "A-3"]


def test_an_order_that_was_published_twice_gets_one_invoice(event_bus, tmp_path):
    place(event_bus, "A-1", "A-2", "A-1")
    with Invoices(tmp_path / "invoices.db") as invoices:
        invoices.make(event_bus, follow=False)
        assert invoices.order_ids() == ["A-1", "A-2"]


def test_orders_that_expired_are_missed_only_when_somebody_says_so(event_bus, expire, tmp_path):
    place(event_bus, "A-1")
    with Invoices(tmp_path / "invoices.db") as invoices:
        invoices.make(event_bus, follow=False)
        lost, _ = place(event_bus, "A-2", "A-3")
        expire(lost)
        with pytest.raises(ReplayExpiredError):
            invoices.make(event_bus, follow=False)
        invoices.make(event_bus, follow=False, skip_expired=True)
        assert invoices.order_ids() == ["A-1", "A-3"]


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_broker_that_is_away_costs_no_invoice(event_bus, break_broker, tmp_path, how):
    place(event_bus, "A-1")
    with Invoices(tmp_path / "invoices.db") as invoices:
        with break_broker(how), EventBus(request_timeout=1) as bus, pytest.raises(BrokerError):
            invoices.make(bus, follow=False)
        invoices.make(event_bus, follow=False)
        assert invoices.order_ids() == ["A-1"]
