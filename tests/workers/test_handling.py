"""What becomes of events in unusual cases: of their type, their handler, or their stream."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from platform_events import (
    Context,
    Event,
    EventBus,
    RetryPolicy,
    Settings,
    Start,
    SubscriptionConflictError,
    Worker,
    WorkerStoppedError,
)
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from platform_events.kafka import watch
from platform_events.workers import control, ground
from platform_events.workers.desk import Desk
from platform_events.workers.lanes import Assignment, Item
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters, show_letters
from platform_events.workers.runners import Runners
from tests.support import produce_raw
from tests.workers.running import ORDER, Log, Running, publish, running, wait_for

FAST = RetryPolicy(max_attempts=2, backoff=0.01, max_backoff=0.02)
PAYMENT = """
event: Payment__e
fields:
  - {name: amount, type: double}
"""
CHANNEL = """
channel: Sales__chn
members: [{event: Order__e}, {event: Payment__e}]
"""


@pytest.fixture(autouse=True)
def _orders(define: Callable[..., None]) -> None:
    define(ORDER)


def reasons(bus: EventBus) -> list[str]:
    return [one.reason for one in SubscriptionLetters(bus, "billing").select(LetterFilter())]


@pytest.mark.parametrize("is_async", [True, False])
def test_an_attempt_that_takes_too_long_has_failed(bus: EventBus, is_async: bool) -> None:
    log, gate = Log(), threading.Event()
    policy = RetryPolicy(max_attempts=2, backoff=0.01, timeout=0.2)
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=policy, concurrency=4)

    def hang(event: Event[dict[str, Any]], context: Context) -> None:
        assert context.deadline is not None
        if event.payload["number"] == 0:
            gate.wait(60)
        log.note(event)

    async def hang_too(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["number"] == 0:
            await asyncio.sleep(3600)
        log.note(event)

    app.handler(hang_too if is_async else hang)
    publish(bus, "aab")
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 2)
        wait_for(lambda: reasons(bus))
    gate.set()
    (letter,) = SubscriptionLetters(bus, "billing").select(LetterFilter())
    assert (letter.reason, letter.offset, letter.attempts) == ("timed_out", 0, 2)
    assert letter.message == "TimeoutError: the handler took longer than 0.2 s"


def test_without_order_nothing_waits(bus: EventBus) -> None:
    log, gate = Log(), asyncio.Event()
    app = Worker("billing", "Order__e", start=Start.EARLIEST, order="none", concurrency=8)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["number"] < 5:
            await gate.wait()
        log.note(event)
        if len(log.numbers) == 5:
            gate.set()

    publish(bus, "a" * 10)
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 10)
    assert sorted(log.numbers[:5]) == [5, 6, 7, 8, 9]


def test_what_cannot_be_decoded_is_kept_with_its_bytes(
    bus: EventBus, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)
    app.handler(log.note)
    publish(bus, "a")
    produce_raw(settings, "Order__e", b"nonsense", {"ce_id": b"1"})
    publish(bus, "a", first=1)
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 2 and reasons(bus) == ["undecodable"])
    (shown,) = show_letters(bus, "billing", LetterFilter())
    assert shown.body == b"nonsense"
    assert shown.event is None
    assert shown.letter.event_id == "1"
    assert "billing: dead letter (undecodable): " in caplog.text


def test_each_type_of_a_channel_has_its_handler(
    bus: EventBus, settings: Settings, define: Callable[..., None]
) -> None:
    @dataclass
    class Order:
        customer: str
        number: int

    define(ORDER, PAYMENT, CHANNEL)
    seen: list[Any] = []
    app = Worker("billing", "Sales__chn", start=Start.EARLIEST)

    @app.handler("Order__e")
    async def bill(event: Event[Order], context: Context) -> None:
        seen.append(event.payload.number)

    @app.handler("Payment__e")
    def book(event: Event[dict[str, Any]]) -> None:
        seen.append(event.payload["amount"])

    publish(bus, "ab")
    bus.publish("Payment__e", {"amount": 2.5})
    with RouterThread(Router(settings)), running(app, bus):
        wait_for(lambda: len(seen) == 3)
    assert sorted(seen) == [0, 1, 2.5]


@pytest.mark.parametrize("on_unhandled", ["skip", "dead-letter", "fail"])
def test_a_type_without_a_handler(
    bus: EventBus, settings: Settings, define: Callable[..., None], on_unhandled: Any
) -> None:
    define(ORDER, "channel: Sales__chn\nmembers: [{event: Order__e}]\n")
    log = Log()
    app = Worker("billing", "Sales__chn", start=Start.EARLIEST, on_unhandled=on_unhandled)
    app.handler("Order__e")(log.note)
    with RouterThread(Router(settings)):
        worker = Running(app, bus)
        worker.await_ready()
        # A member that comes while the worker runs.
        define(ORDER, PAYMENT, CHANNEL)
        bus.publish("Payment__e", {"amount": 2.5})
        publish(bus, "a")
        if on_unhandled == "fail":
            worker.join()
            assert isinstance(worker.error, WorkerStoppedError)
            assert "Payment__e" in str(worker.error)
            return
        wait_for(lambda: log.numbers == [0])
        expected = ["unhandled"] if on_unhandled == "dead-letter" else []
        wait_for(lambda: reasons(bus) == expected)
        worker.end()
        assert worker.error is None


def test_a_worker_waits_for_its_stream(bus: EventBus, define: Callable[..., None]) -> None:
    seen: list[float] = []
    app = Worker("billing", "Payment__e", start=Start.EARLIEST)
    app.handler(lambda event: seen.append(event.payload["amount"]))
    worker = Running(app, bus)
    wait_for(lambda: "Payment__e" in worker.runtime.health.obstacle)
    define(ORDER, PAYMENT)
    bus.publish("Payment__e", {"amount": 1.5})
    wait_for(lambda: seen == [1.5])
    worker.end()
    assert worker.error is None


def test_a_worker_ends_when_its_stream_is_deleted(
    bus: EventBus, define: Callable[..., None]
) -> None:
    app = Worker("billing", "Order__e")
    app.handler(lambda event: None)
    worker = Running(app, bus)
    worker.await_ready()
    define(PAYMENT)
    worker.join()
    assert isinstance(worker.error, WorkerStoppedError)
    define(ORDER, PAYMENT)
    again = Running(app, bus)
    again.join()
    assert isinstance(again.error, SubscriptionConflictError)
    assert "seek billing" in str(again.error)


def test_a_stream_that_is_made_again_while_its_worker_runs_loses_nothing(
    bus: EventBus, define: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka forgets positions with their topic; this worker commits its own after that."""
    log, gate = Log(), threading.Event()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    def bill(event: Event[dict[str, Any]]) -> None:
        log.note(event)
        if event.payload["number"] == 2:
            gate.wait(60)

    publish(bus, "abc")
    # The worker notices nothing by itself.
    monkeypatch.setattr(watch.TopicWatch, "tick", lambda self: None)
    worker = Running(app, bus)
    wait_for(lambda: len(log.numbers) == 3)
    define(PAYMENT)
    define(ORDER, PAYMENT)
    with EventBus(bus.settings) as other:
        publish(other, "defgh", first=3)
        gate.set()
        worker.end()
        again = Running(app, other)
        again.join()
        assert isinstance(again.error, SubscriptionConflictError)
        control.seek(other, "billing", Start.EARLIEST)
        with running(app, other):
            wait_for(lambda: {3, 4, 5, 6, 7} <= set(log.numbers))


