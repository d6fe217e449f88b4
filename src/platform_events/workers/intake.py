"""What a worker does with Kafka: it reads, commits, writes dead letters, and obeys commands."""

from __future__ import annotations

import logging
import time
from collections import deque
from itertools import groupby
from operator import methodcaller
from typing import TYPE_CHECKING

from platform_events.errors import BrokerError
from platform_events.kafka.reader import MAX_BATCH
from platform_events.workers.commits import Committer
from platform_events.workers.correspondence import Correspondence
from platform_events.workers.desk import NO_THREADS
from platform_events.workers.lease import Lease
from platform_events.workers.opening import Opening
from platform_events.workers.partitions import OwnedPartition
from platform_events.workers.reporting import Reporter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from platform_events.kafka.reader import Record
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.desk import Desk
    from platform_events.workers.ground import Ground
    from platform_events.workers.lanes import Assignment, Item, Lanes

COMMIT_SECONDS = 0.05
"""How often positions are committed while events are handled."""
_ACTIVE = 0.005
"""Seconds to wait for records while an answer of the cluster is waited for too."""
_BUSY = 0.02
"""The same while handlers run."""
_IDLE = 0.05
_REVOKE_SECONDS = 2.0
"""How long handlers may go on with a partition that goes to another. The group waits meanwhile, and
so does all that this process reads and commits."""
_MANY = 2_000
"""Events that wait for a handler; with more, reading slows down."""
_SLOWED = 0.002
_SAVE_SECONDS = 24 * 3600.0
_SAVE_WITHIN = 2.0
"""How long writing positions into the journal may take at the end, when handlers have used up the
time for it."""
_partition_of = methodcaller("partition")
_logger = logging.getLogger("platform_events.worker")


