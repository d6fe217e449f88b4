"""Reading records: undecoded batches from partitions of one topic, from given offsets."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.errors import BrokerError, BrokerTimeoutError, ClosedError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from platform_events.settings import Settings

MAX_BATCH = 500
"""Records taken from librdkafka at once; ten times as fast as one by one (measured)."""
END_SLICE = 0.02
"""Seconds to wait at a time when reading to an end, which may be a marker and not a record."""
_LAST_CHANCE = 1.0
"""Seconds to answer for a cluster from which nothing came."""
_PREFETCH = {
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 4 * 1024,
    "max.partition.fetch.bytes": 512 * 1024,
    "fetch.queue.backoff.ms": 2,
}
"""Bounds what waits in memory for a slow reader. Kilobytes count compressed, so there are few of
them; and a full queue is looked at again soon, not after librdkafka's second."""
OUT_OF_RANGE = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
"""What a consumer reports when its position is not, or no longer, in the log."""
REMOVED = "OFFSET_OUT_OF_RANGE"
TOPIC_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
)
"""What a consumer reports when there is no such topic."""
_PASSING = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    # The client asks for its group's coordinator, although no group is used here.
    KafkaError.GROUP_AUTHORIZATION_FAILED,
)


class Record(Protocol):
    """One record as the client library gives it: undecoded."""

    def topic(self) -> str:
        """Return the topic's name."""

    def partition(self) -> int:
        """Return the partition's number."""

    def offset(self) -> int:
        """Return the position in the partition."""

    def key(self) -> bytes | None:
        """Return the key."""

    def value(self) -> bytes | None:
        """Return the body; None is a tombstone."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers in order; None when there are none."""

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the timestamp, and ms since the epoch."""


@dataclass(slots=True)
class Batch:
    """Records in the order of each partition, and what was noticed between them."""

    records: list[Record] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """Partitions with nothing more to read after these records, and the offset of the end."""
    out_of_range: bool = False
    """Whether a position is not, or no longer, in the log."""
    topic_missing: bool = False
    """Whether a broker said that there is no such topic."""

    def __bool__(self) -> bool:
        return bool(self.records or self.ends or self.out_of_range or self.topic_missing)


def is_transient(error: KafkaError) -> bool:
    """Whether a consumer goes on by itself after this error."""
    return error.retriable() or error.code() in _PASSING


def readers_group(settings: Settings) -> str:
    """Return the group that consumers name and never join, because Kafka's client demands one."""
    return f"{settings.prefix}.reader"


def make_consumer(settings: Settings, health: Health, **defaults: Any) -> Consumer:
    """Return a consumer of committed records that belongs to no group.

    Args:
        settings: which cluster.
        health: is told the client's errors.
        defaults: more properties that the user's replace, with underscores for dots.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """
    properties: Mapping[str, Any] = {
        "group.id": readers_group(settings),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "max.poll.interval.ms": 86_400_000,
    }
    more = {name.replace("_", "."): value for name, value in defaults.items()}
    return make_client(Consumer, settings, health, properties, _PREFETCH | more)


