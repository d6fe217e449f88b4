"""Commands act on workers that run, and on none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from platform_events import Context, Event, EventBus, RetryPolicy, Start, Worker, WorkerStoppedError
from platform_events.errors import KafkaFaultError
from platform_events.workers import control
from platform_events.workers.letter_reader import read_letters
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from tests.workers.running import ORDER, Log, Running, publish, running, wait_for

FAST = RetryPolicy(max_attempts=2, backoff=0.01, max_backoff=0.02)


@pytest.fixture(autouse=True)
def _orders(define: Callable[..., None]) -> None:
    define(ORDER)


def worker(log: Log, **options: Any) -> Worker:
    app = Worker("billing", "Order__e", **({"start": Start.EARLIEST} | options))

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        log.note(event)

    return app


def test_a_running_worker_goes_back(bus: EventBus) -> None:
    log = Log()
    publish(bus, "ab")
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 2)
        generation = control.seek(bus, "billing", Start.EARLIEST)
        wait_for(lambda: len(log.numbers) == 4)
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
        publish(bus, "c", first=2)
        wait_for(lambda: len(log.numbers) == 5)
    assert sorted(log.numbers) == [0, 0, 1, 1, 2]


def test_a_seek_with_nobody_running_counts_for_the_next_worker(bus: EventBus) -> None:
    log = Log()
    publish(bus, "ab")
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 2)
    control.seek(bus, "billing", Start.EARLIEST)
    control.seek(bus, "billing", Start.LATEST)
    publish(bus, "c", first=2)
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 3)
    assert sorted(log.numbers) == [0, 1, 2]


def test_what_ends_after_a_seek_does_not_move_the_new_position(bus: EventBus) -> None:
    log, gate, started = Log(), threading.Event(), threading.Event()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if not started.is_set():
            started.set()
            assert gate.wait(30)
        log.note(event)

    publish(bus, "a")
    with running(app, bus):
        assert started.wait(30)
        generation = control.seek(bus, "billing", Start.EARLIEST)
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
        gate.set()
        wait_for(lambda: len(log.numbers) == 2)
    assert log.numbers == [0, 0]


def test_a_paused_subscription_handles_nothing(bus: EventBus) -> None:
    log = Log()
    publish(bus, "a")
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 1)
        generation = control.pause(bus, "billing")
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
        publish(bus, "b", first=1)
    with running(worker(log), bus):
        assert log.numbers == [0]
        control.resume(bus, "billing")
        wait_for(lambda: len(log.numbers) == 2)
    assert log.numbers == [0, 1]


def test_workers_end_when_their_subscription_is_deleted(bus: EventBus) -> None:
    log = Log()
    publish(bus, "a")
    worker_ = Running(worker(log), bus)
    wait_for(lambda: len(log.numbers) == 1)
    control.delete(bus, "billing")
    worker_.join()
    assert isinstance(worker_.error, WorkerStoppedError)
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 2)


def redrive(bus: EventBus, *ids: str) -> None:
    letters = SubscriptionLetters(bus, "billing")
    list(letters.redrive(letters.select(LetterFilter(ids=ids))))


def held(bus: EventBus) -> dict[str, tuple[str, int]]:
    letters = SubscriptionLetters(bus, "billing").select(LetterFilter())
    return {letter.id: (letter.status, letter.version) for letter in letters}


def test_a_redriven_letter_is_handled_and_gone(bus: EventBus) -> None:
    seen: list[tuple[int, bool, int]] = []
    is_broken = True
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        seen.append((event.payload["number"], context.is_redrive, context.attempt))
        if is_broken:
            raise ValueError

    publish(bus, "ab")
    with running(app, bus):
        wait_for(lambda: len(held(bus)) == 2)
        redrive(bus, "0-0")
        wait_for(lambda: held(bus).get("0-0") == ("dead", 2))
        is_broken = False
        seen.clear()
        redrive(bus)
        wait_for(lambda: not held(bus))
    assert sorted(seen) == [(0, True, 1), (1, True, 1)]


def test_a_stopped_key_goes_on_in_order(bus: EventBus) -> None:
    log, is_broken = Log(), True
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST, on_failure="stop-key")

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if is_broken and event.payload["customer"] == "a":
            raise ValueError
        await asyncio.sleep(0.001)
        log.note(event)

    publish(bus, "aabaa")
    with running(app, bus):
        wait_for(lambda: len(held(bus)) == 4)
        is_broken = False
        redrive(bus, "0-0")
        publish(bus, "a" * 50, first=5)
        wait_for(lambda: len(log.numbers) == 55)
        wait_for(lambda: not held(bus))
        publish(bus, "a", first=55)
        wait_for(lambda: len(log.numbers) == 56)
    assert [number for number in log.numbers if number != 2] == [0, 1, *range(3, 56)]
    assert not held(bus)


def breakable(log: Log, broken: list[str], **options: Any) -> Worker:
    """Return a worker whose handler fails for the customers in `broken`."""
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST, **options)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        if event.payload["customer"] in broken:
            raise ValueError("broken")
        log.note(event)

    return app


def test_a_stopped_key_goes_on_while_more_of_it_comes(bus: EventBus) -> None:
    log, broken = Log(), ["a"]
    bursts = 100

    def go_on_publishing() -> None:
        for number in range(bursts):
            publish(bus, "aa", first=1 + 2 * number)
            time.sleep(0.02)

    publish(bus, "a")
    with running(breakable(log, broken, on_failure="stop-key"), bus):
        wait_for(lambda: held(bus))
        publisher = threading.Thread(target=go_on_publishing)
        publisher.start()
        try:
            wait_for(lambda: len(held(bus)) > 10)
            broken.clear()
            redrive(bus, "0-0")
        finally:
            publisher.join()
        published = 1 + 2 * bursts
        wait_for(lambda: len(log.numbers) == published)
        wait_for(lambda: not held(bus))
        publish(bus, "a", first=published)
        # It may be parked yet, if the key has just caught up, and goes the same way.
        wait_for(lambda: len(log.numbers) == published + 1)
        wait_for(lambda: not held(bus))
    assert log.numbers == list(range(published + 1))


def test_a_letter_that_stops_its_key_stays_as_it_is_when_its_event_comes_again(
    bus: EventBus,
) -> None:
    log, broken = Log(), ["a"]
    publish(bus, "aab")
    with running(breakable(log, broken, on_failure="stop-key"), bus):
        wait_for(lambda: len(held(bus)) == 2)
        generation = control.seek(bus, "billing", Start.EARLIEST)
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
        wait_for(lambda: log.numbers == [2, 2])
        publish(bus, "a", first=3)
        wait_for(lambda: len(held(bus)) == 3)
        assert held(bus) == {"0-0": ("dead", 1), "0-1": ("parked", 1), "0-3": ("parked", 1)}
        broken.clear()
        redrive(bus, "0-0")
        wait_for(lambda: not held(bus))
    assert log.numbers == [2, 2, 0, 1, 3]


def test_a_letter_goes_when_its_event_comes_again_and_is_handled(bus: EventBus) -> None:
    log, broken = Log(), ["a", "b"]
    publish(bus, "abc")
    with running(breakable(log, broken), bus):
        wait_for(lambda: len(held(bus)) == 2)
        broken.remove("a")
        control.seek(bus, "billing", Start.EARLIEST)
        wait_for(lambda: held(bus) == {"0-1": ("dead", 2)})
    assert log.numbers.count(0) == 1


def test_letters_that_cannot_be_read_at_first_are_redriven(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, broken, failures = Log(), ["a", "b"], 0

    def fail_twice(*args: Any) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise KafkaFaultError("no leader")
        return read_letters(*args)

    publish(bus, "ab")
    with running(breakable(log, broken), bus):
        wait_for(lambda: len(held(bus)) == 2)
        monkeypatch.setattr("platform_events.workers.ground.read_letters", fail_twice)
        broken.clear()
        redrive(bus)
        wait_for(lambda: not held(bus))
    assert sorted(log.numbers) == [0, 1]


def test_a_key_goes_on_when_its_letters_are_discarded(bus: EventBus) -> None:
    log, broken = Log(), ["a"]
    publish(bus, "aa")
    with running(breakable(log, broken, on_failure="stop-key"), bus):
        wait_for(lambda: len(held(bus)) == 2)
        broken.clear()
        number = 1
        while not log.numbers:
            # What comes before the worker hears of it is parked too.
            letters = SubscriptionLetters(bus, "billing")
            letters.discard(letters.select(LetterFilter()))
            time.sleep(0.2)
            number += 1
            publish(bus, "a", first=number)
            wait_for(lambda: log.numbers or held(bus))
            assert number < 50
    assert log.numbers == [number]


def test_a_seek_does_not_redrive_a_letter_that_is_being_handled(bus: EventBus) -> None:
    app = Worker("billing", "Order__e", start=Start.EARLIEST, retry=FAST)
    gate, started, is_broken, at_once, most, redriven = (
        threading.Event(), threading.Event(), True, 0, 0, 0,
    )  # fmt: skip

    @app.handler
    def bill(event: Event[dict[str, Any]], context: Context) -> None:
        nonlocal at_once, most, redriven
        if is_broken:
            raise ValueError
        if context.is_redrive:
            at_once, redriven = at_once + 1, redriven + 1
            most = max(most, at_once)
            started.set()
            assert gate.wait(30)
            at_once -= 1

    publish(bus, "a")
    with running(app, bus):
        wait_for(lambda: held(bus))
        is_broken = False
        redrive(bus)
        assert started.wait(30)
        generation = control.seek(bus, "billing", Start.LATEST)
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
        gate.set()
        wait_for(lambda: not held(bus))
    assert (most, redriven) == (1, 1)
