"""One client's part in the group that shares a topic, until it is closed or fails for good."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.groups import SESSION_MS
from platform_events.kafka.reader import MAX_BATCH, PREFETCH

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from platform_events.kafka.health import Health
    from platform_events.settings import Settings

_CONFIG: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    # A member that does not read for that long loses what it has; the others wait for it so long.
    "max.poll.interval.ms": 300_000,
}
_CONFIGS_OF_PROTOCOLS: dict[str, dict[str, Any]] = {
    "consumer": {"group.protocol": "consumer"},
    "classic": {
        "group.protocol": "classic",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": 1_000,
        "partition.assignment.strategy": "cooperative-sticky",
    },
}
_FETCH_WAIT_MS = 20
"""How long a fetch waits at the broker when nothing is new. A partition that is begun is in the
next fetch only, so that is what its first record waits for others that are quiet."""
_REQUEST_SECONDS = 5.0, 60.0
"""The shortest and longest time that a request may take; what comes after it waits so long."""
_FATAL = (
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.GROUP_MAX_SIZE_REACHED,
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.INVALID_REQUEST,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,
)
"""Why a client may fail for good. It tells only their text."""
_GENERATION = slice(7, 11)
"""Where a group's metadata, as a client writes it down, has the generation of its membership."""
_logger = logging.getLogger("platform_events")


@dataclass(frozen=True, slots=True)
class Place:
    """What is shared, and by whom."""

    topic: str
    group: str
    client_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What is called, in the thread that consumes, with numbers of partitions."""

    on_assigned: Callable[[list[int]], None]
    """They are this client's, and nothing is read of them yet."""
    on_revoked: Callable[[list[int]], None]
    """They are another's when this returns."""
    on_lost: Callable[[list[int]], None]
    """They may be another's already."""
    on_committed: Callable[[dict[int, KafkaError | None]], None]
    """So a commit ended."""


class Seat:
    """One client that takes part in a group.

    Args:
        settings: which cluster.
        health: is told the client's errors.
        place: what it takes part in.
        protocol: `consumer` or `classic`.
        callbacks: what it calls, until it is closed.
        raised: takes what they raise.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """

    def __init__(
        self,
        settings: Settings,
        health: Health,
        place: Place,
        protocol: str,
        callbacks: Callbacks,
        raised: deque[BaseException],
    ) -> None:
        self._topic = place.topic
        self._callbacks = callbacks
        self._raised = raised
        self._is_open = True
        properties: dict[str, Any] = {
            **_CONFIG,
            **_CONFIGS_OF_PROTOCOLS[protocol],
            "group.id": place.group,
            "on_commit": self._settle,
        }
        if place.instance_id is not None:
            properties["group.instance.id"] = place.instance_id
        shortest, longest = _REQUEST_SECONDS
        defaults = {
            **PREFETCH,
            "client.id": place.client_id,
            "fetch.wait.max.ms": _FETCH_WAIT_MS,
            "socket.timeout.ms": int(1000 * max(shortest, min(settings.request_timeout, longest))),
        }
        self._consumer: Consumer = make_client(Consumer, settings, health, properties, defaults)
        self._consumer.subscribe(
            [place.topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )

    def consume(self, limit: int, timeout: float) -> list[Any]:
        """Return up to `limit` messages; wait up to `timeout` seconds for the first."""
        try:
            messages = self._consumer.consume(1, timeout)
            if messages and limit > 1:
                messages += self._consumer.consume(min(limit, MAX_BATCH) - 1, 0)
        except SystemError as error:
            # The client loses what is raised while one of its callbacks runs: Ctrl-C.
            raise KeyboardInterrupt from error
        return messages

    def start(self, partition: int, offset: int, *, again: bool) -> bool:
        """Read a partition from exactly this offset on; nothing from before comes after it.

        Args:
            partition: which.
            offset: where.
            again: the client has stopped reading it, since the log did not have its position.

        Returns:
            Whether it does; it does not yet while what is assigned is being taken or given away.
        """
        place = TopicPartition(self._topic, partition, offset)
        try:
            if again:
                self._consumer.incremental_unassign([place])
                self._consumer.incremental_assign([place])
            else:
                self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as exception:
            _logger.debug("%s", exception)
            return False
        return True

    def pause(self, partitions: Iterable[int]) -> None:
        """Read nothing of these until they are started."""
        self._consumer.pause(self._places(partitions))

    def commit(self, positions: Mapping[int, tuple[int, str]], *, asynchronous: bool) -> None:
        """Commit offsets and metadata of partitions.

        Raises:
            KafkaException: they were not committed; of an asynchronous commit a callback tells.
        """
        offsets = [TopicPartition(self._topic, one, *positions[one]) for one in positions]
        if asynchronous:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        else:
            self._consumer.commit(offsets=offsets, asynchronous=False)

    def committed(
        self, partitions: Iterable[int], timeout: float
    ) -> tuple[list[TopicPartition], KafkaError | None]:
        """Return what the group has committed in partitions, or why that is not known."""
        try:
            found = self._consumer.committed(self._places(partitions), timeout)
        except KafkaException as exception:
            return [], kafka_error(exception)
        return found, next((one.error for one in found if one.error is not None), None)

    def is_member(self) -> bool:
        """Whether the group has taken this client; one that shares nothing is not called back."""
        metadata = self._consumer.consumer_group_metadata()
        return int.from_bytes(metadata[_GENERATION], sys.byteorder, signed=True) > 0

    def topic_error(self, timeout: float) -> KafkaError | None:
        """Return why the topic cannot be shared, as far as the cluster says so in time."""
        try:
            topics = self._consumer.list_topics(self._topic, timeout).topics
        except KafkaException as exception:
            _logger.debug("the cluster was asked for topic %s: %s", self._topic, exception)
            return None
        error: KafkaError | None = topics[self._topic].error
        return error

    def close(self, timeout: float) -> None:
        """Leave the group and call nobody any more; wait up to `timeout` seconds for that.

        A client that is not done by then, because a broker does not answer, ends by itself.
        """
        self._is_open = False
        ending = threading.Thread(target=self._consumer.close, name="kafka-member-end", daemon=True)
        ending.start()
        ending.join(timeout)

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    def _assign(self, _: Consumer, places: list[TopicPartition]) -> None:
        with self._keeping():
            # Nothing is looked for, since they are paused before anything is fetched, and there is
            # an end in every log.
            for one in places:
                one.offset = OFFSET_END
            self._consumer.incremental_assign(places)
            self._consumer.pause(places)
            if self._is_open:
                self._callbacks.on_assigned(_numbers(places))

    def _revoke(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._take_away(places, self._callbacks.on_revoked)

    def _lose(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._take_away(places, self._callbacks.on_lost)

    def _take_away(
        self, places: list[TopicPartition], callback: Callable[[list[int]], None]
    ) -> None:
        with self._keeping():
            if self._is_open:
                callback(_numbers(places))
        try:
            self._consumer.incremental_unassign(places)
        except KafkaException as exception:
            # After a loss the client has taken them away already.
            _logger.debug("%s", exception)

    def _settle(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        with self._keeping():
            if self._is_open:
                self._callbacks.on_committed({one.partition: one.error or error for one in places})

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """Keep what is raised: the client would lose it, and records with it."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - who consumes raises it
            self._raised.append(error)


def cause_of(error: KafkaError) -> KafkaError:
    """Return why a client failed for good."""
    for code in _FATAL:
        cause = KafkaError(code)
        if cause.str() in error.str():
            return cause
    return error


def _numbers(places: list[TopicPartition]) -> list[int]:
    return sorted(one.partition for one in places)
