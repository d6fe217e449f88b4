"""What is measured of the service, and how much of each."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.runner import MeasurementError
from benchmarks.service.delay import measure_delay
from benchmarks.service.drain import measure_drain
from benchmarks.service.idle import measure_idle, measure_unread
from benchmarks.service.publishing import measure_publishing
from benchmarks.service.reading import Reads, filled, measure_replays, measure_subscribing
from benchmarks.service.refusals import measure_refusals

if TYPE_CHECKING:
    from collections.abc import Callable


class ServiceScale:
    """How much of everything: the full run or the quick one."""

    def __init__(self, quick: bool) -> None:
        self.reads = (
            Reads(stream=30_000, one=10_000, each=10_000, rounds=1, replays=1)
            if quick
            else Reads(stream=300_000, one=100_000, each=50_000, rounds=5, replays=3)
        )
        self.publishing = (20_000, 1) if quick else (100_000, 5)
        """Events of a turn, and turns of each way."""
        self.delays = (100, 1) if quick else (500, 3)
        """Events whose delay is taken, per round, and rounds."""
        self.idle = 10.0 if quick else 60.0
        """Seconds without an event."""
        self.unread = 2_000 if quick else 5_000
        """Events of 10 kB of the stream that is not read."""
        self.drains = 1 if quick else 3
        """Services that are ended."""
        self.refusals = (200, 20_000, 1) if quick else (500, 100_000, 3)
        """Events whose delay is taken, and those that are read, in each turn; turns."""


def measure_service(
    bootstrap_servers: str, scale: ServiceScale, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return all results about the service; one that fails does not end the others."""
    servers = bootstrap_servers
    results: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": {},
    }

    def note(part: str, measure: Callable[[], Any]) -> None:
        try:
            results[part] = measure()
        except (MeasurementError, RuntimeError) as error:
            results[part] = {"failures": [str(error)]}
        results["load"][part] = round(os.getloadavg()[0], 1)

    with ExitStack() as stack:
        try:
            stream = stack.enter_context(filled(servers, scale.reads, progress))
        except (MeasurementError, RuntimeError) as error:
            results |= {part: {"failures": [str(error)]} for part in ("subscribing", "replays")}
        else:
            note("subscribing", lambda: measure_subscribing(stream, progress))
            note("replays", lambda: measure_replays(stream, progress))
    note("publishing", lambda: measure_publishing(servers, *scale.publishing, progress))
    note("delay", lambda: measure_delay(servers, *scale.delays, progress))
    note("idle", lambda: measure_idle(servers, scale.idle, progress))
    note("unread", lambda: measure_unread(servers, scale.unread, progress))
    note("drain", lambda: measure_drain(servers, scale.drains, progress))
    note("refusals", lambda: measure_refusals(servers, *scale.refusals, progress))
    return results
