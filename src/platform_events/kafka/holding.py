"""What a topic holds, counted where that is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.errors import AuthorizationError
from platform_events.kafka.reader import read_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.settings import Settings

COUNTED = 10_000
"""Offsets up to which a topic's records are counted one by one."""
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
    some too. Whoever may not read the topic learns that bound.

    Raises:
        BrokerError: the topic cannot be read.
    """
    offsets = sum(end - first for first, end in watermarks)
    exact = offsets <= COUNTED
    ranges = [watermarks]
    if not exact:
        firsts = [(first, min(first + _LOOKED_AT, end)) for first, end in watermarks]
        lasts = [(max(end - _LOOKED_AT, first), end) for first, end in watermarks]
        ranges = [firsts, lasts]
    try:
        times = [
            record.timestamp()[1] for one in ranges for record in read_range(settings, topic, one)
        ]
    except AuthorizationError:
        return Holding(offsets, exact=not offsets, oldest_ms=None, newest_ms=None)
    return Holding(
        len(times) if exact else offsets,
        exact,
        min(times, default=None),
        max(times, default=None),
    )
