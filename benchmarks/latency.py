"""Times of single events: one publish call, and the delay from publishing to receiving."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.events import CASES
from benchmarks.rivals.base import Target
from benchmarks.runner import MeasurementError, run, started

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENDERS = ("sdk", "bare")
"""Modules of the rivals that can publish and receive single events."""
WARMUP = 20
"""Events that are published first and do not count."""
RATE = 100
"""Events a second."""


def publish_singly(target: dict[str, Any], count: int, flights: str | None) -> dict[str, Any]:
    """Publish event by event, the contenders in turn in this one process (runs in a worker).

    Returns microseconds of each call, from the call until the event is acknowledged.
    """
    aim = Target(**target)
    took: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with ExitStack() as stack:
        publishers = {
            name: stack.enter_context(_contender(name).single_publisher(aim)) for name in CONTENDERS
        }
        for number, payload in enumerate(_payloads(aim, WARMUP + count, flights)):
            for name, publish_one in publishers.items():
                start = time.perf_counter()
                publish_one(payload)
                if number >= WARMUP:
                    took[name].append((time.perf_counter() - start) * 1e6)
    return took


def receive(target: dict[str, Any], contender: str, count: int) -> dict[str, int]:
    """Receive events as they come, after saying that the end is reached (runs in a worker)."""

    def ready() -> None:
        print("ready", flush=True)

    arrivals: dict[str, int] = _contender(contender).follow(Target(**target), WARMUP + count, ready)
    return arrivals


def publish_steadily(
    target: dict[str, Any], contender: str, count: int, flights: str | None, rate: int = RATE
) -> dict[str, int]:
    """Publish `rate` events a second, each waited for (runs in a worker).

    It says when the first few, which do not count, are published. Returns the start of each call
    on the monotonic clock, which all processes of a machine share.
    """
    aim = Target(**target)
    payloads = _payloads(aim, WARMUP + count, flights)
    starts: dict[str, int] = {}
    with _contender(contender).single_publisher(aim) as publish_one:
        for payload in payloads[:WARMUP]:
            publish_one(payload)
        print("begun", flush=True)
        begin = time.monotonic()
        for number, payload in enumerate(payloads[WARMUP:]):
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            start = time.monotonic_ns()
            starts[publish_one(payload)] = start
    return starts


def _contender(name: str) -> Any:
    return import_module(f"benchmarks.rivals.{name}")


def _payloads(target: Target, count: int, flights: str | None) -> list[dict[str, Any]]:
    return list(CASES[target.event].payloads(count, Path(flights) if flights else None))


def measure_single_calls(target: Target, count: int, flights: Path | None) -> dict[str, Any]:
    """Return median and 99th percentile of a publish call in microseconds, by contender."""
    took = run(
        "benchmarks.latency:publish_singly",
        {"target": asdict(target), "count": count, "flights": flights and str(flights)},
    )
    return {name: summarize(values) for name, values in took.items()}


def measure_delays(
    target: Target,
    count: int,
    rounds: int,
    flights: Path | None,
    progress: Callable[[str], None],
    publisher: str | None = None,
) -> dict[str, Any]:
    """Return median and 99th percentile of the delay in milliseconds, by contender.

    The contenders take turns; all their events count together. Each publishes its own, unless
    `publisher` names the one that does for all.
    """
    delays: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for turn in range(rounds):
        for name in CONTENDERS:
            progress(f"delay at {RATE} events/s {turn + 1}/{rounds}, {name}")
            delays[name] += measure_between(target, name, publisher or name, count, flights)
    return {name: summarize(values) for name, values in delays.items()}


def measure_between(
    target: Target, contender: str, publisher: str, count: int, flights: Path | None
) -> list[float]:
    """Return the delay of each event in milliseconds, from one contender to another.

    Raises:
        MeasurementError: events did not arrive.
    """
    job: dict[str, Any] = {"target": asdict(target), "count": count}
    with started("benchmarks.latency:receive", job | {"contender": contender}) as receiver:
        if receiver.hear() != "ready":
            raise MeasurementError(f"{contender}: the receiver did not become ready")
        starts: dict[str, int] = run(
            "benchmarks.latency:publish_steadily",
            job | {"contender": publisher, "flights": flights and str(flights)},
        )
        arrivals: dict[str, int] = receiver.result()
    missing = starts.keys() - arrivals.keys()
    if missing:
        raise MeasurementError(f"{contender}: {len(missing)} events did not arrive")
    return [(arrivals[event_id] - start) / 1e6 for event_id, start in starts.items()]


def summarize(values: list[float]) -> dict[str, float]:
    """Return how many values there are, their median and 99th percentile."""
    return {
        "count": len(values),
        "median": statistics.median(values),
        "p99": statistics.quantiles(values, n=100)[98],
    }
