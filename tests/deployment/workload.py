"""Publishes events at a steady rate, reads them back, and says what became of each.

    python workload.py --seconds 40 --rate 50

Events are orders. With `--handled` they are scans of parcels, which a worker handles that publishes
what it has handled. It needs the package and the definitions, and nothing else of this repository:
it runs beside containers as well as in the image. The last line is one JSON document; the exit
status is 1 if an event was not stored, is missing or twice in a stream, or was not handled, or out
of order.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from uuid import uuid4

from platform_events import (
    ClosedError,
    Event,
    EventBus,
    PlatformEventsError,
    PublishResult,
    Start,
)

EVENT = "Order_Placed__e"
CHANNEL = "Large_Orders__chn"
SMALL, LARGE = 50.0, 150.0
"""Amounts on both sides of the channel's filter."""
SCANNED, HANDLED = "Parcel_Scanned__e", "Parcel_Handled__e"
PARCELS = 30
_SETTLE_SECONDS = 90.0
"""How long the channel may take to have everything, or the worker, once all is published."""


class Follower:
    """Follows a stream beside the publisher, and knows the longest time without an event of a key.

    A key, since others go on while a partition is handed over.
    """

    def __init__(
        self, bus: EventBus, stream: str, key: Callable[[Mapping[str, Any]], object]
    ) -> None:
        self._events = bus.subscribe(stream, Start.LATEST)
        self._key = key
        self.longest_gap = 0.0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        begin = time.monotonic()
        last: dict[object, float] = {}
        with suppress(ClosedError):
            for event in self._events:
                key, now = self._key(event.payload), time.monotonic()
                self.longest_gap = max(self.longest_gap, now - last.get(key, begin))
                last[key] = now


class Publishing:
    """What was published, and how long each event took."""

    def __init__(
        self, bus: EventBus, event: str, payload: Callable[[str, int], dict[str, object]]
    ) -> None:
        self._bus = bus
        self._event = event
        self._payload = payload
        self.payloads: list[dict[str, object]] = []
        self._results: list[Future[PublishResult]] = []
        self.longest_seconds = 0.0

    def run(self, seconds: float, rate: float) -> None:
        run = uuid4().hex[:8]
        begin = time.monotonic()
        for number in range(round(seconds * rate)):
            time.sleep(max(begin + number / rate - time.monotonic(), 0))
            self._submit(self._payload(run, number))

    def _submit(self, payload: dict[str, object]) -> None:
        begin = time.monotonic()
        self.payloads.append(payload)

        def measure(_: Future[PublishResult]) -> None:
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - begin)

        future = self._bus.submit(self._event, payload)
        future.add_done_callback(measure)
        self._results.append(future)

    def results(self) -> list[PublishResult]:
        return [future.result() for future in self._results]


def order(run: str, number: int) -> dict[str, object]:
    """Return a payload, of which every other one is large."""
    return {"order_id": f"{run}-{number}", "amount": LARGE if number % 2 else SMALL}


def scan(run: str, number: int) -> dict[str, object]:
    """Return a payload about one of the parcels, in turn."""
    return {"parcel": f"{run}-{number % PARCELS}"}


def read(bus: EventBus, stream: str) -> list[Event[dict[str, Any]]]:
    """Return the events that a stream has now, as soon as Kafka gives them."""
    while True:
        try:
            with bus.subscribe(stream, Start.EARLIEST, follow=False) as events:
                return list(events)
        except PlatformEventsError as error:
            if not error.retriable:
                raise
            time.sleep(1)


def compare(wanted: list[str], found: list[tuple[str, float]]) -> dict[str, object]:
    """Say what of the wanted events is missing, twice, or in another order in a stream."""
    counts = Counter(each for each, _ in found)
    once = dict.fromkeys(each for each, _ in found)
    mine = set(wanted)
    return {
        "events": len(mine & counts.keys()),
        "missing": len(mine - counts.keys()),
        "twice": sum(counts[each] > 1 for each in mine),
        "in_order": [each for each in once if each in mine]
        == [each for each in wanted if each in once],
    }


def amounts(events: Iterable[Event[dict[str, Any]]]) -> list[tuple[str, float]]:
    """Return ID and amount of orders."""
    return [(event.event_id, event.payload["amount"]) for event in events]


