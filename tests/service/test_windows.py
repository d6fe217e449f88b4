"""Windows, and what fills them: every subscriber has every event once, in order, whatever happens.

A model of a stream's log is read through the real windows, feeds and turns; what threads do comes
in any order that hypothesis likes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.bus.event import Run
from platform_events.replay import ReplayId, StreamIdentity
from platform_events.service import windows as windows_module
from platform_events.service.blocks import Block
from platform_events.service.windows import Cursor, Place, Window, Windows
from tests.service.model import PATH, Model

ONE = StreamIdentity("cluster", "uuid", 1)


@pytest.fixture
def small() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield patch


def shrink(patch: pytest.MonkeyPatch, events: int = 12, ahead: int = 6, kept: int = 3) -> None:
    patch.setattr(windows_module, "MOST_EVENTS", events)
    patch.setattr(windows_module, "AHEAD_EVENTS", ahead)
    patch.setattr(windows_module, "KEPT_EVENTS", kept)


def no_choice(limit: int) -> int:
    return limit


@settings(max_examples=150)
@given(st.data(), st.sampled_from([1, 1, 2, 3]), st.integers(1, 3))
def test_nothing_is_lost_doubled_or_out_of_order(
    data: st.DataObject, partitions: int, places: int
) -> None:
    def choose(limit: int) -> int:
        return int(data.draw(st.integers(0, limit)))

    with pytest.MonkeyPatch.context() as patch:
        shrink(patch, events=8 + choose(20), ahead=3 + choose(6), kept=choose(4))
        model = Model(patch, partitions, choose, places, near=choose(8))
        for _ in range(choose(60)):
            model.happen()
        for window in model.open._windows:
            # And what was read last.
            assert window._events[-1] - window._events[0] <= windows_module.MOST_EVENTS + 28
            assert window.cursors
        model.settle()
        assert all(reader.has_all for reader in model.readers)
        for reader in list(model.readers):
            # By their number: that of several partitions is a time, and does not go back.
            assert reader.replay_ids == sorted(reader.replay_ids, key=lambda one: one[:8])
            reader.leave()
        assert not list(model.open._windows)
        assert not model.open._feed_of
        while model.threads.step():
            pass
        assert not model.threads.turns._holders
        assert not model.threads.turns._waiting


def test_who_begins_where_somebody_reads_joins(small: pytest.MonkeyPatch) -> None:
    model = Model(small, 1, no_choice)
    model.log.append(0, 10, 0)
    first = model.subscribe((0,))
    model.threads.step()
    model.threads.step()
    assert first.take(3, 1000) == 0
    model.settle()
    assert model.opened == 1
    again = model.subscribe((9,))
    assert again.cursor.window is first.cursor.window
    assert again.take(5, 1000) == 1
    for _ in range(2):
        model.log.append(0, 9, 0)
        model.settle()
    assert model.subscribe((0,)).cursor.window is not first.cursor.window


def test_windows_that_meet_are_fed_once(small: pytest.MonkeyPatch) -> None:
    model = Model(small, 1, no_choice, places=5)
    model.log.append(0, 60, 0)
    readers = [model.subscribe((start,)) for start in (0, 0, 20, 40)]
    assert readers[0].cursor.window is readers[1].cursor.window
    assert len(list(model.open._windows)) == 3
    model.settle()
    assert all(reader.has_all for reader in readers)
    assert len(list(model.open._windows)) == 1
    assert len(model.open._feed_of) == 1


def test_no_more_are_read_at_a_time_than_there_are_places(small: pytest.MonkeyPatch) -> None:
    model = Model(small, 1, no_choice, places=2, near=0)
    model.log.append(0, 500, 0)
    readers = [model.subscribe((start,)) for start in range(0, 400, 40)]
    most = 0
    while not all(reader.has_all for reader in readers):
        progress = [reader.take(5, 1000) for reader in readers]
        open_now = [
            feed
            for feed in model.open._feed_of.values()
            if feed._reading is not None and feed._reading.reads_by_itself
        ]
        most = max(most, len(open_now))
        if not model.threads.step() and not any(progress):
            # Those with a place are ahead of their readers, who have none to wait for.
            for feed in list(model.open._feed_of.values()):
                feed.look()
    assert most == 2


def test_one_that_is_too_far_behind_is_let_go_and_reads_on_where_it_was(
    small: pytest.MonkeyPatch,
) -> None:
    model = Model(small, 1, no_choice)
    slow, quick = model.subscribe((0,)), model.subscribe((0,))
    window = quick.cursor.window
    assert slow.cursor.window is window
    for _ in range(20):
        model.log.append(0, 2, 0)
        while model.threads.step() or quick.take(100, 10_000):
            pass
    assert quick.has_all
    assert slow.cursor.window is None
    assert slow.cursor.place.offsets == (0,)
    model.settle()
    assert slow.has_all


def block(first: int, count: int, size: int = 10) -> Block:
    offsets = array("q", range(first, first + count))
    ends = array("q", range(size, size * count + 1, size))
    return Block(Run(PATH, ONE, 0, (first,), 0), offsets, bytes(size * count), ends)


def cursor_in(window: Window) -> Cursor:
    cursor = Cursor(window.end, lambda: None)
    window.enter(cursor, (window.next_block, 0))
    return cursor


def test_a_response_has_as_many_bytes_as_it_may_and_one_event_at_least() -> None:
    window = Window(Place((0,)))
    cursor = cursor_in(window)
    window.append([block(0, 5), block(5, 5), block(10, 1, 500), block(11, 3)], Place((14,)))
    counts, lengths = [], []
    while (taken := cursor.take(100, 75)) is not None:
        counts.append(taken.count)
        lengths.append(len(b"".join(taken.encoded)))
        assert taken.replay_id == ReplayId(ONE.position_id([sum(counts)]))
    assert counts == [7, 3, 1, 3]
    assert lengths == [70, 30, 500, 30]


def test_it_says_up_to_where_everything_was_sent_beyond_markers_too() -> None:
    window = Window(Place((0,)))
    cursor = cursor_in(window)
    window.append([block(0, 2)], Place((2,)))
    assert cursor.take(100, 1_000) is not None
    assert cursor.place.offsets == (2,)
    window.append([], Place((3,)))
    assert cursor.place.offsets == (3,)
    for offset in (2, 3):
        assert window.find(Place((offset,))) == (1, 0)
    assert window.find(Place((4,))) is None


def test_bytes_bound_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "MOST_BYTES", 10_000)
    window = Window(Place((0,)))
    slow, quick = cursor_in(window), cursor_in(window)
    for first in range(0, 40, 2):
        window.append([block(first, 2, 1_000)], Place((first + 2,)))
        assert quick.take(100, 100_000) is not None
    assert slow.window is None
    assert slow.place == Place((0,))
    assert window._bytes[-1] - window._bytes[0] <= 10_000


def test_a_time_in_a_replay_id_never_goes_back() -> None:
    identity = StreamIdentity("cluster", "uuid", 2)
    window = Window(Place((0, 0), 5))
    offsets = array("q", [0])
    run = Run(PATH, identity, 0, (0, 0), 5)
    cursor_in(window)
    window.append([Block(run, offsets, b"x", array("q", [1]))], Place((1, 0), 9))
    assert window.find(Place((0, 0), 5)) == (0, 0)
    assert window.find(Place((0, 0), 6)) is None
    assert window.find(Place((1, 0), 9)) == (1, 0)
    assert window.find(Place((1, 0), 10)) is None


def test_the_latest_is_a_live_window_s_end_once_that_is_there() -> None:
    windows = Windows()
    first = Cursor(Place((3, 5)), lambda: None)
    window = windows.open(first)
    latest: Any = Cursor(Place((4, 5)), lambda: None)
    assert not windows.join_end(latest, [3, 5])
    window.is_live = True
    assert not windows.join_end(latest, [4, 5])
    run = Run(PATH, StreamIdentity("cluster", "uuid", 2), 0, (3, 5), 0)
    window.append([Block(run, array("q", [3, 4]), b"xy", array("q", [1, 2]))], Place((5, 5)))
    assert windows.join_end(latest, [4, 5])
    assert latest.place.offsets == (5, 5)
    assert latest.window is window
