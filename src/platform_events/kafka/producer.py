"""Sending records: one shared idempotent producer, bounded memory, one outcome for each record."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Producer

from platform_events.errors import BrokerTimeoutError, ClosedError, PlatformEventsError
from platform_events.kafka.connection import make_client, refuse_property
from platform_events.kafka.faults import is_rejection, kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from platform_events.settings import Settings

MAX_RECORD_BYTES = 1024 * 1024
"""Largest event: payload, key and headers."""
MAX_BATCH_BYTES = MAX_RECORD_BYTES + 64 * 1024
"""Largest batch; topics must take it. More than an event for what Kafka puts around it."""
ORIGIN_ROOM = 64 * 1024
"""Bytes by which a channel's batches may be larger, for the origins of its events."""
_BATCH_SLICE = 0.01
"""Seconds that one thread serves deliveries before it looks at what it waits for."""
_IDLE_SLICE = 1.0
_METADATA_INTERVAL_MS = 10_000
"""How soon added partitions are used; librdkafka's own 5 minutes would leave them empty."""
_ANSWER_MS = {"request.timeout.ms": 30_000, "socket.timeout.ms": 60_000}
"""librdkafka's defaults of the times after which it takes a batch for unanswered."""
_UNTOLD = -1
"""Offset of a stored record when a broker only says that it has it already."""
_logger = logging.getLogger("platform_events")
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class Delivery:
    """One record on its way, then its outcome. librdkafka calls it back."""

    __slots__ = (
        "append_time_ms", "cost", "error", "in_log", "offset", "partition", "producer", "settled",
        "told_at", "troubles",
    )  # fmt: skip
    OVERHEAD = 600
    """Bytes that librdkafka and we need for a record on its way besides its contents (measured)."""

    cost: int
    troubles: int
    partition: int
    offset: int
    append_time_ms: int
    """When the broker stored it; -1 if the topic does not say."""
    told_at: float
    """When this process was told the outcome, by `time.monotonic()`."""

    def __init__(self, producer: RecordProducer) -> None:
        self.producer = producer
        self.settled = False
        """Whether the outcome is known. Everything below counts from then on."""
        self.in_log: bool | None = None
        """True: stored, at `partition` and `offset`. False: certainly not. None: it may be."""
        self.error: KafkaError | PlatformEventsError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report."""
        producer = self.producer
        producer.settled_cost += self.cost
        self.told_at = time.monotonic()
        if error is None:
            self.in_log = True
            offset = message.offset()
            self.partition = message.partition()  # type: ignore[assignment]
            self.offset = _UNTOLD if offset is None else offset
            kind, time_ms = message.timestamp()
            self.append_time_ms = time_ms if kind == TIMESTAMP_LOG_APPEND_TIME else -1
        else:
            given_up = error.code() in _PURGED
            self.error = producer.giving_up if given_up and producer.giving_up else error
            if producer.rules_out(self, error, message):
                self.in_log = False
        self.settled = True

    def refuse(self, error: PlatformEventsError) -> None:
        """Settle a record that never left this process."""
        self.error = error
        self.in_log = False
        self.told_at = time.monotonic()
        self.settled = True


class RecordProducer:
    """A producer for one cluster. Thread-safe.

    Whoever waits for an outcome serves librdkafka's callbacks; one thread at a time leads, the
    others wait for it. A background thread leads when nobody waits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._health = Health(settings.bootstrap_servers)
        self._limit = settings.publish_buffer
        self._timeout_ms = settings.delivery_timeout * 1000
        self._answer_ms = _longest_answer_ms(settings)
        self._sending = threading.Lock()
        self._leading = threading.Lock()
        self._served = threading.Condition()
        self._waiting = 0
        self._sent_cost = 0
        self.settled_cost = 0
        """Cost of all records with an outcome; written by the leading thread only."""
        self.giving_up: KafkaError | PlatformEventsError | None = None
        """Why records on their way are purged: the cause, of which their reports know nothing."""
        self._closed = threading.Event()
        self._busy = threading.Event()
        self._urgent = False
        self._after_serving: Callable[[], None] = lambda: None
        protect(self)
        self._producer: Producer | None = self._connect()
        self._thread = threading.Thread(
            target=self._serve_in_background, name="platform-events-deliveries", daemon=True
        )
        self._thread.start()

    def after_serving(self, hook: Callable[[], None]) -> None:
        """Have the background thread call `hook` whenever it has served deliveries."""
        self._after_serving = hook

    def send(
        self,
        topic: str,
        value: bytes,
        key: bytes | None,
        headers: list[tuple[str, Any]],
        header_bytes: int,
        delivery: Delivery,
    ) -> None:
        """Queue a record; wait while the buffer is full. The outcome goes to `delivery`."""
        cost = len(value) + header_bytes + delivery.OVERHEAD + (len(key) if key else 0)
        delivery.cost = cost
        while True:
            if self._sent_cost - self.settled_cost + cost > self._limit:
                self._wait_for_room(cost)
            with self._sending:
                if self._closed.is_set() or self._producer is None:
                    delivery.refuse(ClosedError("the bus was closed before this event was sent"))
                    return
                delivery.troubles = self._health.transport_errors
                try:
                    self._producer.produce(topic, value, key, -1, delivery, delivery, 0, headers)
                except BufferError:
                    pass
                except KafkaException as exception:
                    error = kafka_error(exception)
                    if error.code() != KafkaError._FATAL:
                        delivery.refuse(translate(error, f"publishing to {topic}", self._health))
                        return
                else:
                    self._sent_cost += cost
                    return
            self._serve_until(lambda: True, at_least_once=True)

    def wait_for(self, delivery: Delivery) -> None:
        """Serve deliveries, without lingering, until this one is settled."""
        self._serve_until(lambda: delivery.settled)

    def serve(self) -> None:
        """Take the deliveries that are there, without waiting."""
        if self._leading.acquire(blocking=False):
            try:
                self._serve(0, linger=True)
            finally:
                self._leading.release()

    def request_background(self, *, urgent: bool) -> None:
        """Have the background thread serve what is on its way; `urgent` does not linger."""
        if urgent:
            # With the lock, so that it is not taken back as what came before is found settled.
            with self._sending:
                self._urgent = True
        self._busy.set()

    def has_room(self) -> bool:
        """Whether the next record would be queued without waiting."""
        return self._sent_cost - self.settled_cost + MAX_RECORD_BYTES < self._limit or (
            self._sent_cost == self.settled_cost
        )

    def explain(self, delivery: Delivery, doing: str) -> PlatformEventsError | None:
        """Return the typed error of a settled delivery, None if it was stored."""
        if isinstance(delivery.error, KafkaError):
            return translate(delivery.error, doing, self._health)
        return delivery.error

    def rules_out(self, delivery: Delivery, error: KafkaError, message: Message) -> bool:
        """Whether a failed delivery is certainly not in the log.

        The report alone does not say: a record that was sent, timed out, queued again and purged
        looks as if it never left. So it is certain only if no partition was ever chosen, or the
        broker said a definite no and nothing before that may have reached it unanswered.
        """
        partition = message.partition()
        if partition is None or partition < 0:
            return True
        latency = message.latency()
        return (
            is_rejection(error)
            and delivery.troubles == self._health.transport_errors
            and latency is not None
            and latency * 1000 < self._answer_ms
        )

    def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is on its way, then give the rest up."""
        with self._sending:
            if self._closed.is_set():
                return
            self._closed.set()
        deadline = time.monotonic() + timeout
        self._serve_until(
            lambda: self._sent_cost == self.settled_cost or time.monotonic() >= deadline
        )
        self._busy.set()
        self._thread.join()
        with self._leading:
            self.giving_up = BrokerTimeoutError(
                f"the bus was closed and the broker had not answered {timeout:g} s later; "
                "a longer close_timeout waits longer"
            )
            self._abandon()
            self._producer = None
        self._after_serving()

    def _connect(self) -> Producer:
        properties = {
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "compression.type": self._settings.compression,
            "linger.ms": self._settings.linger,
            "delivery.timeout.ms": int(self._timeout_ms),
            "message.max.bytes": MAX_BATCH_BYTES,
            "queue.buffering.max.kbytes": 2_097_151,
            "queue.buffering.max.messages": max(1, self._limit // Delivery.OVERHEAD),
        }
        defaults = {"topic.metadata.refresh.interval.ms": _METADATA_INTERVAL_MS}
        return make_client(Producer, self._settings, self._health, properties, defaults)

    def _wait_for_room(self, cost: int) -> None:
        self._serve_until(
            lambda: (
                self._sent_cost - self.settled_cost + cost <= self._limit
                or self._sent_cost == self.settled_cost
            )
        )

    def _serve_until(self, done: Callable[[], bool], *, at_least_once: bool = False) -> None:
        while at_least_once or not done():
            if self._leading.acquire(blocking=False):
                try:
                    self._serve(_BATCH_SLICE, linger=False)
                finally:
                    self._leading.release()
            else:
                with self._served:
                    self._waiting += 1
                    if not done():
                        self._served.wait(_BATCH_SLICE)
                    self._waiting -= 1
            at_least_once = False

    def _serve(self, timeout: float, *, linger: bool) -> None:
        """Let librdkafka call deliveries back for a moment; the caller leads."""
        if self._producer is None:
            return
        try:
            if linger:
                self._producer.poll(timeout)
            else:
                self._producer.flush(timeout)
        except KafkaException as exception:
            if not kafka_error(exception).fatal():
                raise translate(kafka_error(exception), "publishing", self._health) from exception
            self._replace(kafka_error(exception))
        if self._waiting:
            with self._served:
                self._served.notify_all()

    def _replace(self, cause: KafkaError) -> None:
        """Give up a producer that a fatal error has ended, and go on with a new one."""
        with self._sending:
            self.giving_up = cause
            self._abandon()
            self.giving_up = None
            self._producer = self._connect()

    def _abandon(self) -> None:
        producer = self._producer
        while producer is not None and len(producer):
            try:
                producer.purge(in_queue=True, in_flight=True)
                producer.poll(_BATCH_SLICE)
            except KafkaException as exception:
                if not kafka_error(exception).fatal():
                    raise

    def _serve_in_background(self) -> None:
        while not self._closed.is_set():
            self._busy.wait(_IDLE_SLICE)
            self._busy.clear()
            while not self._closed.is_set():
                if self._leading.acquire(timeout=_BATCH_SLICE):
                    try:
                        self._serve(_BATCH_SLICE, linger=not self._urgent)
                    except PlatformEventsError as error:
                        _logger.warning("%s", error)
                    finally:
                        self._leading.release()
                with self._sending:
                    idle = self._sent_cost == self.settled_cost
                    if idle:
                        self._urgent = False
                self._after_serving()
                if idle:
                    break


def _longest_answer_ms(settings: Settings) -> int:
    """Return how long a broker may take to answer a batch before it is sent again."""
    try:
        return min(int(settings.kafka.get(name, usual)) for name, usual in _ANSWER_MS.items())
    except (OverflowError, TypeError, ValueError) as error:
        raise refuse_property(error) from error