class Intake:
    """A worker's share of its stream, round after round. For one thread.

    Args:
        app: the worker.
        ground: what it stands on in the cluster.
        desk: what the event loop leaves to be done.
        lanes: get the events, in the thread of the loop.
        loop: that event loop.
        commits: whether positions are committed; without, all is handled again by the next process.
        beat: is called while a call takes long.
    """

    def __init__(
        self,
        app: WorkerApp,
        ground: Ground,
        desk: Desk,
        lanes: Lanes,
        loop: asyncio.AbstractEventLoop,
        *,
        commits: bool = True,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self._app = app
        self._ground = ground
        self._desk = desk
        self._lanes = lanes
        self._loop = loop
        self._beat = beat
        self._owned: dict[int, OwnedPartition] = {}
        self._gone: dict[int, list[Assignment]] = {}
        """Of partitions that this process has no more, what its handlers still ran in then."""
        self._commits = Committer(app.name, self._owned)
        self._commits.is_stopped = not commits
        self._correspondence = Correspondence(ground, desk, self._owned, lanes, loop)
        self._is_draining = False
        self._has_lost = False
        """Whether something that was done cannot be committed any more at the end."""
        self._lease = Lease(time.monotonic())
        self._awaited: deque[tuple[Mapping[int, int], Callable[[], object]]] = deque()
        """Who wants to know when what is through."""
        self.reporter = Reporter(app, ground, desk, self._owned)
        self.member = ground.take_seat(self._gain, self._revoke, self._lose, self._commits.take)
        opening = self._opening = Opening(app.name, ground, self.member, self._owned, lanes, loop)
        self._steps: tuple[Callable[[], None], ...] = (
            ground.check, opening.listen, opening.open, opening.obey, opening.begin,
            self._read, self._collect, self._commit, self._regulate, self._save_daily,
            self.reporter.tick, self._correspondence.redrive, self._tell_through,
        )  # fmt: skip

    def partitions(self) -> list[OwnedPartition]:
        """Return what this process has; any thread may ask."""
        return list(self._owned.values())

    def go_round(self) -> None:
        """Do once what there is to do; what fails for one partition does not keep others from it.

        Raises:
            WorkerStoppedError: the subscription was deleted, or a policy says so.
            PlatformEventsError: the worker cannot go on as it is.
            BrokerError: the cluster refuses, or is away; this may be called again.
        """
        if self._desk.stop is not None:
            raise self._desk.stop
        failure: BrokerError | None = None
        for step in self._steps:
            try:
                step()
            except BrokerError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def when_through(self, ends: Mapping[int, int], call: Callable[[], object]) -> None:
        """Have something called when all before these offsets is handled and committed.

        Any thread may ask, once for each call. Events that are tried again later count as handled
        when they went well or are dead letters; letters that are redriven, when they are through.

        Args:
            ends: of all partitions of the stream; this process has to have them.
            call: from the thread of this intake.
        """
        self._awaited.append((ends, call))

    def close(self) -> None:
        """Begin to handle nothing more; any thread may say so."""
        self._is_draining = True
        for owned in self.partitions():
            owned.assignment.is_closed = True

    def abandon(self) -> None:
        """Begin nothing more, and commit nothing more; any thread may say so."""
        self._commits.is_stopped = True
        self.close()

    def obstacle(self) -> str:
        """Return why the worker does not do its work, in words; empty if it does."""
        failure = self._ground.letterbox.failure
        if failure is not None:
            return f"the journal cannot be written: {failure}"
        if self._ground.reader.failure is not None:
            return f"the journal cannot be read: {self._ground.reader.failure}"
        if not self.member.is_member:
            reason = self.member.failure
            return f"it is not in its group: {reason}" if reason else "it is not in its group yet"
        if not all(owned.is_open for owned in self._owned.values()):
            return "it looks where to begin"
        refusal = self._commits.obstacle()
        if refusal is not None:
            return f"positions are not committed: {refusal}"
        return "" if self._desk.has_threads else NO_THREADS

    def drain(self, goes_on: Callable[[], bool]) -> bool:
        """Begin nothing more, and wait for what runs.

        Args:
            goes_on: is asked again and again whether to wait longer.

        Returns:
            Whether everything that was handled is committed, or nothing is to be.
        """
        self.close()
        self.member.pause(list(self._owned))
        while self._is_busy() and goes_on():
            try:
                self.member.read(1, _ACTIVE)
                self._collect()
                self._commits.begin(self.member, 0)
            except BrokerError as error:
                _logger.warning("%s: while it ends: %s", self._app.name, error)
                time.sleep(_IDLE)
        if self._commits.is_stopped:
            return True
        self._save_positions()
        until = time.monotonic() + _SAVE_WITHIN
        while not self._ground.letterbox.is_empty and time.monotonic() < until:
            self._ground.letterbox.serve()
            time.sleep(_ACTIVE)
        return not self._has_lost and not any(owned.is_dirty for owned in self._owned.values())

    def _is_busy(self) -> bool:
        is_running = any(owned.is_running for owned in self._owned.values())
        if self._commits.is_stopped:
            return is_running
        return (
            is_running
            or bool(self._commits.is_under_way or self._desk.letters or self._desk.redriven)
            or not self._ground.letterbox.is_empty
            or any(owned.is_dirty for owned in self._owned.values())
        )

    # What the group says. These are called from within reading.

    def _gain(self, partitions: list[int]) -> None:
        for number in partitions:
            former = self._gone.pop(number, [])
            self._owned[number] = OwnedPartition(number, self._app.max_uncommitted, former)
        self._ground.reader.follow(self._owned)

    def _revoke(self, partitions: list[int]) -> None:
        ours = [self._owned[number] for number in partitions if number in self._owned]
        for owned in ours:
            owned.assignment.is_closed = True
        deadline = time.monotonic() + _REVOKE_SECONDS
        while (
            any(owned.is_running for owned in ours)
            and not self._commits.is_stopped
            and time.monotonic() < deadline
        ):
            time.sleep(_ACTIVE)
            self._collect()
            self._beat()
        self._collect()
        self._commits.finish(self.member, ours)
        self._drop(partitions)

    def _lose(self, partitions: list[int]) -> None:
        for number in partitions:
            owned = self._owned.get(number)
            uncommitted = owned.count_uncommitted() if owned is not None else 0
            if uncommitted and not self._commits.is_stopped:
                self._has_lost |= self._is_draining
                _logger.warning(
                    "%s: partition %d was taken away before the last %d events that were handled "
                    "could be committed: they are handled again",
                    self._app.name, number, uncommitted,
                )  # fmt: skip
        self._drop(partitions)

    def _drop(self, partitions: Iterable[int]) -> None:
        for number in partitions:
            owned = self._owned.pop(number, None)
            if owned is not None:
                owned.close()
                self._gone[number] = owned.all_running()
            self._commits.forget(number)
            self._opening.forget(number)
        self._ground.reader.follow(self._owned)

    # What is done in each round.

    def _read(self) -> None:
        waiting = sum(
            owned.progress.unfinished - owned.assignment.resting for owned in self._owned.values()
        )
        limit, timeout = MAX_BATCH, _BUSY if waiting else _IDLE
        if waiting >= _MANY:
            # Whatever the client calls back for comes with records, so reading never stops.
            time.sleep(_SLOWED)
            limit = 1
        is_awaited = any(owned.assignment.blocked for owned in self._owned.values())
        if is_awaited or self._commits.is_under_way or not self._ground.letterbox.is_empty:
            timeout = _ACTIVE
        batch = self.member.read(limit, timeout)
        if batch.records or batch.ends:
            self._ground.decoder.writers.take()
        failure: BrokerError | None = None
        for number, records in groupby(batch.records, _partition_of):
            try:
                self._take(number, list(records))
            except BrokerError as error:
                # Those of other partitions come only once.
                failure = error
        self._opening.send_back(batch.out_of_range)
        for number, end in batch.ends.items():
            owned = self._owned.get(number)
            # Before the end may be what is not taken any more.
            if self._is_draining or owned is None:
                continue
            if owned.is_open and owned.begin_at is None:
                owned.progress.reach(end)
                owned.end = end
        if failure is not None:
            raise failure

    def _take(self, number: int, records: Sequence[Record]) -> None:
        """Hand on records of a partition."""
        owned = self._owned.get(number)
        if owned is None or not owned.is_open or owned.begin_at is not None or self._is_draining:
            return
        offsets = [record.offset() for record in records]
        selected = owned.progress.select(offsets)
        if selected is not None:
            wanted = set(selected)
            records = [record for record in records if record.offset() in wanted]
        items: list[Item] = []
        try:
            self._ground.decode(records, owned.assignment, items)
        finally:
            # What comes after a record that could not be looked at is read again.
            owned.take(items)
            if items:
                self._loop.call_soon_threadsafe(self._lanes.add, owned.assignment, items)
            if len(items) == len(records):
                owned.progress.reach(offsets[-1] + 1)
            else:
                owned.begin_at = records[len(items)].offset()

    def _collect(self) -> None:
        """Take what the event loop has left."""
        self._correspondence.take()
        self._ground.letterbox.serve()
        good_until = self._lease.renew(time.monotonic())
        is_stuck = self._ground.letterbox.failure is not None
        for owned in self._owned.values():
            owned.is_stuck = is_stuck
            if owned.is_open:
                owned.collect()
                if owned.allow(good_until):
                    self._loop.call_soon_threadsafe(self._lanes.unblock, owned.assignment)

    def _commit(self) -> None:
        self._commits.begin(self.member, COMMIT_SECONDS)

    def _save_daily(self) -> None:
        now = time.monotonic()
        for owned in self._owned.values():
            if owned.is_open and now - owned.saved_at >= _SAVE_SECONDS:
                self._ground.save_position(owned, now)

    def _regulate(self) -> None:
        """Read no more of what already takes too much memory, until half of it is done."""
        most = self._app.max_bytes / max(len(self._owned), 1)
        for owned in self._owned.values():
            if not owned.is_open or owned.assignment.is_paused or owned.begin_at is not None:
                continue
            if not owned.reading_paused and owned.memory > most:
                owned.reading_paused = True
                self.member.pause([owned.number])
            elif owned.reading_paused and owned.memory < most / 2:
                owned.reading_paused = False
                self.member.begin(owned.number, owned.progress.high)

    def _tell_through(self) -> None:
        """Answer those who have asked, as far as it is so."""
        for question in list(self._awaited):
            ends, call = question
            if self._is_through(ends):
                self._awaited.remove(question)
                call()

    def _is_through(self, ends: Mapping[int, int]) -> bool:
        partitions = [self._owned.get(number) for number in ends]
        return all(
            owned is not None
            and owned.is_through(ends[owned.number])
            and (self._commits.is_stopped or not owned.is_dirty)
            for owned in partitions
        )

    def _save_positions(self) -> None:
        now = time.monotonic()
        for owned in self._owned.values():
            if owned.is_open and not owned.is_dirty:
                self._ground.save_position(owned, now)
