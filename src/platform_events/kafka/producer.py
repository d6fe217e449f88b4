"""One shared idempotent producer: bounded memory, who serves its deliveries, fatal errors."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from platform_events.errors import BrokerTimeoutError, PlatformEventsError
from platform_events.kafka.buffer import Buffer
from platform_events.kafka.connection import make_client, refuse_property
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.settings import Settings

MAX_RECORD_BYTES = 1024 * 1024
"""Largest event: payload, key and headers."""
MAX_BATCH_BYTES = MAX_RECORD_BYTES + 64 * 1024
"""Largest batch; topics must take it. More than an event for what Kafka puts around it."""
ORIGIN_ROOM = 64 * 1024
"""Bytes by which a channel's batches may be larger, for the origins of its events."""
RECORD_OVERHEAD = 600
"""Bytes that librdkafka and we need for a record on its way besides its contents (measured)."""
_BATCH_SLICE = 0.01
"""Seconds that one thread serves deliveries before it looks at what it waits for."""
_PROMPT_SLICE = 0.001
"""The same at first, for who waits for one outcome: a flush ends only with all that is under way,
and others may always have something there."""
_IDLE_SLICE = 1.0
_METADATA_INTERVAL_MS = 10_000
"""How soon added partitions are used; librdkafka's own 5 minutes would leave them empty."""
_MOST_MESSAGES = 2_147_483_647
"""What librdkafka can count."""
_ANSWER_MS = {"request.timeout.ms": 30_000, "socket.timeout.ms": 60_000}
"""librdkafka's defaults of the times after which it takes a batch for unanswered."""
_logger = logging.getLogger("platform_events")