def compare_handlings(
    wanted: Mapping[object, list[str]], handled: Iterable[str]
) -> dict[str, object]:
    """Say how a worker has handled what was wanted.

    Args:
        wanted: IDs of events by their key, in order.
        handled: IDs of what was handled, in the order of the handlings of each key.
    """
    mine = {each for ids in wanted.values() for each in ids}
    done = [each for each in handled if each in mine]
    first = list(dict.fromkeys(done))
    last = list(dict.fromkeys(reversed(done)))[::-1]

    def are_in_order(found: list[str]) -> bool:
        places = {each: place for place, each in enumerate(found)}
        of_keys = ([places[each] for each in ids if each in places] for ids in wanted.values())
        return all(of_key == sorted(of_key) for of_key in of_keys)

    return {
        "events": len(first),
        "missing": len(mine) - len(first),
        "repeated": len(done) - len(first),
        "first_in_order": are_in_order(first),
        "last_in_order": are_in_order(last),
    }


def have_handled(seconds: float, rate: float) -> dict[str, object]:
    """Publish for a worker, and return how it has handled that."""
    with EventBus(delivery_timeout=120) as bus:
        follower = Follower(bus, HANDLED, lambda handled: handled["parcel"])
        publishing = Publishing(bus, SCANNED, scan)
        print("publishing", flush=True)
        publishing.run(seconds, rate)
        results = publishing.results()
        wanted: dict[object, list[str]] = {}
        for payload, result in zip(publishing.payloads, results, strict=True):
            wanted.setdefault(payload["parcel"], []).append(result.event_id)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            handled = [event.payload["scan"] for event in read(bus, HANDLED)]
            handlings = compare_handlings(wanted, handled)
            if not handlings["missing"] or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return {
            "published": len(results),
            "statuses": Counter(result.status.value for result in results),
            "handlings": handlings,
            "longest_gap_seconds": round(follower.longest_gap, 2),
        }


def is_handled(found: dict[str, object]) -> bool:
    """Whether every event was stored and handled, each key's in order."""
    handlings = found["handlings"]
    assert isinstance(handlings, dict)
    return found["statuses"] == {"PERSISTED": found["published"]} and (
        handlings["missing"], handlings["first_in_order"], handlings["last_in_order"]
    ) == (0, True, True)  # fmt: skip


def work(seconds: float, rate: float) -> dict[str, object]:
    """Publish, read back, and return what was found."""
    with EventBus(delivery_timeout=120) as bus:
        follower = Follower(bus, CHANNEL, lambda _: CHANNEL)
        publishing = Publishing(bus, EVENT, order)
        print("publishing", flush=True)
        publishing.run(seconds, rate)
        results = publishing.results()
        stored = [result.event_id for result in results if result.status.value == "PERSISTED"]
        stream = amounts(read(bus, EVENT))
        mine = set(stored)
        large = [each for each, amount in stream if amount == LARGE and each in mine]
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            channel = compare(large, amounts(read(bus, CHANNEL)))
            if not channel["missing"] or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        return {
            "published": len(results),
            "statuses": Counter(result.status.value for result in results),
            "longest_publish_seconds": round(publishing.longest_seconds, 2),
            "stream": compare(stored, stream),
            "channel": channel,
            "longest_channel_gap_seconds": round(follower.longest_gap, 2),
        }


def is_exact(found: dict[str, object]) -> bool:
    """Whether every event was stored, and is in both streams once and in order."""
    streams = (found["stream"], found["channel"])
    return found["statuses"] == {"PERSISTED": found["published"]} and all(
        isinstance(stream, dict)
        and (stream["missing"], stream["twice"], stream["in_order"]) == (0, 0, True)
        for stream in streams
    )


def main() -> int:
    """Work as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--handled", action="store_true")
    arguments = parser.parse_args()
    do, is_right = (have_handled, is_handled) if arguments.handled else (work, is_exact)
    found = do(arguments.seconds, arguments.rate)
    print(json.dumps(found), flush=True)
    return 0 if is_right(found) else 1


if __name__ == "__main__":
    sys.exit(main())
