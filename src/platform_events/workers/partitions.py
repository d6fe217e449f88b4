"""What a worker knows of one partition that it has. For the thread that talks to Kafka."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from platform_events.workers.lanes import Assignment, Item
from platform_events.workers.progress import Progress
from platform_events.workers.redriving import Redriving, stopped_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.progress import Checkpoint
    from platform_events.workers.settling import Beginning

_TELL_SECONDS = 1.0
"""How often it is said anew how the handlers do, if nothing else is."""
_APART_MS = 1_000
"""Between two events whose times are kept."""


class OwnedPartition:
    """One partition, from when the group gives it to this process until it takes it away.

    Args:
        number: of the partition.
        max_uncommitted: how many events may be handled and not known to the cluster as such.
        former: assignments of when this process had it before, of which handlers may still run.
    """

    def __init__(
        self, number: int, max_uncommitted: int, former: Sequence[Assignment] = ()
    ) -> None:
        self.number = number
        self._max_uncommitted = max_uncommitted
        self.assignment = Assignment(number, 0)
        """The one in force. It is closed until `open`."""
        self.assignment.is_closed = True
        self.progress = Progress(0)
        self.generation = -1
        """Of the last command that is applied."""
        self.is_open = False
        """Whether its position is known, so that events can be taken."""
        self.begin_at: int | None = None
        """Where reading has to begin, as soon as nothing of before runs any more."""
        self.begin_by = 0.0
        """Until when that is waited for at most, by `time.monotonic()`."""
        self._former = list(former)
        """Those before a seek, or before this process lost it, of which handlers may still run."""
        self.redriving = Redriving()
        self.end: int | None = None
        """Where the partition ended when it was last read to its end."""
        self.memory = 0
        """Bytes of events that were taken and are not finished."""
        self.reading_paused = False
        self._times: deque[tuple[int, int]] = deque()
        """Offsets of some of the events that were taken, and when those were stored."""
        self._allowed = (-1, -1)
        """What the loop was allowed last."""
        self.saved_at = time.monotonic()
        self.is_stuck = False
        """Whether dead letters cannot be written."""
        self._is_told = False
        """Whether the position has been committed since it was settled."""
        self._told = (0, 0, False)
        self._told_at = 0.0

    def open(self, beginning: Beginning, letters: Collection[Letter]) -> None:
        """Begin, or begin anew, at a position.

        Args:
            beginning: the position.
            letters: the dead letters that there are.
        """
        former = self.assignment
        former.is_closed = True
        self._former = self.all_running()
        self.progress = Progress(beginning.offset, beginning.saved)
        self.generation = beginning.saved.generation
        self.assignment = Assignment(self.number, self._max_uncommitted)
        self.assignment.is_paused = former.is_paused
        self.assignment.stopped = former.stopped.copy() | stopped_keys(letters)
        self.assignment.lettered = {
            letter.offset for letter in letters if letter.offset >= beginning.offset
        }
        self.redriving.begin_anew()
        self.reading_paused = False
        self.is_open = True
        self.begin_at = self.progress.low
        self._times.clear()
        self._allowed = (-1, -1)
        self.memory = 0
        self._is_told = False

    def close(self) -> None:
        """Begin nothing more."""
        self.assignment.is_closed = True
        self.is_open = False

    @property
    def is_running(self) -> bool:
        """Whether handlers run, of now or of before."""
        return bool(self.all_running())

    @property
    def is_awaited(self) -> bool:
        """Whether handlers of before still run, which nothing is begun beside for a while."""
        return any(one.running for one in self._former) and time.monotonic() < self.begin_by

    def all_running(self) -> list[Assignment]:
        """Return the assignments, of now and of before, of which handlers run."""
        return [one for one in (*self._former, self.assignment) if one.running]

    def take(self, items: Sequence[Item]) -> None:
        """Note that these events are to be handled."""
        if items:
            self.progress.take([item.offset for item in items])
            self.memory += sum(item.size for item in items)
            stored_ms = items[0].record.timestamp()[1]
            # Beside a handler that hangs, they stay.
            if not self._times or abs(stored_ms - self._times[-1][1]) >= _APART_MS:
                self._times.append((items[0].offset, stored_ms))

    def backlog(self) -> tuple[int, int | None]:
        """Return how many events are not handled, and when the oldest was stored.

        The number is an upper bound; the time is in ms since the epoch, a little early, and None if
        it is not known.
        """
        progress, times = self.progress, self._times
        behind = max((self.end or 0) - progress.high, 0)
        oldest = next((ms for offset, ms in reversed(times) if offset <= progress.low), None)
        return progress.unfinished + behind, oldest if progress.unfinished else None

    def is_through(self, end: int) -> bool:
        """Whether all before an offset is handled, and no dead letter is being redriven."""
        return self.is_open and self.progress.low >= end and not self.redriving.is_under_way

    def collect(self) -> int:
        """Take what was finished since; return how many events that is."""
        finished = self.assignment.finished
        items: list[Item] = []
        while finished:
            items.append(finished.popleft())
        if items:
            self.progress.finish([item.offset for item in items])
            self.memory -= sum(item.size for item in items)
            while len(self._times) > 1 and self._times[1][0] <= self.progress.low:
                self._times.popleft()
        return len(items)

    def settle(self, item: Item) -> None:
        """Note that an event has become a dead letter, if this is still about its assignment."""
        if item.assignment is self.assignment and item.letter is None:
            self.assignment.finished.append(item)

    def is_due(self, interval: float, now: float) -> bool:
        """Whether the position should be committed, at `now` by `time.monotonic()`.

        Args:
            interval: seconds from one commit to the next, unless many events were finished.
            now: the time.
        """
        if not self.is_open:
            return False
        if not self._is_told:
            return True
        progress = self.progress
        if progress.is_dirty:
            unknown = progress.finished - progress.acknowledged
            is_awaited = bool(self.assignment.blocked) or unknown * 2 >= self._max_uncommitted
            return is_awaited or now - self._told_at >= interval
        return self._state() != self._told and now - self._told_at >= _TELL_SECONDS

    @property
    def is_dirty(self) -> bool:
        """Whether something is not committed that should be before this process leaves."""
        return self.is_open and (self.progress.is_dirty or not self._is_told)

    def count_uncommitted(self) -> int:
        """Return how many events are handled, and not known to the cluster as such."""
        self.collect()
        return self.progress.finished - self.progress.acknowledged

    def checkpoint(self, now: float) -> Checkpoint:
        """Return what is to be committed."""
        running, failing, is_stuck = self._told = self._state()
        self._told_at = now
        return self.progress.checkpoint(self.generation, running, failing, is_stuck=is_stuck)

    def _state(self) -> tuple[int, int, bool]:
        """Return what is told beside the position."""
        return self.assignment.running, self.assignment.failing, self.is_stuck

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """Note that the cluster has what was to be committed."""
        self._is_told = True
        self.progress.acknowledge(checkpoint)

    def must_tell(self) -> None:
        """Have the position committed, whether it has moved or not."""
        self._is_told = False

    def refuse(self) -> None:
        """Note that the cluster has not taken it."""
        self._told_at = 0.0

    def allow(self, good_until: float) -> bool:
        """Allow as many events to be begun as may be; return whether that is news for some.

        Args:
            good_until: until when the partition may be taken as this process's own, by
                `time.monotonic()`; 0: that is in doubt.
        """
        assignment = self.assignment
        was_good = time.monotonic() <= assignment.good_until
        assignment.good_until = good_until
        allowed = self.progress.acknowledged + self._max_uncommitted, self.progress.committed
        assignment.allowed, assignment.first = allowed
        if (allowed == self._allowed and was_good) or not good_until:
            return False
        # Lanes that are blocked from now on know this.
        self._allowed = allowed
        return bool(assignment.blocked) and not assignment.is_paused


def memory_of(record: Any) -> int:
    """Return bytes that a record's event takes in memory, about."""
    return _ITEM_BYTES + len(record.value() or b"")


_ITEM_BYTES = 600
"""What an event needs besides its payload as it was stored (measured with small ones)."""
