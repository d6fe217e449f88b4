from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from platform_events.workers.holes import LONGEST_METADATA, Saved, decode
from platform_events.workers.progress import Checkpoint, Progress

END = 300
"""Offset after the last record of the partition."""


class ProgressBesideSets(RuleBasedStateMachine):
    """One partition read by one process after another, each beginning at some commit of another.

    The model knows by sets what was handled, told and acknowledged.
    """

    @initialize(
        markers=st.sets(st.integers(0, END - 1)),
        room=st.sampled_from([95, 97, 99, 100, 105, 120, LONGEST_METADATA]),
    )
    def begin(self, markers: set[int], room: int) -> None:
        self.events = [offset for offset in range(END) if offset not in markers]
        self.room = room
        self.handled: set[int] = set()
        self.checkpoint: Checkpoint | None = None
        self.start(0, Saved())

    def start(self, offset: int, saved: Saved) -> None:
        self.progress = Progress(offset, saved, self.room)
        self.told = told_by(offset, saved, self.events)
        """What was done before this process began."""
        self.end = max(saved.high, offset)
        self.acknowledged = self.told
        self.taken: set[int] = set()
        self.finished: set[int] = set()
        self.position = self.first = self.progress.high

    @property
    def unfinished(self) -> list[int]:
        return sorted(self.taken - self.finished)

    @property
    def done(self) -> set[int]:
        return self.told | self.finished

    @rule(count=st.integers(1, 60), has_end=st.booleans())
    def read(self, count: int, has_end: bool) -> None:
        batch = [offset for offset in self.events if offset >= self.position][:count]
        expected = [offset for offset in batch if offset not in self.told | self.taken]
        selected = self.progress.select(batch)
        assert (batch if selected is None else selected) == expected
        self.progress.take(expected)
        self.taken.update(expected)
        if batch:
            self.position = batch[-1] + 1
        if has_end and self.position > (self.events or [-1])[-1]:
            self.progress.reach(END)

    @rule(count=st.integers(1, 30))
    def read_again(self, count: int) -> None:
        self.position = max(self.position - count, self.first)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        some = data.draw(st.sets(st.sampled_from(self.unfinished))) if self.unfinished else set()
        late = data.draw(st.lists(st.integers(0, END), max_size=2))
        offsets = [*some, *(offset for offset in late if offset not in self.unfinished)]
        self.progress.finish(data.draw(st.permutations(offsets)))
        self.finished |= some
        self.handled |= some

    @rule(generation=st.integers(0, 10**12), running=st.integers(0, 99), failing=st.integers(0, 9))
    def commit(self, generation: int, running: int, failing: int) -> None:
        checkpoint = self.progress.checkpoint(generation, running, failing)
        saved = decode(checkpoint.offset, checkpoint.metadata)
        assert len(checkpoint.metadata) <= self.room
        assert (saved.generation, saved.running, saved.failing) == (generation, running, failing)
        told = told_by(checkpoint.offset, saved, self.events)
        assert told <= self.done
        assert told >= self.acknowledged
        assert checkpoint.finished == len(told & self.finished)
        if self.room == LONGEST_METADATA:
            assert told == self.done
        self.checkpoint = checkpoint

    @precondition(lambda self: self.checkpoint is not None)
    @rule()
    def acknowledge(self) -> None:
        assert self.checkpoint is not None
        before = self.progress.acknowledged
        self.progress.acknowledge(self.checkpoint)
        assert self.progress.acknowledged == max(before, self.checkpoint.finished)
        assert self.progress.committed == self.checkpoint.offset
        saved = decode(self.checkpoint.offset, self.checkpoint.metadata)
        self.acknowledged = told_by(self.checkpoint.offset, saved, self.events)

    @precondition(lambda self: self.checkpoint is not None)
    @rule()
    def resume(self) -> None:
        """Another process goes on at the last commit, whether or not its answer has arrived."""
        assert self.checkpoint is not None
        saved = decode(self.checkpoint.offset, self.checkpoint.metadata)
        self.start(self.checkpoint.offset, saved)
        self.checkpoint = None

    @invariant()
    def nothing_unfinished_is_passed(self) -> None:
        if not hasattr(self, "progress"):
            return
        low = self.progress.low
        assert all(offset in self.handled for offset in self.events if offset < low)
        assert low == (self.unfinished[0] if self.unfinished else self.progress.high)
        assert self.progress.unfinished == len(self.unfinished)
        assert self.progress.finished == len(self.finished)
        end = max([self.end, *(offset + 1 for offset in self.finished)])
        holes = [offset for offset in self.events if offset < end and offset not in self.done]
        assert self.progress.holes == len(holes)
        if not self.progress.is_dirty:
            now = self.progress.checkpoint(0, 0, 0)
            saved = decode(now.offset, now.metadata)
            assert told_by(now.offset, saved, self.events) == self.acknowledged

    def teardown(self) -> None:
        if not hasattr(self, "progress"):
            return
        self.position = self.first
        self.read(END, has_end=True)
        self.progress.finish(self.unfinished)
        self.handled |= self.taken
        self.finished |= self.taken
        assert self.handled == {*self.events}
        last = self.progress.checkpoint(0, 0, 0)
        assert (last.offset, last.finished) == (END, len(self.finished))
        self.progress.acknowledge(last)
        assert not self.progress.is_dirty


