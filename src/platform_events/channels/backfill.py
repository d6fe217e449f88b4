"""Catching up: members read side by side and merged, up to ends that were captured before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_events.channels.merge import Merge
from platform_events.kafka.reader import END_SLICE, MAX_BATCH, Record, TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.catalog.positions import Place
    from platform_events.channels.members import Source
    from platform_events.channels.transfer import Transfer
    from platform_events.settings import Settings

_TELL_SECONDS = 0.5


class PositionGone(Exception):  # noqa: N818 - the next try finds out why
    """A member's log does not have the position, or its topic is gone."""


def catch_up(
    settings: Settings,
    transfer: Transfer,
    ends: Mapping[Place, int],
    check: Callable[[], None],
    tell: Callable[[], None],
) -> None:
    """Move everything below the ends into the channel, merged by append time.

    Args:
        settings: which cluster.
        transfer: where it goes.
        ends: an offset for each source's place.
        check: is called between batches; what it raises ends the catching up.
        tell: is called now and then, when some of it is done.

    Raises:
        PositionGone: retention overtook it, or a topic was deleted.
        BrokerError: reading or writing failed.
    """
    lagging = [source for source in transfer.sources if source.offset < ends[source.place]]
    if not lagging:
        return
    tell()
    transfer.take()
    runners = [_Runner(settings, source, ends[source.place]) for source in lagging]
    merge: Merge[Record] = Merge(len(runners))
    told = time.monotonic()
    try:
        while hungry := merge.hungry:
            for number in hungry:
                check()
                records = runners[number].read()
                merge.feed(number, records, [record.timestamp()[1] for record in records])
                if runners[number].is_through:
                    merge.finish(number)
            for number, run in merge.runs():
                transfer.forward(lagging[number], run)
            for number in merge.hungry:
                # All that was read is judged; what is between may be no record at all.
                lagging[number].advance(min(runners[number].position, ends[lagging[number].place]))
            transfer.commit_if_full()
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                tell()
    finally:
        for runner in runners:
            runner.close()
    for source in lagging:
        # Transaction markers at the end are no records.
        source.advance(ends[source.place])
    transfer.commit()
    tell()


class _Runner:
    """Reads one partition up to its end, with a bounded queue of its own."""

    def __init__(self, settings: Settings, source: Source, end: int) -> None:
        self._partition = source.place.partition
        self._end = end
        self._reader = TopicReader(settings, source.topic, {self._partition: source.offset})
        self._timeout = settings.request_timeout
        self._silent_since: float | None = None
        self.position = source.offset
        """Everything before it was returned, or is no record."""
        self.is_through = False

    def read(self) -> list[Record]:
        """Return the next records before the end, none if none came soon."""
        batch = self._reader.read(MAX_BATCH, END_SLICE)
        if batch.out_of_range or batch.topic_missing:
            raise PositionGone
        position = max(self.position, batch.ends.get(self._partition, 0))
        if batch.records:
            position = max(position, batch.records[-1].offset() + 1)
        else:
            position = max(position, self._reader.positions().get(self._partition, 0))
        if batch.records or position > self.position:
            self._silent_since = None
        else:
            self._silent_since = self._silent_since or time.monotonic()
            is_silent = time.monotonic() - self._silent_since > self._timeout
            if is_silent and position < self._end:
                self._reader.raise_unreachable()
        self.position = position
        self.is_through = position >= self._end
        return [record for record in batch.records if record.offset() < self._end]

    def close(self) -> None:
        self._reader.close()
