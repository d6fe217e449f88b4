"""What a worker does with Kafka: it reads, commits, writes dead letters, and obeys commands."""

from __future__ import annotations

import logging
import time
from itertools import groupby
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from platform_events.errors import BrokerError, WorkerStoppedError
from platform_events.kafka.reader import MAX_BATCH
from platform_events.workers.partitions import OwnedPartition
from platform_events.workers.redriving import stopped_keys
from platform_events.workers.settling import settle

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from platform_events.kafka.reader import Record
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.desk import Desk
    from platform_events.workers.ground import Ground
    from platform_events.workers.lanes import Item, Lanes

COMMIT_SECONDS = 0.05
"""How often positions are committed while events are handled."""
_ACTIVE = 0.005
"""Seconds to wait for records while there is something to commit or to write."""
_IDLE = 0.05
_REVOKE_SECONDS = 9.0
"""How long handlers may go on with a partition that goes to another. The group waits meanwhile, and
a member that takes longer is still one (tried: with a session of 6 s)."""
_MANY = 2_000
"""Events that wait for a handler; with more, reading slows down."""
_SLOWED = 0.002
_SAVE_SECONDS = 24 * 3600.0
_partition_of = methodcaller("partition")
_offset_of = methodcaller("offset")
_logger = logging.getLogger("platform_events.worker")