def told_by(offset: int, saved: Saved, events: list[int]) -> set[int]:
    assert saved.is_known
    holes = {*saved.holes}
    return {one for one in events if one < max(saved.high, offset) and one not in holes}


ProgressBesideSets.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestProgressBesideSets = ProgressBesideSets.TestCase


def resumed(checkpoint: Checkpoint) -> Progress:
    return Progress(checkpoint.offset, decode(checkpoint.offset, checkpoint.metadata))


def alternating(count: int, room: int = LONGEST_METADATA) -> Progress:
    """A partition of which every second event is done, but not the first."""
    progress = Progress(0, room=room)
    progress.take(range(2 * count))
    progress.finish(range(1, 2 * count, 2))
    return progress


def test_it_begins_where_it_is_told() -> None:
    progress = Progress(70)
    assert (progress.low, progress.high, progress.committed) == (70, 70, 70)
    assert (progress.unfinished, progress.holes, progress.finished) == (0, 0, 0)
    assert not progress.is_dirty
    assert progress.select([70, 71]) is None


def test_the_low_water_mark_waits_for_the_oldest() -> None:
    progress = Progress(0)
    progress.take([0, 1, 2, 3])
    progress.finish([1, 2])
    checkpoint = progress.checkpoint(5, 2, 1)
    assert (checkpoint.offset, checkpoint.finished, progress.holes) == (0, 2, 1)
    assert decode(0, checkpoint.metadata) == Saved(5, 3, 2, 1, (0,))
    progress.finish([0])
    assert progress.low == 3
    assert progress.is_dirty


def test_what_was_done_is_not_selected_again() -> None:
    progress = Progress(0)
    progress.take(range(10))
    progress.finish([1, 2, 4, 7])
    other = resumed(progress.checkpoint(0, 0, 0))
    assert (other.low, other.high) == (0, 0)
    assert other.select(list(range(12))) == [0, 3, 5, 6, 8, 9, 10, 11]


def test_reading_goes_on_at_the_next_hole() -> None:
    progress = Progress(0, Saved(high=1_000, holes=(0, 600)))
    progress.take([0])
    assert (progress.low, progress.high) == (0, 600)
    progress.finish([0])
    assert progress.low == 600
    progress.take([600])
    assert progress.high == 1_000


def test_a_hole_that_is_not_in_the_log_any_more_is_done() -> None:
    progress = Progress(0, Saved(high=10, holes=(0, 4, 8)))
    assert progress.select([6, 7, 8, 9, 10]) == [8, 10]
    progress.take([8, 10])
    assert progress.low == 8
    progress.finish([10, 8])
    assert progress.low == 11


def test_where_the_log_begins_later_the_next_hole_follows() -> None:
    progress = Progress(0, Saved(high=10, holes=(0, 4, 8)))
    progress.reach(6)
    assert (progress.low, progress.high) == (8, 8)
    progress.reach(9)
    assert (progress.low, progress.high) == (10, 10)
    jumped = Progress(6, Saved(high=10, holes=(0, 4, 8)))
    assert (jumped.low, jumped.high) == (8, 8)


def test_the_end_of_a_partition_counts_where_only_markers_are() -> None:
    progress = Progress(0)
    progress.take([0, 1])
    progress.reach(4)
    progress.finish([1, 0])
    assert progress.low == 4
    progress.acknowledge(progress.checkpoint(0, 0, 0))
    progress.reach(4)
    assert not progress.is_dirty
    progress.reach(5)
    assert progress.is_dirty


def test_an_offset_is_not_taken_twice() -> None:
    progress = Progress(0)
    progress.take([0, 1, 2])
    assert progress.select([1, 2, 3]) == [3]
    assert progress.select([0, 1]) == []
    with pytest.raises(ValueError, match="offset 2 was taken already: the next one is 3"):
        progress.take([2, 3])


