"""Which events may be handled now: those of one key one after the other, others beside them.

The thread of the event loop alone changes what is here, but for what an `Assignment` says is the
other thread's.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from platform_events.bus.event import Event
    from platform_events.errors import UndecodableRecordError
    from platform_events.kafka.reader import Record
    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.journal import Order


class Item:
    """One event that is to be handled."""

    __slots__ = ("assignment", "error", "event", "letter", "offset", "record", "size")

    def __init__(
        self,
        record: Record,
        offset: int,
        event: Event[Any] | None,
        assignment: Assignment,
        size: int,
        error: UndecodableRecordError | None = None,
        letter: Letter | None = None,
    ) -> None:
        self.record = record
        self.offset = offset
        self.event = event
        """None if the record cannot be decoded; `error` says why."""
        self.assignment = assignment
        self.size = size
        """Bytes that it takes in memory, about."""
        self.error = error
        self.letter = letter
        """The dead letter that it comes from, if it was redriven."""


class Assignment:
    """A partition for as long as this process has it, or until its position is moved.

    Another one follows then, so that what comes late counts for nothing.

    Args:
        partition: which.
        allowed: how many events may be begun at first.
    """

    __slots__ = (
        "allowed", "blocked", "failing", "finished", "first", "gathering", "good_until",
        "held_back", "is_closed", "is_paused", "lanes", "lettered", "partition", "resting",
        "running", "started", "stopped",
    )  # fmt: skip

    def __init__(self, partition: int, allowed: int) -> None:
        self.partition = partition
        self.allowed = allowed
        """How many events may have been begun in all. Written by the thread that commits."""
        self.first = -1
        """The offset that is committed, as above. Its event may always be begun: nothing more is
        acknowledged before it is done, once what is done behind it fills what a commit can say."""
        self.good_until = math.inf
        """Until when this process may take it as its own, by `time.monotonic()`; as above."""
        self.is_closed = False
        """Whether nothing is begun any more; as above."""
        self.is_paused = False
        """Whether nothing is begun for now; as above."""
        self.finished: deque[Item] = deque()
        """What is done: the loop appends, the other thread takes."""
        self.lanes: dict[Hashable, Lane] = {}
        self.blocked: list[Lane] = []
        """Those that have events, and wait until more may be begun."""
        self.gathering: list[Lane] | None = None
        """The lanes of a list that waits for more events."""
        self.started = 0
        """How many events were begun."""
        self.running = 0
        """How many handlers run."""
        self.failing = 0
        """How many keys fail now."""
        self.resting = 0
        """How many events wait behind keys that fail."""
        self.stopped: set[Hashable] = set()
        """Keys whose events are parked."""
        self.held_back: set[Hashable] = set()
        """Those of them whose events wait, since nothing else is left to do before them."""
        self.lettered: set[int] = set()
        """Offsets of events that come again and had dead letters when this began."""


@dataclass(frozen=True, slots=True)
class _Redriven:
    """Names the lane of a stopped key's dead letters."""

    key: Hashable


class Lane:
    """The events of one key, in order. The first one is what is handled, or failed last."""

    __slots__ = (
        "assignment", "attempt", "begun", "failing_since", "first_failure_ms", "is_alone",
        "is_resting", "items", "key",
    )  # fmt: skip

    def __init__(self, assignment: Assignment, key: Hashable) -> None:
        self.assignment = assignment
        self.key = key
        self.items: deque[Item] = deque()
        self.attempt = 0
        """How often the first event was tried."""
        self.begun = 0
        """How many of its first events count as begun."""
        self.failing_since: float | None = None
        """When the key failed first since it last went well, by `time.monotonic()`."""
        self.first_failure_ms = 0
        """When the first event failed first, ms since the epoch."""
        self.is_alone = False
        """Whether the first event is what a whole list failed by."""
        self.is_resting = False
        """Whether it waits for its next attempt, or for its dead letter."""


