"""What a subscription has left to handle of its stream."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.errors import AuthorizationError
from platform_events.kafka.holding import append_times
from platform_events.replay import LowWaterMark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.starts import Stream
    from platform_events.replay import ReplayId
    from platform_events.settings import Settings
    from platform_events.workers.position import PartitionPosition

_SECOND = 1000


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a subscription has left to handle, and how long that is there."""

    position: ReplayId
    """Everything before it is handled, and some of what comes after it may be."""
    lag_events: int
    """Events that are not handled yet, an upper bound."""
    lag_seconds: float | None
    """Age of the oldest of them, 0 without any; None if it could not be read."""
    time_to_loss_seconds: float | None
    """The oldest of them is there for at least so long; 0 once some were removed. None without any,
    if nothing is ever removed, and if it is not known."""
    events_lost: int
    """Events that retention removed before they were handled, an upper bound."""
    holes: int
    """Events that are not handled, with later ones of their partition handled."""


def read_backlog(
    settings: Settings,
    stream: Stream,
    positions: Sequence[PartitionPosition],
    marks: Sequence[tuple[int, int]],
    kept_ms: float | None,
) -> Backlog:
    """Return what is left to handle.

    Args:
        settings: which cluster.
        stream: as it is now.
        positions: of each partition.
        marks: first offset and end of each partition.
        kept_ms: for how many ms events are kept; None if that is not known.

    Raises:
        BrokerError: the stream cannot be read.
    """
    places = list(zip(positions, marks, strict=True))
    lags = [position.unhandled(first, end) for position, (first, end) in places]
    lost = sum(position.unhandled(position.low, first) for position, (first, _) in places)
    lagging = {
        partition: positions[partition].oldest(marks[partition][0])
        for partition, lag in enumerate(lags)
        if lag
    }
    now_ms = int(time.time() * _SECOND)
    times = _append_times(settings, stream.topic.name, lagging)
    for partition, time_ms in times.items():
        if time_ms is None:
            # What is left are markers of transactions.
            lags[partition] = 0
            del lagging[partition]
    oldest_ms = min((one for one in times.values() if one is not None), default=now_ms)
    age_ms = max(now_ms - oldest_ms, 0) if lagging.keys() <= times.keys() else None
    return Backlog(
        position=stream.identity.position_id(
            [one.low for one in positions],
            0 if age_ms is None else max(oldest_ms - LowWaterMark.MARGIN_MS, 0),
        ),
        lag_events=sum(lags),
        lag_seconds=None if age_ms is None else age_ms / _SECOND,
        time_to_loss_seconds=_time_to_loss(age_ms if lagging else None, kept_ms, lost),
        events_lost=lost,
        holes=sum(len(one.saved.holes) for one in positions),
    )


def _append_times(
    settings: Settings, topic: str, offsets: Mapping[int, int]
) -> dict[int, int | None]:
    try:
        return append_times(settings, topic, offsets)
    except AuthorizationError:
        # Who may look at the subscription need not be allowed to read its events.
        return {}


def _time_to_loss(age_ms: int | None, kept_ms: float | None, lost: int) -> float | None:
    if lost:
        return 0.0
    if age_ms is None or kept_ms is None or kept_ms == math.inf:
        return None
    return max(kept_ms - age_ms, 0) / _SECOND
