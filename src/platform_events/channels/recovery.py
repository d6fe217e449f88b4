"""Finding lost positions in the channel itself: its events carry their origins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.catalog.positions import Place
from platform_events.envelope import find_origin
from platform_events.kafka.reader import read_range
from platform_events.names import stream_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_events.catalog.state import Feed
    from platform_events.channels.context import FeederContext
    from platform_events.kafka.admin import Topic


def find_highest(
    context: FeederContext,
    channel: Topic,
    name: str,
    missing: Iterable[tuple[Feed, Place]],
    check: Callable[[], None],
) -> dict[Place, int]:
    """Return the highest offset of each place among the origins of what was routed.

    Nothing is doubled by going on after it: the channel keeps events at least as long as its
    members do. What came before a member was added does not count.

    Args:
        context: where to read.
        channel: the channel's topic.
        name: of the channel.
        missing: the places looked for; those of which nothing is found are left out.
        check: is called now and then; what it raises ends the search.

    Raises:
        BrokerError: the topics cannot be read.
    """
    added = {place: feed.added for feed, place in missing}
    highest: dict[Place, int] = {}
    dead_letters = context.settings.namespace.dead_letters(name)
    counts = {channel.name: channel.partitions}
    if context.admin.describe_one(dead_letters) is not None:
        counts[dead_letters] = 1
    for topic, marks in context.admin.watermarks(counts).items():
        for record in read_range(context.settings, topic, marks, check):
            origin = find_origin(record.headers() or ())
            place = origin and Place(stream_name(origin.stream), origin.partition)
            if origin and place in added and origin.definition >= added[place]:
                highest[place] = max(highest.get(place, -1), origin.offset)
    return highest
