"""What a topic holds, counted where that is cheap."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.errors import AuthorizationError, BrokerError
from platform_events.kafka.reader import MAX_BATCH, REMOVED, TopicReader, read_range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.settings import Settings

COUNTED = 10_000
"""Offsets up to which a topic's records are counted one by one."""
COUNTED_BYTES = 32 * 1024 * 1024
"""Bytes of bodies after which counting ends."""
_LOOK_SECONDS = 2.0
_POLL_INTERVAL = 0.2
_LOOKED_AT = 100
"""Offsets of each partition in which the oldest and the newest record of others is looked for."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is between a topic's watermarks."""

    records: int
    """Committed records; an upper bound unless `exact`."""
    exact: bool
    oldest_ms: int | None
    """When the oldest record was stored, in ms since the epoch; None if that is not known."""
    newest_ms: int | None
    """When the newest one was."""


def read_holding(settings: Settings, topic: str, watermarks: Sequence[tuple[int, int]]) -> Holding:
    """Look into a topic.

    Offsets are an upper bound of its records: markers of transactions and what was aborted have
    some too. Whoever may not read the topic learns that bound, and so does who is overtaken by
    retention.

    Raises:
        BrokerError: the topic cannot be read.
    """
    offsets = sum(end - first for first, end in watermarks)
    try:
        if offsets <= COUNTED:
            times = _times(settings, topic, watermarks, COUNTED_BYTES)
            if times is not None:
                return Holding(len(times), True, min(times, default=None), max(times, default=None))
        firsts = [(first, min(first + _LOOKED_AT, end)) for first, end in watermarks]
        lasts = [(max(end - _LOOKED_AT, first), end) for first, end in watermarks]
        oldest = _times(settings, topic, firsts) or ()
        newest = _times(settings, topic, lasts) or ()
    except BrokerError as error:
        if not isinstance(error, AuthorizationError) and error.kafka_code != REMOVED:
            raise
        return Holding(offsets, not offsets, None, None)
    return Holding(offsets, False, min(oldest, default=None), max(newest, default=None))


def _times(
    settings: Settings, topic: str, ranges: Sequence[tuple[int, int]], limit: float = math.inf
) -> list[int] | None:
    """Return when records were stored, in ms; None if they have more than `limit` bytes."""
    times = []
    for record in read_range(settings, topic, ranges):
        times.append(record.timestamp()[1])
        limit -= len(record.value() or b"")
        if limit < 0:
            return None
    return times


def append_times(
    settings: Settings, topic: str, offsets: Mapping[int, int]
) -> dict[int, int | None]:
    """Return when the record at each offset was stored, in ms since the epoch.

    Args:
        settings: which cluster.
        topic: which.
        offsets: one for each partition to look into. Where there is no record at it, such as a
            marker of a transaction, the next one counts.

    Returns:
        By partition; None where no record is left. Partitions in which none could be read in time
        are left out.

    Raises:
        BrokerError: the topic cannot be read.
    """
    times: dict[int, int | None] = {}
    if not offsets:
        return times
    reader = TopicReader(settings, topic, offsets)
    deadline = time.monotonic() + _LOOK_SECONDS
    try:
        while len(times) < len(offsets) and time.monotonic() < deadline:
            # Many, since those of one partition may be before the first of another.
            batch = reader.read(MAX_BATCH, _POLL_INTERVAL)
            for record in batch.records:
                times.setdefault(record.partition(), record.timestamp()[1])
            for partition in batch.ends:
                times.setdefault(partition, None)
    finally:
        reader.close()
    return times
