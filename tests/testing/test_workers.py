"""`run_worker`, used as users do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from platform_events import (
    Context,
    Event,
    EventBus,
    Reject,
    Retry,
    RetryPolicy,
    Start,
    UnknownStreamError,
    UsageError,
    Worker,
    WorkerStoppedError,
)
from platform_events.testing import (
    CrashBeforeCommit,
    DuplicateDelivery,
    Expire,
    ForgetPositions,
    Rebalance,
    WorkerRun,
    run_worker,
    run_worker_async,
)
from platform_events.testing.proxy import Cut

ORDERS = "Order_Placed__e"


def publish(bus: EventBus, *orders: str) -> None:
    for order in orders:
        bus.publish(ORDERS, {"order_id": order, "amount": 100.0})


def worker(**options: Any) -> Worker:
    """A worker that handles one event at a time, and fails as the event says."""
    app = Worker("billing", ORDERS, **({"concurrency": 1} | options))

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        match event.payload["order_id"]:
            case "rejected":
                raise Reject("cancelled")
            case "failing":
                raise ValueError("no such customer")
            case "again" if context.attempt == 1:
                raise Retry

    return app


def orders(run: WorkerRun) -> list[str]:
    return [event.payload["order_id"] for event in run.handled]


def test_it_handles_what_was_published_before_and_ends(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2")
    run = run_worker(worker(), event_bus)
    assert orders(run) == ["1", "2"]
    assert [attempt.number for attempt in run.attempts] == [1, 1]
    assert (run.dead_letters, run.processes) == ([], 1)
    publish(event_bus, "3")
    assert orders(run_worker(worker(), event_bus)) == ["3"]


def test_it_tells_about_attempts_and_dead_letters(event_bus: EventBus) -> None:
    publish(event_bus, "again", "failing", "rejected")
    run = run_worker(worker(retry=RetryPolicy(max_attempts=3)), event_bus)
    assert orders(run) == ["again"]
    assert [attempt.number for attempt in run.attempts] == [1, 2, 1, 2, 3, 1]
    assert [type(attempt.error) for attempt in run.attempts] == [
        Retry, type(None), ValueError, ValueError, ValueError, Reject,
    ]  # fmt: skip
    assert [(one.reason, one.message, one.attempts) for one in run.dead_letters] == [
        ("failed", "ValueError: no such customer", 3),
        ("rejected", "cancelled", 1),
    ]
    found = [one.event.payload["order_id"] for one in run.dead_letters if one.event]
    assert found == ["failing", "rejected"]


def test_a_crash_has_everything_handled_again(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2", "3")
    run = run_worker(worker(), event_bus, faults=[CrashBeforeCommit(after=2)])
    assert orders(run) == ["1", "2", "1", "2", "3"]
    assert [attempt.process for attempt in run.attempts] == [1, 1, 2, 2, 2]
    assert run.processes == 2


def test_what_a_crash_interrupts_is_shown_as_such(event_bus: EventBus) -> None:
    app = Worker("billing", ORDERS, order="none")
    quick: list[str] = []

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["order_id"] == "slow":
            await asyncio.sleep(0 if quick else 3600)
        else:
            quick.append(event.event_id)

    publish(event_bus, "slow", "quick")
    run = run_worker(app, event_bus, faults=[CrashBeforeCommit()])
    assert [attempt.is_over for attempt in run.attempts] == [False, True, True, True]
    assert sorted(orders(run)) == ["quick", "quick", "slow"]


def test_duplicates_come_in_order(event_bus: EventBus) -> None:
    publish(event_bus, "1", "failing", "3")
    app = worker(retry=RetryPolicy(max_attempts=1))
    run = run_worker(app, event_bus, faults=[DuplicateDelivery()])
    assert orders(run) == ["1", "3", "1", "3"]
    assert [one.id for one in run.dead_letters] == ["0-1"]


def test_partitions_move_and_nothing_is_handled_again(event_bus: EventBus) -> None:
    def read_sensors(first: int) -> None:
        for number in range(first, first + 30):
            event_bus.publish("Reading_Taken__e", {"sensor": f"s{number}"})

    def is_done(run: WorkerRun) -> bool:
        if not more:
            more.append(30)
            read_sensors(30)
        return len(run.handled) == 60

    more: list[int] = []
    app = Worker("readings", "Reading_Taken__e", concurrency=4)

    @app.handler
    async def read(event: Event[dict[str, Any]]) -> None:
        await asyncio.sleep(0.05)

    read_sensors(0)
    run = run_worker(app, event_bus, until=is_done, faults=[Rebalance(after=5)])
    assert len({event.event_id for event in run.handled}) == 60
    assert {attempt.process for attempt in run.attempts} == {1, 2}


def test_a_worker_goes_on_behind_what_retention_has_removed(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2", "3")
    run = run_worker(worker(), event_bus, faults=[Expire(after=1)])
    assert orders(run) == ["1", "3"]


def test_positions_that_kafka_forgets_are_in_the_journal(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2", "3")
    run = run_worker(worker(), event_bus, faults=[ForgetPositions(after=2)])
    assert orders(run) == ["1", "2", "3"]
    assert run.processes == 2


def test_faults_follow_each_other(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2", "3")
    faults = [CrashBeforeCommit(after=1), CrashBeforeCommit(after=2), Rebalance(after=1)]
    run = run_worker(worker(), event_bus, faults=faults)
    assert orders(run)[:3] == ["1", "1", "2"]
    assert sorted(orders(run)[3:]) == ["1", "2", "3"]
    assert run.processes == 4


def test_a_fault_that_never_comes_is_an_error(event_bus: EventBus) -> None:
    publish(event_bus, "1")
    with pytest.raises(UsageError, match=r"CrashBeforeCommit\(after=2\) cannot come.* 1 event"):
        run_worker(worker(), event_bus, faults=[CrashBeforeCommit(after=2)])
    with pytest.raises(UsageError, match="after is a number of events"):
        CrashBeforeCommit(after=0)


def test_a_condition_ends_it(event_bus: EventBus) -> None:
    publish(event_bus, *(str(number) for number in range(200)))
    run = run_worker(worker(), event_bus, until=lambda run: len(run.handled) >= 3)
    assert orders(run)[:3] == ["0", "1", "2"]
    run_worker(worker(), event_bus)


def test_a_handler_ends_it(event_bus: EventBus) -> None:
    app = Worker("billing", ORDERS, concurrency=1)

    @app.handler
    def bill(event: Event[dict[str, Any]]) -> None:
        app.stop()

    publish(event_bus, "1")
    assert orders(run_worker(app, event_bus)) == ["1"]
    assert orders(run_worker(app, event_bus, until="idle")) == []


def test_the_time_out_says_what_the_worker_does(event_bus: EventBus) -> None:
    app = Worker("billing", ORDERS)

    @app.handler
    async def bill(event: Event[dict[str, Any]]) -> None:
        await asyncio.sleep(3600)

    (result,) = event_bus.publish_many(ORDERS, [{"order_id": "1"}])
    with pytest.raises(TimeoutError) as caught:
        run_worker(app, event_bus, timeout=5)
    assert f"a handler runs with {ORDERS} {result.event_id} (attempt 1)" in str(caught.value)
    assert "in partition 0, offset 0 is not handled" in str(caught.value)


def test_a_worker_that_was_stopped_before_does_nothing(event_bus: EventBus) -> None:
    publish(event_bus, "1")
    app = worker()
    app.stop()
    assert run_worker(app, event_bus).attempts == []
    assert orders(run_worker(app, event_bus)) == ["1"]


def test_the_time_out_says_that_the_broker_is_away(
    event_bus: EventBus, break_broker: Callable[[Cut], AbstractContextManager[None]]
) -> None:
    with (
        EventBus(request_timeout=2.0) as bus,
        break_broker("hang"),
        pytest.raises(TimeoutError, match="Kafka has not answered"),
    ):
        run_worker(worker(), bus, timeout=1)


def test_what_ends_a_worker_is_raised(event_bus: EventBus) -> None:
    publish(event_bus, "failing")
    app = worker(on_failure="stop-worker", retry=RetryPolicy(max_attempts=2))
    with pytest.raises(WorkerStoppedError, match="no such customer"):
        run_worker(app, event_bus)
    with pytest.raises(UsageError, match="no handler"):
        run_worker(Worker("other", ORDERS), event_bus)
    unknown = Worker("other", "Unknown__e")
    unknown.handler(lambda event: None)
    with pytest.raises(UnknownStreamError):
        run_worker(unknown, event_bus)


def test_a_channel_is_filled_before(event_bus: EventBus) -> None:
    publish(event_bus, "1", "2")
    app = Worker("large", "/event/Large_Orders__chn")
    handled: list[str] = []

    @app.handler
    async def bill(event: Event[dict[str, Any]]) -> None:
        handled.append(event.payload["order_id"])
        if len(handled) == 1:
            publish(event_bus, "3")

    run_worker(app, event_bus)
    assert sorted(handled) == ["1", "2", "3"]


def test_it_may_begin_where_the_worker_does(event_bus: EventBus) -> None:
    publish(event_bus, "1")
    assert orders(run_worker(worker(), event_bus, start=Start.LATEST)) == []


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asynchronous_tests_await_it(event_bus: EventBus) -> None:
    loops = set()
    app = Worker("billing", ORDERS)

    @app.handler
    async def bill(event: Event[dict[str, Any]]) -> None:
        loops.add(asyncio.get_running_loop())

    publish(event_bus, "1")
    run = await run_worker_async(app, event_bus)
    assert orders(run) == ["1"]
    assert loops == {asyncio.get_running_loop()}
    with pytest.raises(UsageError, match="run_worker_async"):
        run_worker(app, event_bus)