class TopicReader:
    """Reads one topic from given offsets on, without a consumer group.

    One thread reads at a time; `close()` may come from any.
    """

    def __init__(self, settings: Settings, topic: str, offsets: Mapping[int, int]) -> None:
        self._topic = topic
        self._doing = f"reading topic {topic}"
        self._timeout = settings.request_timeout
        self._health = Health(settings.bootstrap_servers)
        self._reading = threading.Lock()
        self._failure: BrokerError | None = None
        self._consumer: Consumer | None = make_consumer(settings, self._health)
        protect(self)
        self.seek(offsets)

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Go on at these offsets of these partitions."""
        if self._consumer is not None:
            self._consumer.assign([TopicPartition(self._topic, *one) for one in offsets.items()])

    def read(self, limit: int, timeout: float) -> Batch:
        """Return up to `limit` records; wait up to `timeout` seconds for the first.

        Raises:
            BrokerError: the broker does not let us read, or another lasting failure.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            with self._reading:
                if self._consumer is None:
                    return Batch()
                messages = self._consume(self._consumer, limit, deadline - time.monotonic())
            batch = self._sort(messages)
            if batch or (time.monotonic() >= deadline and self._failure is None):
                return batch

    def _consume(self, consumer: Consumer, limit: int, timeout: float) -> list[Any]:
        try:
            messages = consumer.consume(1, max(0.0, timeout))
            if messages and limit > 1:
                messages += consumer.consume(min(limit, MAX_BATCH) - 1, 0)
        except SystemError as error:
            # The client loses what is raised while one of its callbacks runs: Ctrl-C.
            raise KeyboardInterrupt from error
        return messages

    def positions(self) -> dict[int, int]:
        """Return the next offset of each partition that was read from.

        Unlike the offsets of records it crosses transaction markers, which may be all that is left
        before an end. The partition's own end is told half a second later.
        """
        with self._reading:
            if self._consumer is None:
                return {}
            try:
                found = self._consumer.position(self._consumer.assignment())
            except KafkaException as exception:
                raise translate(kafka_error(exception), self._doing, self._health) from exception
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def raise_unreachable(self) -> NoReturn:
        """Raise the error for a cluster that cannot be reached, or does not answer.

        The client says once that all brokers are down, perhaps before what it had fetched is read.
        So it is asked.
        """
        with self._reading:
            if self._consumer is None:
                raise ClosedError(f"{self._doing}: it was closed meanwhile")
            try:
                self._consumer.list_topics(self._topic, timeout=_LAST_CHANCE)
            except KafkaException as exception:
                raise translate(kafka_error(exception), self._doing, self._health) from exception
        raise BrokerTimeoutError(f"{self._doing}: no answer in {self._timeout:g} s; try again")

    def close(self) -> None:
        """Stop reading. A read under way ends first."""
        with self._reading:
            consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _sort(self, messages: list[Any]) -> Batch:
        faults = [message for message in messages if message.error() is not None]
        if not faults:
            if messages:
                self._health.recover()
            return Batch(messages)
        batch = Batch()
        for message in messages:
            error = message.error()
            if error is None:
                self._health.recover()
                batch.records.append(message)
                batch.ends.pop(message.partition(), None)
            else:
                try:
                    self._note(error, message, batch)
                except BrokerError as failure:
                    # The records beside it come first.
                    self._failure = failure
        return batch

    def _note(self, error: KafkaError, message: Any, batch: Batch) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._health.recover()
            batch.ends[message.partition()] = message.offset()
        elif code in OUT_OF_RANGE:
            batch.out_of_range = True
        elif code in TOPIC_MISSING:
            batch.topic_missing = True
        elif not is_transient(error):
            raise translate(error, self._doing, self._health)


def read_range(
    settings: Settings,
    topic: str,
    watermarks: Sequence[tuple[int, int]],
    check: Callable[[], None] = lambda: None,
) -> Iterator[Record]:
    """Yield every committed record of a topic between the watermarks of each partition.

    Args:
        settings: which cluster.
        topic: which.
        watermarks: the first offset and the end of each partition.
        check: is called between batches; what it raises ends the reading.

    Raises:
        BrokerError: the topic cannot be read; its `kafka_code` is `REMOVED` if records within the
            watermarks are gone.
    """
    starts = {part: first for part, (first, end) in enumerate(watermarks) if first < end}
    left = {partition: watermarks[partition][1] for partition in starts}
    if not left:
        return
    reader = TopicReader(settings, topic, starts)
    seen = time.monotonic()
    try:
        while left:
            check()
            batch = reader.read(MAX_BATCH, END_SLICE)
            if batch.out_of_range:
                raise BrokerTimeoutError(
                    f"reading topic {topic}: records were removed meanwhile; try again", REMOVED
                )
            for record in batch.records:
                if record.offset() < left.get(record.partition(), 0):
                    yield record
            for partition, offset in reader.positions().items():
                if offset >= left.get(partition, 0):
                    left.pop(partition, None)
            if batch:
                seen = time.monotonic()
            elif time.monotonic() - seen > settings.request_timeout:
                reader.raise_unreachable()
    finally:
        reader.close()