def test_what_is_finished_twice_or_never_taken_counts_once() -> None:
    progress = Progress(10)
    progress.take([10, 11])
    progress.finish([11, 11, 3, 99])
    assert (progress.finished, progress.unfinished, progress.low) == (1, 1, 10)


def test_a_refused_commit_leaves_everything_to_be_told() -> None:
    progress = Progress(0)
    progress.take([0, 1])
    progress.finish([0])
    progress.checkpoint(0, 0, 0)
    assert progress.is_dirty
    assert (progress.acknowledged, progress.committed) == (0, 0)


def test_a_late_acknowledgement_takes_nothing_back() -> None:
    progress = Progress(0)
    progress.take([0, 1, 2])
    progress.finish([0])
    early = progress.checkpoint(0, 0, 0)
    progress.finish([1])
    late = progress.checkpoint(0, 0, 0)
    progress.acknowledge(late)
    progress.acknowledge(early)
    assert (progress.acknowledged, progress.committed) == (2, 2)
    assert not progress.is_dirty


@pytest.mark.parametrize(
    "saved",
    [
        Saved(),
        Saved(high=3, holes=(1, 2)),
        Saved(high=9, holes=(12,)),
        Saved(high=9, is_known=False),
        Saved(high=10),
    ],
)
def test_metadata_that_tells_nothing_of_what_follows_is_passed_over(saved: Saved) -> None:
    progress = Progress(10, saved)
    assert (progress.low, progress.high) == (10, 10)
    assert progress.select([10, 11]) is None


def test_26000_alternating_holes_are_acknowledged_bit_by_bit() -> None:
    progress = alternating(26_000)
    checkpoint = progress.checkpoint(0, 0, 0)
    assert len(checkpoint.metadata) <= LONGEST_METADATA
    assert (checkpoint.offset, checkpoint.high) == (0, 25_600)
    assert checkpoint.finished == 12_800
    progress.acknowledge(checkpoint)
    assert (progress.acknowledged, progress.finished) == (12_800, 26_000)
    assert not progress.is_dirty
    assert resumed(checkpoint).select(list(range(25_610))) == [
        *range(0, 25_600, 2),
        *range(25_600, 25_610),
    ]
    counts = [progress.acknowledged]
    for first in range(0, 52_000, 2_000):
        progress.finish(range(first, first + 2_000, 2))
        progress.acknowledge(progress.checkpoint(0, 0, 0))
        counts.append(progress.acknowledged)
    assert all(one < other for one, other in pairwise(counts))
    assert (progress.acknowledged, progress.low) == (52_000, 52_000)


def test_finishing_what_is_at_the_committed_offset_always_makes_room() -> None:
    progress = alternating(1_000, room=200)
    while progress.acknowledged < progress.finished:
        progress.acknowledge(progress.checkpoint(0, 0, 0))
        before = progress.acknowledged
        progress.finish([progress.committed])
        progress.acknowledge(progress.checkpoint(0, 0, 0))
        assert progress.acknowledged > before
    assert progress.low < 2_000


def test_holes_that_are_split_take_nothing_back() -> None:
    progress = Progress(0)
    progress.take(range(100_000))
    rows = [range(first, first + 40) for first in range(0, 100_000, 100)]
    progress.finish(offset for row in rows for offset in range(row.stop, row.start + 100))
    first = progress.checkpoint(0, 0, 0)
    assert first.high == 100_000
    progress.acknowledge(first)
    random = Random(1)
    progress.finish(offset for row in rows for offset in row if offset and random.random() < 0.5)
    second = progress.checkpoint(0, 0, 0)
    assert second.high == 100_000
    assert second.finished == first.finished < progress.finished
    progress.finish([0])
    third = progress.checkpoint(0, 0, 0)
    assert third.finished > second.finished
    progress.finish(range(100_000))
    assert progress.checkpoint(0, 0, 0).finished == progress.finished == 100_000


def test_a_hole_that_is_split_is_told_whole_where_there_is_no_room() -> None:
    room = 100
    former = Progress(0, room=room)
    former.take(range(100))
    former.finish([*range(10, 60), *range(70, 100)])
    told = former.checkpoint(0, 0, 0)
    assert told.finished == 80
    progress = Progress(0, decode(0, told.metadata), room)
    progress.take(range(10))
    progress.finish([5])
    split = progress.checkpoint(0, 0, 0)
    assert (split.offset, split.finished, split.high) == (0, 0, 100)
    assert split.holes == told.holes
    progress.finish(range(5))
    closed = progress.checkpoint(0, 0, 0)
    assert (closed.offset, closed.finished, closed.high) == (6, 6, 100)
