"""The commits of a group's member: one at a time, and what becomes of each partition."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.kafka.faults import kafka_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from platform_events.errors import BrokerError

Positions: TypeAlias = "Mapping[int, tuple[int, str]]"
"""Partitions, and the offset and metadata of each."""
Outcomes: TypeAlias = "dict[int, BrokerError | None]"
_OF_ONE = (KafkaError.OFFSET_METADATA_TOO_LARGE, KafkaError.INVALID_COMMIT_OFFSET_SIZE)
"""What a broker answers for one partition; the client tells it of all of a commit (tried)."""
_logger = logging.getLogger("platform_events")


class Commits:
    """What one client commits of one topic. For the thread that polls it.

    A second commit while one is under way could be told after it, and a client that always has one
    under way does not finish a rebalance.

    Args:
        topic: which.
        explain: returns our error for Kafka's.
        report: is given the outcomes of a commit, for partitions that were not dropped since.
    """

    def __init__(
        self,
        topic: str,
        explain: Callable[[KafkaError], BrokerError],
        report: Callable[[Outcomes], None],
    ) -> None:
        self._topic = topic
        self._explain = explain
        self._report = report
        self._client: Consumer | None = None
        self._sent: dict[int, tuple[int, str]] = {}
        """What the answer to the commit under way will name."""
        self._left: deque[dict[int, tuple[int, str]]] = deque()
        """What has to be sent again, one by one, because one of them was refused."""
        self._awaited: set[int] = set()
        """Partitions whose outcome is wanted."""
        self._outcomes: Outcomes = {}

    def attach(self, client: Consumer) -> None:
        """Commit with this client, of which `settle` is the `on_commit`."""
        self._client = client

    @property
    def is_busy(self) -> bool:
        """Whether a commit is under way."""
        return bool(self._sent)

    def begin(self, positions: Positions) -> None:
        """Commit these; `report` is called from within a poll.

        Raises:
            BrokerError: the client takes no commits.
        """
        try:
            self._send(positions)
        except KafkaException as exception:
            raise self._explain(kafka_error(exception)) from exception
        self._sent = dict(positions)
        self._awaited = set(positions)

    def send_last(self, positions: Positions) -> None:
        """Commit these of partitions that go; nobody is told but the log, of what is refused.

        The client lets go of partitions only when its commits are answered. To wait for the answer
        would last as long as a broker is silent: there is no time-out (tried: 40 s).
        """
        for partition, position in positions.items():
            try:
                self._send({partition: position})
            except KafkaException as exception:
                self._complain(partition, kafka_error(exception))

    def drop(self, partitions: Iterable[int]) -> None:
        """Tell nothing of these any more: they are another's."""
        self._awaited.difference_update(partitions)

    def settle(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take what the client says of a commit."""
        told = {one.partition: (one.offset, one.metadata or "") for one in partitions}
        if not self._sent or told != self._sent:
            for one in partitions:
                if (one.error or error) is not None:
                    self._complain(one.partition, one.error or error)
            return
        self._sent = {}
        reason = error or next((one.error for one in partitions if one.error is not None), None)
        if reason is not None and reason.code() in _OF_ONE and len(told) > 1:
            self._left.extend({one: position} for one, position in told.items())
        else:
            for one in partitions:
                cause = one.error or error
                self._outcomes[one.partition] = None if cause is None else self._explain(cause)
        self._go_on()

    def _go_on(self) -> None:
        while self._left:
            position = self._left.popleft()
            if self._awaited.isdisjoint(position):
                continue
            try:
                self._send(position)
            except KafkaException as exception:
                failure = self._explain(kafka_error(exception))
                self._outcomes |= dict.fromkeys(position, failure)
            else:
                self._sent = position
                return
        outcomes, self._outcomes = self._outcomes, {}
        self._report({one: outcomes[one] for one in outcomes if one in self._awaited})

    def _send(self, positions: Positions) -> None:
        places = [
            TopicPartition(self._topic, one, *position) for one, position in positions.items()
        ]
        client: Any = self._client
        client.commit(offsets=places, asynchronous=True)

    def _complain(self, partition: int, error: KafkaError | None) -> None:
        if error is not None:
            _logger.warning(
                "partition %d of topic %s goes to another, and its last position was not "
                "committed, so some of its records are read again: %s",
                partition, self._topic, self._explain(error),
            )  # fmt: skip