class RecordProducer:
    """A producer for one cluster, shared by all `Outbox`es. Thread-safe.

    Whoever waits for an outcome serves librdkafka's callbacks; one thread at a time leads, the
    others wait for it. A background thread leads when nobody waits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout_ms = settings.delivery_timeout * 1000
        self.answer_ms = _longest_answer_ms(settings)
        """After that many milliseconds a batch was perhaps sent again."""
        self.health = Health(settings.bootstrap_servers)
        self.buffer = Buffer(settings.publish_buffer)
        self.sending = threading.Lock()
        """Held by who hands a record to `client`."""
        self.leading = threading.Lock()
        """Held by who serves deliveries: no outcome changes meanwhile but by its hand."""
        self._served = threading.Condition()
        self._waiting = 0
        self.giving_up: KafkaError | PlatformEventsError | None = None
        """Why records on their way are purged: the cause, of which their reports know nothing."""
        self._closed = threading.Event()
        self._busy = threading.Event()
        self._urgent = False
        self.pressing: set[object] = set()
        """While something is in it, nothing lingers that the background thread serves."""
        self._hooks: tuple[Callable[[], None], ...] = ()
        protect(self)
        self.client: Producer | None = self._connect()
        """None once this is closed."""
        self._thread = threading.Thread(
            target=self._serve_in_background, name="platform-events-deliveries", daemon=True
        )
        self._thread.start()

    def after_serving(self, hook: Callable[[], None]) -> None:
        """Have the background thread call `hook` as well whenever it has served deliveries."""
        with self.sending:
            self._hooks = (*self._hooks, hook)

    def forget(self, hook: Callable[[], None]) -> None:
        """Call `hook` no more."""
        with self.sending:
            self._hooks = tuple(one for one in self._hooks if one != hook)

    def serve(self) -> None:
        """Take the deliveries that are there, without waiting."""
        if self.leading.acquire(blocking=False):
            try:
                self._serve(0, linger=True)
            finally:
                self.leading.release()

    def serve_until(
        self, done: Callable[[], bool], *, at_least_once: bool = False, promptly: bool = False
    ) -> None:
        """Serve deliveries, without lingering, until `done`; `promptly` looks more often."""
        slice_ = _PROMPT_SLICE if promptly else _BATCH_SLICE
        while at_least_once or not done():
            if self.leading.acquire(blocking=False):
                try:
                    self._serve(slice_, linger=False)
                finally:
                    self.leading.release()
                slice_ = min(slice_ * 1.2, _BATCH_SLICE)
            else:
                with self._served:
                    self._waiting += 1
                    if not done():
                        self._served.wait(_BATCH_SLICE)
                    self._waiting -= 1
            at_least_once = False

    def learn_partitions(self, topic: str, wanted: int) -> None:
        """Send to all partitions of a topic that gained some; else they are known 10 s later.

        Args:
            topic: which.
            wanted: how many it has at least. A broker that has not heard of them is asked again.

        Raises:
            BrokerError: no broker knows of as many.
        """
        doing = f"asking for the partitions of topic {topic}"
        deadline = time.monotonic() + self._settings.request_timeout
        while (client := self.client) is not None:
            try:
                found = client.list_topics(topic, timeout=self._settings.request_timeout)
            except KafkaException as exception:
                raise translate(kafka_error(exception), doing, self.health) from exception
            if len(found.topics[topic].partitions) >= wanted:
                return
            if time.monotonic() >= deadline:
                raise BrokerTimeoutError(f"{doing}: it has not {wanted} yet; try again")
            time.sleep(_BATCH_SLICE)

    def request_background(self, *, urgent: bool) -> None:
        """Have the background thread serve what is on its way; `urgent` does not linger."""
        if urgent:
            # With the lock, so that it is not taken back as what came before is found settled.
            with self.sending:
                self._urgent = True
        self._busy.set()

    def close(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for what is on its way, then give the rest up."""
        with self.sending:
            if self._closed.is_set():
                return
            self._closed.set()
        deadline = time.monotonic() + timeout
        self.serve_until(lambda: self.buffer.is_settled or time.monotonic() >= deadline)
        self._busy.set()
        self._thread.join()
        with self.leading:
            self.giving_up = given_up(timeout)
            self._abandon()
            self.client = None
        self._call_hooks()

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
            "queue.buffering.max.messages": _most_records(self._settings.publish_buffer),
        }
        defaults = {"topic.metadata.refresh.interval.ms": _METADATA_INTERVAL_MS}
        return make_client(Producer, self._settings, self.health, properties, defaults)

    def _serve(self, timeout: float, *, linger: bool) -> None:
        """Let librdkafka call deliveries back for a moment; the caller leads."""
        if self.client is None:
            return
        try:
            if linger:
                self.client.poll(timeout)
            else:
                self.client.flush(timeout)
        except KafkaException as exception:
            if not kafka_error(exception).fatal():
                raise translate(kafka_error(exception), "publishing", self.health) from exception
            self._replace(kafka_error(exception))
        if self._waiting:
            with self._served:
                self._served.notify_all()

    def _replace(self, cause: KafkaError) -> None:
        """Give up a client that a fatal error has ended, and go on with a new one."""
        with self.sending:
            self.giving_up = cause
            self._abandon()
            self.giving_up = None
            self.client = self._connect()

    def _abandon(self) -> None:
        client = self.client
        while client is not None and len(client):
            try:
                client.purge(in_queue=True, in_flight=True)
                client.poll(_BATCH_SLICE)
            except KafkaException as exception:
                if not kafka_error(exception).fatal():
                    raise

    def _serve_in_background(self) -> None:
        while not self._closed.is_set():
            self._busy.wait(_IDLE_SLICE)
            self._busy.clear()
            while not self._closed.is_set():
                if self.leading.acquire(timeout=_BATCH_SLICE):
                    # Whoever waits could not lead meanwhile.
                    slice_ = _PROMPT_SLICE if self._waiting else _BATCH_SLICE
                    try:
                        self._serve(slice_, linger=not self._is_urgent)
                    except PlatformEventsError as error:
                        _logger.warning("%s", error)
                    finally:
                        self.leading.release()
                with self.sending:
                    idle = self.buffer.is_settled
                    if idle:
                        self._urgent = False
                self._call_hooks()
                if idle:
                    break

    @property
    def _is_urgent(self) -> bool:
        return bool(self._urgent or self._waiting or self.pressing)

    def _call_hooks(self) -> None:
        for hook in self._hooks:
            hook()


def given_up(timeout: float) -> BrokerTimeoutError:
    """Return the error of what is still on its way when a close has waited long enough."""
    return BrokerTimeoutError(
        f"the bus was closed and the broker had not answered {timeout:g} s later; "
        "a longer close_timeout waits longer"
    )


def _most_records(size: int) -> int:
    """Return how many records of any size may be under way: senders may have twice the buffer."""
    return min(max(1, 2 * size // RECORD_OVERHEAD), _MOST_MESSAGES)


def _longest_answer_ms(settings: Settings) -> int:
    """Return how long a broker may take to answer a batch before it is sent again."""
    try:
        return min(int(settings.kafka.get(name, usual)) for name, usual in _ANSWER_MS.items())
    except (OverflowError, TypeError, ValueError) as error:
        raise refuse_property(error) from error
