"""What is measured of workers, and how much of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.runner import MeasurementError
from benchmarks.workers.delay import measure_added_delays
from benchmarks.workers.handling import Amount, measure_handling
from benchmarks.workers.takeover import measure_takeovers
from benchmarks.workers.upkeep import measure_idle, measure_memory

if TYPE_CHECKING:
    from collections.abc import Callable


class WorkerScale:
    """How much of everything: the full run or the quick one."""

    def __init__(self, quick: bool) -> None:
        self.amount = (
            Amount({"noop": 10_000, "wait": 2_000}, {"noop": 1, "wait": 1})
            if quick
            else Amount({"noop": 100_000, "wait": 10_000}, {"noop": 5, "wait": 3})
        )
        self.delays = (100, 1) if quick else (400, 2)
        """Events whose delay is taken, per round, and rounds."""
        self.marks = (10_000, 50_000) if quick else (100_000, 1_000_000)
        """Events after which the memory is looked at."""
        self.idle = 5.0 if quick else 30.0
        """Seconds without an event."""
        self.kills = 1 if quick else 3
        """Workers that are killed while another one runs."""


def measure_workers(
    bootstrap_servers: str, scale: WorkerScale, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return all results about workers; one that fails does not end the others."""
    measurements: dict[str, Callable[[], Any]] = {
        "handling": lambda: {"cases": measure_handling(bootstrap_servers, scale.amount, progress)},
        "delay": lambda: measure_added_delays(bootstrap_servers, *scale.delays, progress),
        "memory": lambda: measure_memory(bootstrap_servers, *scale.marks, progress),
        "idle": lambda: measure_idle(bootstrap_servers, scale.idle, progress),
        "takeover": lambda: measure_takeovers(bootstrap_servers, scale.kills, progress),
    }
    results: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    for part, measure in measurements.items():
        try:
            results[part] = measure()
        except (MeasurementError, RuntimeError) as error:
            results[part] = {"failures": [str(error)]}
    return results
