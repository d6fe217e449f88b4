"""Workers that run beside a test, and what their handlers note."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from platform_events import Event, EventBus, Worker
from platform_events.workers.runtime import Runtime

ORDER = """
event: Order__e
partition_key: customer
fields:
  - {name: customer, type: string}
  - {name: number, type: int}
"""
PATIENCE = 30.0


class Running:
    """A worker in a thread of its own."""

    def __init__(self, app: Worker, bus: EventBus, **options: Any) -> None:
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self.runtime = Runtime(app, bus, stop=self.stop, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self.runtime.run())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def end(self) -> None:
        """Drain it."""
        self.stop.set()
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def await_ready(self) -> None:
        wait_for(lambda: not self.runtime.health.obstacle or self.error)
        assert self.error is None, self.error


@contextmanager
def running(app: Worker, bus: EventBus, **options: Any) -> Iterator[Running]:
    """Run a worker for the length of a `with`; what it raises is raised at the end."""
    worker = Running(app, bus, **options)
    try:
        worker.await_ready()
        yield worker
    finally:
        worker.end()
    if worker.error is not None:
        raise worker.error


def wait_for(condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def publish(bus: EventBus, customers: str, first: int = 0) -> None:
    """Publish an order of each customer, numbered."""
    results = bus.publish_many(
        "Order__e",
        [
            {"customer": customer, "number": number}
            for number, customer in enumerate(customers, first)
        ],
    )
    assert all(result.error is None for result in results)


class Log:
    """What handlers have done, in order."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def note(self, event: Event[Any]) -> None:
        self.numbers.append(event.payload["number"])
