"""How far a subscription is in its stream, and where it stops."""

from __future__ import annotations

from bisect import bisect_left
from operator import methodcaller
from typing import TYPE_CHECKING

from platform_events.bus.event import Run
from platform_events.names import stream_path
from platform_events.replay import LowWaterMark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.starts import Stream
    from platform_events.kafka.reader import Record
    from platform_events.replay import ReplayId, StreamIdentity

_offset_of = methodcaller("offset")


class Position:
    """The next offset of each partition, and the time from which reading on misses nothing.

    Args:
        stream: whose.
        offsets: where it begins, one for each partition.
        time_ms: the time that is known for that, ms since the epoch; 0 for none.
        ends: the offset of each partition at which to stop; None: never.
    """

    def __init__(
        self, stream: Stream, offsets: Sequence[int], time_ms: int, ends: Sequence[int] | None
    ) -> None:
        self._path = stream_path(stream.name)
        self._identity: StreamIdentity = stream.identity
        self.offsets = list(offsets)
        self._low_water = LowWaterMark(len(self.offsets), time_ms)
        self._time_ms = time_ms
        self.ends = ends

    @property
    def time_ms(self) -> int:
        """A time from which reading on misses nothing, ms since the epoch."""
        return self._low_water.time_ms

    @property
    def is_finished(self) -> bool:
        """Whether everything before the ends was taken."""
        return self.ends is not None and all(
            offset >= end for offset, end in zip(self.offsets, self.ends, strict=False)
        )

    def replay_id(self) -> ReplayId:
        """Return the ID after which what was not taken yet is read."""
        return self._identity.position_id(self.offsets, self._low_water.time_ms)

    def begin_batch(self) -> None:
        """Take the time from which on events of the next runs are read again, if need be."""
        if self._identity.partitions > 1:
            self._time_ms = self._low_water.time_ms

    def run(self, partition: int) -> Run:
        """Return what the next events of a partition have in common."""
        return Run(self._path, self._identity, partition, tuple(self.offsets), self._time_ms)

    def before_end(self, partition: int, records: Sequence[Record]) -> Sequence[Record]:
        """Return those of a partition's records that come before its end."""
        if self.ends is None or records[-1].offset() < self.ends[partition]:
            return records
        return records[: bisect_left(records, self.ends[partition], key=_offset_of)]

    def take(self, partition: int, last: Record) -> None:
        """Note that the records of a partition were taken up to this one."""
        self.offsets[partition] = last.offset() + 1
        if self._identity.partitions > 1:
            self._low_water.deliver(partition, last.timestamp()[1])

    def finish(self, partition: int) -> None:
        """Note that a partition was read up to its end or further."""
        if self.ends is not None:
            self.cross(partition, self.ends[partition])

    def cross(self, partition: int, offset: int) -> None:
        """Note that there is no more record before an offset: markers are none."""
        self.offsets[partition] = max(self.offsets[partition], offset)

    def reach_ends(self, ends: Mapping[int, int]) -> None:
        """Note that these partitions have nothing more to read, up to these offsets."""
        for partition, offset in ends.items():
            self.cross(partition, offset)
            self._low_water.reach_end(partition)

    def move(self, offsets: Sequence[int]) -> None:
        """Go on elsewhere."""
        self.offsets = list(offsets)

    def grow(self, stream: Stream) -> None:
        """Take the partitions that the stream gained, from their beginning."""
        self._identity = stream.identity
        self.offsets += [0] * (stream.identity.partitions - len(self.offsets))
        self._low_water = LowWaterMark(len(self.offsets), self._low_water.time_ms)
