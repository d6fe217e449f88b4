from __future__ import annotations

import heapq
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.channels.merge import Merge

Item = tuple[int, int, int]
"""Append time, place, number in its place."""

places = st.lists(st.lists(st.integers(0, 9), max_size=20), min_size=1, max_size=4)
pieces = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=10)
"""Which of the hungry places is fed, and with how many records."""


def merge(logs: list[list[Item]], pieces: list[tuple[int, int]]) -> list[Item]:
    """Merge in pieces, as readers do: nothing may come, and the end may be told late."""
    order = cycle([*pieces, (1, 3)])
    merger: Merge[Item] = Merge(len(logs))
    read = [0] * len(logs)
    merged: list[Item] = []
    while hungry := merger.hungry:
        chosen, size = next(order)
        place = hungry[chosen % len(hungry)]
        piece = logs[place][read[place] : read[place] + size]
        read[place] += len(piece)
        merger.feed(place, piece, [item[0] for item in piece])
        if read[place] == len(logs[place]) and size % 2:
            merger.finish(place)
        for number, run in merger.runs():
            assert run
            assert {item[1] for item in run} == {number}
            merged += run
    return merged


@given(places, pieces)
def test_sorted_places_come_out_sorted(
    columns: list[list[int]], pieces: list[tuple[int, int]]
) -> None:
    logs = [
        [(time, place, number) for number, time in enumerate(sorted(column))]
        for place, column in enumerate(columns)
    ]
    assert merge(logs, pieces) == sorted(item for log in logs for item in log)


@given(places, pieces)
def test_a_place_keeps_its_order_whatever_its_clock_says(
    columns: list[list[int]], pieces: list[tuple[int, int]]
) -> None:
    logs = [
        [(time, place, number) for number, time in enumerate(column)]
        for place, column in enumerate(columns)
    ]
    expected = list(heapq.merge(*logs, key=lambda item: item[:2]))
    assert merge(logs, pieces) == expected


def test_nothing_is_handed_out_while_a_place_is_hungry() -> None:
    merger: Merge[str] = Merge(2)
    merger.feed(0, ["a", "b"], [1, 5])
    assert merger.hungry == [1]
    assert list(merger.runs()) == []
    merger.feed(1, ["c"], [3])
    assert list(merger.runs()) == [(0, ["a"]), (1, ["c"])]
    assert merger.hungry == [1]
    merger.feed(1, [], [])
    assert merger.hungry == [1]
    merger.finish(1)
    assert list(merger.runs()) == [(0, ["b"])]
    merger.finish(0)
    assert merger.hungry == []


@pytest.mark.parametrize("tie", [0, 1])
def test_the_place_decides_between_records_of_one_time(tie: int) -> None:
    merger: Merge[int] = Merge(2)
    for place in (tie, 1 - tie):
        merger.feed(place, [place], [7])
        merger.finish(place)
    assert [run for _, run in merger.runs()] == [[0], [1]]
