"""What handlers and interceptors get from a worker that runs."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from platform_events import (
    Context,
    Event,
    EventBus,
    Interceptor,
    Reject,
    RetryPolicy,
    Start,
    UsageError,
    Worker,
)
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from tests.workers.running import ORDER, Running, publish, running, wait_for

CANCELLED = """
event: Parcel_Lost__e
fields:
  - {name: order_id, type: string}
"""
PLACED = CANCELLED.replace("Parcel_Lost", "Parcel_Sent")
CHANNEL = """
channel: Fulfillment__chn
members:
  - event: Parcel_Lost__e
  - event: Parcel_Sent__e
"""
ONCE_MORE = RetryPolicy(max_attempts=2, backoff=0)
span: contextvars.ContextVar[str] = contextvars.ContextVar("span", default="")


class Order(BaseModel):
    customer: str
    number: int


@pytest.fixture
def orders(define: Callable[..., None]) -> None:
    define(ORDER)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_handler_gets_its_model_and_the_attempt(
    orders: None, bus: EventBus, is_async: bool
) -> None:
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=RetryPolicy(timeout=60))
    seen: list[Any] = []

    def note(event: Event[Order], context: Context) -> None:
        seen.append((event.payload, context.attempt, context.subscription, context.partition))
        seen.append((context.deadline is not None, context.is_redrive))
        seen.append(threading.current_thread().name.startswith("platform-events-handler"))

    async def bill(event: Event[Order], context: Context) -> None:
        note(event, context)

    app.handler(bill if is_async else note)
    publish(bus, "a")
    with running(app, bus):
        wait_for(lambda: len(seen) == 3)
    assert seen == [(Order(customer="a", number=0), 1, "billing", 0), (True, False), not is_async]


class Tracing(Interceptor):
    """Notes all, and has a span open while a handler runs."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self._tokens: dict[int, Any] = {}

    def before(self, events: Any, context: Context) -> None:
        number = events[0].payload["number"]
        self._tokens[number] = span.set(f"span {number}.{context.attempt}")
        self.seen.append(("before", number, context.attempt))

    def after(self, events: Any, context: Context, error: Exception | None) -> None:
        number = events[0].payload["number"]
        self.seen.append(("after", number, context.attempt, repr(error)))
        span.reset(self._tokens.pop(number))

    def outcome(self, events: Any, outcome: str, error: Exception | None) -> None:
        self.seen.append((outcome, events[0].payload["number"], repr(error)))


@pytest.mark.parametrize("is_async", [True, False])
def test_interceptors_are_around_each_attempt_and_told_each_outcome(
    orders: None, bus: EventBus, is_async: bool
) -> None:
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=ONCE_MORE)
    seen: list[Any] = []
    app.interceptor(Tracing(seen))

    def handle(event: Event, context: Context) -> None:
        number = event.payload["number"]
        seen.append(("handler", span.get()))
        if number == 1:
            raise Reject("no")
        if number == 2 or context.attempt == 1:
            raise ValueError(number)

    async def handle_async(event: Event, context: Context) -> None:
        handle(event, context)

    app.handler(handle_async if is_async else handle)
    publish(bus, "aaa")
    with running(app, bus):
        wait_for(lambda: seen and seen[-1][0] == "dead_lettered")
    assert seen == [
        ("before", 0, 1), ("handler", "span 0.1"), ("after", 0, 1, "ValueError(0)"),
        ("retried", 0, "ValueError(0)"),
        ("before", 0, 2), ("handler", "span 0.2"), ("after", 0, 2, "None"),
        ("ok", 0, "None"),
        ("before", 1, 1), ("handler", "span 1.1"), ("after", 1, 1, "Reject('no')"),
        ("rejected", 1, "Reject('no')"),
        ("before", 2, 1), ("handler", "span 2.1"), ("after", 2, 1, "ValueError(2)"),
        ("retried", 2, "ValueError(2)"),
        ("before", 2, 2), ("handler", "span 2.2"), ("after", 2, 2, "ValueError(2)"),
        ("dead_lettered", 2, "ValueError(2)"),
    ]  # fmt: skip


