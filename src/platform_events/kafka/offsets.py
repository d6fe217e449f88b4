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
    from collections.abc import Callable, Iterable, Sequence

    from platform_events.errors import BrokerError
    from platform_events.settings import Settings

_RETRY_SECONDS = 0.1
_PASSING = ("UNSTABLE_OFFSET_COMMIT", "STALE_MEMBER_EPOCH")
"""What is answered while transactions, or a group's members, change."""


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
        found = ask_committed(self._consumer, partitions, self._timeout, self._explain)
        return {(one.topic, one.partition): one for one in found}

    def _explain(self, exception: KafkaException) -> BrokerError:
        return translate(self._reason(exception), self._doing, self._health)

    def _reason(self, exception: KafkaException) -> KafkaError:
        """Return why a call failed: of a refusal it says only that time ran out."""
        message = self._consumer.poll(0)
        told = message.error() if message is not None else None
        is_refusal = told is not None and told.code() == KafkaError.GROUP_AUTHORIZATION_FAILED
        return told if told is not None and is_refusal else kafka_error(exception)


def ask_committed(
    consumer: Consumer,
    partitions: Iterable[tuple[str, int]],
    timeout: float,
    explain: Callable[[KafkaException], BrokerError],
) -> list[Committed]:
    """Return what a consumer's group has committed; partitions without a position are left out.

    What passes is waited for: a coordinator that moves, transactions that are about to end.

    Args:
        consumer: of the group, whether it is a member or not.
        partitions: topics and numbers.
        timeout: in seconds.
        explain: returns our error for Kafka's.

    Raises:
        BrokerError: the cluster does not say so in time.
    """
    wanted = [TopicPartition(*one) for one in partitions]
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = _ask(consumer, wanted, max(0.0, deadline - time.monotonic()))
        except KafkaException as exception:
            failure = explain(exception)
            is_passing = failure.retriable or failure.kafka_code in _PASSING
            if not is_passing or time.monotonic() > deadline:
                raise failure from exception
            time.sleep(_RETRY_SECONDS)
        else:
            return [
                Committed(one.topic, one.partition, one.offset, one.metadata or "")
                for one in found
                if one.offset >= 0
            ]


def _ask(
    consumer: Consumer, partitions: list[TopicPartition], timeout: float
) -> list[TopicPartition]:
    found = consumer.committed(partitions, timeout)
    for one in found:
        if one.error is not None:
            raise KafkaException(one.error)
    return found


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
