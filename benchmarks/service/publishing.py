"""PublishStream beside produce by hand: the same bodies, encoded before the time begins.

- `service`: gRPC's client sends requests of 200 events, all at once, and takes their results.
- `bare`: `produce` for each body with the six headers that the bus writes, a fresh UUID among them,
  and one delivery callback that notes the offset; callbacks are served every 500 events, and in the
  end everything is flushed. The record is the same as the service's.
- `lean`: the same without any headers and UUIDs, so another record: what is left is the body.

Neither encodes payloads in that time, and the loops check none; the service checks each.
"""

from __future__ import annotations

import io
import queue
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer

from benchmarks.audit import audit_log, end_offsets
from benchmarks.deployment import deployed
from benchmarks.events import CASES, FLIGHT, Digest, digest
from benchmarks.rivals.base import (
    LIBRDKAFKA_PRODUCER,
    NotAcknowledgedError,
    Stopwatch,
    Target,
    complete,
)
from benchmarks.runner import MeasurementError, Samples, run
from benchmarks.service.encoded import failing_in_a_line, topic_of
from benchmarks.service.http2 import METADATA, SERVICE
from benchmarks.service.serving import served
from benchmarks.throughput import forget_harness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import KafkaError, Message

    from benchmarks.rivals.base import Elapsed
    from benchmarks.service.serving import Service

BATCH = 200
"""Events of one request."""
_WARMUP = 10
"""Requests, or so many events of a loop, that are sent before the time begins."""
_POLL_EVERY = 500
_TIMEOUT = 60.0
WAYS = ("bare", "lean", "service")
"""In the order of their turns."""


def encode_bodies(target: Target, count: int) -> list[bytes]:
    """Return Avro bodies with the two system fields."""
    schema = parse_schema(target.schema)
    bodies = []
    for payload in CASES[target.event].payloads(count, None):
        buffer = io.BytesIO()
        schemaless_writer(buffer, schema, complete(payload))
        bodies.append(buffer.getvalue())
    return bodies


def _figures(ids: Sequence[str], events: int, took: Elapsed) -> dict[str, Any]:
    return {
        "rate": events / took.seconds,
        "cpu": took.cpu / events * 1e6,
        "digest": asdict(digest(ids)),
    }


def publish_stream(address: str, target: dict[str, Any], count: int) -> dict[str, Any]:
    """Publish so many events with gRPC's client, those of the warm-up included (runs in a worker).

    Time runs from the first request until the last result is there; results are decoded later.
    """
    from platform_events.service.messages import ProducerEvent, PublishRequest, PublishResponse

    aim = Target(**target)
    events = [
        ProducerEvent(schema_id=aim.schema_id, payload=body) for body in encode_bodies(aim, count)
    ]
    topic = topic_of(aim)
    requests = [
        PublishRequest(topic_name=topic, events=events[at : at + BATCH]).SerializeToString()
        for at in range(0, count, BATCH)
    ]
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    forget_harness()
    with failing_in_a_line(), grpc.insecure_channel(address) as channel:
        begin = channel.stream_stream(f"/{SERVICE}/PublishStream")
        call = begin(iter(waiting.get, None), metadata=METADATA, timeout=_TIMEOUT)
        responses = []
        for request in requests[:_WARMUP]:
            waiting.put(request)
            responses.append(next(call))
        watch = Stopwatch()
        for request in requests[_WARMUP:]:
            waiting.put(request)
        responses += [next(call) for _ in requests[_WARMUP:]]
        took = watch.read()
        waiting.put(None)
    ids: list[str] = []
    last = b""
    for response in responses:
        for result in PublishResponse.FromString(response).results:
            if result.HasField("error") or result.replay_id <= last:
                raise NotAcknowledgedError(f"event {len(ids)}: {result}")
            last = result.replay_id
            ids.append(result.correlation_key)
    return _figures(ids, count - _WARMUP * BATCH, took)


def produce(target: dict[str, Any], count: int, has_headers: bool) -> dict[str, Any]:
    """Produce so many records by hand, those of the warm-up included (runs in a worker)."""
    aim = Target(**target)
    bodies = encode_bodies(aim, count)
    producer = Producer(LIBRDKAFKA_PRODUCER | {"bootstrap.servers": aim.bootstrap_servers})
    offsets: list[int] = []
    failures: list[KafkaError] = []
    ids: list[str] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            offsets.append(message.offset() or 0)
        else:
            failures.append(error)

    def send(some: Sequence[bytes]) -> None:
        fixed, topic = aim.fixed_headers, aim.topic
        for number, body in enumerate(some):
            if has_headers:
                event_id = str(uuid4())
                ids.append(event_id)
                headers = [("ce_id", event_id), *fixed]
                producer.produce(topic, body, on_delivery=report, headers=headers)
            else:
                producer.produce(topic, body, on_delivery=report)
            if number % _POLL_EVERY == 0:
                producer.poll(0)
        producer.flush(_TIMEOUT)

    forget_harness()
    warmup = _WARMUP * BATCH
    send(bodies[:warmup])
    watch = Stopwatch()
    send(bodies[warmup:])
    took = watch.read()
    if failures or offsets != list(range(offsets[0], offsets[0] + count)):
        raise NotAcknowledgedError(
            f"{len(failures)} failed, {len(offsets)} of {count} have offsets"
        )
    return _figures(ids, count - warmup, took)


class _Course:
    """The ways to publish, in turn.

    Args:
        target: where to.
        service: through which.
        count: events of each turn.
    """

    def __init__(self, target: Target, service: Service, count: int) -> None:
        self._target = target
        self._service = service
        self._count = count
        self.rates = {name: Samples() for name in WAYS}
        """Events per second."""
        self.cpu = {name: Samples() for name in WAYS}
        """Processor time of the publishing process, seconds per million events."""
        self.of_service = {"service": Samples()}
        """The same of the service."""

    def run(self, name: str) -> None:
        """Take one turn."""
        self.rates[name].record(lambda: self._measure(name))

    def _measure(self, name: str) -> float:
        target = self._target
        start = end_offsets(target)
        job: dict[str, Any] = {"target": asdict(target), "count": self._count}
        before = self._service.vitals.cpu
        if name == "service":
            job["address"] = self._service.plaintext
            found = run("benchmarks.service.publishing:publish_stream", job)
            spent = self._service.vitals.cpu - before
            self.of_service[name].values.append(spent / self._count * 1e6)
        else:
            job["has_headers"] = name == "bare"
            found = run("benchmarks.service.publishing:produce", job)
        self.cpu[name].values.append(found["cpu"])
        if name == "lean":
            # No events: only their number can be told.
            if end_offsets(target)[0] - start[0] != self._count:
                raise MeasurementError("the log has not as many records as were produced")
            return float(found["rate"])
        *_, last = CASES[target.event].payloads(self._count, None)
        claimed, in_log = Digest(**found["digest"]), audit_log(target, start, last)
        if claimed != in_log or claimed.distinct != self._count:
            raise MeasurementError(
                f"{self._count} events expected, {claimed} claimed, {in_log} found"
            )
        return float(found["rate"])


def measure_publishing(
    bootstrap_servers: str, count: int, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return what the ways reach, in turn.

    Raises:
        MeasurementError, RuntimeError: there is no service.
    """
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        with served(target) as service:
            course = _Course(target, service, count)
            for turn in range(rounds):
                for name in WAYS:
                    progress(f"service: publishing {turn + 1}/{rounds}, {name}")
                    course.run(name)
    return {
        part: {name: samples.to_json() for name, samples in getattr(course, part).items()}
        for part in ("rates", "cpu", "of_service")
    }
