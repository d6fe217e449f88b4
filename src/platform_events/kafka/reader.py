"""Reading records: undecoded batches from partitions of one topic, from given offsets."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from platform_events.errors import BrokerError, BrokerTimeoutError, ClosedError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from platform_events.settings import Settings

MAX_BATCH = 500
"""Records taken from librdkafka at once; ten times as fast as one by one (measured)."""
PROMPT_FETCH_MS = 50
"""How long a fetch waits at the broker for something new, where it is wanted soon. The client has
one fetch at a time; its own 500 ms would be the delay of partitions that come meanwhile, and of the
news that an end is reached."""
LEAST_WAIT = 0.001
"""Less than that is not waited for. The client waits for whole milliseconds and cuts off the rest,
so to wait for the last one is to ask again and again (tried: it takes 0.7 ms of a core)."""
END_SLICE = 0.02
"""Seconds to wait at a time when reading to an end, which may be a marker and not a record."""
_LAST_CHANCE = 1.0
"""Seconds to answer for a cluster from which nothing came."""
PREFETCH = {
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 4 * 1024,
    "max.partition.fetch.bytes": 512 * 1024,
    "fetch.queue.backoff.ms": 2,
}
"""Bounds what waits in memory for a slow reader. Kilobytes count compressed, so there are few of
them; and a full queue is looked at again soon, not after librdkafka's second."""
BEGINNING = OFFSET_BEGINNING
"""The first offset that is there, where it is not known; to find it takes half a second."""
APPEND_TIME = TIMESTAMP_LOG_APPEND_TIME
"""The kind of a record's timestamp."""
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
    out_of_range: set[int] = field(default_factory=set)
    """Partitions whose position is not, or no longer, in the log."""
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
    return make_client(Consumer, settings, health, properties, PREFETCH | more)


class TopicReader:
    """Reads one topic from given offsets on, without a consumer group.

    One thread reads at a time; `close()` may come from any.

    Args:
        settings: which cluster.
        topic: which.
        offsets: where to begin in which partitions.
        promptly: ask more often, which costs the broker more while there is nothing new.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        offsets: Mapping[int, int],
        *,
        promptly: bool = False,
    ) -> None:
        self._topic = topic
        self.doing = f"reading topic {topic}"
        """In words, for errors."""
        self.patience = settings.request_timeout
        """Seconds of silence from the cluster after which waiting on is pointless."""
        self._health = Health(settings.bootstrap_servers)
        self._reading = threading.Lock()
        self._failure: BrokerError | None = None
        defaults = {"fetch_wait_max_ms": PROMPT_FETCH_MS} if promptly else {}
        self._consumer: Consumer | None = make_consumer(settings, self._health, **defaults)
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
            is_over = deadline - time.monotonic() < LEAST_WAIT and self._failure is None
            if batch or is_over:
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
                raise translate(kafka_error(exception), self.doing, self._health) from exception
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def raise_unreachable(self) -> NoReturn:
        """Raise the error for a cluster that cannot be reached, or does not answer.

        The client says once that all brokers are down, perhaps before what it had fetched is read.
        So it is asked.
        """
        with self._reading:
            if self._consumer is None:
                raise ClosedError(f"{self.doing}: it was closed meanwhile")
            try:
                self._consumer.list_topics(self._topic, timeout=_LAST_CHANCE)
            except KafkaException as exception:
                raise translate(kafka_error(exception), self.doing, self._health) from exception
        raise BrokerTimeoutError(f"{self.doing}: no answer in {self.patience:g} s; try again")

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
            batch.out_of_range.add(message.partition())
        elif code in TOPIC_MISSING:
            batch.topic_missing = True
        elif not is_transient(error):
            raise translate(error, self.doing, self._health)


def read_range(
    settings: Settings,
    topic: str,
    watermarks: Sequence[tuple[int, int]],
    check: Callable[[], None] = lambda: None,
    *,
    promptly: bool = False,
) -> Generator[Record, None, None]:
    """Yield every committed record of a topic between the watermarks of each partition.

    Args:
        settings: which cluster.
        topic: which.
        watermarks: the first offset and the end of each partition.
        check: is called between batches; what it raises ends the reading.
        promptly: as for a `TopicReader`.

    Raises:
        BrokerError: the topic cannot be read; its `kafka_code` is `REMOVED` if records within the
            watermarks are gone.
    """
    starts = {part: first for part, (first, end) in enumerate(watermarks) if first < end}
    left = {partition: watermarks[partition][1] for partition in starts}
    if not left:
        return
    reader = TopicReader(settings, topic, starts, promptly=promptly)
    try:
        yield from read_to(reader, left, check)
    finally:
        reader.close()


def read_to(
    reader: TopicReader, ends: Mapping[int, int], check: Callable[[], None] = lambda: None
) -> Generator[Record, None, None]:
    """Yield every committed record from where a reader is to the ends of its partitions.

    Args:
        reader: which; it can be used again afterwards.
        ends: the offset of each of its partitions at which to stop.
        check: is called between batches; what it raises ends the reading.

    Raises:
        BrokerError: as `read_range`.
    """
    left = dict(ends)
    seen = time.monotonic()
    while left:
        check()
        batch = reader.read(MAX_BATCH, END_SLICE)
        if batch.out_of_range:
            raise BrokerTimeoutError(
                f"{reader.doing}: records were removed meanwhile; try again", REMOVED
            )
        for record in batch.records:
            if record.offset() < left.get(record.partition(), 0):
                yield record
        for partition, offset in reader.positions().items():
            if offset >= left.get(partition, 0):
                left.pop(partition, None)
        if batch:
            seen = time.monotonic()
        elif time.monotonic() - seen > reader.patience:
            reader.raise_unreachable()