def test_another_stream_of_the_same_name_is_refused(
    bus: EventBus, define: Callable[..., None]
) -> None:
    define(ORDER, PAYMENT)
    app = Worker("billing", "Order__e")
    app.handler(lambda event: None)
    with running(app, bus):
        pass
    other = Worker("billing", "Payment__e")
    other.handler(lambda event: None)
    worker = Running(other, bus)
    worker.join()
    assert isinstance(worker.error, SubscriptionConflictError)


def test_large_events_wait_in_kafka_and_not_in_memory(
    bus: EventBus, define: Callable[..., None]
) -> None:
    define(ORDER, "event: Blob__e\nfields:\n  - {name: data, type: bytes}\n")
    most, seen = 0, Counter[int]()
    app = Worker("billing", "Blob__e", start=Start.EARLIEST, max_bytes=1_000_000)

    @app.handler
    async def keep(event: Event[dict[str, Any]], context: Context) -> None:
        nonlocal most
        intake = worker.runtime.intake
        assert intake is not None
        most = max(most, sum(owned.memory for owned in intake.partitions()))
        seen[event.payload["data"][0]] += 1
        await asyncio.sleep(0.002)

    bus.publish_many("Blob__e", [{"data": bytes([n]) * 100_000} for n in range(200)])
    with running(app, bus) as worker:
        wait_for(lambda: len(seen) == 200)
    assert set(seen.values()) == {1}
    assert most < 100_000 * 550


