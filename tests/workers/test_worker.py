"""Handling: each event at least once, those of one key in order, others beside them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
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
    Worker,
    WorkerStoppedError,
)
from platform_events.workers.log import load
from tests.workers.running import ORDER, Log, Running, publish, running, wait_for

FAST = RetryPolicy(max_attempts=3, backoff=0.01, max_backoff=0.02)


@pytest.fixture(autouse=True)
def _orders(define: Callable[..., None]) -> None:
    define(ORDER)


def letters(bus: EventBus, name: str = "billing") -> list[Any]:
    """The dead letters of a subscription."""
    journals = load(bus.settings, bus.admin, bus.settings.namespace.journal(name))
    return [letter for journal in journals for letter in journal.letters.values()]


def test_what_is_published_after_it_is_ready_is_handled(bus: EventBus) -> None:
    log = Log()
    app = Worker("billing", "/event/Order__e")
    app.handler(lambda event, context: log.note(event))
    publish(bus, "ab")
    with running(app, bus):
        publish(bus, "abc", first=10)
        wait_for(lambda: len(log.numbers) == 3)
    assert sorted(log.numbers) == [10, 11, 12]


def test_a_worker_goes_on_where_it_was_stopped(bus: EventBus) -> None:
    log = Log()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        log.note(event)

    publish(bus, "a" * 500)
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 500)
    publish(bus, "b", first=500)
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 501)
    assert log.numbers == list(range(501))


def test_events_of_one_key_wait_for_each_other_and_for_nobody_else(bus: EventBus) -> None:
    log, gate = Log(), asyncio.Event()
    loops = []
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        loops[:] = [asyncio.get_running_loop()]
        if event.payload["number"] == 0:
            await gate.wait()
        log.note(event)

    publish(bus, "aabbab")
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 3)
        assert log.numbers == [2, 3, 5]
        loops[0].call_soon_threadsafe(gate.set)
        wait_for(lambda: len(log.numbers) == 6)
    assert log.numbers[3:] == [0, 1, 4]


def test_what_was_finished_behind_a_slow_event_is_not_handled_again(bus: EventBus) -> None:
    log, started = Log(), threading.Event()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["number"] == 3 and not started.is_set():
            started.set()
            await asyncio.sleep(3600)
        log.note(event)

    publish(bus, "abcdefgabcdefg")
    with running(app, bus, grace=1):
        wait_for(lambda: len(log.numbers) == 12)
    with running(app, bus):
        wait_for(lambda: len(log.numbers) == 14)
    assert sorted(log.numbers) == list(range(14))
    assert log.numbers[12:] == [3, 10]


def test_an_event_is_tried_again_before_the_next_of_its_key(bus: EventBus) -> None:
    log: list[tuple[int, int]] = []
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        log.append((event.payload["number"], context.attempt))
        if event.payload["number"] == 0 and context.attempt < 3:
            raise Retry(after=0.01) if context.attempt == 1 else ValueError("not yet")

    publish(bus, "aa")
    with running(app, bus):
        wait_for(lambda: len(log) == 4)
    assert log == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert not letters(bus)


def test_what_fails_for_good_becomes_a_dead_letter(bus: EventBus) -> None:
    log = Log()
    policy = RetryPolicy(max_attempts=2, backoff=0.01, final=(KeyError,))
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=policy)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        match event.payload["number"]:
            case 0:
                raise ValueError("no such customer")
            case 1:
                raise Reject("cancelled")
            case 2:
                raise KeyError("customer")
        log.note(event)

    publish(bus, "abca")
    with running(app, bus):
        wait_for(lambda: log.numbers)
        wait_for(lambda: len(letters(bus)) == 3)
    found = {letter.offset: letter for letter in letters(bus)}
    assert [(found[n].reason, found[n].attempts) for n in range(3)] == [
        ("failed", 2),
        ("rejected", 1),
        ("final", 1),
    ]
    assert found[0].message == "ValueError: no such customer"
    assert found[1].message == "cancelled"
    with running(app, bus):
        publish(bus, "a", first=9)
        wait_for(lambda: 9 in log.numbers)
    assert log.numbers == [3, 9]


def test_a_stopped_key_has_its_later_events_parked(bus: EventBus) -> None:
    log = Log()
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST, on_failure="stop-key")

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["number"] == 0:
            raise ValueError
        log.note(event)

    publish(bus, "aabab")
    with running(app, bus):
        wait_for(lambda: len(letters(bus)) == 3)
    with running(app, bus):
        publish(bus, "ab", first=5)
        wait_for(lambda: len(letters(bus)) == 4)
    assert log.numbers == [2, 4, 6]
    found = {letter.offset: letter.status for letter in letters(bus)}
    assert found == {0: "dead", 1: "parked", 3: "parked", 5: "parked"}


def test_a_worker_stops_if_its_policy_says_so(bus: EventBus) -> None:
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST, on_failure="stop-worker")

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        raise ValueError("broken")

    publish(bus, "a")
    worker = Running(app, bus)
    worker.join()
    assert isinstance(worker.error, WorkerStoppedError)
    assert "broken" in str(worker.error)


def test_a_list_is_halved_until_the_poison_event_is_found(bus: EventBus) -> None:
    lists: list[list[int]] = []
    done: list[int] = []
    app = Worker(
        "billing", "Order__e", start=Start.EARLIEST, batch_size=8, batch_wait=0.2, retry=FAST
    )

    @app.handler
    async def bill(events: list[Event[dict[str, Any]]], context: Context) -> None:
        numbers = [event.payload["number"] for event in events]
        lists.append(numbers)
        if 5 in numbers:
            raise ValueError("poison")
        done.extend(numbers)

    publish(bus, "abcdefgh")
    with running(app, bus):
        wait_for(lambda: len(letters(bus)) == 1)
        wait_for(lambda: len(done) == 7)
    assert lists[0] == list(range(8))
    assert sorted(done) == [0, 1, 2, 3, 4, 6, 7]
    assert [letter.offset for letter in letters(bus)] == [5]


def test_a_checkpoint_counts_whatever_comes_later(bus: EventBus) -> None:
    lists: list[list[int]] = []
    app = Worker(
        "billing", "Order__e", start=Start.EARLIEST, batch_size=4, batch_wait=0.2, retry=FAST
    )

    @app.handler
    async def bill(events: list[Event[dict[str, Any]]], context: Context) -> None:
        lists.append([event.payload["number"] for event in events])
        if len(events) == 4:
            context.checkpoint(events[2])
            raise ValueError

    publish(bus, "abcd")
    with running(app, bus):
        wait_for(lambda: len(lists) == 2)
    assert lists == [[0, 1, 2, 3], [3]]
