"""How a channel is fed: where members begin, and which number a definition has."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from platform_events.catalog.feeding import MemberTopic, make_feeding
from platform_events.catalog.state import Entry, Feed, Feeding
from platform_events.definitions.model import ChannelDefinition, Member

ORDER_NAME = "Order_Placed__e"
READING_NAME = "Reading_Taken__e"
CHANNEL_NAME = "Sales__chn"
MEMBERS = {
    ORDER_NAME: MemberTopic(f"id-{ORDER_NAME}", (5,), (9,)),
    READING_NAME: MemberTopic(f"id-{READING_NAME}", (10, 0, 20), (11, 0, 25)),
}


def feeding_of(definition: ChannelDefinition, entry: Entry | None = None) -> Feeding:
    entry = entry or Entry(definition.name, "default", definition, None)
    return make_feeding(definition, entry, MEMBERS, refill=False, survivors={})


def channel(*members: Member) -> ChannelDefinition:
    return ChannelDefinition(CHANNEL_NAME, members, 1_000)


def active(definition: ChannelDefinition, feeding: Feeding) -> Entry:
    return Entry(CHANNEL_NAME, "default", definition, definition, feeding=feeding)


def test_new_members_begin_at_their_first_event_or_after_their_last() -> None:
    feeding = feeding_of(channel(Member(ORDER_NAME, "x"), Member(READING_NAME, "", "now")))
    assert feeding == Feeding(
        1,
        (
            Feed(ORDER_NAME, "x", 1, f"id-{ORDER_NAME}", (5,)),
            Feed(READING_NAME, "", 1, f"id-{READING_NAME}", (11, 0, 25)),
        ),
    )


def test_members_that_stay_keep_where_they_began() -> None:
    first = channel(Member(ORDER_NAME))
    entry = active(first, Feeding(4, (Feed(ORDER_NAME, "", 2, f"id-{ORDER_NAME}", (1,)),)))
    assert feeding_of(first, entry) is entry.feeding
    assert feeding_of(channel(Member(ORDER_NAME, "", "now")), entry) is entry.feeding
    more = feeding_of(channel(Member(ORDER_NAME, "y"), Member(READING_NAME)), entry)
    assert more == Feeding(
        5,
        (
            Feed(ORDER_NAME, "y", 2, f"id-{ORDER_NAME}", (1,)),
            Feed(READING_NAME, "", 5, f"id-{READING_NAME}", (10, 0, 20)),
        ),
    )


def test_a_member_made_again_begins_at_its_first_event_whatever_its_start_says() -> None:
    late = channel(Member(ORDER_NAME, "", "now"))
    entry = active(late, Feeding(1, (Feed(ORDER_NAME, "", 1, "old", (70,)),)))
    assert feeding_of(late, entry).feeds == (Feed(ORDER_NAME, "", 2, f"id-{ORDER_NAME}", (5,)),)


def test_a_channel_that_comes_back_counts_on_and_is_filled_again() -> None:
    both = channel(Member(ORDER_NAME))
    entry = active(both, Feeding(4, (Feed(ORDER_NAME, "", 2, f"id-{ORDER_NAME}", (1,)),)))
    deleted = replace(entry, active=None)
    assert feeding_of(both, deleted) == Feeding(
        5, (Feed(ORDER_NAME, "", 5, f"id-{ORDER_NAME}", (5,)),)
    )


@given(st.lists(st.integers(0, 9), max_size=3))
def test_a_channel_that_is_filled_again_begins_where_it_had_begun_or_at_what_is_left(
    starts: list[int],
) -> None:
    definition = channel(Member(READING_NAME, "", "now"))
    feed = Feed(READING_NAME, "", 1, f"id-{READING_NAME}", tuple(starts))
    topics = {**MEMBERS, READING_NAME: MemberTopic(feed.topic_id, (4, 0, 6), (50, 50, 50))}
    before = active(definition, Feeding(1, (feed,)))
    made = make_feeding(definition, before, topics, refill=True, survivors={})
    (again,) = made.feeds
    assert (made.number, again.added) == (2, 2)
    padded = [*starts, 0, 0, 0]
    assert again.starts == (max(padded[0], 4), padded[1], max(padded[2], 6))


def test_a_channel_that_the_catalog_lost_goes_on_where_it_was() -> None:
    known, *others = MEMBERS
    definition = channel(*(Member(event) for event in MEMBERS))
    entry = Entry(definition.name, "default", definition, None)
    made = make_feeding(definition, entry, MEMBERS, refill=False, survivors={known: 4})
    assert made.number == 5, "higher than any that was committed"
    added = {feed.event: feed.added for feed in made.feeds}
    assert added == {known: 4} | dict.fromkeys(others, 5)
    survivors = {known: 4, definition.name: 7}
    made = make_feeding(definition, entry, MEMBERS, refill=False, survivors=survivors)
    assert made.number == 8, "higher than the channel's own"
