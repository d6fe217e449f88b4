"""Where partitions begin, and what is commanded about them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from platform_events.errors import BrokerError, WorkerStoppedError
from platform_events.workers.settling import settle

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence

    from platform_events.kafka.members import Member
    from platform_events.workers.ground import Ground
    from platform_events.workers.lanes import Lanes
    from platform_events.workers.partitions import OwnedPartition
    from platform_events.workers.settling import Beginning

_FORMER_SECONDS = 9.0
"""How long a partition waits for handlers that began in it before a seek, or before it was lost."""
_logger = logging.getLogger("platform_events.worker")


class Opening:
    """Has partitions begin where they should, and does what their journals say.

    For the thread that talks to Kafka. What could not be done, since the cluster was away, is done
    when it is tried again.

    Args:
        name: of the subscription.
        ground: what the worker stands on in the cluster.
        member: its seat in the group.
        owned: the partitions of this process, which changes them.
        lanes: have their events, in the thread of the loop.
        loop: that event loop.
    """

    def __init__(
        self,
        name: str,
        ground: Ground,
        member: Member,
        owned: dict[int, OwnedPartition],
        lanes: Lanes,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._name = name
        self._ground = ground
        self._member = member
        self._owned = owned
        self._lanes = lanes
        self._loop = loop
        self._news: set[int] = set()
        """Partitions of whose journal something is to be looked at."""
        self._astray: set[int] = set()
        """Partitions that are read where their log has nothing."""

    def listen(self) -> None:
        """Take what is new in the journal.

        Raises:
            BrokerError: it cannot be read.
        """
        self._news.update(self._ground.reader.read())

    def send_back(self, partitions: Iterable[int]) -> None:
        """Have partitions settled anew: their log does not have what they read."""
        self._astray.update(partitions)

    def forget(self, partition: int) -> None:
        """Have nothing to do any more with a partition."""
        self._news.discard(partition)
        self._astray.discard(partition)

    def open(self) -> None:
        """Find out where partitions begin that have not begun.

        Raises:
            StreamDeletedError, StreamRecreatedError: it is not the stream that they are of.
            WorkerStoppedError: the subscription was deleted.
            BrokerError: the cluster does not say so.
        """
        reader = self._ground.reader
        # Another process may have seen before that the stream has grown.
        known = self._ground.stream.topic.partitions
        loaded = [
            owned
            for number, owned in self._owned.items()
            if (not owned.is_open or number in self._astray)
            and reader.is_loaded(number)
            and number < known
        ]
        for owned in loaded:
            self._check_deleted(owned.number)
        self._settle(loaded)
        for owned in loaded:
            self._set_paused(owned, is_paused=reader.journal(owned.number).control.paused)
            self._news.add(owned.number)

    def obey(self) -> None:
        """Do what journals newly say.

        Raises:
            StreamDeletedError, StreamRecreatedError: it is not the stream that they are of.
            WorkerStoppedError: the subscription was deleted.
            BrokerError: for some of them the cluster is needed, and away.
        """
        failure: BrokerError | None = None
        for number in sorted(self._news):
            owned = self._owned.get(number)
            if owned is None:
                self._news.discard(number)
            elif owned.is_open and self._ground.reader.is_loaded(number):
                try:
                    self._obey(owned)
                except BrokerError as error:
                    failure = failure or error
                else:
                    self._news.discard(number)
        if failure is not None:
            raise failure

    def begin(self) -> None:
        """Have partitions read whose beginning is known."""
        for owned in self._owned.values():
            if owned.begin_at is None or owned.assignment.is_paused or owned.is_awaited:
                continue
            self._member.begin(owned.number, owned.begin_at)
            owned.begin_at = None

    def _obey(self, owned: OwnedPartition) -> None:
        control = self._ground.reader.journal(owned.number).control
        if control.generation > owned.generation:
            self._check_deleted(owned.number)
            seek = control.seek
            if seek is not None and seek.generation > owned.generation:
                self._settle([owned])
            owned.generation = control.generation
            owned.must_tell()
            self._set_paused(owned, is_paused=control.paused)

    def _check_deleted(self, partition: int) -> None:
        if self._ground.reader.journal(partition).control.deleted:
            raise WorkerStoppedError(f"subscription {self._name} was deleted")

    def _settle(self, partitions: Sequence[OwnedPartition]) -> None:
        """Find out where partitions begin, or go on."""
        if not partitions:
            return
        ground = self._ground
        numbers = [owned.number for owned in partitions]
        committed = self._member.committed(numbers, ground.timeout)
        marks = ground.marks()
        # Last: what was found is then of the stream that is known, and not of another of its name.
        ground.look()
        for owned in partitions:
            journal = ground.reader.journal(owned.number)
            beginning = settle(
                journal,
                ground.subscription,
                ground.stream.topic.topic_id,
                marks[owned.number],
                committed.get(owned.number),
            )
            self._tell(owned.number, beginning)
            owned.open(beginning, journal.letters.values())
            owned.begin_by = time.monotonic() + _FORMER_SECONDS
            self._astray.discard(owned.number)

    def _tell(self, partition: int, beginning: Beginning) -> None:
        """Log what is amiss with where a partition begins."""
        if beginning.lost:
            _logger.error(
                "%s: up to %d events of partition %d were removed by retention before they were "
                "handled; it goes on with the earliest",
                self._name, beginning.lost, partition,
            )  # fmt: skip
        if not beginning.is_readable:
            _logger.warning(
                "%s: what was committed for partition %d is of a newer version: some events are "
                "handled again",
                self._name, partition,
            )  # fmt: skip

    def _set_paused(self, owned: OwnedPartition, *, is_paused: bool) -> None:
        if owned.assignment.is_paused == is_paused:
            return
        owned.assignment.is_paused = is_paused
        if is_paused:
            self._member.pause([owned.number])
        else:
            self._loop.call_soon_threadsafe(self._lanes.unblock, owned.assignment)
            owned.begin_at = owned.progress.high
            owned.reading_paused = False
