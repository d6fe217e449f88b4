"""Merging several partitions into one order: by append time, then by place.

Records of one place stay in their order, whatever their times say: append times are a broker's
clock, which is not monotonic across leader changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from platform_events.kafka.reader import Record

_Record = TypeVar("_Record")
Key: TypeAlias = "tuple[str, int]"
"""A topic and a partition of it."""


class Merge(Generic[_Record]):
    """A k-way merge that is fed piece by piece.

    Args:
        count: how many places there are; each is known by its number, which decides between
            records of one time.
    """

    def __init__(self, count: int) -> None:
        self._waiting: dict[int, tuple[Sequence[_Record], Sequence[int], int]] = {}
        """By place: records, their times, and the index of the first that is not handed out."""
        self._open = set(range(count))

    @property
    def hungry(self) -> list[int]:
        """The places without which nothing can be handed out, in order."""
        return sorted(self._open - self._waiting.keys())

    def feed(self, place: int, records: Sequence[_Record], times: Sequence[int]) -> None:
        """Add the next records of a hungry place, with their append times."""
        if records:
            self._waiting[place] = (records, times, 0)

    def finish(self, place: int) -> None:
        """Say that nothing more comes from a place."""
        self._open.discard(place)

    def runs(self) -> Iterator[tuple[int, Sequence[_Record]]]:
        """Yield places and records, in order, until a place is hungry."""
        while self._waiting and not self._open - self._waiting.keys():
            place = min(self._waiting, key=self._head)
            records, times, start = self._waiting[place]
            end = self._run_end(place, times, start)
            if end == len(records):
                del self._waiting[place]
            else:
                self._waiting[place] = (records, times, end)
            yield place, records[start:end]

    def _head(self, place: int) -> tuple[int, int]:
        _, times, start = self._waiting[place]
        return times[start], place

    def _run_end(self, place: int, times: Sequence[int], start: int) -> int:
        """Return the index after the last record that comes before every other place's next."""
        others = [self._head(other) for other in self._waiting if other != place]
        if not others:
            return len(times)
        rival = min(others)
        end = start + 1
        while end < len(times) and (times[end], place) < rival:
            end += 1
        return end


def in_order(
    runs: Sequence[tuple[Key, Sequence[Record]]],
) -> Iterator[tuple[Key, Sequence[Record]]]:
    """Yield what arrived together, merged by append time; each place keeps its own order.

    A fetch brings all that is new in one partition, then all that is new in another.
    """
    by_place: dict[Key, list[Record]] = {}
    for key, records in runs:
        by_place.setdefault(key, []).extend(records)
    places = sorted(by_place)
    merge: Merge[Record] = Merge(len(places))
    for number, key in enumerate(places):
        records = by_place[key]
        merge.feed(number, records, [record.timestamp()[1] for record in records])
        merge.finish(number)
    for number, run in merge.runs():
        yield places[number], run
