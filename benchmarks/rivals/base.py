"""What every rival is given and has to give back, and the settings that all share.

A rival is two functions, `publish(target, warmup, payloads) -> Published` and
`consume(target, count) -> Consumed`, and a third one like the second where it can take events in
batches. Each measures itself, in seconds and in processor time, by these rules:

- Publishing: `warmup` is published first and is not timed. The time runs from the first publish
  call of `payloads` until every event is acknowledged by all in-sync replicas and its outcome is
  known. A rival that cannot say that an event was acknowledged raises.
- Consuming: from the first event handed over until the last of `count`. At each event the
  decoded payload, the position to read on from, and the event ID are at hand.
- Consuming in batches: the same, from the first list of up to `BATCH` events handed over.

Every rival completes each payload with `CreatedDate` and `CreatedById`, gives it a fresh UUID, and
sends the same Avro body and the same six headers, so all write the same records. By hand they are
in the bus's order, which is what readers look for first; libraries put some where they do.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.events import CREATED_BY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastavro.types import Schema

    from benchmarks.shapes import Payload

SOURCE = "benchmarks"
"""CloudEvents `source` of every event."""
LINGER_MS = 5
BATCH = 500
"""Events that are taken from a client at once, and the most in a batch."""
CONTENT_TYPE = "application/avro"
SCHEMA_ID_HEADER = "__value_schema_id"
HEADERS = frozenset(
    ("ce_specversion", "ce_id", "ce_type", "ce_source", "content-type", SCHEMA_ID_HEADER)
)

LIBRDKAFKA_PRODUCER: dict[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": LINGER_MS,
    "partitioner": "murmur2_random",
}
"""What the SDK uses too. Batch and queue limits stay at librdkafka's defaults (1 MB, 10,000 events
a batch, 100,000 events in the queue)."""
LIBRDKAFKA_CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One deployed event definition."""

    bootstrap_servers: str
    """Comma-separated `host:port`."""
    tenant: str
    """The tenant it was applied in."""
    event: str
    """Name of the event definition."""
    topic: str
    """Kafka topic of its stream."""
    partitions: int
    """Partitions of the topic."""
    key_field: str | None
    """Field whose text is the record's key; None: no key."""
    schema: Schema
    """Avro schema, with the two system fields."""
    schema_id: str
    """base64url of the 16 bytes that identify the schema."""

    @property
    def schema_guid(self) -> bytes:
        """The 16 bytes that identify the schema."""
        return base64.urlsafe_b64decode(self.schema_id + "==")

    @property
    def fixed_headers(self) -> list[tuple[str, bytes]]:
        """The headers that are the same for every event, in the bus's order; `ce_id` goes first."""
        return [
            (SCHEMA_ID_HEADER, b"\x01" + self.schema_guid),
            ("ce_type", self.event.encode()),
            ("ce_specversion", b"1.0"),
            ("ce_source", SOURCE.encode()),
            ("content-type", CONTENT_TYPE.encode()),
        ]


@dataclass(frozen=True, slots=True)
class Elapsed:
    """What something took."""

    seconds: float
    """Of the clock on the wall."""
    cpu: float
    """Seconds of processor time of this process: user and system, of all its threads."""


class Stopwatch:
    """Runs from when it is made, or started again."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin now."""
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def read(self) -> Elapsed:
        """Return what it took until now."""
        seconds = time.perf_counter() - self._began
        return Elapsed(seconds, time.process_time() - self._cpu)


@dataclass(frozen=True, slots=True)
class Published:
    """What a rival published."""

    ids: list[str]
    """Event IDs acknowledged, those of the warm-up included."""
    events: int
    """How many events were timed."""
    took: Elapsed
    """From the first timed call until the last outcome was known."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a rival consumed."""

    ids: list[str]
    """Event IDs in the order received."""
    took: Elapsed
    """From the first event until the last."""
    last: Payload
    """The last payload, decoded."""


class Publish(Protocol):
    """Publishes every payload and waits for all of them."""

    def __call__(
        self, target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]
    ) -> Published: ...


class Consume(Protocol):
    """Reads `count` events from the beginning of the stream."""

    def __call__(self, target: Target, count: int) -> Consumed: ...


class NotAcknowledgedError(Exception):
    """At least one event was not acknowledged."""


def complete(payload: Payload) -> Payload:
    """Return the payload with the two system fields that every event carries."""
    return {
        **payload,
        "CreatedDate": time.time_ns() // 1_000_000,
        "CreatedById": CREATED_BY,
    }
