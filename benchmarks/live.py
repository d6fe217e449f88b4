"""One live subscriber, beside one that has a reader of its own.

For throughput, events come in bursts of one transaction each: a burst becomes visible at once, and
while it is read nobody publishes. So the rate is the subscriber's and not the publisher's, which
would take a core. Three ways read the same kind of bursts, each in a fresh process:

- `live`: a subscription that follows, and waits for the burst;
- `own`: a subscription that does not follow, made after the burst for it alone, and therefore reads
  with a reader of its own; the same decoding, so that what differs is how records arrive;
- `raw`: a consumer by hand that waits for the burst and decodes nothing: what is left of the time.

Time runs from the first event of a burst until its last.
"""

from __future__ import annotations

import statistics
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import KafkaException, Producer

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT
from benchmarks.latency import measure_delays
from benchmarks.rivals import bare, sdk
from benchmarks.rivals.base import LIBRDKAFKA_PRODUCER, Elapsed, Stopwatch, Target
from benchmarks.rivals.table import RIVALS
from benchmarks.rows import Rows
from benchmarks.runner import MeasurementError, Turns, run
from platform_events import Start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_events import Event, ReplayId

    Burst = tuple[list[str], Elapsed]
    """Event IDs in order, and what reading them took."""

BURST = 10_000
"""Events of a burst: fewer than wait for a live subscriber before it is taken for slow."""
_WAYS = {
    "live": "platform-events, live",
    "own": "platform-events, a reader of its own",
    "raw": "confluent-kafka by hand, nothing decoded",
}
_TIMEOUT = 30.0


def read_bursts(target: dict[str, Any], way: str, bursts: int) -> dict[str, float]:
    """Publish bursts and read each; return medians (runs in a worker). The first does not count.

    Returns events per second, and seconds of processor time per million events.
    """
    aim = Target(**target)
    payloads = list(FLIGHT.payloads(BURST, None))
    found: list[Elapsed] = []
    producer = Producer(
        LIBRDKAFKA_PRODUCER
        | {"bootstrap.servers": aim.bootstrap_servers, "transactional.id": f"bursts-{uuid4()}"}
    )
    producer.init_transactions(_TIMEOUT)
    publisher = bare.BarePublisher(aim, producer)
    with _READERS[way](aim) as read:
        for _ in range(bursts + 1):
            producer.begin_transaction()
            ids = publisher.send_all(payloads)
            producer.commit_transaction(_TIMEOUT)
            received, took = read()
            if received != ids:
                raise MeasurementError(f"{way}: {len(received)} events, or not those published")
            found.append(took)
    return {
        "rate": statistics.median(BURST / took.seconds for took in found[1:]),
        "cpu": statistics.median(took.cpu / BURST * 1e6 for took in found[1:]),
    }


@contextmanager
def _live(target: Target) -> Iterator[Callable[[], Burst]]:
    with sdk.open_bus(target) as bus, bus.subscribe(target.event, Start.LATEST) as subscription:
        events = iter(subscription)
        yield lambda: _take(events)[0]


@contextmanager
def _own(target: Target) -> Iterator[Callable[[], Burst]]:
    with sdk.open_bus(target) as bus:
        with bus.subscribe(target.event, Start.LATEST) as subscription:
            position: ReplayId = subscription.position

        def read() -> Burst:
            nonlocal position
            with bus.subscribe(target.event, position, follow=False) as subscription:
                burst, position = _take(iter(subscription))
            return burst

        yield read


def _take(events: Iterator[Event[dict[str, Any]]]) -> tuple[Burst, ReplayId]:
    ids: list[str] = []
    position: ReplayId | None = None
    watch = Stopwatch()
    for event in islice(events, BURST):
        if not ids:
            watch.start()
        if event.payload:
            ids.append(event.event_id)
        position = event.replay_id
    took = watch.read()
    assert position is not None
    return (ids, took), position


@contextmanager
def _raw(target: Target) -> Iterator[Callable[[], Burst]]:
    with bare.reading(target, at_end=True) as consumer:

        def read() -> Burst:
            ids: list[str] = []
            watch = Stopwatch()
            for messages in bare.fetch(consumer, BURST):
                if not ids:
                    watch.start()
                for message in messages:
                    if message.error():
                        raise KafkaException(message.error())
                    if message.value():
                        headers = message.headers()
                        name, event_id = headers[0]
                        if name != "ce_id":
                            event_id = dict(headers)["ce_id"]
                        ids.append(event_id.decode())
            return ids, watch.read()

        yield read


_READERS = {"live": _live, "own": _own, "raw": _raw}


def measure_live(
    bootstrap_servers: str,
    bursts: int,
    rounds: int,
    delays: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Return delays and rates of one live subscriber and of what it is compared with.

    Args:
        bootstrap_servers: a running broker.
        bursts: in each process.
        rounds: processes of each way, in turn.
        delays: events whose delay is taken, in each round.
        progress: called with a line about what comes next.
    """
    turns = {way: Turns() for way in _WAYS}
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        # Published by hand for both, so that they differ in receiving alone.
        found = measure_delays(target, delays, rounds, None, progress, publisher="bare")
        audit_layout(target)
        for turn in range(rounds):
            for way, label in _WAYS.items():
                progress(f"bursts {turn + 1}/{rounds}, {label}")
                turns[way].record(lambda: _measure(target, way, bursts))  # noqa: B023
    return {
        "delay": found,
        "bursts": {
            way: {"rate": each.figure.to_json(), "cpu": each.cpu.to_json()}
            for way, each in turns.items()
        },
    }


def _measure(target: Target, way: str, bursts: int) -> tuple[float, float]:
    job = {"target": asdict(target), "way": way, "bursts": bursts}
    found = run("benchmarks.live:read_bursts", job)
    return found["rate"], found["cpu"]


def live_rows(live: dict[str, Any]) -> Rows:
    """Return the figures of one live subscriber."""
    body = [
        (
            f"delay, 100 events/s: {RIVALS[name].label}",
            f"{found['median']:.2f} ms",
            f"99 %: {found['p99']:.2f} ms",
            "",
        )
        for name, found in live["delay"].items()
    ]
    for way, label in _WAYS.items():
        rate, cpu = live["bursts"][way]["rate"], live["bursts"][way]["cpu"]
        is_whole = rate["median"] is not None
        values = rate["values"]
        body.append(
            (
                f"bursts of {BURST:,}: {label}",
                f"{rate['median']:,.0f} events/s" if is_whole else "failed",
                f"{min(values):,.0f} to {max(values):,.0f}" if values else "",
                f"{cpu['median']:.1f}" if is_whole else "",
            )
        )
    head = ("what", "median", "lowest to highest", "CPU (s per million)")
    return Rows("One live subscriber", head, body)
