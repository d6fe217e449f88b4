"""A process's part in the group that shares a topic: its partitions, their records, and commits."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import KafkaError, KafkaException

from platform_events.errors import (
    BrokerError,
    ClosedError,
    KafkaFaultError,
)
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate
from platform_events.kafka.offsets import Committed
from platform_events.kafka.reader import OUT_OF_RANGE, TOPIC_MISSING, Batch, is_transient
from platform_events.kafka.seats import Callbacks, Place, Seat, cause_of
from platform_events.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from platform_events.kafka.protocols import Protocol
    from platform_events.settings import Settings

Outcomes: TypeAlias = "dict[int, BrokerError | None]"
"""Why the position of each partition was not committed; None where it was."""
_SLICE = 0.05
"""Seconds of waiting after which what callbacks asked for is looked at."""
_RESTART_AFTER = 0.5
"""Seconds after which the client is not going to read a partition by itself."""
_RENEW_AFTER = 1.0
"""Seconds after which a client that failed for good is replaced."""
_LOOK_INTERVAL = 1.0
"""Seconds between two looks at why there is nothing to read, and for which one waits at most."""
_REFUSALS = (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED)
_UNSUPPORTED = (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)
_SETTLING = (KafkaError._TIMED_OUT, KafkaError.UNSTABLE_OFFSET_COMMIT)


_error_of = methodcaller("error")
_logger = logging.getLogger("platform_events")


class Member:
    """This process's part in a group that shares the partitions of one topic.

    One thread uses it. All callbacks come from `read`, in that thread; what one raises is raised by
    the next `read`, and nothing is lost by it.

    Args:
        settings: which cluster.
        group: whose members share.
        client_id: by which others know this process.
        topic: what they share.
        protocol: how they agree on who has what, as `choose_protocol` says.
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
        on_committed: Callable[[Outcomes], None],
    ) -> None:
        self._settings = settings
        self._place = Place(topic, group, client_id, instance_id)
        self._protocol = protocol
        self._doing = f"sharing topic {topic} in group {group}"
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._on_committed = on_committed
        self._callbacks = Callbacks(self._take, self._hand_over, self._lose, self._settle)
        self.is_member = False
        """Whether this process takes part in what its group shares, by all it knows."""
        self.failure: BrokerError | None = None
        """Why this process does not take part, if somebody refuses; None once it does."""
        self._owned: set[int] = set()
        self._begun: set[int] = set()
        """Those whose records are delivered."""
        self._starts: dict[int, tuple[int, float]] = {}
        """Those that are to be begun: where, and since when."""
        self._committing: set[int] | None = None
        """Those of the commit that is under way."""
        self._look_at = self._renew_at = 0.0
        self._raised: deque[BaseException] = deque()
        self._has_called = False
        self._health = Health(settings.bootstrap_servers)
        self._seat: Seat | None = self._sit()
        protect(self)

    def read(self, limit: int, timeout: float) -> Batch:
        """Return up to `limit` records; wait up to `timeout` seconds for the first.

        It returns sooner when it has called back.

        Raises:
            BrokerError: the cluster does not let this process take part, or read.
            ClosedError: this was closed.
        """
        deadline = time.monotonic() + timeout
        self._has_called = False
        while True:
            if self._raised:
                raise self._raised.popleft()
            left = min(max(0.0, deadline - time.monotonic()), _SLICE)
            seat = self._seat or self._sit_again(left)
            batch = Batch()
            if seat is not None:
                self._start(seat)
                batch = self._sort(seat.consume(limit, left))
                self._look(batch)
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
            self._starts[partition] = offset, time.monotonic()

    def pause(self, partitions: Iterable[int]) -> None:
        """Deliver nothing of these until they are begun again. What was fetched is thrown away."""
        ours = self._owned.intersection(partitions)
        self._stop(ours)
        if ours and self._seat is not None:
            self._seat.pause(ours)

    def commit(self, positions: Mapping[int, tuple[int, str]]) -> bool:
        """Commit offsets and metadata of partitions; the outcome goes to `on_committed`.

        Returns:
            False if nothing was sent: another commit is under way, or none of them is here.
        """
        ours = self._owned & positions.keys()
        if self._seat is None or self._committing is not None or not ours:
            return False
        self._seat.commit({one: positions[one] for one in ours}, asynchronous=True)
        self._committing = ours
        return True

    def commit_now(self, positions: Mapping[int, tuple[int, str]]) -> Outcomes:
        """Commit offsets and metadata of partitions, and return the outcome of each.

        For `on_revoked`, and before `close`: while a broker does not answer, it waits.
        """
        gone = self._outcome(KafkaError(KafkaError._ASSIGNMENT_LOST))
        outcomes: Outcomes = dict.fromkeys(positions, gone)
        ours = self._owned & positions.keys()
        if self._seat is None or not ours:
            return outcomes
        error: KafkaError | None = None
        try:
            self._seat.commit({one: positions[one] for one in ours}, asynchronous=False)
        except KafkaException as exception:
            # It tells one reason, and those of one topic have no other.
            error = kafka_error(exception)
        return outcomes | dict.fromkeys(ours, self._outcome(error))

    def committed(self, partitions: Collection[int], timeout: float) -> dict[int, Committed]:
        """Return what the group has committed in these partitions; those without are left out.

        Raises:
            BrokerError: the cluster does not say so in `timeout` seconds.
            ClosedError: this was closed.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self._seat is None:
                raise self.failure or ClosedError(f"{self._doing}: this was closed")
            found, error = self._seat.committed(partitions, max(0.0, deadline - time.monotonic()))
            if error is None:
                break
            is_passing = error.retriable() or error.code() in _SETTLING
            if not is_passing or time.monotonic() > deadline:
                raise translate(error, self._doing, self._health)
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

    def _sit(self) -> Seat:
        protocol = "classic" if self._protocol == "classic" else "consumer"
        return Seat(
            self._settings, self._health, self._place, protocol, self._callbacks, self._raised
        )

    def _sit_again(self, timeout: float) -> Seat | None:
        """Return the next client once it is due; None if it is not after `timeout` seconds."""
        if self._renew_at == math.inf:
            raise self.failure or ClosedError(f"{self._doing}: this was closed")
        time.sleep(max(0.0, min(timeout, self._renew_at - time.monotonic())))
        if time.monotonic() >= self._renew_at:
            self._seat = self._sit()
        return self._seat

    def _leave(self, timeout: float) -> None:
        seat, self._seat = self._seat, None
        self._forget(set(self._owned))
        self.is_member, self._committing = False, None
        if seat is not None:
            seat.close(timeout)

    def _start(self, seat: Seat) -> None:
        """Have the client read what is to be begun."""
        for partition, (offset, since) in list(self._starts.items()):
            is_stuck = time.monotonic() - since > _RESTART_AFTER
            if seat.start(partition, offset, again=is_stuck):
                del self._starts[partition]
                self._begun.add(partition)
            elif is_stuck:
                self._starts[partition] = offset, time.monotonic()

    def _sort(self, messages: list[Any]) -> Batch:
        if not any(map(_error_of, messages)):
            if messages:
                self._health.recover()
            if len(self._begun) == len(self._owned) and not self._has_called:
                return Batch(messages)
        batch = Batch()
        for message in messages:
            error, partition = message.error(), message.partition()
            if error is not None:
                self._note(error, message, batch)
            elif partition in self._begun:
                batch.records.append(message)
                batch.ends.pop(partition, None)
        # Whoever failed has lost what its records are of.
        return batch if self._seat is not None else Batch()

    def _note(self, error: KafkaError, message: Any, batch: Batch) -> None:
        code, partition = error.code(), message.partition()
        if code == KafkaError._PARTITION_EOF:
            self._health.recover()
            if partition in self._begun:
                batch.ends[partition] = message.offset()
        elif code in OUT_OF_RANGE:
            if partition in self._begun:
                self._begun.discard(partition)
                batch.out_of_range.add(partition)
        elif code in TOPIC_MISSING:
            batch.topic_missing = True
        elif code == KafkaError._FATAL:
            self._fail(cause_of(error))
        elif code == KafkaError._MAX_POLL_EXCEEDED:
            _logger.warning("%s: %s", self._doing, error.str())
        elif code in _REFUSALS:
            self.failure = translate(error, self._doing, self._health)
            self._raised.append(self.failure)
        elif not is_transient(error):
            self._raised.append(translate(error, self._doing, self._health))

    def _fail(self, cause: KafkaError) -> None:
        """Give up a client that failed for good; another one comes later."""
        lost = sorted(self._owned)
        self._leave(0)
        self._renew_at = time.monotonic() + _RENEW_AFTER
        if cause.code() in _UNSUPPORTED and self._protocol == "auto":
            self._protocol, self._renew_at = "classic", 0.0
            return
        self.failure = self._explain(cause)
        if cause.code() == KafkaError.FENCED_INSTANCE_ID:
            # Another client would fence the one that fenced this, and so on.
            self._renew_at = math.inf
        if cause.code() != KafkaError.UNRELEASED_INSTANCE_ID:
            self._raised.append(self.failure)
        if lost:
            self._has_called = True
            self._on_lost(lost)

    def _explain(self, cause: KafkaError) -> BrokerError:
        name = shown(self._place.instance_id or "")
        texts = {
            KafkaError.UNRELEASED_INSTANCE_ID: (
                f"the member with instance ID {name} has not left: if it was killed, wait for its "
                "session to end; if it runs, give this one another ID"
            ),
            KafkaError.FENCED_INSTANCE_ID: (
                f"another member came with instance ID {name}: give each its own"
            ),
            **dict.fromkeys(
                _UNSUPPORTED,
                "this cluster has no group protocol 'consumer': use 'classic' or 'auto'",
            ),
        }
        if cause.code() in texts:
            return KafkaFaultError(f"{self._doing}: {texts[cause.code()]}", cause.name())
        return translate(cause, self._doing, self._health)

    def _look(self, batch: Batch) -> None:
        """See why there is nothing to read: a group that shares nothing with this does not say."""
        if self._owned or self._seat is None or time.monotonic() < self._look_at:
            return
        self.is_member = self._seat.is_member()
        error = self._seat.topic_error(_LOOK_INTERVAL)
        if error is None:
            if self.is_member:
                self.failure = None
        elif error.code() in TOPIC_MISSING:
            batch.topic_missing = True
        elif error.code() in _REFUSALS:
            self.failure = translate(error, self._doing, self._health)
        self._look_at = time.monotonic() + _LOOK_INTERVAL

    def _take(self, partitions: list[int]) -> None:
        self._has_called = True
        self._owned.update(partitions)
        self.is_member, self.failure = True, None
        if partitions:
            self._on_assigned(partitions)

    def _hand_over(self, partitions: list[int]) -> None:
        self._has_called = True
        self._stop(partitions)
        try:
            self._on_revoked(partitions)
        finally:
            self._forget(partitions)

    def _lose(self, partitions: list[int]) -> None:
        self._has_called = True
        self.is_member = False
        self._forget(partitions)
        self._on_lost(partitions)

    def _settle(self, errors: dict[int, KafkaError | None]) -> None:
        self._has_called = True
        sent, self._committing = self._committing or set(), None
        outcomes = {one: self._outcome(errors[one]) for one in errors if one in sent}
        if outcomes:
            self._on_committed(outcomes)

    def _stop(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._begun.discard(partition)
            self._starts.pop(partition, None)

    def _forget(self, partitions: Iterable[int]) -> None:
        self._stop(partitions)
        self._owned.difference_update(partitions)
        if self._committing is not None:
            self._committing.difference_update(partitions)

    def _outcome(self, error: KafkaError | None) -> BrokerError | None:
        doing = f"committing positions of group {self._place.group}"
        return None if error is None else translate(error, doing, self._health)
