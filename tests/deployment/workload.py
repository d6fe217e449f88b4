"""Publishes orders at a steady rate, reads them back, and says what became of each.

    python workload.py --seconds 40 --rate 50

It needs the package and the definitions of `schemas/`, and nothing else of this repository: it runs
beside containers as well as in the image. The last line is one JSON document; the exit status is 1
if an event was not stored, or is missing or twice in a stream.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from uuid import uuid4

from platform_events import ClosedError, EventBus, PlatformEventsError, PublishResult, Start

EVENT = "Order_Placed__e"
CHANNEL = "Large_Orders__chn"
SMALL, LARGE = 50.0, 150.0
"""Amounts on both sides of the channel's filter."""
_SETTLE_SECONDS = 90.0
"""How long the channel may take to have everything, once all is published."""


class Follower:
    """Follows the channel beside the publisher, and knows the longest time without an event."""

    def __init__(self, bus: EventBus) -> None:
        self._events = bus.subscribe(CHANNEL, Start.LATEST)
        self.longest_gap = 0.0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        last = time.monotonic()
        with suppress(ClosedError):
            for _ in self._events:
                now = time.monotonic()
                self.longest_gap = max(self.longest_gap, now - last)
                last = now


class Publishing:
    """What was published, and how long each event took."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._results: list[Future[PublishResult]] = []
        self.longest_seconds = 0.0

    def run(self, seconds: float, rate: float) -> None:
        run = uuid4().hex[:8]
        begin = time.monotonic()
        for number in range(round(seconds * rate)):
            time.sleep(max(begin + number / rate - time.monotonic(), 0))
            amount = LARGE if number % 2 else SMALL
            self._submit({"order_id": f"{run}-{number}", "amount": amount})

    def _submit(self, payload: dict[str, object]) -> None:
        begin = time.monotonic()

        def measure(_: Future[PublishResult]) -> None:
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - begin)

        future = self._bus.submit(EVENT, payload)
        future.add_done_callback(measure)
        self._results.append(future)

    def results(self) -> list[PublishResult]:
        return [future.result() for future in self._results]


def read(bus: EventBus, stream: str) -> list[tuple[str, float]]:
    """Return ID and amount of the events that a stream has now, as soon as Kafka gives them."""
    while True:
        try:
            with bus.subscribe(stream, Start.EARLIEST, follow=False) as events:
                return [(event.event_id, event.payload["amount"]) for event in events]
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


def work(seconds: float, rate: float) -> dict[str, object]:
    """Publish, read back, and return what was found."""
    with EventBus(delivery_timeout=120) as bus:
        follower = Follower(bus)
        publishing = Publishing(bus)
        print("publishing", flush=True)
        publishing.run(seconds, rate)
        results = publishing.results()
        stored = [result.event_id for result in results if result.status.value == "PERSISTED"]
        stream = read(bus, EVENT)
        mine = set(stored)
        large = [each for each, amount in stream if amount == LARGE and each in mine]
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            channel = compare(large, read(bus, CHANNEL))
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
    arguments = parser.parse_args()
    found = work(arguments.seconds, arguments.rate)
    print(json.dumps(found), flush=True)
    return 0 if is_exact(found) else 1


if __name__ == "__main__":
    sys.exit(main())
