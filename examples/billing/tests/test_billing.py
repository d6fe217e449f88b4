"""Each order gets one invoice, whatever happens to the worker."""

import billing
import pytest

from platform_events.testing import CrashBeforeCommit, DuplicateDelivery, run_worker


@pytest.fixture
def invoices(monkeypatch):
    """Order IDs by the numbers of their invoices, as the accounts have them."""
    made = {}

    async def make_invoice(order, number):
        assert made.setdefault(number, order.order_id) == order.order_id

    monkeypatch.setattr(billing, "make_invoice", make_invoice)
    return made


def place(event_bus, **orders):
    """Publish orders with these amounts; return their event IDs."""
    results = event_bus.publish_many(
        "Order_Placed__e",
        [{"order_id": order_id, "amount": amount} for order_id, amount in orders.items()],
    )
    return [result.event_id for result in results]


def test_each_order_is_billed(event_bus, invoices):
    place(event_bus, A1=20.0, A2=8.0)
    run_worker(billing.app, event_bus)
    assert sorted(invoices.values()) == ["A1", "A2"]


def test_it_goes_on_where_it_was(event_bus, invoices):
    place(event_bus, A1=20.0)
    run_worker(billing.app, event_bus)
    place(event_bus, A2=8.0)
    run = run_worker(billing.app, event_bus)
    assert [event.payload.order_id for event in run.handled] == ["A2"]


@pytest.mark.parametrize("fault", [CrashBeforeCommit(after=2), DuplicateDelivery()])
def test_what_is_handled_twice_gets_one_invoice(event_bus, invoices, fault):
    numbers = place(event_bus, A1=20.0, A2=8.0, A3=5.0)
    run = run_worker(billing.app, event_bus, faults=[fault])
    assert len(run.handled) > 3
    assert sorted(invoices) == sorted(numbers)


def test_accounts_that_are_down_for_a_moment_cost_no_invoice(event_bus, invoices, monkeypatch):
    make_invoice, failures = billing.make_invoice, iter([ConnectionError("down"), TimeoutError()])

    async def fail_at_first(order, number):
        if (error := next(failures, None)) is not None:
            raise error
        await make_invoice(order, number)

    monkeypatch.setattr(billing, "make_invoice", fail_at_first)
    place(event_bus, A1=20.0)
    run = run_worker(billing.app, event_bus)
    assert [attempt.number for attempt in run.attempts] == [1, 2, 3]
    assert list(invoices.values()) == ["A1"]


def test_an_order_that_is_wrong_holds_up_no_other(event_bus, invoices):
    place(event_bus, A1=-20.0, A2=8.0)
    run = run_worker(billing.app, event_bus)
    (letter,) = run.dead_letters
    assert (letter.reason, letter.attempts) == ("rejected", 1)
    assert letter.message == "order A1 has a negative amount"
    assert list(invoices.values()) == ["A2"]
