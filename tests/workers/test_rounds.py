"""A worker's rounds: what fails in one of them, what is said, and how they end."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from platform_events import Context, Event, EventBus, Start, Worker
from platform_events.errors import BrokerError, KafkaFaultError
from platform_events.workers import commits, control
from platform_events.workers.ground import Ground
from platform_events.workers.holes import Saved
from platform_events.workers.lanes import Assignment, Item, Lane, Lanes
from platform_events.workers.partitions import OwnedPartition
from platform_events.workers.runtime import Runtime
from platform_events.workers.settling import Beginning
from tests.workers.running import ORDER, Log, Running, publish, running, wait_for


@pytest.fixture(autouse=True)
def _orders(define: Callable[..., None]) -> None:
    define(ORDER)


def worker(log: Log, **options: Any) -> Worker:
    app = Worker("billing", "Order__e", start=Start.EARLIEST, **options)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        log.note(event)

    return app


def test_a_command_is_carried_out_though_the_cluster_is_away_at_first(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, failures = Log(), [1, 2]
    publish(bus, "ab")
    with running(worker(log), bus):
        wait_for(lambda: len(log.numbers) == 2)
        marks = Ground.marks

        def fail_first(self: Ground) -> list[tuple[int, int]]:
            if failures:
                failures.pop()
                raise KafkaFaultError("the broker hiccups")
            return marks(self)

        monkeypatch.setattr(Ground, "marks", fail_first)
        generation = control.seek(bus, "billing", Start.EARLIEST)
        wait_for(lambda: len(log.numbers) == 4)
        wait_for(lambda: not control.pending_partitions(bus, "billing", generation))
    assert not failures
    assert sorted(log.numbers) == [0, 0, 1, 1]


def test_what_is_read_is_committed_though_a_command_fails(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, failed = Log(), threading.Event()

    def fail(self: Ground) -> None:
        failed.set()
        raise KafkaFaultError("the broker is away")

    worker_ = Running(worker(log), bus)
    worker_.await_ready()
    monkeypatch.setattr(Ground, "look", fail)
    control.seek(bus, "billing", Start.EARLIEST)
    assert failed.wait(30)
    publish(bus, "ab")
    wait_for(lambda: len(log.numbers) == 2)
    assert "the broker is away" in worker_.runtime.health.obstacle
    monkeypatch.undo()
    wait_for(lambda: not worker_.runtime.health.obstacle)
    worker_.end()
    assert worker_.error is None


def test_handlers_that_are_cut_off_end_before_the_group_is_left(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    began, states = threading.Event(), list[bool]()
    app = Worker("billing", "Order__e", start=Start.EARLIEST, grace=0.2)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            assert hanging.runtime.intake is not None
            states.append(hanging.runtime.intake.member.is_member)

    publish(bus, "a")
    hanging = Running(app, bus)
    assert began.wait(30)
    with caplog.at_level(logging.WARNING, "platform_events.worker"):
        hanging.end()
    assert hanging.error is None
    assert states == [True]
    assert "1 event was cut off" in caplog.text


def test_the_group_is_left_whatever_draining_raises(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    broken = Running(worker(log), bus)
    broken.await_ready()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Runtime, "_drain", fail)
    broken.end()
    monkeypatch.undo()
    assert isinstance(broken.error, ZeroDivisionError)
    assert broken.runtime.intake is not None
    assert not broken.runtime.intake.member.is_member
    assert not bus.admin.members(bus.settings.namespace.worker("billing"))


def test_a_loop_that_is_blocked_is_seen(bus: EventBus) -> None:
    began, gate = threading.Event(), threading.Event()
    app = Worker("billing", "Order__e", start=Start.EARLIEST)

    @app.handler
    async def bill(event: Event[dict[str, Any]], context: Context) -> None:
        began.set()
        gate.wait(60)

    publish(bus, "a")
    blocked = Running(app, bus)
    health = blocked.runtime.health
    assert began.wait(30)
    wait_for(lambda: health.loop_age > 3)
    gate.set()
    wait_for(lambda: health.loop_age < 2)
    blocked.end()
    assert blocked.error is None


def test_commits_that_are_refused_for_long_are_an_obstacle(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log, take, is_refused, refusals = Log(), commits.Committer.take, threading.Event(), list[int]()
    monkeypatch.setattr(commits, "_PATIENCE", 1.5)

    def refuse(self: commits.Committer, outcomes: dict[int, BrokerError | None]) -> None:
        if is_refused.is_set():
            refusals.append(len(outcomes))
            failure = KafkaFaultError("too much", "OFFSET_METADATA_TOO_LARGE")
            outcomes = dict.fromkeys(outcomes, failure)
        take(self, outcomes)

    monkeypatch.setattr(commits.Committer, "take", refuse)
    with (
        caplog.at_level(logging.WARNING, "platform_events.worker"),
        running(worker(log), bus) as refused,
    ):
        is_refused.set()
        publish(bus, "b")
        wait_for(lambda: "not committed: too much" in refused.runtime.health.obstacle)
        wait_for(lambda: "positions are not committed" in caplog.text)
        # There is a pause between two of them, and not only a round.
        assert len(refusals) < 10
        is_refused.clear()
        wait_for(lambda: not refused.runtime.health.obstacle)
    assert caplog.text.count("positions are not committed") == 1


def test_a_partition_that_comes_back_waits_for_handlers_of_before() -> None:
    before = Assignment(0, 5)
    before.running = 1
    owned = OwnedPartition(0, 5, [before])
    owned.open(Beginning(7, Saved(high=7)), ())
    owned.begin_by = time.monotonic() + 60
    assert owned.is_running
    assert owned.is_awaited
    owned.open(Beginning(7, Saved(high=7)), ())
    assert owned.is_awaited
    before.running = 0
    assert not owned.is_awaited
    assert not owned.is_running


def test_lanes_that_are_blocked_are_told_once_what_is_news() -> None:
    woken: list[int] = []
    lanes = Lanes("key", lambda: woken.append(1))
    owned = OwnedPartition(0, 1)
    owned.open(Beginning(0, Saved()), ())
    owned.allow(math.inf)
    lane = Lane(owned.assignment, b"k")
    owned.assignment.started, owned.assignment.first = 1, -1
    lane.items.append(Item(None, 3, None, owned.assignment, 0))  # type: ignore[arg-type]
    lanes.block(lane)
    assert not lanes.ready
    assert not owned.allow(math.inf)
    # One that is blocked just after more was allowed is not told of that.
    owned.assignment.blocked.clear()
    owned.assignment.allowed = 2
    lanes.block(lane)
    assert list(lanes.ready) == [lane]


def test_lanes_wait_while_it_is_in_doubt_whose_the_partition_is() -> None:
    lanes = Lanes("key", lambda: None)
    owned = OwnedPartition(0, 1)
    owned.open(Beginning(0, Saved()), ())
    owned.allow(0)
    lane = Lane(owned.assignment, b"k")
    lane.items.append(Item(None, 3, None, owned.assignment, 0))  # type: ignore[arg-type]
    assert not lanes.may_begin(lane)
    lanes.block(lane)
    assert not lanes.ready
    assert not owned.allow(0)
    assert owned.allow(math.inf)
    assert not owned.allow(math.inf)
    lanes.unblock(owned.assignment)
    assert lanes.may_begin(lane)
