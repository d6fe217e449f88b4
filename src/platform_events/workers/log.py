"""A journal in Kafka: followed by who owns partitions, written, and read as a whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_events.errors import (
    KafkaFaultError,
    SubscriptionConflictError,
    UnknownSubscriptionError,
)
from platform_events.kafka.ends import LogEnds
from platform_events.kafka.outbox import Delivery, Outbox
from platform_events.kafka.reader import BEGINNING, MAX_BATCH, TopicReader, read_range
from platform_events.wording import suggest
from platform_events.workers.journal import SUBSCRIPTION_KEY, PartitionJournal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from platform_events.errors import BrokerError, PlatformEventsError
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.producer import RecordProducer
    from platform_events.kafka.reader import Batch
    from platform_events.settings import Settings
    from platform_events.workers.documents import JournalRecord
    from platform_events.workers.journal import SubscriptionRecord

_LONGEST_READ = 0.05
"""Seconds of one `read` while there is much to fold."""


def _index(partition: int) -> PartitionJournal:
    return PartitionJournal(partition, has_messages=False)


class JournalReader:
    """Folds the journal's partitions that a process owns. Use it from one thread.

    Args:
        settings: which cluster.
        admin: is asked where partitions end.
        topic: the journal.
    """

    def __init__(self, settings: Settings, admin: Admin, topic: str) -> None:
        self._topic = topic
        self._journals: dict[int, PartitionJournal] = {}
        self._next: dict[int, int] = {}
        """The next offset to fold of each partition."""
        self._loading: dict[int, int | None] = {}
        """Partitions that are not loaded, and the ends they had when they were first followed."""
        self._ends = LogEnds(settings, admin, topic)
        self._reader = TopicReader(settings, topic, {}, promptly=True)
        self._changed: set[int] = set()
        """Partitions with news that are not told yet."""
        self._is_missing = False

    @property
    def failure(self) -> BrokerError | None:
        """Why partitions are not loaded, if it is not only a matter of time."""
        if self._is_missing:
            return KafkaFaultError(
                f"journal {self._topic} does not exist; starting a worker makes it again"
            )
        return self._ends.failure

    def follow(self, partitions: Iterable[int]) -> None:
        """Follow exactly these from now on: those that were followed go on, others begin."""
        wanted = set(partitions)
        if wanted == self._next.keys():
            return
        for partition in self._next.keys() - wanted:
            del self._next[partition], self._journals[partition]
            self._loading.pop(partition, None)
        new = wanted - self._next.keys()
        self._next |= dict.fromkeys(new, 0)
        self._journals |= {partition: _index(partition) for partition in new}
        self._loading |= dict.fromkeys(new)
        self._reader.seek(self._next)
        self._ends.want(one for one, end in self._loading.items() if end is None)

    def read(self) -> list[int]:
        """Fold what has come, without waiting, and return the partitions with news.

        One that has just been loaded has news, whether or not anything was in it.

        Raises:
            BrokerError: the journal cannot be read; what has come is told later.
        """
        deadline = time.monotonic() + _LONGEST_READ
        while True:
            batch = self._reader.read(MAX_BATCH, 0)
            if batch.out_of_range:
                self._begin_again()
                return []
            self._changed |= self._fold(batch)
            if len(batch.records) < MAX_BATCH or time.monotonic() > deadline:
                break
        if self._loading:
            self._changed |= self._load()
        changed, self._changed = sorted(self._changed), set()
        return changed

    def journal(self, partition: int) -> PartitionJournal:
        """Return the fold of a partition that is followed, as far as it was read."""
        return self._journals[partition]

    def is_loaded(self, partition: int) -> bool:
        """Whether all that was there when it was first followed has been folded.

        What another process has begun to write in a transaction counts: it may be in force.
        """
        return partition in self._next and partition not in self._loading

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def _fold(self, batch: Batch) -> set[int]:
        """Fold what was read, and return the partitions that it changed."""
        changed = set()
        for record in batch.records:
            partition, offset = record.partition(), record.offset()
            if offset >= self._next.get(partition, offset + 1):
                self._journals[partition].fold(record)
                self._next[partition] = offset + 1
                changed.add(partition)
        for partition, end in batch.ends.items():
            # Behind the last record there may be markers, which are none.
            if partition in self._next:
                self._next[partition] = max(self._next[partition], end)
        if batch:
            self._is_missing = batch.topic_missing
        return changed

    def _load(self) -> set[int]:
        """Return the partitions that are loaded now."""
        self._loading |= self._ends.take()
        loaded = {
            partition
            for partition, end in self._loading.items()
            if end is not None and self._next[partition] >= end
        }
        for partition in loaded:
            del self._loading[partition]
        return loaded

    def _begin_again(self) -> None:
        """Fold everything anew: the log is another one, or its beginning was cut off."""
        self._changed.clear()
        self._journals = {partition: _index(partition) for partition in self._next}
        self._loading = dict.fromkeys(self._next)
        self._reader.seek(dict.fromkeys(self._next, BEGINNING))
        self._next = dict.fromkeys(self._next, 0)
        self._ends.want(self._loading)


class JournalWriter:
    """Writes into a journal through the producer that all share. Use it from one thread.

    Args:
        producer: by which records are sent.
        topic: the journal.
    """

    def __init__(self, producer: RecordProducer, topic: str) -> None:
        self._topic = topic
        self._producer = producer
        self._outbox = Outbox(producer)
        self._waiting: list[Delivery] = []

    def write(self, partition: int, record: JournalRecord) -> Delivery:
        """Write a record; wait while the part of the producer's buffer is full.

        The outcome comes later, see `settled`. One that is not known is to be written again.
        """
        delivery = Delivery(self._outbox)
        size = sum(len(name) + len(value or b"") for name, value in record.headers)
        self._outbox.send(
            self._topic, record.value, record.key, record.headers, size, delivery, partition
        )
        self._waiting.append(delivery)
        self._producer.request_background(urgent=False)
        return delivery

    def has_room(self) -> bool:
        """Whether `write` would not wait now."""
        return self._outbox.has_room()

    def settled(self) -> list[Delivery]:
        """Return what has its outcome since the last call, in the order of writing."""
        self._producer.serve()
        done = [delivery for delivery in self._waiting if delivery.settled]
        if done:
            self._waiting = [delivery for delivery in self._waiting if not delivery.settled]
        return done

    def explain(self, delivery: Delivery) -> PlatformEventsError | None:
        """Return why a record was not written, or may not have been; None if it was."""
        return self._outbox.explain(delivery, f"writing to journal {self._topic}")

    def flush(self) -> None:
        """Wait until all is written.

        Raises:
            PlatformEventsError: something was not.
        """
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            self._outbox.wait_for(delivery)
        for delivery in waiting:
            error = self.explain(delivery)
            if error is not None:
                raise error

    def close(self, timeout: float) -> None:
        """Write no more; wait up to `timeout` seconds for what is under way."""
        self._outbox.close(timeout, lambda: self._waiting)


def load(
    settings: Settings, admin: Admin, topic: str, *, settled: bool = False
) -> list[PartitionJournal]:
    """Return the fold of each partition of a journal, as it is now.

    Args:
        settings: which cluster.
        admin: asks it.
        topic: the journal.
        settled: wait for the outcome of transactions that are under way.

    Raises:
        UnknownSubscriptionError: there is no such journal.
        BrokerError: it cannot be read.
    """
    found = admin.describe_one(topic)
    if found is None:
        name = settings.namespace.subscription_of(topic) or topic
        raise unknown_subscription(settings, admin, name)
    marks = admin.watermarks({topic: found.partitions})[topic]
    if settled:
        ends = admin.log_ends(topic, found.partitions)
        marks = [
            (first, max(stable, end)) for (first, stable), end in zip(marks, ends, strict=True)
        ]
    journals = [PartitionJournal(partition) for partition in range(found.partitions)]
    for record in read_range(settings, topic, marks, promptly=True):
        journals[record.partition()].fold(record)
    return journals


def subscription_in(name: str, journals: Sequence[PartitionJournal]) -> SubscriptionRecord:
    """Return what the subscription of a journal is.

    Raises:
        UnknownSubscriptionError: that is not written yet.
        SubscriptionConflictError: a newer version wrote it.
    """
    why = journals[0].why_unreadable(SUBSCRIPTION_KEY)
    if why:
        raise SubscriptionConflictError(name, f"subscription {name}: {why}")
    found = journals[0].subscription
    if found is None:
        raise unfinished_subscription(name)
    return found


def subscription_names(settings: Settings, admin: Admin) -> list[str]:
    """Return the names of the tenant's subscriptions, in order.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    namespace = settings.namespace
    names = map(namespace.subscription_of, admin.names(namespace.worker("")))
    return [name for name in names if name is not None]


def unknown_subscription(settings: Settings, admin: Admin, name: str) -> UnknownSubscriptionError:
    """Return the error for a subscription that is not there.

    Raises:
        BrokerError: the cluster cannot be asked for those that are.
    """
    hint = suggest(name, subscription_names(settings, admin)) or (
        "; it is made when its worker first runs, and platform-events subscriptions list shows "
        "those there are"
    )
    return UnknownSubscriptionError(name, f"there is no subscription {name}{hint}")


def unfinished_subscription(name: str) -> UnknownSubscriptionError:
    """Return the error for a subscription of which nothing is written yet."""
    return UnknownSubscriptionError(
        name, f"subscription {name} is not made completely; its worker does it when it starts"
    )
