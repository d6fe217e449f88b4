"""`subscriptions` and `dead-letters` act on a worker that runs, and tell what it does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_events import Event, EventBus, RetryPolicy, Start, Worker, WorkerStoppedError
from tests.workers.running import ORDER, Log, Running, publish, wait_for

BILLING = "billing"


class Handled(Log):
    """What a worker has handled; it fails on odd numbers until it is mended."""

    def __init__(self) -> None:
        super().__init__()
        self.is_mended = False
        self.gate = threading.Event()
        self.gate.set()


@pytest.fixture
def handled() -> Handled:
    return Handled()


@pytest.fixture
def worker(bus: EventBus, define: Callable[..., None], handled: Handled) -> Iterator[Running]:
    """A worker of orders of ten customers that fails on the odd ones."""
    define(ORDER)
    app = Worker(
        BILLING, "Order__e", start=Start.EARLIEST, retry=RetryPolicy(max_attempts=1, timeout=None)
    )

    @app.handler
    def bill(event: Event[dict[str, Any]]) -> None:
        assert handled.gate.wait(30)
        if event.payload["number"] % 2 and not handled.is_mended:
            raise ValueError("it is odd")
        handled.note(event)

    publish(bus, "abcdefghij")
    running = Running(app, bus)
    running.await_ready()
    yield running
    running.end()


def shown(cli: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(cli("subscriptions", "show", BILLING, "--json").stdout)
    return document


def command(cli: Any, *words: str) -> None:
    result = cli("subscriptions", *words)
    document = json.loads(result.stdout)
    assert (document["applied"], document["pending_partitions"]) == (True, [])
    assert (result.exit_code, result.stderr) == (0, "")


def test_an_operator_looks_and_acts(
    live: Any, bus: EventBus, worker: Running, handled: Handled
) -> None:
    wait_for(lambda: (one := shown(live))["lag_events"] == 0 and one["dead_letters"] == 5)
    document = shown(live)
    assert (document["state"], len(document["members"])) == ("running", 1)
    assert (document["lag_seconds"], document["time_to_loss_seconds"]) == (0, None)
    assert document["holes"] == document["in_flight"] == 0
    position = document["position"]
    result = live("subscribe", "Order__e", "--from", position, "--no-follow")
    assert (result.exit_code, result.stdout) == (0, "")

    letters = json.loads(live("dead-letters", "list", BILLING, "--json").stdout)
    assert [one["event"]["payload"]["number"] for one in letters] == [1, 3, 5, 7, 9]
    assert {(one["reason"], one["attempts"], one["status"]) for one in letters} == {
        ("failed", 1, "dead")
    }
    assert all("it is odd" in one["message"] for one in letters)
    assert all("ValueError" in one["traceback"] for one in letters)
    live("dead-letters", "discard", BILLING, letters[0]["id"], "--yes")
    handled.is_mended = True
    assert live("dead-letters", "redrive", BILLING).stderr == ""
    wait_for(lambda: shown(live)["dead_letters"] == 0)
    assert sorted(handled.numbers) == [0, 2, 3, 4, 5, 6, 7, 8, 9]

    command(live, "pause", BILLING)
    publish(bus, "a", first=10)
    document = shown(live)
    assert (document["state"], document["lag_events"]) == ("paused", 1)
    handled.gate.clear()
    command(live, "resume", BILLING)
    wait_for(lambda: shown(live)["in_flight"] == 1)
    handled.gate.set()
    wait_for(lambda: 10 in handled.numbers)

    before = len(handled.numbers)
    command(live, "seek", BILLING, "--to", "earliest")
    wait_for(lambda: len(handled.numbers) == before + 11)
    assert live("subscriptions", "delete", BILLING, "--yes").exit_code == 0
    worker.join()
    assert isinstance(worker.error, WorkerStoppedError)
    assert json.loads(live("subscriptions", "list", "--json").stdout) == []
