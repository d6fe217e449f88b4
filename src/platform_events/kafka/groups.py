"""Sharing partitions among processes: who leads which, and what each says about it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.errors import KafkaFaultError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate
from platform_events.kafka.reader import OUT_OF_RANGE, TOPIC_MISSING, is_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from platform_events.errors import BrokerError
    from platform_events.settings import Settings

Protocol: TypeAlias = Literal["consumer", "classic"]
"""How a group agrees on who has what. `consumer` is KIP-848: each partition moves by itself. In the
older one all members stand still until every change is over."""
SESSION_MS = 6_000
"""A member that is silent for that long is dead. Groups of the newer protocol take 45 s, unless
the group or the broker is set otherwise."""
HEARTBEAT_MS = 1_000
"""How often a member says that it is alive."""
METADATA_INTERVAL_MS = 5_000
"""How often a member looks for topics and partitions that came or went."""
_NO_MEMBER = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._STATE,
)
"""What a broker answers to who is no member, or is while partitions change hands."""
_logger = logging.getLogger("platform_events")


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One process of a group."""

    client_id: str
    host: str
    partitions: frozenset[tuple[str, int]]
    """Topics and partitions that it has."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its coordinator describes it."""

    members: tuple[GroupMember, ...] = ()
    protocol: str | None = None
    """By which they share partitions: `classic` or `consumer`; None without members."""


def member_properties(group: str, protocol: Protocol) -> dict[str, Any]:
    """Return what a client has to be that takes part in a group and commits by itself."""
    properties: dict[str, Any] = {
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
    }
    if protocol == "classic":
        properties |= {
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "partition.assignment.strategy": "cooperative-sticky",
        }
    return properties


def leave(consumer: Consumer) -> None:
    """End a client that takes part in a group, so that the group does not wait for it.

    Closed at once, one without partitions says nothing to a group of the older protocol, and every
    rebalance would wait for the end of its session (tried: 5 s).
    """
    with suppress(KafkaException):
        consumer.unsubscribe()
    consumer.close()


class Leadership:
    """This process's part in sharing the partitions of some topics. Nothing is read from them.

    `poll` calls back, in its thread, when partitions come and go: a partition that goes is
    another's only after the callback has returned.

    Args:
        settings: which cluster.
        group: whose members share.
        client_id: by which others know this process.
        on_assigned: is given the partitions that this process has from now on.
        on_revoked: is given the partitions that it has no more.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        client_id: str,
        on_assigned: Callable[[list[tuple[str, int]]], None],
        on_revoked: Callable[[list[tuple[str, int]]], None],
    ) -> None:
        self._doing = f"sharing channels in group {group}"
        self._health = Health(settings.bootstrap_servers)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self.is_member = False
        """Whether this process takes part in what its group shares, by all it knows."""
        self.failure: BrokerError | None = None
        """Why the group does not take this process, if it refuses; None once it is a member."""
        self._topics: frozenset[str] = frozenset()
        self._owned: set[tuple[str, int]] = set()
        self.missing: dict[str, BrokerError] = {}
        """Topics that are to be shared and are not there, or not for this process."""
        properties = member_properties(group, "classic")
        defaults = {
            "client.id": client_id,
            "topic.metadata.refresh.interval.ms": METADATA_INTERVAL_MS,
        }
        self._consumer = make_client(Consumer, settings, self._health, properties, defaults)
        protect(self)

    def share(self, topics: Iterable[str]) -> None:
        """Share the partitions of exactly these topics."""
        wanted = frozenset(topics)
        if wanted == self._topics:
            return
        self._topics = wanted
        if wanted:
            self._consumer.subscribe(
                sorted(wanted), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
            )
        else:
            self._consumer.unsubscribe()
            self.is_member, self.failure = False, None
        for topic in self.missing.keys() - wanted:
            del self.missing[topic]

    def poll(self, timeout: float) -> None:
        """Take part for up to `timeout` seconds.

        Raises:
            BrokerError: the cluster does not let this process take part.
        """
        try:
            message = self._consumer.poll(timeout)
        except KafkaException as exception:
            raise translate(kafka_error(exception), self._doing, self._health) from exception
        if message is None:
            return
        error = message.error()
        if error is None:
            # A record that was fetched before its partition was paused.
            return
        if error.code() in TOPIC_MISSING:
            topic = message.topic() or ""
            gone = f"channel topic {topic} does not exist; platform-events apply makes it again"
            self._miss(topic, KafkaFaultError(gone, error.name()))
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED and message.topic():
            doing = f"sharing channel topic {message.topic()}"
            self._miss(str(message.topic()), translate(error, doing, self._health))
        elif error.code() in OUT_OF_RANGE:
            # What is in the log does not matter: nothing is read.
            return
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self.failure = translate(error, self._doing, self._health)
            raise self.failure
        elif not is_transient(error):
            raise translate(error, self._doing, self._health)

    def declare(self, statements: Mapping[tuple[str, int], str]) -> set[tuple[str, int]]:
        """Say something about partitions that this process has; others read it.

        Call it from the thread that polls: it would wait for ever for a rebalance to end.

        Returns:
            Those that it still has: the group knows this process, and took nothing away.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        ours = self._owned & statements.keys()
        if not ours:
            return set()
        positions = [TopicPartition(*key, 0, statements[key]) for key in ours]
        try:
            outcomes = self._consumer.commit(offsets=positions, asynchronous=False)
        except KafkaException as exception:
            error = kafka_error(exception)
            if error.code() in _NO_MEMBER:
                return set()
            if error.code() in TOPIC_MISSING:
                # One that is gone must not silence the others.
                others = [self.declare({key: statements[key]}) for key in ours if len(ours) > 1]
                return set().union(*others)
            raise translate(error, self._doing, self._health) from exception
        self.failure = None
        return {(one.topic, one.partition) for one in outcomes or () if one.error is None}

    def close(self) -> None:
        """Leave, so that others take over at once; what this process has is lost first."""
        leave(self._consumer)

    def _assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        # From the beginning, where nothing is looked for, and paused before anything is fetched.
        for one in partitions:
            one.offset = 0
        self._consumer.incremental_assign(partitions)
        self._consumer.pause(partitions)
        self.is_member, self.failure = True, None
        assigned = [(one.topic, one.partition) for one in partitions]
        self._owned.update(assigned)
        for topic, _number in assigned:
            self.missing.pop(topic, None)
        self._on_assigned(assigned)

    def _miss(self, topic: str, error: BrokerError) -> None:
        """Log why a topic cannot be shared, once while it lasts."""
        if topic not in self.missing:
            _logger.warning("%s", error)
        self.missing[topic] = error

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.is_member = False
        self._revoke(consumer, partitions)

    def _revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        lost = [(one.topic, one.partition) for one in partitions]
        self._owned.difference_update(lost)
        self._on_revoked(lost)
        try:
            self._consumer.incremental_unassign(partitions)
        except KafkaException as exception:
            # After a loss the client has taken them away already.
            _logger.debug("%s", exception)