class Intake:
    """A worker's share of its stream, round after round. For one thread.

    Args:
        app: the worker.
        ground: what it stands on in the cluster.
        desk: what the event loop leaves to be done.
        lanes: get the events, in the thread of the loop.
        loop: that event loop.
    """

    def __init__(
        self,
        app: WorkerApp,
        ground: Ground,
        desk: Desk,
        lanes: Lanes,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._app = app
        self._ground = ground
        self._desk = desk
        self._lanes = lanes
        self._loop = loop
        self._owned: dict[int, OwnedPartition] = {}
        self._committing: dict[int, tuple[Any, Any]] = {}
        """What is being committed of which assignments."""
        self._is_draining = False
        self.member = ground.take_seat(self._gain, self._revoke, self._lose, self._take_outcomes)

    def partitions(self) -> list[OwnedPartition]:
        """Return what this process has; any thread may ask."""
        return list(self._owned.values())

    def go_round(self) -> None:
        """Do once what there is to do.

        Raises:
            WorkerStoppedError: the subscription was deleted, or a policy says so.
            PlatformEventsError: the worker cannot go on as it is.
            BrokerError: the cluster refuses, or is away; this may be called again.
        """
        if self._desk.stop is not None:
            raise self._desk.stop
        self._ground.check()
        for partition in self._ground.reader.read():
            self._obey(partition)
        self._open_partitions()
        self._read()
        self._collect()
        self._commit(COMMIT_SECONDS)
        self._regulate()

    def obstacle(self) -> str:
        """Return why the worker does not do its work, in words; empty if it does."""
        failure = self._ground.letterbox.failure
        if failure is not None:
            return f"the journal cannot be written: {failure}"
        if not self.member.is_member:
            reason = self.member.failure
            return f"it is not in its group: {reason}" if reason else "it is not in its group yet"
        if not all(owned.is_open for owned in self._owned.values()):
            return "it looks where to begin"
        return ""

    def drain(self, deadline: float, beat: Callable[[], None]) -> bool:
        """Begin nothing more, and wait for what runs.

        Args:
            deadline: how long, by `time.monotonic()`.
            beat: is called while it waits.

        Returns:
            Whether everything that was handled is committed.
        """
        self._is_draining = True
        for owned in self._owned.values():
            owned.assignment.is_closed = True
        self.member.pause(list(self._owned))
        while self._is_busy() and time.monotonic() < deadline:
            beat()
            try:
                self.member.read(1, _ACTIVE)
                self._collect()
                self._commit(0)
            except BrokerError as error:
                _logger.warning("%s: while it ends: %s", self._app.name, error)
                time.sleep(_IDLE)
        self._save_positions()
        while not self._ground.letterbox.is_empty and time.monotonic() < deadline:
            beat()
            self._ground.letterbox.serve()
            time.sleep(_ACTIVE)
        return not any(owned.is_dirty for owned in self._owned.values())

    def _is_busy(self) -> bool:
        return (
            bool(self._committing or self._desk.letters or self._desk.redriven)
            or not self._ground.letterbox.is_empty
            or any(owned.is_running or owned.is_dirty for owned in self._owned.values())
        )

    # What the group says. These are called from within reading.

    def _gain(self, partitions: list[int]) -> None:
        for number in partitions:
            self._owned[number] = OwnedPartition(number, self._app.max_uncommitted)
        self._ground.reader.follow(self._owned)

    def _revoke(self, partitions: list[int]) -> None:
        ours = [self._owned[number] for number in partitions if number in self._owned]
        for owned in ours:
            owned.assignment.is_closed = True
        deadline = time.monotonic() + _REVOKE_SECONDS
        while any(owned.is_running for owned in ours) and time.monotonic() < deadline:
            time.sleep(_ACTIVE)
            self._collect()
        self._collect()
        now = time.monotonic()
        dirty = {one.number: one.checkpoint(now) for one in ours if one.is_dirty}
        self.member.commit_now({one: (last.offset, last.metadata) for one, last in dirty.items()})
        self._drop(partitions)

    def _lose(self, partitions: list[int]) -> None:
        self._drop(partitions)

    def _drop(self, partitions: Iterable[int]) -> None:
        for number in partitions:
            owned = self._owned.pop(number, None)
            if owned is not None:
                owned.close()
            self._committing.pop(number, None)
        self._ground.reader.follow(self._owned)

    def _take_outcomes(self, outcomes: dict[int, BrokerError | None]) -> None:
        committing, self._committing = self._committing, {}
        for number, (assignment, checkpoint) in committing.items():
            owned = self._owned.get(number)
            if owned is None or owned.assignment is not assignment or number not in outcomes:
                continue
            error = outcomes[number]
            if error is None:
                owned.acknowledge(checkpoint)
            else:
                _logger.info("%s: a commit is tried again: %s", self._app.name, error)
                owned.refuse()

    # What is done in each round.

    def _obey(self, partition: int) -> None:
        """Do what the journal newly says about a partition."""
        owned = self._owned.get(partition)
        if owned is None or not owned.is_open:
            return
        control = self._ground.reader.journal(partition).control
        if control.generation > owned.generation:
            self._check_deleted(partition)
            seek = control.seek
            if seek is not None and seek.generation > owned.generation:
                self._settle(owned)
            owned.generation = control.generation
            owned.must_tell()
            self._set_paused(owned, is_paused=control.paused)
        self._redrive(owned)

    def _check_deleted(self, partition: int) -> None:
        if self._ground.reader.journal(partition).control.deleted:
            raise WorkerStoppedError(f"subscription {self._app.name} was deleted")

    def _open_partitions(self) -> None:
        reader = self._ground.reader
        now = time.monotonic()
        for owned in self._owned.values():
            if not owned.is_open and reader.is_loaded(owned.number):
                self._check_deleted(owned.number)
                self._settle(owned)
                control = reader.journal(owned.number).control
                self._set_paused(owned, is_paused=control.paused)
                owned.assignment.stopped.update(
                    stopped_keys(reader.journal(owned.number).letters.values())
                )
                self._redrive(owned)
            if owned.begin_at is not None and not owned.assignment.is_paused:
                former = owned.former
                if former is None or not former.running or now >= owned.begin_by:
                    self.member.begin(owned.number, owned.begin_at)
                    owned.begin_at = owned.former = None

    def _settle(self, owned: OwnedPartition) -> None:
        """Find out where a partition begins, or goes on."""
        found = self.member.committed([owned.number], self._ground.timeout)
        beginning = settle(
            self._ground.reader.journal(owned.number),
            self._ground.subscription,
            self._ground.stream.topic.topic_id,
            self._ground.marks(owned.number),
            found.get(owned.number),
        )
        name, number = self._app.name, owned.number
        if beginning.lost:
            _logger.error(
                "%s: up to %d events of partition %d were removed by retention before they were "
                "handled; it goes on with the earliest",
                name, beginning.lost, number,
            )  # fmt: skip
        if not beginning.is_readable:
            _logger.warning(
                "%s: what was committed for partition %d is of a newer version: some events are "
                "handled again",
                name, number,
            )  # fmt: skip
        owned.open(beginning)
        owned.begin_by = time.monotonic() + _REVOKE_SECONDS

    def _set_paused(self, owned: OwnedPartition, *, is_paused: bool) -> None:
        if owned.assignment.is_paused == is_paused:
            return
        owned.assignment.is_paused = is_paused
        if is_paused:
            self.member.pause([owned.number])
        else:
            self._loop.call_soon_threadsafe(self._lanes.unblock, owned.assignment)
            owned.begin_at = owned.progress.high

    def _read(self) -> None:
        waiting = sum(
            owned.progress.unfinished - owned.assignment.resting for owned in self._owned.values()
        )
        limit, timeout = MAX_BATCH, _IDLE
        if waiting >= _MANY:
            # Whatever the client calls back for comes with records, so reading never stops.
            time.sleep(_SLOWED)
            limit = 1
        if waiting or self._committing or not self._ground.letterbox.is_empty:
            timeout = _ACTIVE
        batch = self.member.read(limit, timeout)
        if batch.records or batch.ends:
            self._ground.decoder.writers.take()
        for number, records in groupby(batch.records, _partition_of):
            self._take(number, list(records))
        for number, end in batch.ends.items():
            owned = self._owned.get(number)
            if owned is not None and owned.is_open and owned.begin_at is None:
                owned.progress.reach(end)
                owned.end = end
        for number in batch.out_of_range:
            owned = self._owned.get(number)
            if owned is not None and owned.is_open:
                self._settle(owned)

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
            taken = [item.offset for item in items]
            owned.progress.take(taken)
            owned.memory += sum(item.size for item in items)
            if items:
                self._loop.call_soon_threadsafe(self._lanes.add, owned.assignment, items)
            if len(items) == len(records):
                owned.progress.reach(offsets[-1] + 1)
            else:
                owned.begin_at = records[len(items)].offset()

    def _collect(self) -> None:
        """Take what the event loop has left."""
        desk, ground = self._desk, self._ground
        while desk.letters:
            item, failure, settled = desk.letters.popleft()
            letter = ground.post_letter(item, failure, self._when_stored(item, settled))
            owned = self._owned.get(letter.partition)
            if owned is not None:
                owned.redriving.post(letter)
        while desk.redriven:
            item, letter = desk.redriven.popleft()
            ground.remove_letter(letter, self._when_stored(item, is_handled=True))
        while desk.let_go:
            item, letter, settled = desk.let_go.popleft()
            owned = self._owned.get(letter.partition)
            if owned is not None:
                owned.redriving.let_go(letter)
            ground.drop_request(letter.partition, letter.id)
            self._loop.call_soon_threadsafe(settled)
        ground.letterbox.serve()
        for owned in self._owned.values():
            if owned.is_open:
                owned.collect()
                if owned.allow():
                    self._loop.call_soon_threadsafe(self._lanes.unblock, owned.assignment)

    def _when_stored(
        self, item: Item, settled: Callable[[], None] | None = None, *, is_handled: bool = False
    ) -> Callable[[], None]:
        """Return what is to be done when what became of an event is in the journal."""

        def done() -> None:
            owned = self._owned.get(item.assignment.partition)
            if owned is not None:
                owned.settle(item)
                if item.letter is not None:
                    owned.redriving.end(item.letter, is_handled=is_handled)
                    self._redrive(owned)
            if settled is not None:
                self._loop.call_soon_threadsafe(settled)

        return done

    def _commit(self, interval: float) -> None:
        if self._committing:
            return
        now = time.monotonic()
        due = {owned.number: owned for owned in self._owned.values() if owned.is_due(interval, now)}
        if not due:
            return
        checkpoints = {number: owned.checkpoint(now) for number, owned in due.items()}
        positions = {number: (one.offset, one.metadata) for number, one in checkpoints.items()}
        if self.member.commit(positions):
            self._committing = {
                number: (due[number].assignment, checkpoint)
                for number, checkpoint in checkpoints.items()
            }
        for owned in due.values():
            if now - owned.saved_at >= _SAVE_SECONDS:
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

    def _redrive(self, owned: OwnedPartition) -> None:
        """Hand on the events of dead letters that are to be handled after all."""
        journal, assignment = self._ground.reader.journal(owned.number), owned.assignment
        for id_ in owned.redriving.refused(journal):
            self._ground.drop_request(owned.number, id_)
        letters = owned.redriving.choose(journal, assignment.stopped)
        if letters:
            items: list[Item] = []
            try:
                items += self._ground.load_letters(letters, assignment)
            finally:
                loaded = {item.letter.id for item in items if item.letter is not None}
                for letter in letters:
                    if letter.id not in loaded:
                        # It was discarded meanwhile, or could not be read.
                        owned.redriving.let_go(letter)
            self._loop.call_soon_threadsafe(self._lanes.redrive, assignment, items)
        for key in owned.redriving.through(journal):
            self._loop.call_soon_threadsafe(self._lanes.let_key_go, assignment, key)

    def _save_positions(self) -> None:
        now = time.monotonic()
        for owned in self._owned.values():
            if owned.is_open and not owned.is_dirty:
                self._ground.save_position(owned, now)