def test_events_of_several_partitions_are_shared_by_processes(
    bus: EventBus, define: Callable[..., None]
) -> None:
    define(ORDER.replace("partition_key", "partitions: 4\npartition_key"), allow_growth=True)
    logs = [Log(), Log()]
    apps = [Worker("billing", "Order__e", start=Start.EARLIEST) for _ in logs]
    for app, log in zip(apps, logs, strict=True):
        app.handler(log.note)
    customers = [f"c{number % 40}" for number in range(400)]
    with running(apps[0], bus) as first, running(apps[1], bus) as second:

        def share() -> list[int]:
            intakes = [worker.runtime.intake for worker in (first, second)]
            return [len(intake.partitions()) if intake else 0 for intake in intakes]

        wait_for(lambda: share() == [2, 2])
        bus.publish_many(
            "Order__e",
            [{"customer": name, "number": number} for number, name in enumerate(customers)],
        )
        wait_for(lambda: sum(len(log.numbers) for log in logs) == 400)
    assert sorted(logs[0].numbers + logs[1].numbers) == list(range(400))
    assert all(log.numbers for log in logs)
    for log in logs:
        for customer in set(customers):
            own = [number for number in log.numbers if customers[number] == customer]
            assert own == sorted(own)


def test_interceptors_see_each_outcome(bus: EventBus) -> None:
    seen: list[tuple[str, Any]] = []
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST)

    class Tracer:
        def before(self, events: Any, context: Context) -> None:
            seen.append(("before", context.attempt))

        def after(self, events: Any, context: Context, error: Exception | None) -> None:
            seen.append(("after", type(error).__name__))

        def outcome(self, events: Any, outcome: str, error: Exception | None) -> None:
            seen.append(("outcome", outcome))

    app.interceptor(Tracer())

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["number"] == 0:
            raise ValueError

    publish(bus, "aa")
    with running(app, bus):
        wait_for(lambda: ("outcome", "ok") in seen)
    assert seen == [
        ("before", 1), ("after", "ValueError"), ("outcome", "retried"),
        ("before", 2), ("after", "ValueError"), ("outcome", "dead_lettered"),
        ("before", 1), ("after", "NoneType"), ("outcome", "ok"),
    ]  # fmt: skip


def test_a_worker_on_a_running_loop_ends_drained(bus: EventBus, settings: Settings) -> None:
    log = Log()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        await asyncio.sleep(0.05)
        log.note(event)
        if len(log.numbers) == 3:
            app.stop()

    publish(bus, "abc")
    asyncio.run(app.run_async(settings))
    assert sorted(log.numbers) == [0, 1, 2]


def test_who_waits_for_a_thread_is_not_late(bus: EventBus) -> None:
    log, gate = Log(), threading.Event()
    policy = RetryPolicy(max_attempts=1, timeout=0.3)
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=policy, concurrency=1)

    @app.handler
    def bill(event: Event[dict[str, Any]]) -> None:
        if event.payload["number"] == 0:
            gate.wait(60)
        log.note(event)

    publish(bus, "abcd")
    with running(app, bus):
        wait_for(lambda: len(reasons(bus)) == 1)
        gate.set()
        wait_for(lambda: len(log.numbers) == 4)
    assert reasons(bus) == ["timed_out"]
    assert log.numbers == [0, 1, 2, 3]


def test_handlers_that_keep_all_threads_are_in_the_way(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    log, gate = Log(), threading.Event()
    policy = RetryPolicy(max_attempts=1, timeout=0.1)
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=policy, concurrency=2)

    @app.handler
    def bill(event: Event[dict[str, Any]]) -> None:
        if event.payload["number"] < 2:
            gate.wait(60)
        log.note(event)

    with running(app, bus) as kept:
        health = kept.runtime.health
        publish(bus, "a")
        wait_for(lambda: reasons(bus) == ["timed_out"])
        assert not health.obstacle
        publish(bus, "bc", first=1)
        wait_for(lambda: "handlers that have timed out" in health.obstacle)
        assert "keep all its threads" in caplog.text
        assert log.numbers == []
        gate.set()
        wait_for(lambda: sorted(log.numbers) == [0, 1, 2])
        wait_for(lambda: not health.obstacle)


