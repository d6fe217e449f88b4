"""How a channel is fed: which members are added, kept and dropped, and where each begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from platform_events.catalog.state import Feed, Feeding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.state import Entry
    from platform_events.definitions.model import ChannelDefinition, Member

_LONGEST_FILTER = 200
"""Characters of a filter that are shown."""


@dataclass(frozen=True, slots=True)
class MemberTopic:
    """A member's topic as it is when the channel is changed."""

    topic_id: str
    firsts: tuple[int, ...]
    """The first offset still there, of each partition."""
    ends: tuple[int, ...]
    """The offset after the last event that can be read, of each partition."""


def present_feeds(entry: Entry | None) -> dict[str, Feed]:
    """Return the feeds of an active channel by event; a deleted one has none any more."""
    if entry is None or entry.active is None or entry.feeding is None:
        return {}
    return {feed.event: feed for feed in entry.feeding.feeds}


def describe_feeding(
    definition: ChannelDefinition, entry: Entry | None, topic_ids: Mapping[str, str | None]
) -> list[str]:
    """Say how the members differ from what the channel is fed from; empty if they do not.

    Args:
        definition: what the channel should be.
        entry: what the catalog says of it.
        topic_ids: UUID of each member's topic; None if the topic has yet to be made.
    """
    present = present_feeds(entry)
    details = []
    for member in definition.members:
        feed = present.get(member.event)
        if feed is None:
            details.append(_describe_addition(member))
            continue
        if feed.topic_id != topic_ids.get(member.event):
            details.append(f"{member.event} was made again: read it from its beginning")
        if feed.filter != member.filter:
            before, after = (_shown(text) or "none" for text in (feed.filter, member.filter))
            details.append(f"filter of {member.event}: {before} -> {after}")
    wanted = {member.event for member in definition.members}
    details += [f"drop {event}" for event in present if event not in wanted]
    return details


def make_feeding(
    definition: ChannelDefinition,
    entry: Entry,
    topics: Mapping[str, MemberTopic],
    *,
    refill: bool,
    survivors: Mapping[str, int],
) -> Feeding:
    """Return how a channel is fed from now on: as before, or with the next number.

    Args:
        definition: what the channel is now.
        entry: what the catalog said of it before.
        topics: the topic of each member.
        refill: the channel's own topic was made again, so what it had has to come again.
        survivors: of a channel that the catalog does not know, definitions that are committed all
            the same: the oldest of each event that was a member at the end, and the channel's own
            newest. The catalog was lost; events go on where they were, numbers where they ended.
    """
    topic_ids = {event: topic.topic_id for event, topic in topics.items()}
    before = entry.feeding
    if before is not None and not (refill or describe_feeding(definition, entry, topic_ids)):
        return before
    number = max([before.number] if before is not None else survivors.values(), default=0) + 1
    present = present_feeds(entry)
    feeds = []
    for member in definition.members:
        feed, topic = present.get(member.event), topics[member.event]
        if feed is not None and feed.topic_id == topic.topic_id:
            feed = replace(feed, filter=member.filter)
            if refill:
                again = zip_longest(feed.starts, topic.firsts, fillvalue=0)
                feed = replace(feed, added=number, starts=tuple(map(max, again)))
        else:
            # Of a topic that was made again no event was seen yet, whenever the member joined.
            late = feed is None and member.start == "now"
            starts = topic.ends if late else topic.firsts
            added = survivors.get(member.event, number)
            feed = Feed(member.event, member.filter, added, topic.topic_id, starts)
        feeds.append(feed)
    return Feeding(number, tuple(feeds))


def _describe_addition(member: Member) -> str:
    rule = f", filter: {_shown(member.filter)}" if member.filter else ""
    return f"add {member.event}, from {member.start}{rule}"


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_FILTER else line[: _LONGEST_FILTER - 3] + "..."
