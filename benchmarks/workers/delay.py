"""How much later a handler has an event than a subscriber by hand, at 100 events/s."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import KEYED
from benchmarks.latency import RATE, WARMUP, summarize
from benchmarks.rivals.base import Target
from benchmarks.runner import MeasurementError, run, started
from benchmarks.workers.ways import BARE, WAYS, Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable

_CASE = KEYED[100]
_PUBLISH = "benchmarks.latency:publish_steadily"


def follow(target: dict[str, Any], way: str, count: int) -> dict[str, int]:
    """Handle so many events; say when the first one was, and return when all were.

    By event ID, on the monotonic clock in nanoseconds (runs in a worker).
    """
    arrivals = Arrivals(count)
    WAYS[way].handle()(Target(**target), arrivals, False)
    return arrivals.times


def measure_added_delays(
    bootstrap_servers: str, count: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return by way what it adds to a delay, and both delays from the publishing call, in ms.

    One process publishes by hand at 100 events/s, one subscribes by hand, without a group, and one
    has a handler that does nothing; all see one clock. What the handler's way adds is, for each
    event, its time less the subscriber's. The ways take turns.

    Raises:
        MeasurementError, RuntimeError: nothing could be published.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {"added": [], "bare": [], "delay": []} for name in WAYS if name != BARE
    }
    failures: dict[str, str] = {}
    with deployed(bootstrap_servers, [_CASE]) as targets:
        target = asdict(targets[_CASE.event])
        job: dict[str, Any] = {"target": target, "contender": "bare", "flights": None}
        # Handlers begin with the first event, which says that they are there.
        published = len(run(_PUBLISH, job | {"count": 1})) + WARMUP
        audit_layout(targets[_CASE.event])
        for turn in range(rounds):
            for name, figures in found.items():
                label = WAYS[name].label
                progress(f"handling at {RATE} events/s {turn + 1}/{rounds}, {label}")
                following = {"target": target, "way": name, "count": published + WARMUP + count}
                published += WARMUP + count
                try:
                    for figure, values in _measure(job | {"count": count}, following).items():
                        figures[figure] += values
                except MeasurementError as error:
                    failures[name] = str(error)
    return {
        name: {"failures": [failures[name]]}
        if name in failures
        else {figure: summarize(values) for figure, values in figures.items()}
        for name, figures in found.items()
    }


def _measure(job: dict[str, Any], following: dict[str, Any]) -> dict[str, list[float]]:
    receiving = {name: job[name] for name in ("target", "contender", "count")}
    with (
        started("benchmarks.workers.delay:follow", following) as handler,
        started("benchmarks.latency:receive", receiving) as subscriber,
    ):
        for process in (handler, subscriber):
            if process.hear() != "ready":
                raise MeasurementError(f"{following['way']}: a process did not become ready")
        starts: dict[str, int] = run(_PUBLISH, job)
        received: dict[str, int] = subscriber.result()
        handled: dict[str, int] = handler.result()
    if len(handled) != following["count"] or starts.keys() - handled.keys():
        raise MeasurementError(
            f"{following['way']}: {following['count']} events published, {len(handled)} handled"
        )
    return {
        "added": [(handled[key] - received[key]) / 1e6 for key in starts],
        "bare": [(received[key] - start) / 1e6 for key, start in starts.items()],
        "delay": [(handled[key] - start) / 1e6 for key, start in starts.items()],
    }