class Lanes:
    """All lanes of a process.

    Args:
        order: whether events of one key wait for each other, or none for any.
        on_ready: is called when lanes have become ready.
    """

    def __init__(self, order: Order, on_ready: Callable[[], None]) -> None:
        self._by_key = order == "key"
        self._on_ready = on_ready
        self.ready: deque[Lane] = deque()
        """Those that somebody may serve. Whoever takes one gives it back by `release`, or has it
        rest or blocked."""

    def add(self, assignment: Assignment, items: Iterable[Item]) -> None:
        """Queue events of one partition, in their order."""
        if assignment.is_closed:
            return
        by_key = self._by_key
        for item in items:
            self._append(assignment, item.record.key() if by_key else item.offset, item)
        if self.ready:
            self._on_ready()

    def redrive(self, assignment: Assignment, items: Iterable[Item]) -> None:
        """Queue events of dead letters.

        Those of a key that is stopped have a lane of their own: what comes newly is parked until
        all of them are through.
        """
        if assignment.is_closed:
            return
        for item in items:
            key: Hashable = item.record.key() if self._by_key else item.offset
            if key in assignment.stopped:
                key = _Redriven(key)
                assignment.stopped.discard(key)
            self._append(assignment, key, item)
        self._on_ready()

    def let_key_go(self, assignment: Assignment, key: Hashable) -> bool:
        """Park no more events of a key; return whether it goes on.

        While some are being parked, it does not. What comes after those waits until they are
        through, or there would always be more of them.
        """
        lane = assignment.lanes.get(key)
        if lane is not None and lane.is_resting:
            assignment.held_back.add(key)
            return False
        assignment.stopped.discard(key)
        self.hold_no_more(assignment, key)
        return True

    def hold_no_more(self, assignment: Assignment, key: Hashable) -> None:
        """Have events of a key wait no more because of what is before them."""
        if key in assignment.held_back:
            assignment.held_back.discard(key)
            self.unblock(assignment)

    def _append(self, assignment: Assignment, key: Hashable, item: Item) -> None:
        lane = assignment.lanes.get(key)
        if lane is None:
            lane = assignment.lanes[key] = Lane(assignment, key)
            self.ready.append(lane)
        elif lane.is_resting:
            assignment.resting += 1
        elif not lane.items:
            # A key that failed lately, and had nothing more.
            self.ready.append(lane)
        lane.items.append(item)

    def release(self, lane: Lane) -> None:
        """Give back a lane that was served."""
        if lane.assignment.is_closed:
            lane.begun = 0
        elif lane.items:
            self.ready.append(lane)
            self._on_ready()
        elif lane.failing_since is None:
            self._forget(lane)

    def may_begin(self, lane: Lane, number: int = 1) -> bool:
        """Whether the first `number` events of a lane may be handled; all but the last may."""
        assignment = lane.assignment
        if not _is_free(lane):
            return False
        if lane.begun < number:
            item = lane.items[number - 1]
            if item.letter is None:
                if assignment.started >= assignment.allowed and item.offset > assignment.first:
                    return False
                assignment.started += 1
            lane.begun = number
        return True

    def begin_all(self, lane: Lane) -> None:
        """Count all events of a lane as begun, allowed or not."""
        waiting = islice(lane.items, lane.begun, None)
        lane.assignment.started += sum(item.letter is None for item in waiting)
        lane.begun = len(lane.items)

    def block(self, lane: Lane) -> None:
        """Let a lane wait until more of its partition may be begun."""
        assignment = lane.assignment
        assignment.blocked.append(lane)
        # The other thread tells only of what it finds blocked when it allows more.
        if _is_free(lane) and (
            assignment.started < assignment.allowed or lane.items[0].offset <= assignment.first
        ):
            self.unblock(assignment)

    def unblock(self, assignment: Assignment) -> None:
        """Let all lanes of a partition that were blocked try again."""
        self.ready.extend(assignment.blocked)
        assignment.blocked.clear()
        self._on_ready()

    def under_way(self, assignment: Assignment) -> list[Item]:
        """Return the events that handlers have now."""
        waiting = {id(lane) for lane in (*self.ready, *assignment.blocked)}
        return [
            item
            for lane in assignment.lanes.values()
            if not lane.is_resting and id(lane) not in waiting
            for item in islice(lane.items, lane.begun)
        ]

    def rest(self, lane: Lane) -> None:
        """Let a lane be until `wake`."""
        lane.is_resting = True
        lane.assignment.resting += len(lane.items)

    def wake(self, lane: Lane) -> None:
        """End the rest of a lane."""
        lane.is_resting = False
        lane.assignment.resting -= len(lane.items)
        self.release(lane)

    def fail(self, lane: Lane, now: float) -> None:
        """Note that the first event of a lane failed, at `now` by `time.monotonic()`."""
        if lane.failing_since is None:
            lane.failing_since = now
            lane.assignment.failing += 1

    def advance(self, lane: Lane) -> None:
        """Take the first event out of a lane: it went well, or is a dead letter."""
        lane.items.popleft()
        lane.begun -= 1
        lane.assignment.resting -= lane.is_resting
        lane.attempt = 0
        lane.first_failure_ms = 0
        lane.is_alone = False

    def recover(self, lane: Lane) -> None:
        """Note that a key goes well again."""
        if lane.failing_since is not None:
            lane.failing_since = None
            lane.assignment.failing -= 1

    def forgive(self, lane: Lane) -> None:
        """Forget that a key failed, unless it has more events: there may be any number of them."""
        if not lane.items:
            self.recover(lane)
            self._forget(lane)

    def _forget(self, lane: Lane) -> None:
        lanes = lane.assignment.lanes
        if lanes.get(lane.key) is lane:
            del lanes[lane.key]


def _is_free(lane: Lane) -> bool:
    """Whether nothing but how many were begun can keep a lane's events from being handled."""
    assignment = lane.assignment
    return (
        not assignment.is_paused
        and lane.key not in assignment.held_back
        and time.monotonic() <= assignment.good_until
    )
