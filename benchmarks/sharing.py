"""How many threads one process needs for many tenants and many subscribers, on one Cluster.

Linux counts all threads of a process, those of the client library included; elsewhere only Python's
are known. Both are less those of an interpreter that does nothing.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.channels.stage import staged
from benchmarks.deployment import write_definitions
from benchmarks.events import CREATED_BY, FLIGHT
from benchmarks.rivals.base import SOURCE
from benchmarks.rows import Rows
from benchmarks.runner import MeasurementError, run
from platform_events import Cluster, Start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from platform_events import EventBus

_STATUS = Path("/proc/self/status")
_ARRIVAL_TIME_LIMIT = 30.0
_SETTLE_TIME_LIMIT = 60.0
_QUIET_SECONDS = 3.0
"""Threads that have not changed for so long are those that stay."""
_SAMPLE_EVERY = 0.02
"""Seconds between two looks for the peak."""
_TIME_LIMIT = 600.0


def _count_threads() -> dict[str, int | None]:
    """Return the threads of this process, less the main thread: Python's, and all."""
    return {"python": threading.active_count() - 1, "all": _all_threads()}


def _all_threads() -> int | None:
    if not _STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields["Threads"]) - 1


class _Peak:
    """The most threads there were, as a thread of its own sees that is not counted."""

    def __init__(self) -> None:
        self._highest: int | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak", daemon=True)
        self._thread.start()

    def stop(self) -> int | None:
        """Look no more; return the most of all threads less the main one. None: not known."""
        self._done.set()
        self._thread.join()
        return self._highest

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_EVERY):
            if (found := _all_threads()) is not None:
                self._highest = max(self._highest or 0, found - 1)


@contextmanager
def _open_buses(bootstrap_servers: str, tenants: Sequence[str]) -> Iterator[list[EventBus]]:
    """Give a bus for each tenant, each of which has published one event."""
    (payload,) = FLIGHT.payloads(1, None)
    with closing(Cluster(bootstrap_servers=bootstrap_servers)) as cluster, ExitStack() as stack:
        buses = [
            stack.enter_context(cluster.bus(tenant, source=SOURCE, created_by=CREATED_BY))
            for tenant in tenants
        ]
        for bus in buses:
            bus.publish(FLIGHT.event, payload)
        yield buses


def hold_tenants(bootstrap_servers: str, tenants: list[str]) -> dict[str, int | None]:
    """Return the threads of a process whose tenants have all published (runs in a worker).

    `peak` is the most of all threads until the last one had.
    """
    peak = _Peak()
    with _open_buses(bootstrap_servers, tenants):
        highest = peak.stop()
        return _await_settled(lambda: None) | {"peak": highest}


def hold_subscriptions(
    bootstrap_servers: str, tenants: list[str], each: int
) -> dict[str, int | None]:
    """Return the threads of a process with `each` live subscriptions of every tenant.

    Every one has received an event that was published after it began; `peak` is the most of all
    threads until the last one had (runs in a worker).
    """
    (payload,) = FLIGHT.payloads(1, None)
    peak = _Peak()
    with _open_buses(bootstrap_servers, tenants) as buses:
        subscriptions = [
            bus.subscribe(FLIGHT.event, Start.LATEST) for bus in buses for _ in range(each)
        ]
        ids = [[bus.publish(FLIGHT.event, payload).event_id] * each for bus in buses]
        for subscription, event_id in zip(subscriptions, chain(*ids), strict=True):
            received = [event.event_id for event in subscription.take(1, _ARRIVAL_TIME_LIMIT)]
            if received != [event_id]:
                raise MeasurementError(f"a live subscription received {received}")
        highest = peak.stop()

        def read_all() -> None:
            for subscription in subscriptions:
                subscription.take(1, 0)

        return _await_settled(read_all) | {"peak": highest}


def _await_settled(meanwhile: Callable[[], None]) -> dict[str, int | None]:
    """Return the threads that are there when their number no longer changes."""
    deadline = time.monotonic() + _SETTLE_TIME_LIMIT
    count, since = _count_threads(), time.monotonic()
    while time.monotonic() < since + _QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise MeasurementError(f"the threads do not settle: {count} now")
        meanwhile()
        time.sleep(0.1)
        now = _count_threads()
        if now != count:
            count, since = now, time.monotonic()
    return count


def measure_sharing(
    bootstrap_servers: str, tenants: int, each: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return the threads with idle tenants, and with `each` live subscriptions of every tenant.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    with ExitStack() as stack:
        progress(f"sharing: applying {tenants} tenants")
        names = [
            stack.enter_context(
                staged(bootstrap_servers, lambda folder: write_definitions(folder, [FLIGHT]))
            ).tenant
            for _ in range(tenants)
        ]
        job = {"bootstrap_servers": bootstrap_servers, "tenants": names}
        progress(f"sharing: {tenants} idle tenants")
        idle = run("benchmarks.sharing:hold_tenants", job, _TIME_LIMIT)
        progress(f"sharing: {tenants * each:,} live subscriptions")
        live = run("benchmarks.sharing:hold_subscriptions", job | {"each": each}, _TIME_LIMIT)
    return {
        "idle": idle | {"label": f"{tenants:,} idle tenants"},
        "live": live | {"label": f"{tenants * each:,} live subscriptions in one process"},
    }


def sharing_rows(sharing: dict[str, Any]) -> Rows:
    """Return the threads of one process."""
    body = [
        (
            f"threads with {found['label']}",
            str(found["python"]),
            _known(found["all"]),
            _known(found["peak"]),
        )
        for found in (sharing["idle"], sharing["live"])
    ]
    head = ("what", "Python's, settled", "all, settled", "all, peak before")
    return Rows("Threads of one process", head, body)


def _known(count: int | None) -> str:
    return "" if count is None else str(count)
