"""`Worker` with default options, run as `platform-events work` does: 32 handlers at a time."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.processes import read_vitals
from benchmarks.rivals.base import Target
from benchmarks.workers.ways import WAIT_SECONDS
from platform_events import Context, Event, Start, Worker
from platform_events.cli.worker_process import Job, run_alone

if TYPE_CHECKING:
    from benchmarks.workers.ways import Tally

app: Worker
"""What `run_alone` looks for: the worker of this process."""


def _begin(target: Target, subscription: str | None = None) -> Worker:
    """Make the worker of this process; a new subscription begins with the first event."""
    global app  # noqa: PLW0603 - a process has one
    name = subscription or f"bench-{uuid4().hex[:8]}"
    app = Worker(name, target.event, start=Start.EARLIEST)
    return app


def _run(target: Target) -> None:
    run_alone(Job(f"{__name__}:app", target.bootstrap_servers, target.tenant, None, None))


def handle(target: Target, tally: Tally, waits: bool) -> None:
    """Run a worker until all events are handled; it ends as it does on SIGTERM."""
    worker = _begin(target)

    async def note(event: Event[Any]) -> None:
        tally.begin()
        if tally.note(event.event_id):
            worker.stop()

    async def wait(event: Event[Any]) -> None:
        tally.begin()
        await asyncio.sleep(WAIT_SECONDS)
        if tally.note(event.event_id):
            worker.stop()

    worker.handler(wait if waits else note)
    _run(target)


def watch_memory(target: dict[str, Any], marks: list[int], count: int) -> dict[str, Any]:
    """Handle `count` events, keeping nothing (runs in a worker).

    Returns the resident size in MB when as many events as each mark were handled, how many were in
    all, and the sum of their IDs as `Digest` has it.
    """
    worker = _begin(Target(**target))
    sizes: list[float] = []
    handled, checksum = 0, 0

    @worker.handler
    async def note(event: Event[Any]) -> None:
        nonlocal handled, checksum
        handled += 1
        checksum += int(event.event_id.replace("-", ""), 16)
        if handled in marks:
            sizes.append(read_vitals(os.getpid()).resident)
        if handled == count:
            worker.stop()

    _run(Target(**target))
    return {"sizes": sizes, "count": handled, "checksum": f"{checksum % 2**128:032x}"}


def run_noting(target: dict[str, Any], subscription: str, path: str) -> None:
    """Handle events until the process is told to stop, by a line (runs in a worker).

    Each event is a line in the file at `path` as soon as it was handled, so that a process that is
    killed leaves what it has done: event ID, partition, and when, on the monotonic clock in
    nanoseconds.
    """
    worker = _begin(Target(**target), subscription)
    lines = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @worker.handler
    async def note(event: Event[Any], context: Context) -> None:
        os.write(lines, f"{event.event_id} {context.partition} {time.monotonic_ns()}\n".encode())

    def stop() -> None:
        sys.stdin.readline()
        worker.stop()

    threading.Thread(target=stop, daemon=True).start()
    _run(Target(**target))
