"""Sending records: what one sender has under way through a shared producer, and its outcomes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException

from platform_events.errors import ClosedError, PlatformEventsError
from platform_events.kafka.buffer import Share
from platform_events.kafka.faults import is_rejection, kafka_error
from platform_events.kafka.health import translate
from platform_events.kafka.producer import MAX_RECORD_BYTES, RECORD_OVERHEAD, given_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import Message

    from platform_events.kafka.producer import RecordProducer

BY_KEY = -1
"""The partition that follows from the key; without one, any."""
_UNTOLD = -1
"""Offset of a stored record when a broker only says that it has it already."""
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)


class Delivery:
    """One record on its way, then its outcome. librdkafka calls it back."""

    __slots__ = (
        "append_time_ms", "cost", "error", "in_log", "offset", "outbox", "partition", "settled",
        "told_at", "troubles",
    )  # fmt: skip
    OVERHEAD = RECORD_OVERHEAD

    cost: int
    troubles: int
    partition: int
    offset: int
    append_time_ms: int
    """When the broker stored it; -1 if the topic does not say."""
    told_at: float
    """When this process was told the outcome, by `time.monotonic()`."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.settled = False
        """Whether the outcome is known. Everything below counts from then on."""
        self.in_log: bool | None = None
        """True: stored, at `partition` and `offset`. False: certainly not. None: it may be."""
        self.error: KafkaError | PlatformEventsError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report; it comes too late for what was given up."""
        outbox = self.outbox
        outbox.settled_cost += self.cost
        if self.settled:
            return
        self.told_at = time.monotonic()
        if error is None:
            self.in_log = True
            offset = message.offset()
            self.partition = message.partition()  # type: ignore[assignment]
            self.offset = _UNTOLD if offset is None else offset
            kind, time_ms = message.timestamp()
            self.append_time_ms = time_ms if kind == TIMESTAMP_LOG_APPEND_TIME else -1
        else:
            purged_by = outbox.producer.giving_up if error.code() in _PURGED else None
            self.error = purged_by or error
            if outbox.rules_out(self, error, message):
                self.in_log = False
        self.settled = True

    def refuse(self, error: PlatformEventsError) -> None:
        """Settle a record that never left this process."""
        self.in_log = False
        self.give_up(error)

    def give_up(self, error: PlatformEventsError) -> None:
        """Settle a record that nobody waits for any longer; whoever does leads."""
        self.error = error
        self.told_at = time.monotonic()
        self.settled = True


class Outbox(Share):
    """What one sender has under way through a shared producer. Thread-safe.

    Each has its part of the producer's buffer: one that is full keeps no other from sending.
    """

    def __init__(self, producer: RecordProducer) -> None:
        super().__init__()
        self.producer = producer
        self._failure: PlatformEventsError | None = None
        """Why nothing is waited for any more."""
        producer.buffer.join(self)

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[tuple[str, Any]],
        header_bytes: int,
        delivery: Delivery,
        partition: int = BY_KEY,
    ) -> None:
        """Queue a record; wait while its part of the buffer is full.

        The outcome goes to `delivery`. A value of None is a tombstone.
        """
        cost = (
            (len(value) if value else 0)
            + header_bytes
            + delivery.OVERHEAD
            + (len(key) if key else 0)
        )
        delivery.cost = cost
        producer = self.producer
        while True:
            if self.sent_cost - self.settled_cost + cost > self.limit:
                self._wait_for_room(cost)
            with producer.sending:
                client = producer.client
                if self.is_closed or client is None:
                    delivery.refuse(ClosedError("the bus was closed before this event was sent"))
                    return
                delivery.troubles = producer.health.transport_errors
                try:
                    client.produce(topic, value, key, partition, delivery, delivery, 0, headers)
                except BufferError:
                    pass
                except KafkaException as exception:
                    error = kafka_error(exception)
                    if error.code() != KafkaError._FATAL:
                        delivery.refuse(translate(error, f"publishing to {topic}", producer.health))
                        return
                else:
                    self.sent_cost += cost
                    return
            producer.serve_until(lambda: True, at_least_once=True)

    def wait_for(self, delivery: Delivery) -> None:
        """Serve deliveries, without lingering, until this one is settled."""
        if delivery.settled:
            return
        is_alone = self.under_way == delivery.cost and self.producer.buffer.is_of_one
        self.producer.serve_until(
            lambda: delivery.settled or self._failure is not None, promptly=not is_alone
        )
        if not delivery.settled:
            self._settle([delivery])

    def has_room(self) -> bool:
        """Whether the next record would be queued without waiting."""
        if not self.under_way or self.under_way + MAX_RECORD_BYTES < self.limit:
            return True
        self.producer.buffer.grant(self)
        return self.under_way + MAX_RECORD_BYTES < self.limit

    def explain(self, delivery: Delivery, doing: str) -> PlatformEventsError | None:
        """Return the typed error of a settled delivery, None if it was stored."""
        if isinstance(delivery.error, KafkaError):
            return translate(delivery.error, doing, self.producer.health)
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
            and delivery.troubles == self.producer.health.transport_errors
            and latency is not None
            and latency * 1000 < self.producer.answer_ms
        )

    def stop(self) -> None:
        """Take no more records."""
        with self.producer.sending:
            self.is_closed = True

    def close(self, timeout: float, waiting: Callable[[], Iterable[Delivery]]) -> None:
        """Take no more records; wait up to `timeout` seconds for what is under way.

        The rest is given up. The client goes on trying, for the others who use it, so nobody can
        say any more what becomes of it.

        Args:
            timeout: seconds.
            waiting: returns deliveries for which no thread waits.
        """
        self.stop()
        deadline = time.monotonic() + timeout
        self.producer.serve_until(lambda: not self.under_way or time.monotonic() >= deadline)
        if self.under_way:
            self._failure = given_up(timeout)
            self._settle(waiting())
        self.leave()

    def leave(self) -> None:
        """Take no more records, and leave the buffer to the others; doing so again does nothing."""
        self.stop()
        self.producer.buffer.leave(self)

    def _settle(self, deliveries: Iterable[Delivery]) -> None:
        assert self._failure is not None
        with self.producer.leading:
            for delivery in deliveries:
                if not delivery.settled:
                    delivery.give_up(self._failure)

    def _wait_for_room(self, cost: int) -> None:
        def is_there() -> bool:
            self.producer.buffer.grant(self)
            return self.under_way + cost <= self.limit or not self.under_way or self.is_closed

        self.producer.serve_until(is_there)
