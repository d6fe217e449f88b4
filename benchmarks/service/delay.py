"""From publishing to receiving through the service, at 100 events/s."""

from __future__ import annotations

import queue
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc

from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT
from benchmarks.latency import RATE, WARMUP, measure_between, summarize
from benchmarks.rivals.base import NotAcknowledgedError, Target
from benchmarks.runner import MeasurementError, run, started
from benchmarks.service.encoded import (
    CREDIT,
    failing_in_a_line,
    from_latest,
    more,
    pending,
    topic_of,
)
from benchmarks.service.http2 import METADATA, SERVICE
from benchmarks.service.publishing import encode_bodies
from benchmarks.service.serving import served

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.service.serving import Service

_TIMEOUT = 60.0
_BARE = "bare"


def publish_steadily(address: str, target: dict[str, Any], count: int) -> dict[str, int]:
    """Publish 100 events a second, each with a Publish call of its own (runs in a worker).

    Calls do not wait for each other. It says when the first few, which do not count, are published.
    Returns the start of each call on the monotonic clock, in nanoseconds, by event ID.
    """
    from platform_events.service.messages import ProducerEvent, PublishRequest, PublishResponse

    aim = Target(**target)
    ids = [str(uuid4()) for _ in range(WARMUP + count)]
    requests = [
        PublishRequest(
            topic_name=topic_of(aim),
            events=[ProducerEvent(id=event_id, schema_id=aim.schema_id, payload=body)],
        ).SerializeToString()
        for event_id, body in zip(ids, encode_bodies(aim, len(ids)), strict=True)
    ]
    starts: dict[str, int] = {}
    calls = []
    with failing_in_a_line(), grpc.insecure_channel(address) as channel:
        publish = channel.unary_unary(f"/{SERVICE}/Publish")
        for request in requests[:WARMUP]:
            publish(request, metadata=METADATA, timeout=_TIMEOUT)
        print("begun", flush=True)
        begin = time.monotonic()
        for number, request in enumerate(requests[WARMUP:]):
            time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
            starts[ids[WARMUP + number]] = time.monotonic_ns()
            calls.append(publish.future(request, metadata=METADATA, timeout=_TIMEOUT))
        for call in calls:
            (result,) = PublishResponse.FromString(call.result()).results
            if result.HasField("error"):
                raise NotAcknowledgedError(str(result.error))
    return starts


def receive(address: str, topic: str, count: int) -> list[tuple[str, int]]:
    """Receive events as they come, after saying that the end is reached (runs in a worker).

    Returns event IDs, in order, each with its arrival on the monotonic clock in nanoseconds.
    """
    from platform_events.service.messages import FetchResponse

    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    arrivals: list[tuple[str, int]] = []
    with failing_in_a_line(), grpc.insecure_channel(address) as channel:
        begin = channel.stream_stream(f"/{SERVICE}/Subscribe")
        requests.put(from_latest(topic))
        call = begin(iter(requests.get, None), metadata=METADATA)
        for number, response in enumerate(call):
            now = time.monotonic_ns()
            if not number:
                print("ready", flush=True)
            arrivals += [(one.event.id, now) for one in FetchResponse.FromString(response).events]
            if len(arrivals) >= count:
                break
            if not pending(response):
                requests.put(more(CREDIT))
        requests.put(None)
        call.cancel()
    return arrivals


def delays(target: Target, service: Service, count: int) -> list[float]:
    """Return the delay of each event in milliseconds, in the order of publishing.

    Raises:
        MeasurementError: not all came, or not once and in order.
    """
    address = {"address": service.plaintext}
    receiving = address | {"topic": topic_of(target), "count": WARMUP + count}
    with started("benchmarks.service.delay:receive", receiving) as receiver:
        if receiver.hear() != "ready":
            raise MeasurementError("the subscriber did not become ready")
        starts: dict[str, int] = run(
            "benchmarks.service.delay:publish_steadily",
            address | {"target": asdict(target), "count": count},
        )
        arrivals: list[tuple[str, int]] = receiver.result()
    # Publish calls that overlap may be stored in another order.
    if {event_id for event_id, _ in arrivals[WARMUP:]} != starts.keys() or len(arrivals) != (
        WARMUP + count
    ):
        raise MeasurementError(f"{count} events published, {len(arrivals) - WARMUP} or others came")
    return [(arrived - starts[event_id]) / 1e6 for event_id, arrived in arrivals[WARMUP:]]


def measure_delay(
    bootstrap_servers: str, count: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return median and 99th percentile in milliseconds, through the service and by hand, in turn.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    found: dict[str, list[float]] = {_BARE: [], "service": []}
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        with served(target) as service:
            for turn in range(rounds):
                progress(f"service: delay at {RATE} events/s {turn + 1}/{rounds}, by hand")
                found[_BARE] += measure_between(target, _BARE, _BARE, count, None)
                progress(f"service: delay at {RATE} events/s {turn + 1}/{rounds}, service")
                found["service"] += delays(target, service, count)
    return {name: summarize(values) for name, values in found.items()}
