"""What Subscribe calls take that wait: those without events, and those that nobody reads."""

from __future__ import annotations

import queue
import select
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT, SIZES
from benchmarks.runner import MeasurementError, run, started
from benchmarks.service.encoded import from_earliest, from_latest, more, topic_of
from benchmarks.service.http2 import METADATA, SERVICE, Connection
from benchmarks.service.serving import served, trusting

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.service.serving import Service

SHARED = 1_000
"""Streams on one connection."""
SECURE = 200
"""Streams with a TLS connection each."""
UNREAD = 20
"""Clients that never read, each with a connection of its own."""
_FEW = 5
"""Streams that come and go before anything is measured."""
_BODIES = SIZES[2]
"""10 kB each: a credit of 100 is more than what one response may have."""
_REQUESTS = 50
"""Requests of each client that never reads."""
_WATCHED = 10.0
"""Seconds for which memory is looked at while nobody reads."""


def hold(address: str, topic: str, connections: int, streams: int, ca: str | None) -> None:
    """Subscribe to what comes on each of some connections (runs in a worker).

    It says when each stream had its first response, and reads until it is told to end.
    """
    context = None if ca is None else trusting(ca)
    request = from_latest(topic)
    opened = [Connection(address, context) for _ in range(connections)]
    for connection in opened:
        waiting = {connection.open("Subscribe", request) for _ in range(streams)}
        while waiting:
            for call, response in connection.receive():
                if response is None:
                    raise MeasurementError("a Subscribe call has ended")
                waiting.discard(call)
    print("ready", flush=True)
    by_socket = {connection.socket: connection for connection in opened}
    while True:
        ready, _, _ = select.select([sys.stdin, *by_socket], [], [])
        if sys.stdin in ready:
            return
        for one in ready:
            for _, response in by_socket[one].receive():
                if response is None:
                    raise MeasurementError("a Subscribe call has ended")


def never_read(address: str, topic: str, clients: int) -> None:
    """Subscribe with gRPC's client, ask again and again, and read nothing (runs in a worker)."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    calls = []
    for _ in range(clients):
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        channel = grpc.insecure_channel(address, options)
        begin = channel.stream_stream(f"/{SERVICE}/Subscribe")
        requests.put(from_earliest(topic))
        for _ in range(_REQUESTS):
            requests.put(more())
        calls.append((channel, begin(iter(requests.get, None), metadata=METADATA), requests))
    print("ready", flush=True)
    sys.stdin.readline()
    for channel, call, requests in calls:
        if call.done():
            raise MeasurementError(f"a Subscribe call has ended: {call.details()}")
        requests.put(None)
        call.cancel()
        channel.close()


def _hold(service: Service, topic: str, connections: int, streams: int, *, secure: bool) -> Any:
    job: dict[str, Any] = {
        "address": service.grpc if secure else service.plaintext,
        "topic": topic,
        "connections": connections,
        "streams": streams,
        "ca": str(service.ca) if secure else None,
    }
    return started("benchmarks.service.idle:hold", job)


def measure_idle(
    bootstrap_servers: str, seconds: float, progress: Callable[[str], None]
) -> dict[str, float]:
    """Return what idle streams take: kB (10**3 bytes) each, and percent of a core together.

    Each kind has a service of its own, where a few streams have come and gone before.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    found: dict[str, float] = {}
    kinds = {"shared": (1, SHARED, False), "secure": (SECURE, 1, True)}
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        topic = topic_of(target)
        for name, (connections, streams, secure) in kinds.items():
            progress(f"service: {connections * streams:,} idle streams, {name}")
            with served(target) as service:
                few = min(_FEW, connections), min(_FEW, streams)
                with _hold(service, topic, *few, secure=secure) as warmup:
                    _end_of(warmup)
                before = service.settle().resident
                with _hold(service, topic, connections, streams, secure=secure) as load:
                    _await_ready(load)
                    after = service.settle().resident
                    if name == "shared":
                        found |= _share(service, seconds)
                    _end(load)
                found[name] = (after - before) * 1e3 / (connections * streams)
    return found


def _share(service: Service, seconds: float) -> dict[str, float]:
    start, before = time.monotonic(), service.vitals.cpu
    time.sleep(seconds)
    spent, took = service.vitals.cpu - before, time.monotonic() - start
    return {"share": spent / took * 100, "seconds": seconds}


def _await_ready(load: Any) -> None:
    if load.hear() != "ready":
        raise MeasurementError("not all streams were opened")


def _end(load: Any) -> None:
    load.tell("end")
    load.result()


def _end_of(load: Any) -> None:
    _await_ready(load)
    _end(load)


def measure_unread(
    bootstrap_servers: str, count: int, progress: Callable[[str], None]
) -> dict[str, float]:
    """Return the most MB that each client takes that never reads, of a stream of 10 kB events.

    One client has read the whole stream before, as fast as it came.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    progress(f"service: {UNREAD} clients that never read")
    with deployed(bootstrap_servers, [_BODIES]) as targets:
        target = targets[_BODIES.event]
        job = {"target": asdict(target), "rival": "bare", "flights": None, "parts": []}
        run("benchmarks.throughput:publish", job | {"count": count})
        address = {"topic": topic_of(target)}
        with served(target) as service:
            address["address"] = service.plaintext
            run("benchmarks.service.subscribing:subscribe", address | {"count": count})
            before = service.settle().resident
            job = address | {"clients": UNREAD}
            with started("benchmarks.service.idle:never_read", job) as load:
                _await_ready(load)
                most, end = 0.0, time.monotonic() + _WATCHED
                while time.monotonic() < end:
                    most = max(most, service.vitals.resident)
                    time.sleep(0.05)
                _end(load)
    return {"each": (most - before) / UNREAD, "before": before, "most": most}
