"""A seat in the group that shares a topic: its partitions, their records, and commits."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from platform_events.errors import ClosedError, KafkaFaultError
from platform_events.kafka.assigned import Assigned
from platform_events.kafka.commits import Commits
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.groups import METADATA_INTERVAL_MS, leave, member_properties
from platform_events.kafka.health import Health, translate
from platform_events.kafka.member_failures import judge
from platform_events.kafka.offsets import ask_committed
from platform_events.kafka.reader import (
    LEAST_WAIT,
    MAX_BATCH,
    PREFETCH,
    PROMPT_FETCH_MS,
    TOPIC_MISSING,
    Batch,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from platform_events.errors import BrokerError, PlatformEventsError
    from platform_events.kafka.commits import Outcomes, Positions
    from platform_events.kafka.groups import Protocol
    from platform_events.kafka.offsets import Committed
    from platform_events.settings import Settings

_Callback: TypeAlias = "Callable[[list[int]], None]"
_POLL_INTERVAL_MS = 300_000
"""A member that does not read for that long loses what it has."""
_SLICE = 0.05
"""Seconds of waiting after which what callbacks asked for is looked at."""
_LOOK_AFTER = 1.0
"""Seconds of silence after which a member without partitions looks whether it is one."""
_PATIENCE = 0.2
_REFUSING = (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED)
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
        or_classic: whether the older one will do, where brokers do not have the newer.
        instance_id: keeps the place of a member that ends: one of the same name that comes within
            the session gets what it had, and until then nobody does.
        on_assigned: is given partitions that this process has from now on. Nothing is read of them
            before `begin`.
        on_revoked: is given partitions that are another's once it has returned. It may take some
            seconds, and `commit_now`.
        on_lost: is given partitions that may be another's already. It cannot commit.
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
        or_classic: bool = False,
        instance_id: str | None = None,
        on_assigned: _Callback,
        on_revoked: _Callback,
        on_lost: _Callback,
        on_committed: Callable[[dict[int, BrokerError | None]], None],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._doing = f"reading topic {topic} in group {group}"
        self._group = group
        self._protocol = protocol
        self._or_classic = or_classic
        self._instance_id = instance_id
        self._properties: dict[str, Any] = {
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "max.poll.interval.ms": _POLL_INTERVAL_MS,
        }
        if instance_id is not None:
            self._properties["group.instance.id"] = instance_id
        self._defaults = {
            **PREFETCH,
            "client.id": client_id,
            "fetch.wait.max.ms": PROMPT_FETCH_MS,
            "topic.metadata.refresh.interval.ms": METADATA_INTERVAL_MS,
        }
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._on_committed = on_committed
        self.is_member = False
        """Whether this process takes part in what its group shares, by all it knows."""
        self.failure: BrokerError | None = None
        """Why the group does not take this process, if it refuses; None once it is a member."""
        self._assigned = Assigned(topic)
        self._raised: deque[BaseException] = deque()
        """What callbacks raised; each of the next reads raises one."""
        self._refusal: PlatformEventsError | None = None
        """What the cluster last refused; the next read raises it."""
        self._has_called = False
        self._renew_at = 0.0
        """When a client that failed for good is replaced, by `time.monotonic()`."""
        self._look_at = 0.0
        """When to look whether this is a member, if nothing has told by then."""
        self._health = Health(settings.bootstrap_servers)
        self._consumer: Consumer | None = self._join()
        protect(self)

    def read(self, limit: int, timeout: float) -> Batch:
        """Return up to `limit` records; wait up to `timeout` seconds for the first.

        It returns sooner when it has called back.

        Raises:
            BrokerError: the cluster does not let this process take part, or read.
            ConfigurationError: the brokers do not have the group's protocol, or another process
                has taken the instance ID.
        """
        deadline = time.monotonic() + timeout
        self._has_called = False
        while True:
            if self._raised:
                raise self._raised.popleft()
            if self._refusal is not None:
                refusal, self._refusal = self._refusal, None
                raise refusal
            left = min(max(0.0, deadline - time.monotonic()), _SLICE)
            consumer = self._consumer or self._rejoin(left)
            batch = Batch()
            if consumer is not None:
                self._look(consumer)
                batch, errors = self._assigned.sort(self._consume(consumer, limit, left))
                if batch.records or batch.ends:
                    self.failure = None
                for error in errors:
                    self._note(error, batch)
            is_over = deadline - time.monotonic() < LEAST_WAIT and self._refusal is None
            if batch or self._has_called or is_over:
                return batch

    def begin(self, partition: int, offset: int) -> None:
        """Deliver the records of a partition from exactly this offset on.

        The first time, to go on after `pause` or out of range, and to go elsewhere: of what `read`
        returns from now on, nothing is from before. A partition that is not here is left.
        """
        self._assigned.begin(partition, offset)

    def pause(self, partitions: Iterable[int]) -> None:
        """Deliver nothing of these until they are begun again. What was fetched is thrown away."""
        self._assigned.stop(partitions)
        if self._consumer is not None:
            self._consumer.pause(self._assigned.fetched(partitions))

    def commit(self, positions: Positions) -> bool:
        """Commit offsets and metadata of partitions; the outcome goes to `on_committed`.

        Returns:
            False if nothing was sent: another commit is under way, or none of them is here.

        Raises:
            BrokerError: the client takes no commits.
        """
        ours = self._assigned.select(positions)
        if self._commits.is_busy or not ours:
            return False
        self._commits.begin(ours)
        return True

    def commit_now(self, positions: Positions) -> None:
        """Commit offsets and metadata of partitions before they go. For `on_revoked`.

        It waits for nothing: the client keeps the partitions until the cluster has answered. What
        is refused is logged.
        """
        self._commits.send_last(self._assigned.select(positions))

    def committed(self, partitions: Collection[int], timeout: float) -> dict[int, Committed]:
        """Return what the group has committed in these partitions; those without are left out.

        Raises:
            BrokerError: the cluster does not say so in `timeout` seconds.
        """
        if self._consumer is None:
            raise self.failure or ClosedError(f"{self._doing}: this was closed")
        places = [(self._topic, one) for one in partitions]
        found = ask_committed(
            self._consumer, places, timeout, lambda error: self._translate(kafka_error(error))
        )
        return {one.partition: one for one in found}

    def close(self, timeout: float) -> None:
        """Leave, so that others take over at once; wait up to `timeout` seconds for that.

        Nothing is committed and nobody is called back. A client that is not done by then, because
        a broker does not answer, ends by itself.
        """
        self._renew_at = math.inf
        self._leave(timeout)

    def _join(self) -> Consumer:
        self._commits = Commits(self._topic, self._translate, self._call_committed)
        properties = {
            **member_properties(self._group, self._protocol),
            **self._properties,
            "on_commit": self._commits.settle,
        }
        consumer: Consumer = make_client(
            Consumer, self._settings, self._health, properties, self._defaults
        )
        self._commits.attach(consumer)
        consumer.subscribe(
            [self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose
        )
        self._look_at = time.monotonic() + _LOOK_AFTER
        return consumer

    def _rejoin(self, timeout: float) -> Consumer | None:
        """Wait; return a client again, if the last one failed long enough ago."""
        time.sleep(max(0.0, min(timeout, self._renew_at - time.monotonic())))
        if time.monotonic() >= self._renew_at:
            self._consumer = self._join()
        return self._consumer

    def _leave(self, timeout: float) -> None:
        """End the client; its callbacks do nothing any more."""
        consumer, self._consumer = self._consumer, None
        self.is_member = False
        self._drop(list(self._assigned.numbers))
        if consumer is not None:
            closing = threading.Thread(
                target=leave, args=(consumer,), name="platform-events-leaving", daemon=True
            )
            closing.start()
            closing.join(timeout)

    def _look(self, consumer: Consumer) -> None:
        """Find out whether a process without partitions is a member.

        Of the newer protocol only: its client calls nobody back for none. But a refusal is told by
        then, so a coordinator that answers and has told of none has taken this process.
        """
        if self.is_member or self._protocol == "classic" or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_AFTER
        try:
            consumer.committed([TopicPartition(self._topic, 0)], _PATIENCE)
        except KafkaException as exception:
            _logger.debug("%s: %s", self._doing, exception)
        else:
            self.is_member, self.failure = True, None

    def _consume(self, consumer: Consumer, limit: int, timeout: float) -> list[Any]:
        try:
            self._assigned.start(consumer)
            messages: list[Any] = consumer.consume(1, timeout)
            if messages and limit > 1:
                messages += consumer.consume(min(limit, MAX_BATCH) - 1, 0)
        except SystemError as error:
            # The client loses what is raised while one of its callbacks runs: Ctrl-C.
            raise KeyboardInterrupt from error
        except KafkaException as exception:
            raise self._translate(kafka_error(exception)) from exception
        return messages

    def _note(self, error: KafkaError, batch: Batch) -> None:
        code = error.code()
        if code in TOPIC_MISSING:
            batch.topic_missing = True
            gone = f"{self._doing}: there is no such topic; platform-events apply makes it"
            self.failure = KafkaFaultError(gone, error.name())
        elif code == KafkaError._FATAL:
            self._fail(error)
        elif code in _REFUSING:
            self.failure = self._refusal = self._translate(error)
        elif code != KafkaError._MAX_POLL_EXCEEDED and not is_transient(error):
            # One that has not read for long is told by `on_lost`, and joins again.
            self._refusal = self._translate(error)

    def _fail(self, error: KafkaError) -> None:
        """Give up a client that takes no part in its group any more."""
        failure = judge(error, self._doing, self._instance_id, self._translate)
        if failure.refusal is None and str(self.failure) != str(failure.cause):
            # It passes by itself, or stays: no read raises it, so it is said here, once.
            _logger.warning("%s", failure.cause)
        self.failure, self._refusal = failure.cause, failure.refusal
        self._renew_at = time.monotonic() + failure.renew_after
        if failure.lacks_protocol and self._or_classic:
            self._protocol, self._renew_at, self._refusal = "classic", 0.0, None
        lost = list(self._assigned.numbers)
        self._leave(0)
        if lost:
            self._call(self._on_lost, lost)

    def _translate(self, error: KafkaError) -> BrokerError:
        return translate(error, self._doing, self._health)

    # What the client calls back.

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # The client gets to know each when it is begun, and where. To the group it is a member's.
        consumer.incremental_assign([])
        if consumer is not self._consumer:
            return
        self.is_member, self.failure = True, None
        assigned = [one.partition for one in partitions]
        self._assigned.add(assigned)
        if assigned:
            self._call(self._on_assigned, assigned)

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            consumer.unassign()
            return
        revoked = [one.partition for one in partitions]
        self._assigned.stop(revoked)
        self._call(self._on_revoked, revoked)
        fetched = self._assigned.fetched(revoked)
        self._drop(revoked)
        consumer.incremental_unassign(fetched)

    def _lose(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            consumer.unassign()
            return
        self.is_member = False
        self._look_at = time.monotonic() + _LOOK_AFTER
        lost = [one.partition for one in partitions]
        fetched = self._assigned.fetched(lost)
        self._drop(lost)
        self._call(self._on_lost, lost)
        consumer.incremental_unassign(fetched)

    def _call_committed(self, outcomes: Outcomes) -> None:
        if outcomes:
            self._call(self._on_committed, outcomes)

    def _call(self, callback: Callable[[Any], None], argument: Any) -> None:
        """Call back. What it raises would be lost in the client, or end its poll."""
        self._has_called = True
        try:
            callback(argument)
        except BaseException as error:  # noqa: BLE001 - the next read raises it
            self._raised.append(error)

    def _drop(self, partitions: Collection[int]) -> None:
        self._assigned.drop(partitions)
        self._commits.drop(partitions)
