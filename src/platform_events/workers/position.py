"""How far a subscription is in one partition of its stream; pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.workers.holes import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.kafka.offsets import Committed
    from platform_events.workers.holes import Saved
    from platform_events.workers.journal import PartitionJournal


@dataclass(frozen=True, slots=True)
class PartitionPosition:
    """What is handled in one partition."""

    low: int
    """The first offset that is not."""
    saved: Saved
    """What was committed with it."""

    def unhandled(self, first: int, end: int) -> int:
        """Return how many offsets in [first, end) are not handled."""
        holes = self.saved.holes
        return (
            bisect_left(holes, end)
            - bisect_left(holes, first)
            + max(end - max(self._high, first), 0)
        )

    def oldest(self, first: int) -> int:
        """Return the first offset from `first` on that is not handled."""
        holes = self.saved.holes
        place = bisect_left(holes, first)
        return holes[place] if place < len(holes) else max(self._high, first)

    @property
    def _high(self) -> int:
        return max(self.saved.high, self.low)


def position_in(
    partition: int,
    committed: Committed | None,
    journals: Sequence[PartitionJournal],
    topic_id: str,
    first: int,
) -> PartitionPosition:
    """Return how far a subscription is in one partition.

    What its group has committed counts; then what its journal has saved, since Kafka forgets the
    positions of groups without members; then where the subscription began. What is said
    of a topic that was made again counts for nothing: there it begins with the first event, as it
    does in partitions that were added.

    Args:
        partition: which.
        committed: by its group; None if Kafka has nothing.
        journals: all partitions of its journal; the first says what it is.
        topic_id: UUID of the stream's topic now.
        first: the first offset that the partition still has.
    """
    saved = journals[partition].saved if partition < len(journals) else None
    if committed is not None:
        found = decode(committed.offset, committed.metadata)
        if found.is_of(topic_id):
            return PartitionPosition(committed.offset, found)
    if saved is not None and saved.topic_id == topic_id:
        return PartitionPosition(saved.offset, decode(saved.offset, saved.metadata))
    record = journals[0].subscription
    starts = record.offsets if record is not None and record.topic_id == topic_id else ()
    low = starts[partition] if partition < len(starts) else first
    return PartitionPosition(low, decode(low, ""))
