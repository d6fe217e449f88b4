"""The newest events of a stream, and the position after them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from platform_events.bus.starts import find_stream
from platform_events.names import stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_events.bus.bus import EventBus
    from platform_events.bus.event import Event
    from platform_events.bus.subscription import OnUndecodable
    from platform_events.replay import ReplayId

_WIDER = 4
"""Times as many offsets are read when some of the last ones were no events, but markers."""


def read_newest(
    bus: EventBus, name: str, count: int, on_undecodable: OnUndecodable
) -> tuple[list[Event[dict[str, Any]]], ReplayId]:
    """Return the last `count` events that a stream holds, in order, and the position after them.

    Raises:
        PlatformEventsError: as `EventBus.subscribe` and its subscriptions.
    """
    entry = bus.catalog.entry(stream_name(name))
    topic = bus.settings.namespace.topic(entry.name)
    stream = find_stream(entry, topic, bus.admin)
    marks = bus.admin.watermarks({topic: stream.topic.partitions})[topic]
    offsets = count
    while True:
        starts = [max(first, end - offsets) for first, end in marks]
        with bus.subscribe(
            stream.path,
            stream.identity.position_id(starts),
            follow=False,
            on_expired="earliest",
            on_undecodable=on_undecodable,
        ) as subscription:
            if len(marks) == 1:
                events: Iterable[Event[dict[str, Any]]] = deque(subscription, maxlen=count)
            else:
                events = sorted(subscription, key=lambda event: event.published_at)[-count:]
            position = subscription.position
        newest = list(events)
        is_all = all(start == first for start, (first, _) in zip(starts, marks, strict=True))
        if len(newest) == count or is_all:
            return newest, position
        offsets *= _WIDER