def test_an_interceptor_that_fails_changes_nothing(
    orders: None, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Interceptor):
        def before(self, *_: Any) -> None:
            raise RuntimeError("no collector")

        after = outcome = before

    app = Worker("billing", "Order__e", start=Start.EARLIEST)
    app.interceptor(Broken())
    seen: list[int] = []
    app.handler(lambda event: seen.append(event.payload["number"]))
    publish(bus, "ab")
    with running(app, bus):
        wait_for(lambda: len(seen) == 2)
    assert "no collector" in caplog.text


def test_what_a_handler_logs_has_the_event_s_ids(
    orders: None, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    app = Worker("billing", "Order__e", start=Start.EARLIEST)
    events: list[Event[Any]] = []

    @app.handler
    async def bill(event: Event, context: Context) -> None:
        context.logger.info("billed")
        events.append(event)

    publish(bus, "a")
    with caplog.at_level(logging.INFO, "platform_events.worker"), running(app, bus):
        wait_for(lambda: events)
    (record,) = [one for one in caplog.records if one.getMessage() == "billed"]
    said = vars(record)
    assert (said["subscription"], said["attempt"]) == ("billing", 1)
    assert (said["event_id"], said["replay_id"]) == (
        events[0].event_id,
        str(events[0].replay_id),
    )


class Sent(BaseModel):
    order_id: str


class Lost(BaseModel):
    order_id: str


class TestChannels:
    @pytest.fixture(autouse=True)
    def _routed(self, define: Callable[..., None], bus: EventBus) -> Any:
        define(PLACED, CANCELLED, CHANNEL)
        with RouterThread(Router(bus.settings)):
            bus.publish("Parcel_Sent__e", {"order_id": "A-1"})
            bus.publish("Parcel_Lost__e", {"order_id": "A-1"})
            bus.publish("Parcel_Sent__e", {"order_id": "A-2"})
            with bus.subscribe("Fulfillment__chn", Start.EARLIEST) as channel:
                while len(channel.take(3, 60)) < 3:
                    pass
            yield

    def test_each_type_goes_to_its_handler_with_its_model(self, bus: EventBus) -> None:
        app = Worker("billing", "Fulfillment__chn", start=Start.EARLIEST, concurrency=1)
        seen: list[tuple[str, Any]] = []

        @app.handler("Parcel_Sent__e")
        def send(event: Event[Sent]) -> None:
            seen.append(("sent", event.payload))

        @app.handler
        async def others(event: Event[Lost]) -> None:
            seen.append(("others", event.payload))

        with running(app, bus):
            wait_for(lambda: len(seen) == 3)
        assert sorted(seen, key=str) == [
            ("others", Lost(order_id="A-1")),
            ("sent", Sent(order_id="A-1")),
            ("sent", Sent(order_id="A-2")),
        ]

    def test_a_type_without_a_handler_is_refused_when_it_begins(self, bus: EventBus) -> None:
        app = Worker("billing", "Fulfillment__chn", start=Start.EARLIEST)
        app.handler("Parcel_Sent__e")(print)
        worker = Running(app, bus)
        worker.join()
        assert isinstance(worker.error, UsageError)
        assert "has Parcel_Lost__e, for which the worker has no handler" in str(worker.error)

    def test_it_may_be_skipped(self, bus: EventBus) -> None:
        app = Worker("billing", "Fulfillment__chn", start=Start.EARLIEST, on_unhandled="skip")
        seen: list[str] = []

        @app.handler("Parcel_Sent__e")
        def send(event: Event) -> None:
            seen.append(event.payload["order_id"])

        with running(app, bus):
            wait_for(lambda: len(seen) == 2)
        assert sorted(seen) == ["A-1", "A-2"]