def test_a_replay_id_of_several_partitions_is_a_time_shortly_before_the_event(
    bus: EventBus, define: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ground, "_TOGETHER_MS", 0)
    define(ORDER + "partitions: 2\n", allow_growth=True)
    events: list[Event[dict[str, Any]]] = []
    app = Worker("billing", "Order__e", start=Start.EARLIEST)
    app.handler(events.append)
    for number in range(4):
        publish(bus, "a", first=number)
    with running(app, bus):
        wait_for(lambda: len(events) == 4)
    stored = [round(one.published_at.timestamp() * 1000) for one in events]
    assert [one.replay_id.value for one in events] == [time_ms - 5_000 for time_ms in stored]
    assert len(set(stored)) > 1


class _NamelessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class _Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    "error", [_NamelessError, SystemExit, StopIteration, asyncio.CancelledError, _Panic]
)
def test_whatever_a_handler_raises_is_its_failure(
    bus: EventBus, is_async: bool, error: type[BaseException]
) -> None:
    log = Log()
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=RetryPolicy(max_attempts=1))

    def bill(event: Event[dict[str, Any]]) -> None:
        if event.payload["number"] == 0:
            raise error
        log.note(event)

    async def bill_too(event: Event[dict[str, Any]]) -> None:
        bill(event)

    app.handler(bill_too if is_async else bill)
    publish(bus, "aa")
    with running(app, bus):
        wait_for(lambda: log.numbers == [1])
        wait_for(lambda: reasons(bus) == ["failed"])
    (shown,) = show_letters(bus, "billing", LetterFilter())
    assert "raise error" in shown.letter.traceback


def test_a_checkpoint_is_for_an_event_of_the_attempt(bus: EventBus) -> None:
    events: list[Event[dict[str, Any]]] = []
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=RetryPolicy(max_attempts=1))

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        events.append(event)
        context.checkpoint(events[0])

    publish(bus, "aa")
    with running(app, bus):
        wait_for(lambda: reasons(bus) == ["failed"])
    (letter,) = SubscriptionLetters(bus, "billing").select(LetterFilter())
    assert letter.offset == 1
    assert "another event" in letter.message


def test_a_list_holds_up_no_event_of_another_handler(
    bus: EventBus, settings: Settings, define: Callable[..., None]
) -> None:
    define(ORDER, PAYMENT, CHANNEL)
    gate, seen = asyncio.Event(), threading.Event()
    loops = []
    app = Worker("billing", "Sales__chn", start=Start.EARLIEST, batch_size=10)

    @app.handler("Order__e")
    async def bill(events: list[Event[dict[str, Any]]]) -> None:
        loops[:] = [asyncio.get_running_loop()]
        await gate.wait()

    @app.handler("Payment__e")
    async def book(event: Event[dict[str, Any]]) -> None:
        seen.set()

    with RouterThread(Router(settings)), running(app, bus):
        publish(bus, "ab")
        bus.publish("Payment__e", {"amount": 2.5})
        assert seen.wait(30)
        loops[0].call_soon_threadsafe(gate.set)


def test_a_list_that_gathers_when_its_partition_goes_is_not_handled() -> None:
    calls = []
    app = Worker("billing", "Order__e", batch_size=10, batch_wait=5)

    @app.handler
    async def bill(events: list[Event[dict[str, Any]]]) -> None:
        calls.append(events)

    class Record:
        def key(self) -> bytes:
            return b"a"

    async def gather() -> None:
        runners = Runners(app, Desk(), asyncio.get_running_loop())
        runners.start()
        assignment = Assignment(0, 100)
        event: Any = SimpleNamespace(type="Order__e")
        runners.lanes.add(assignment, [Item(Record(), 0, event, assignment, 1)])  # type: ignore[arg-type]
        while assignment.gathering is None:
            await asyncio.sleep(0.001)
        assert assignment.running == 1
        assignment.is_closed = True
        while assignment.running:
            await asyncio.sleep(0.001)
        await runners.close()

    asyncio.run(gather())
    assert not calls
