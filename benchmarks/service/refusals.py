"""One client whose Subscribe calls are refused and that asks again and again; what others notice.

It begins 1,800 calls a second, whether or not the ones before were answered: that is what a sample
that asks again at once reaches where refusals are not held back. Others are measured once as many
are refused a second.
"""

from __future__ import annotations

import select
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT
from benchmarks.latency import summarize
from benchmarks.runner import MeasurementError, Samples, run, started
from benchmarks.service.delay import delays
from benchmarks.service.encoded import after, topic_of
from benchmarks.service.http2 import Connection
from benchmarks.service.serving import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rivals.base import Target
    from benchmarks.runner import Worker
    from benchmarks.service.serving import Service

RATE = 1_800
"""Refused calls a second."""
_RAMP = 3.0
"""Seconds until as many calls are refused as begin."""
_TICK = 0.01
_LEAST = 0.95
"""Of the rate, below which the load has not done what it should."""
_CONDITIONS = ("alone", "beside")


def insist(address: str, topic: str) -> dict[str, float]:
    """Begin calls with a replay ID that nobody has given out, until told to end (runs in a worker).

    It says when they are refused as fast as they begin. Returns how many a second were begun and
    were refused after that.
    """
    request = after(topic, b"\xff" * 10)
    begun = refused = 0
    counted = False
    marks = (0, 0)
    with Connection(address) as connection:
        start = since = time.monotonic()
        while True:
            now = time.monotonic()
            while begun < (now - start) * RATE and connection.can_send:
                connection.open("Subscribe", request)
                begun += 1
            if not counted and now - start > _RAMP:
                counted, since, marks = True, now, (begun, refused)
                print("ready", flush=True)
            ready, _, _ = select.select([sys.stdin, connection.socket], [], [], _TICK)
            if sys.stdin in ready:
                break
            if ready:
                for _, response in connection.receive():
                    if response is not None:
                        raise MeasurementError("a call was not refused")
                    refused += 1
        seconds = time.monotonic() - since
    return {"begun": (begun - marks[0]) / seconds, "refused": (refused - marks[1]) / seconds}


@contextmanager
def _insisting(service: Service, target: Target) -> Iterator[Worker]:
    job = {"address": service.plaintext, "topic": topic_of(target)}
    with started("benchmarks.service.refusals:insist", job) as load:
        if load.hear() != "ready":
            raise MeasurementError("the refused client did not become ready")
        yield load


def measure_refusals(
    bootstrap_servers: str, events: int, count: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return delays and rates of a client alone, and beside one that is refused, in turn.

    Args:
        bootstrap_servers: a running broker.
        events: whose delay is taken in each turn, at 100 a second.
        count: events that are read in each turn as fast as they come.
        rounds: turns of each.
        progress: called with a line about what comes next.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    found: dict[str, list[float]] = {name: [] for name in _CONDITIONS}
    rates = {name: Samples() for name in _CONDITIONS}
    refused: list[float] = []
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        job = {"target": asdict(target), "rival": "bare", "flights": None, "parts": []}
        run("benchmarks.throughput:publish", job | {"count": count})
        with served(target) as service:

            def measure(name: str) -> None:
                found[name] += delays(target, service, events)
                reading = {"address": service.plaintext, "topic": topic_of(target), "count": count}
                for _ in range(3):
                    got = run("benchmarks.service.subscribing:subscribe", reading)
                    if got["order"]["distinct"] != count:
                        raise MeasurementError(f"{count} events expected, {got['order']} came")
                    rates[name].values.append(got["rate"])

            before = service.vitals.resident
            for turn in range(rounds):
                for name in _CONDITIONS:
                    progress(f"service: refusals {turn + 1}/{rounds}, {name}")
                    if name == "alone":
                        measure(name)
                        continue
                    with _insisting(service, target) as load:
                        measure(name)
                        load.tell("end")
                        reached = load.result()
                    if min(reached.values()) < _LEAST * RATE:
                        raise MeasurementError(f"the refused client has only reached {reached}")
                    refused.append(reached["refused"])
            peak = service.vitals.peak
    return {
        "delays": {name: summarize(values) for name, values in found.items()},
        "rates": {name: samples.to_json() for name, samples in rates.items()},
        "refused": refused,
        "memory": peak - before,
    }
