"""What is done in one partition, and what a commit can say of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from platform_events.workers.holes import LONGEST_METADATA, Saved, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is to be committed for a partition."""

    offset: int
    """The first offset that is not done."""
    metadata: str
    """What is done above it, as much as fits."""
    finished: int
    """How many of the offsets finished since the beginning it covers."""
    holes: tuple[int, ...]
    """The offsets that the metadata tells not to be done, ascending."""
    high: int
    """The offset up to which it tells."""
    changes: int
    """What had changed by then, counted."""


class Progress:
    """What of a partition was read, and what of that is done. One thread uses it.

    An offset is read and taken, then finished, in any order. Those between two that were taken
    count as done: transaction markers, or what retention removed.

    Commits never tell less than the acknowledged one does, so that what a broker has acknowledged
    is not handled again.

    Args:
        offset: the committed one.
        saved: what its metadata says.
        room: the most characters of metadata that a broker takes.
    """

    def __init__(
        self, offset: int, saved: Saved | None = None, room: int = LONGEST_METADATA
    ) -> None:
        saved = saved or Saved()
        self.room = room
        self._topic = saved.topic
        self._end = max(saved.high, offset)
        """The offset after the last one that is done."""
        self._resumed = self._end
        """Below it, all is done that is not yet to be read but what is `_ahead`."""
        self._ahead = [hole for hole in saved.holes if offset <= hole < self._end]
        """Offsets that were not done before this began, and are not read yet, ascending."""
        self._unfinished: dict[int, None] = {}
        """Taken and not finished, ascending."""
        self._skipped = 0
        """How many offsets were passed without being taken."""
        self._gaps: list[tuple[int, int]] = []
        """The first of each row of those, and how many there were before it."""
        self._changes = 0
        self.high: int = self._ahead[0] if self._ahead else self._end
        """The next offset to read. Everything before it was taken, or is done."""
        self.finished = 0
        """How many offsets were finished since this began."""
        self._acknowledged = Checkpoint(
            self.high, "", 0, tuple(self._ahead), self._end, self._changes
        )

    @property
    def low(self) -> int:
        """The low-water mark: the first offset that is not done."""
        return next(iter(self._unfinished), self.high)

    @property
    def unfinished(self) -> int:
        """How many offsets were taken and are not finished."""
        return len(self._unfinished)

    @property
    def holes(self) -> int:
        """How many offsets are not done although a later one is."""
        return len(self._find_holes())

    @property
    def acknowledged(self) -> int:
        """How many of the finished ones a broker has acknowledged: a kill repeats the others."""
        return self._acknowledged.finished

    @property
    def committed(self) -> int:
        """The offset that a broker has acknowledged last: at first the one where this began.

        The event there has to be begun whatever else has to wait for an acknowledgement. Until it
        is done, metadata that is full stays so, and nothing more would ever be acknowledged.
        """
        return self._acknowledged.offset

    @property
    def is_dirty(self) -> bool:
        """Whether something is done since the checkpoint that was acknowledged last."""
        return self._changes > self._acknowledged.changes

    def select(self, offsets: Sequence[int]) -> list[int] | None:
        """Return which offsets just read are to be taken: not those that are done, or were taken.

        Args:
            offsets: ascending.

        Returns:
            None if all are.
        """
        if not offsets or (offsets[0] >= self.high and not self._ahead):
            return None
        if not self._ahead:
            return list(offsets[bisect_left(offsets, self.high) :])
        due = {*self._ahead[: bisect_left(self._ahead, offsets[-1] + 1)]}
        return [offset for offset in offsets if offset in due or offset >= self._resumed]

    def take(self, offsets: Sequence[int]) -> None:
        """Note that offsets are to be handled. Those before and between them are done.

        Args:
            offsets: ascending, from `high` on.

        Raises:
            ValueError: one was taken before.
        """
        if not offsets:
            return
        first, end = offsets[0], offsets[-1] + 1
        if first < self.high:
            raise ValueError(f"offset {first} was taken already: the next one is {self.high}")
        self._skip_to(first)
        if end - first > len(offsets):
            for offset in offsets:
                self._skip_to(offset)
                self.high = offset + 1
        self.high = end
        self._unfinished.update(dict.fromkeys(offsets))
        self._skip_done()

    def finish(self, offsets: Iterable[int]) -> None:
        """Note that offsets are done. Those that are not unfinished are passed over."""
        unfinished, end = self._unfinished, self._end
        before = len(unfinished)
        for offset in offsets:
            if unfinished.pop(offset, False) is None and offset >= end:
                end = offset + 1
        if len(unfinished) < before:
            self._end = end
            self.finished += before - len(unfinished)
            self._changes += 1
        if not unfinished:
            # A dict keeps the room of what was deleted, and goes through it to find its first key.
            unfinished.clear()

    def reach(self, offset: int) -> None:
        """Note that there is nothing to read before an offset."""
        if offset > self.high:
            self._changes += 1
            self._skip_to(offset)
            self._skip_done()

    def checkpoint(
        self, generation: int, running: int, failing: int, *, is_stuck: bool = False
    ) -> Checkpoint:
        """Return what to commit now.

        Args:
            generation: of the last control that was applied.
            running: how many handlers run.
            failing: how many keys fail.
            is_stuck: whether dead letters cannot be written.
        """
        low = self.low
        # No checkpoint tells less than the last one.
        known = max(low, self._acknowledged.high)
        del self._gaps[: bisect_left(self._gaps, (known,))]
        saved = Saved(
            generation,
            max(self._end, low),
            running,
            failing,
            self._find_holes(),
            topic=self._topic,
            is_stuck=is_stuck,
        )
        metadata, told = encode(low, saved, self.room)
        if told == saved.high:
            return Checkpoint(low, metadata, self.finished, saved.holes, told, self._changes)
        former = self._acknowledged
        if told < former.high:
            # Holes need more room when they are split. What was told before always fits, with
            # what has been done since below `low`.
            holes = former.holes[bisect_left(former.holes, low) :]
            saved = replace(saved, high=former.high, holes=holes)
            metadata, told = encode(low, saved, self.room)
        holes = saved.holes[: bisect_left(saved.holes, told)]
        finished = self._count_finished(holes, told)
        return Checkpoint(low, metadata, finished, holes, told, self._changes)

    def acknowledge(self, checkpoint: Checkpoint) -> None:
        """Note that a broker has a checkpoint."""
        if checkpoint.changes >= self._acknowledged.changes:
            self._acknowledged = checkpoint

    def _skip_to(self, offset: int) -> None:
        if offset > self.high:
            gaps = self._gaps
            if not gaps or gaps[-1][0] + self._skipped - gaps[-1][1] != self.high:
                gaps.append((self.high, self._skipped))
            self._skipped += offset - self.high
            self.high = offset

    def _skip_done(self) -> None:
        """Pass what was done before this began."""
        if self._ahead:
            del self._ahead[: bisect_left(self._ahead, self.high)]
        if self.high < self._resumed:
            self._skip_to(self._ahead[0] if self._ahead else self._resumed)

    def _find_holes(self) -> tuple[int, ...]:
        if self._end <= self.low:
            return ()
        waiting = (*self._unfinished, *self._ahead)
        return waiting[: bisect_left(waiting, self._end)]

    def _count_finished(self, holes: Sequence[int], high: int) -> int:
        """Return how many of the finished offsets are below `high` and none of `holes`.

        Args:
            holes: all that are not done below `high` are among them.
            high: up to where to count.
        """
        unfinished = [*self._unfinished]
        below = bisect_left(unfinished, high)
        beyond = 0
        if high < self.high:
            place = bisect_left(self._gaps, (high,))
            before = self._gaps[place][1] if place < len(self._gaps) else self._skipped
            beyond = self.high - high - (self._skipped - before) - (len(unfinished) - below)
        among = len(holes) - below - bisect_left(self._ahead, high)
        return self.finished - beyond - among
