"""When the events of a stopped key go on."""

from __future__ import annotations

from typing import Any

from platform_events.workers.lanes import Assignment, Item, Lanes


class Record:
    """All that lanes look at."""

    def key(self) -> bytes:
        return b"a"


def test_a_key_goes_on_when_what_is_being_parked_is_through() -> None:
    lanes, assignment, record = Lanes("key", lambda: None), Assignment(0, 100), Record()
    items = [Item(_any(record), offset, None, assignment, 1) for offset in range(3)]
    assignment.stopped.add(b"a")
    lanes.add(assignment, items[:1])
    lane = lanes.ready.popleft()
    lanes.rest(lane)
    lanes.add(assignment, items[1:])
    assert not lanes.let_key_go(assignment, b"a")
    assert assignment.stopped == {b"a"}
    lanes.advance(lane)
    lanes.wake(lane)
    # What came meanwhile is neither parked nor handled before the parked one is.
    assert not lanes.may_begin(lane)
    assert lanes.let_key_go(assignment, b"a")
    assert not assignment.stopped
    assert lanes.may_begin(lane)


def _any(record: Any) -> Any:
    return record
