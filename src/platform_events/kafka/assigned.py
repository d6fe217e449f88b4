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
_logger = logging.getLogger("platform_events")


class Assigned:
    """Partitions of one topic, from when a group gives them until it takes them away.

    Args:
        topic: which.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.numbers: set[int] = set()
        self._begun: set[int] = set()
        """Those whose records are delivered."""
        self._starts: dict[int, int] = {}
        """Those that are to be begun, and where."""

    @property
    def is_starting(self) -> bool:
        """Whether some are to be begun."""
        return bool(self._starts)

    def places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        """Return partitions as the client names them."""
        return [TopicPartition(self._topic, one) for one in partitions]

    def add(self, partitions: Iterable[int]) -> None:
        """Have these, of which nothing is delivered yet."""
        self.numbers.update(partitions)

    def select(self, positions: Mapping[int, _Position]) -> dict[int, _Position]:
        """Return what is told of those that are here."""
        return {one: positions[one] for one in self.numbers & positions.keys()}

    def begin(self, partition: int, offset: int) -> None:
        """Deliver what comes after the next `start`; one that is not here is left."""
        if partition in self.numbers:
            self._begun.discard(partition)
            self._starts[partition] = offset

    def stop(self, partitions: Iterable[int]) -> set[int]:
        """Deliver nothing of these; return those of them that are here."""
        ours = self.numbers.intersection(partitions)
        self._begun -= ours
        for partition in ours:
            self._starts.pop(partition, None)
        return ours

    def drop(self, partitions: Iterable[int]) -> None:
        """Have these no more."""
        self.numbers -= self.stop(partitions)

    def start(self, client: Consumer) -> None:
        """Have the client go where partitions are to be begun, and read on."""
        for partition, offset in list(self._starts.items()):
            place = TopicPartition(self._topic, partition, offset)
            try:
                client.seek(place)
                client.resume([place])
            except KafkaException as exception:
                # The client has yet to begin with a partition that it just got.
                _logger.debug("partition %d of topic %s: %s", partition, self._topic, exception)
                continue
            del self._starts[partition]
            self._begun.add(partition)

    def sort(self, messages: list[Any]) -> tuple[Batch, list[KafkaError]]:
        """Return what is to be delivered, and errors that are of no partition's position."""
        if not any(map(_error_of, messages)) and self._begun.issuperset(
            map(_partition_of, messages)
        ):
            return Batch(messages), []
        batch = Batch()
        others: list[KafkaError] = []
        for message in messages:
            error, partition = message.error(), message.partition()
            code = error.code() if error is not None else None
            is_begun = partition in self._begun
            if error is None:
                if is_begun:
                    batch.records.append(message)
                    batch.ends.pop(partition, None)
            elif code == KafkaError._PARTITION_EOF:
                if is_begun:
                    batch.ends[partition] = message.offset()
            elif code in OUT_OF_RANGE:
                if is_begun:
                    batch.out_of_range.add(partition)
            else:
                others.append(error)
        return batch, others
