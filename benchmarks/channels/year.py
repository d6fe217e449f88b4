"""Catching up with as many events as a year of flights, and whether their order is as promised."""

from __future__ import annotations

import heapq
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from benchmarks.channels.flights import EVERYTHING, MEMBERS, write_events
from benchmarks.channels.logs import read_log
from benchmarks.channels.routers import RouterProcess
from benchmarks.channels.stage import staged
from benchmarks.runner import MeasurementError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.channels.stage import Stage

YEAR = 664_839
"""Events of the flights that left New York City in 2013."""
_CHANNEL = "Year__chn"
_TIME_LIMIT = 300.0
_Place = tuple[int, int, int]
"""Append time in ms, the member's number in the channel, offset."""


def measure_year(
    bootstrap_servers: str, flights: Path | None, events: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return how fast a router caught up, what memory its process took, and which flights it had.

    Without a file of flights it is the demo's week, again and again, and the label says so.

    Raises:
        MeasurementError: it could not be measured, or the order is wrong.
        RuntimeError: the definitions were refused, or the broker failed.
    """
    label = f"flights of {flights.name}" if flights else "the demo's week, repeated"
    with staged(bootstrap_servers, write_events) as stage:
        progress(f"year: publishing {label}, up to {events:,} events")
        published = run(
            "benchmarks.channels.flights:publish_year",
            {
                "bootstrap_servers": bootstrap_servers,
                "tenant": stage.tenant,
                "flights": flights and str(flights),
                "count": events,
            },
            timeout=_TIME_LIMIT,
        )
        progress("year: catching up")
        with RouterProcess(stage.environment) as router:
            router.await_quiet()
            before = router.vitals()
            start = time.monotonic()
            stage.set_channels({_CHANNEL: EVERYTHING})
            seconds = router.await_live([_CHANNEL], _TIME_LIMIT) - start
            after = router.vitals()
        progress("year: checking the order")
        count = _check_order(stage)
    if count != published["all"]["count"]:
        raise MeasurementError(f"{published['all']['count']} events published, {count} routed")
    return {
        "label": label,
        "events": count,
        "seconds": seconds,
        "rate": count / seconds,
        "cpu": (after.cpu - before.cpu) / count * 1e6,
        "idle": before.resident,
        "peak": after.peak,
    }


def _check_order(stage: Stage) -> int:
    """Compare the channel with a merge of its members; return how many events it has."""
    expected = heapq.merge(
        *(_read_member(stage, number) for number in range(len(MEMBERS))),
        key=lambda place: place[:2],
    )
    count = 0
    for count, (wanted, found) in enumerate(
        zip_longest(expected, _read_channel(stage), fillvalue=None), 1
    ):
        if wanted != found:
            raise MeasurementError(f"event {count} of the channel is {found} instead of {wanted}")
    return count


def _read_member(stage: Stage, number: int) -> Iterator[_Place]:
    for message in read_log(stage.bootstrap_servers, stage.topic(MEMBERS[number])):
        yield message.timestamp()[1], number, message.offset()


def _read_channel(stage: Stage) -> Iterator[_Place]:
    """Yield where each of the channel's events says that it comes from."""
    numbers = {f"/event/{event}".encode(): number for number, event in enumerate(MEMBERS)}
    for message in read_log(stage.bootstrap_servers, stage.topic(_CHANNEL)):
        name, origin = message.headers()[-1]
        if name != "ce_origin":
            raise MeasurementError(f"offset {message.offset()} of the channel has no origin")
        stream, _, _, offset, appended_ms, _ = origin.split(b" ")
        yield int(appended_ms), numbers[stream], int(offset)
