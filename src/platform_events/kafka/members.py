"""A seat in the group that shares a topic: its partitions, their records, and commits."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from operator import methodcaller
from typing import TYPE_CHECKING, Literal, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.errors import BrokerError, ClosedError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate
from platform_events.kafka.offsets import Committed
from platform_events.kafka.reader import (
    MAX_BATCH,
    OUT_OF_RANGE,
    PREFETCH,
    TOPIC_MISSING,
    Batch,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from platform_events.settings import Settings

Protocol: TypeAlias = Literal["consumer", "classic"]
"""How a group agrees on who has what. `consumer` is KIP-848: each partition moves by itself. In the
older one all members stand still until every change is over."""
SESSION_MS = 6_000
"""A member that is silent for that long is dead."""
_HEARTBEAT_MS = 1_000
_POLL_INTERVAL_MS = 300_000
"""A member that does not read for that long loses what it has."""
_METADATA_INTERVAL_MS = 10_000
_FETCH_WAIT_MS = 20
"""How long a fetch waits at the broker when nothing is new. A partition that is begun is in the
next fetch only, so that is what its first record waits where the others are quiet."""
_SLICE = 0.05
"""Seconds of waiting after which what callbacks asked for is looked at."""
_RENEW_AFTER = 1.0
"""Seconds after which a client that failed for good is replaced."""
_FATAL = (
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.GROUP_MAX_SIZE_REACHED,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,
)
"""Why a client may fail for good. It tells only the text."""
_SETTLING = (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT)

_error_of = methodcaller("error")
_logger = logging.getLogger("platform_events")


class Member:
    """This process's seat in a group that shares the partitions of one topic.

    One thread uses it. All callbacks come from `read`, in that thread; what one raises is raised by
    the next `read`, and nothing is lost by it.

    Args:
        settings: which cluster.
        group: whose members share.
        client_id: by which others know this process.
        topic: what they share.
        protocol: how they agree on who has what; `choose_protocol` finds it.
        instance_id: keeps the place of a member that ends: one of the same name that comes within
            the session gets what it had, and until then nobody does.
        on_assigned: is given partitions that this process has from now on. Nothing is read of them
            before `begin`.
        on_revoked: is given partitions that are another's once it has returned. It may take some
            seconds, and `commit_now`.
        on_lost: is given partitions that may be another's already. It must not commit.
        on_committed: is given the outcome of a `commit` for those partitions of it that this
            process has had ever since.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        client_id: str,
        topic: str,
        *,
        protocol: Protocol,
        instance_id: str | None = None,
        on_assigned: Callable[[list[int]], None],
        on_revoked: Callable[[list[int]], None],
        on_lost: Callable[[list[int]], None],
        on_committed: Callable[[dict[int, BrokerError | None]], None],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._properties, self._defaults = _configure(group, client_id, protocol, instance_id)
        self._instance_id = instance_id
        self._doing = f"reading topic {topic} in group {group}"
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._on_committed = on_committed
        self.is_member = False
        """Whether this process takes part in what its group shares, by all it knows."""
        self.failure: BrokerError | None = None
        """Why the group does not take this process, if it refuses; None once it is a member."""
        self._owned: set[int] = set()
        self._begun: set[int] = set()
        """Those whose records are delivered."""
        self._starts: dict[int, int] = {}
        """Those that are to be begun, and where."""
        self._halted: set[int] = set()
        """Those of which the client reads nothing more: the log did not have their position."""
        self._committing: set[int] | None = None
        """Those of the commit that is under way."""
        self._raised: deque[BaseException] = deque()
        self._has_called = False
        self._renew_at = 0.0
        self._health = Health(settings.bootstrap_servers)
        self._consumer: Consumer | None = self._join()
        protect(self)

    def read(self, limit: int, timeout: float) -> Batch:
        """Return up to `limit` records; wait up to `timeout` seconds for the first.

        It returns sooner when it has called back.

        Raises:
            BrokerError: the cluster does not let this process take part, or read.
        """
        deadline = time.monotonic() + timeout
        self._has_called = False
        while True:
            if self._raised:
                raise self._raised.popleft()
            left = min(max(0.0, deadline - time.monotonic()), _SLICE)
            consumer = self._consumer or self._rejoin(left)
            batch = Batch()
            if consumer is not None:
                self._start(consumer)
                batch = self._sort(self._consume(consumer, limit, left))
            is_over = time.monotonic() >= deadline and not self._raised
            if batch or self._has_called or is_over:
                return batch

    def begin(self, partition: int, offset: int) -> None:
        """Deliver the records of a partition from exactly this offset on.

        The first time, to go on after `pause` or out of range, and to go elsewhere: of what `read`
        returns from now on, nothing is from before. A partition that is not here is left.
        """
        if partition in self._owned:
            self._begun.discard(partition)
            self._starts[partition] = offset

    def pause(self, partitions: Iterable[int]) -> None:
        """Deliver nothing of these until they are begun again. What was fetched is thrown away."""
        ours = self._owned.intersection(partitions)
        for partition in ours:
            self._begun.discard(partition)
            self._starts.pop(partition, None)
        if ours and self._consumer is not None:
            self._consumer.pause(self._places(ours))

    def commit(self, positions: Mapping[int, tuple[int, str]]) -> bool:
        """Commit offsets and metadata of partitions; the outcome goes to `on_committed`.

        Returns:
            False if nothing was sent: another commit is under way, or none of them is here.

        Raises:
            BrokerError: the client takes no commits.
        """
        ours = self._owned & positions.keys()
        if self._consumer is None or self._committing is not None or not ours:
            return False
        try:
            self._consumer.commit(offsets=self._offsets(ours, positions), asynchronous=True)
        except KafkaException as exception:
            raise self._translate(kafka_error(exception)) from exception
        self._committing = ours
        return True

    def commit_now(self, positions: Mapping[int, tuple[int, str]]) -> dict[int, BrokerError | None]:
        """Commit offsets and metadata of partitions, and wait for the outcome of each.

        For `on_revoked`, and before `close`. It waits while a broker does not answer, up to the
        request time-out.
        """
        gone = self._outcome(KafkaError(KafkaError._ASSIGNMENT_LOST))
        outcomes = dict.fromkeys(positions, gone)
        ours = self._owned & positions.keys()
        if self._consumer is None or not ours:
            return outcomes
        try:
            done = self._consumer.commit(offsets=self._offsets(ours, positions), asynchronous=False)
        except KafkaException as exception:
            return outcomes | dict.fromkeys(ours, self._outcome(kafka_error(exception)))
        return outcomes | {one.partition: self._outcome(one.error) for one in done or ()}

    def committed(self, partitions: Collection[int], timeout: float) -> dict[int, Committed]:
        """Return what the group has committed in these partitions; those without are left out.

        Raises:
            BrokerError: the cluster does not say so in `timeout` seconds.
        """
        if self._consumer is None:
            raise self.failure or ClosedError(f"{self._doing}: this was closed")
        deadline = time.monotonic() + timeout
        while True:
            error: KafkaError | None
            try:
                found = self._consumer.committed(
                    self._places(partitions), max(0.0, deadline - time.monotonic())
                )
                error = next((one.error for one in found if one.error is not None), None)
            except KafkaException as exception:
                found, error = [], kafka_error(exception)
            if error is None:
                break
            is_passing = error.retriable() or error.code() in _SETTLING
            if not is_passing or time.monotonic() > deadline:
                raise self._translate(error)
            time.sleep(_SLICE)
        return {
            one.partition: Committed(one.topic, one.partition, one.offset, one.metadata or "")
            for one in found
            if one.offset >= 0
        }

    def close(self, timeout: float) -> None:
        """Leave, so that others take over at once; wait up to `timeout` seconds for that.

        Nothing is committed and nobody is called back. A client that is not done by then, because
        a broker does not answer, ends by itself.
        """
        self._renew_at = math.inf
        self._leave(timeout)

    def _join(self) -> Consumer:
        properties = {**self._properties, "on_commit": self._report}
        consumer: Consumer = make_client(
            Consumer, self._settings, self._health, properties, self._defaults
        )
        consumer.subscribe(
            [self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )
        return consumer

    def _rejoin(self, timeout: float):
        time.sleep(timeout)
        if time.monotonic() >= self._renew_at:
            self._consumer = self._join()
        return self._consumer

    def _start(self, consumer):
        for partition, offset in list(self._starts.items()):
            place = TopicPartition(self._topic, partition, offset)
            try:
                consumer.seek(place)
                consumer.resume([place])
            except KafkaException:
                continue
            del self._starts[partition]
            self._begun.add(partition)

    def _consume(self, consumer, limit, timeout):
        messages = consumer.consume(1, timeout)
        if messages and limit > 1:
            messages += consumer.consume(min(limit, MAX_BATCH) - 1, 0)
        return messages

    def _sort(self, messages):
        batch = Batch()
        batch.out_of_range = set()
        for message in messages:
            error = message.error()
            if error is None:
                if message.partition() in self._begun:
                    batch.records.append(message)
                    batch.ends.pop(message.partition(), None)
            elif error.code() == KafkaError._PARTITION_EOF:
                if message.partition() in self._begun:
                    batch.ends[message.partition()] = message.offset()
            elif error.code() in OUT_OF_RANGE:
                batch.out_of_range.add(message.partition())
            elif error.code() in TOPIC_MISSING:
                pass
            elif not is_transient(error):
                raise self._translate(error)
        return batch

    def _places(self, partitions):
        return [TopicPartition(self._topic, one) for one in partitions]

    def _offsets(self, partitions, positions):
        return [TopicPartition(self._topic, one, *positions[one]) for one in partitions]

    def _outcome(self, error):
        return None if error is None else self._translate(error)

    def _translate(self, error):
        return translate(error, self._doing, self._health)

    def _report(self, error, partitions):
        self._has_called = True
        self._committing = None
        outcomes = {
            one.partition: self._outcome(one.error or error)
            for one in partitions
            if one.partition in self._owned
        }
        self._on_committed(outcomes)

    def _assign(self, consumer, partitions):
        self._has_called = True
        for one in partitions:
            one.offset = 0
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)
        self.is_member = True
        numbers = [one.partition for one in partitions]
        self._owned.update(numbers)
        try:
            self._on_assigned(numbers)
        except BaseException as error:
            self._raised.append(error)

    def _revoke(self, consumer, partitions):
        self._has_called = True
        numbers = [one.partition for one in partitions]
        try:
            self._on_revoked(numbers)
        except BaseException as error:
            self._raised.append(error)
        self._owned.difference_update(numbers)
        self._begun.difference_update(numbers)
        consumer.incremental_unassign(partitions)

    def _lose(self, consumer, partitions):
        self._has_called = True
        numbers = [one.partition for one in partitions]
        self._owned.difference_update(numbers)
        self._begun.difference_update(numbers)
        self._on_lost(numbers)

    def _leave(self, timeout):
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def _configure(group, client_id, protocol, instance_id):
    properties = {
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    }
    if protocol == "classic":
        properties |= {
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": _HEARTBEAT_MS,
            "partition.assignment.strategy": "cooperative-sticky",
        }
    if instance_id:
        properties["group.instance.id"] = instance_id
    return properties, PREFETCH | {"client.id": client_id, "fetch.wait.max.ms": _FETCH_WAIT_MS}


def choose_protocol(settings, group, wanted):
    return "classic" if wanted == "auto" else wanted
