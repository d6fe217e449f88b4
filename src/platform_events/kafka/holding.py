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
_LAST = 100
"""Offsets before each end in which the newest record of a larger topic is looked for."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is between a topic's watermarks."""

    records: int
    """Committed records; an upper bound unless `exact`."""
    exact: bool
    newest_ms: int | None
    """When the newest record was stored, in ms since the epoch; None if that is not known."""


def read_holding(settings: Settings, topic: str, watermarks: Sequence[tuple[int, int]]) -> Holding:
    """Look into a topic.

    Offsets are an upper bound of its records: markers of transactions and what was aborted have
    some too. Whoever may not read the topic learns that bound.

    Raises:
        BrokerError: the topic cannot be read.
    """
    offsets = sum(end - first for first, end in watermarks)
    exact = offsets <= COUNTED
    if not exact:
        watermarks = [(max(first, end - _LAST), end) for first, end in watermarks]
    try:
        times = [record.timestamp()[1] for record in read_range(settings, topic, watermarks)]
    except AuthorizationError:
        return Holding(offsets, exact=not offsets, newest_ms=None)
    return Holding(len(times) if exact else offsets, exact, max(times, default=None))
