"""The partitions that a member of a group has, and which of their records are delivered."""

from __future__ import annotations

import logging
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.kafka.reader import OUT_OF_RANGE, Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Position = TypeVar("_Position")
_error_of = methodcaller("error")
_partition_of = methodcaller("partition")
_offset_of = methodcaller("offset")
_logger = logging.getLogger("platform_events")


class Assigned:
    """Partitions of one topic, from when a group gives them until it takes them away.

    Args:
        topic: which.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.numbers: set[int] = set()
        self._fetched: set[int] = set()
        """Those that the client has begun to fetch, whether it is paused or not."""
        self._begun: dict[int, int] = {}
        """Those whose records are delivered, and the offset before the next."""
        self._starts: dict[int, int] = {}
        """Those that are to be begun, and where."""

    def add(self, partitions: Iterable[int]) -> None:
        """Have these, of which nothing is delivered yet."""
        self.numbers.update(partitions)

    def select(self, positions: Mapping[int, _Position]) -> dict[int, _Position]:
        """Return what is told of those that are here."""
        return {one: positions[one] for one in self.numbers & positions.keys()}

    def begin(self, partition: int, offset: int) -> None:
        """Deliver what comes after the next `start`; one that is not here is left."""
        if partition in self.numbers:
            self._begun.pop(partition, None)
            self._starts[partition] = offset

    def stop(self, partitions: Iterable[int]) -> None:
        """Deliver nothing of these."""
        for partition in partitions:
            self._begun.pop(partition, None)
            self._starts.pop(partition, None)

    def drop(self, partitions: Iterable[int]) -> None:
        """Have these no more."""
        self.stop(partitions)
        self.numbers.difference_update(partitions)
        self._fetched.difference_update(partitions)

    def fetched(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """Return those of these that the client fetches, as it names them."""
        return [TopicPartition(self._topic, one) for one in self._fetched.intersection(partitions)]

    def start(self, client: Consumer) -> None:
        """Have the client read where partitions are to be begun."""
        for partition, offset in self._starts.items():
            place = TopicPartition(self._topic, partition, offset)
            self._go(client, place)
            client.resume([place])
            self._fetched.add(partition)
            self._begun[partition] = offset - 1
        self._starts.clear()

    def _go(self, client: Consumer, place: TopicPartition) -> None:
        # Not by assigning somewhere and seeking then: a seek does not last while the client looks
        # for an offset, and where it has found none it refuses every further one (both tried).
        if place.partition in self._fetched:
            try:
                client.seek(place)
            except KafkaException as exception:
                _logger.debug("partition %d of %s: %s", place.partition, self._topic, exception)
                client.incremental_unassign([place])
            else:
                return
        client.incremental_assign([place])

    def sort(self, messages: list[Any]) -> tuple[Batch, list[KafkaError]]:
        """Return what is to be delivered, and errors that are of no partition's position."""
        if not any(map(_error_of, messages)):
            last = dict(zip(map(_partition_of, messages), map(_offset_of, messages), strict=True))
            if self._begun.keys() >= last.keys():
                self._begun |= last
                return Batch(messages), []
        batch = Batch()
        others: list[KafkaError] = []
        for message in messages:
            error, partition = message.error(), message.partition()
            is_begun = partition in self._begun
            if error is None:
                if is_begun:
                    batch.records.append(message)
                    batch.ends.pop(partition, None)
                    self._begun[partition] = message.offset()
            elif error.code() == KafkaError._PARTITION_EOF:
                if is_begun:
                    batch.ends[partition] = message.offset()
            elif error.code() in OUT_OF_RANGE:
                if is_begun:
                    self._miss(partition, message.offset(), batch)
            else:
                others.append(error)
        return batch, others

    def _miss(self, partition: int, offset: int, batch: Batch) -> None:
        """Take that an offset is not in the log.

        The client may have asked for it before it was told to go elsewhere, and stops fetching all
        the same (tried: 5 % of what was begun right after an offset that was not there).
        """
        wanted = self._begun[partition] + 1
        if offset == wanted:
            batch.out_of_range.add(partition)
        else:
            self.begin(partition, wanted)
