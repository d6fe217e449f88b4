"""The offsets that a group has committed, for those who are no members of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.settings import Settings

_RETRY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's position in one partition."""

    topic: str
    partition: int
    offset: int
    """The next one to read."""
    metadata: str = ""
    """What was committed with it."""


class GroupOffsets:
    """What one group has committed. Use it in a `with`.

    Args:
        settings: which cluster.
        group: whose; this is no member of it.
        stable: wait for transactions that are about to change them.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """

    # Not the admin client: its answer to a coordinator that moves ends the process (tried,
    # librdkafka 2.16: SIGSEGV in the handling of OffsetFetch, which looks for its own group).

    def __init__(self, settings: Settings, group: str, *, stable: bool = False) -> None:
        self._doing = f"reading the positions of group {group}"
        self._timeout = settings.request_timeout
        self._health = Health(settings.bootstrap_servers)
        isolation = "read_committed" if stable else "read_uncommitted"
        properties = {"group.id": group, "isolation.level": isolation}
        self._consumer: Consumer = make_client(Consumer, settings, self._health, properties)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def token(self) -> Any:
        """Return what lets a transaction commit offsets of the group; it outlives this."""
        return self._consumer.consumer_group_metadata()

    def read(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Committed]:
        """Return the positions in these partitions of topics; those without one are left out.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                found = self._ask(partitions)
            except KafkaException as exception:
                failure = translate(self._reason(exception), self._doing, self._health)
                is_passing = failure.retriable or failure.kafka_code == "UNSTABLE_OFFSET_COMMIT"
                if not is_passing or time.monotonic() > deadline:
                    raise failure from exception
                time.sleep(_RETRY_SECONDS)
            else:
                break
        return {
            (one.topic, one.partition): Committed(
                one.topic, one.partition, one.offset, one.metadata or ""
            )
            for one in found
            if one.offset >= 0
        }

    def _ask(self, partitions: Sequence[tuple[str, int]]) -> list[TopicPartition]:
        found = self._consumer.committed(
            [TopicPartition(*one) for one in partitions], self._timeout
        )
        for one in found:
            if one.error is not None:
                raise KafkaException(one.error)
        return found

    def _reason(self, exception: KafkaException) -> KafkaError:
        """Return why a call failed: of a refusal it says only that time ran out."""
        message = self._consumer.poll(0)
        told = message.error() if message is not None else None
        is_refusal = told is not None and told.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        return told if told is not None and is_refusal else kafka_error(exception)


def read_committed(
    settings: Settings, group: str, partitions: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Committed]:
    """Return what a group has committed in these partitions; those without a position are left out.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    if not partitions:
        return {}
    with GroupOffsets(settings, group) as offsets:
        return offsets.read(partitions)
