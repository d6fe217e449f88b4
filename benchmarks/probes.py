"""What the memory budgets watch: each function is one process that reports its resident size.

Linux only: sizes come from `/proc`. MB are 10**6 bytes.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.events import FLIGHT
from benchmarks.rivals.base import Target
from benchmarks.rivals.sdk import open_bus
from platform_events import EventBus, Start

if TYPE_CHECKING:
    from concurrent.futures import Future

_CHUNK = 10_000


def _resident(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(field)


def _mark_idle() -> float:
    """Return the resident size now, and let the kernel forget the peak so far."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return _resident("VmRSS")


def keep_publishing(
    target: dict[str, Any], delivery_timeout: float, flights: str | None
) -> dict[str, Any]:
    """Publish into a bus whose broker dies, for one and a half delivery time-outs."""
    aim = Target(**target)
    statuses: Counter[str] = Counter()

    def note(future: Future[Any]) -> None:
        statuses[future.result().status.name] += 1

    bus = EventBus(
        bootstrap_servers=aim.bootstrap_servers,
        tenant=aim.tenant,
        delivery_timeout=delivery_timeout,
    )
    payloads = list(FLIGHT.payloads(_CHUNK, Path(flights) if flights else None))
    bus.publish_many(aim.event, payloads[:100])
    idle = _mark_idle()
    print("idle", flush=True)
    sys.stdin.readline()
    accepted = 0
    longest_wait = 0.0
    end = time.monotonic() + 1.5 * delivery_timeout
    while (before := time.monotonic()) < end:
        future = bus.submit(aim.event, payloads[accepted % _CHUNK])
        longest_wait = max(longest_wait, time.monotonic() - before)
        future.add_done_callback(note)
        accepted += 1
    bus.close()
    return {
        "idle": idle,
        "peak": _resident("VmHWM"),
        "accepted": accepted,
        "statuses": dict(statuses),
        "longest_wait": longest_wait,
    }


def sleep_over_a_subscription(target: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Read one event of a long stream, then sleep while the client fetches ahead."""
    aim = Target(**target)
    with open_bus(aim) as bus:
        idle = _mark_idle()
        with bus.subscribe(aim.event, start=Start.EARLIEST) as subscription:
            next(iter(subscription))
            time.sleep(seconds)
            return {"idle": idle, "peak": _resident("VmHWM")}


def publish_and_read_back(
    target: dict[str, Any], count: int, flights: str | None
) -> dict[str, Any]:
    """Publish a year of flights in chunks, then read it back, all in this process."""
    aim = Target(**target)
    payloads = FLIGHT.payloads(count, Path(flights) if flights else None)
    statuses: Counter[str] = Counter()
    checksum = 0
    read = 0
    with open_bus(aim) as bus:
        while chunk := list(islice(payloads, _CHUNK)):
            for result in bus.publish_many(aim.event, chunk):
                statuses[result.status.name] += 1
                checksum += UUID(result.event_id).int
        with bus.subscribe(aim.event, start=Start.EARLIEST, follow=False) as subscription:
            for event in subscription:
                read += bool(event.payload)
                checksum -= UUID(event.event_id).int
    return {
        "peak": _resident("VmHWM"),
        "statuses": dict(statuses),
        "read": read,
        "same_events": checksum == 0,
    }
