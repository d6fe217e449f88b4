"""Plans of channels."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_events.catalog.plan import (
    Action,
    planned_topics,
)
from platform_events.catalog.state import CatalogState
from platform_events.definitions.model import Definitions, Member
from tests.catalog.world import (
    CHANNEL_NAME,
    DEAD,
    GROWING,
    NAMES,
    ORDER_NAME,
    OWN,
    PRUNING,
    READING_NAME,
    World,
    applied,
    change_of,
    with_channel,
    with_event,
    without_channel,
)


def test_a_new_channel_gets_two_topics_that_have_room_for_the_origin(sales: Definitions) -> None:
    change = change_of(World().plan(sales))
    assert (change.action, change.kind, change.refusals) == (Action.CREATE, "channel", ())
    assert change.details == (
        "2 members, kept 72h, 1 partition",
        "add Order_Placed__e, from earliest, filter: amount >= 100",
        "add Reading_Taken__e, from earliest",
    )
    own, dead = change.topics
    assert [(one.topic, one.create, one.partitions) for one in (own, dead)] == [
        (OWN, True, 1), (DEAD, True, 1),
    ]  # fmt: skip
    assert own.config == dead.config
    assert own.config["max.message.bytes"] == "1500"
    assert own.config["retention.ms"] == str(72 * 3_600_000)
    assert change.renumbers
    assert change.entry is not None
    assert change.entry.pending


def test_events_come_first_and_are_deleted_last(sales: Definitions) -> None:
    assert [c.name for c in World().plan(sales).changes] == [
        ORDER_NAME, READING_NAME, CHANNEL_NAME,
    ]  # fmt: skip
    gone = applied(sales).plan(Definitions(), PRUNING)
    assert [(c.name, c.action) for c in gone.changes] == [
        (CHANNEL_NAME, Action.DELETE), (ORDER_NAME, Action.DELETE), (READING_NAME, Action.DELETE),
    ]  # fmt: skip
    assert gone.refusals == ()
    assert [one.topic for one in gone.changes[0].topics if one.delete] == [OWN, DEAD]


def test_the_plan_asks_for_both_topics_of_a_channel(sales: Definitions) -> None:
    asked = planned_topics(sales, CatalogState(), NAMES)
    assert sorted(asked) == sorted([NAMES.topic(ORDER_NAME), NAMES.topic(READING_NAME), OWN, DEAD])
    assert set(planned_topics(Definitions(), applied(sales).state, NAMES)) == set(asked)


def test_what_is_as_it_should_be_is_left_alone(sales: Definitions) -> None:
    plan = applied(sales).plan(sales)
    assert {c.action for c in plan.changes} == {Action.NONE}
    assert not change_of(plan).renumbers


def test_members_and_filters_make_a_new_definition(sales: Definitions) -> None:
    changed = with_channel(sales, members=(Member(ORDER_NAME, "amount >= 200"),))
    change = change_of(applied(sales).plan(changed))
    assert (change.action, change.renumbers, change.topics) == (Action.UPDATE, True, ())
    assert change.details == (
        "filter of Order_Placed__e: amount >= 100 -> amount >= 200",
        "drop Reading_Taken__e",
    )
    back = change_of(applied(changed).plan(sales))
    assert "add Reading_Taken__e, from earliest" in back.details
    freed = with_channel(sales, members=(Member(ORDER_NAME), Member(READING_NAME)))
    (detail,) = change_of(applied(sales).plan(freed)).details
    assert detail == "filter of Order_Placed__e: amount >= 100 -> none"


@pytest.mark.parametrize(
    ("part", "value", "detail"),
    [("label", "Sales", "label"), ("owner", "shop", "owner"), ("description", "d", "description")],
)
def test_words_alone_make_no_new_definition(
    sales: Definitions, part: str, value: str, detail: str
) -> None:
    change = change_of(applied(sales).plan(with_channel(sales, **{part: value})))
    assert (change.action, change.renumbers, change.details) == (Action.UPDATE, False, (detail,))


def test_another_start_of_a_member_that_is_there_does_nothing(sales: Definitions) -> None:
    later = with_channel(
        sales, members=(Member(ORDER_NAME, "amount >= 100", "now"), Member(READING_NAME))
    )
    change = change_of(applied(sales).plan(later))
    assert (change.action, change.renumbers, change.topics) == (Action.UPDATE, False, ())
    (detail,) = change.details
    assert detail.startswith("from of Order_Placed__e: earliest -> now; it is a member already")


def test_a_longer_retention_changes_both_topics(sales: Definitions) -> None:
    change = change_of(applied(sales).plan(with_channel(sales, retention_ms=96 * 3_600_000)))
    assert change.action is Action.UPDATE
    assert [(one.topic, one.config["retention.ms"]) for one in change.topics] == [
        (OWN, "345600000"), (DEAD, "345600000"),
    ]  # fmt: skip
    assert "dead letters: retention.ms: 259200000 -> 345600000" in change.details


@pytest.mark.parametrize("seen", ["gone", "made again"])
def test_a_member_that_was_made_again_is_read_from_its_beginning(
    sales: Definitions, seen: str
) -> None:
    world = applied(sales)
    if seen == "gone":
        world.topics[NAMES.topic(ORDER_NAME)] = None
    else:
        world.change_topic(NAMES.topic(ORDER_NAME), topic_id="other")
    change = change_of(world.plan(sales))
    assert (change.action, change.renumbers) == (Action.REPAIR, True)
    assert change.details == ("Order_Placed__e was made again: read it from its beginning",)


@pytest.mark.parametrize("topic", [OWN, DEAD])
def test_drift_of_either_topic_is_repaired(sales: Definitions, topic: str) -> None:
    world = applied(sales)
    facts = world.topics[topic]
    assert facts is not None
    world.topics[topic] = replace(facts, config={**facts.config, "retention.ms": "1"})
    change = change_of(world.plan(sales))
    assert (change.action, change.renumbers) == (Action.REPAIR, False)
    (repaired,) = change.topics
    assert (repaired.topic, repaired.config) == (topic, {"retention.ms": "259200000"})


def test_missing_dead_letters_are_made_again(sales: Definitions) -> None:
    world = applied(sales)
    world.topics[DEAD] = None
    change = change_of(world.plan(sales))
    assert (change.action, change.renumbers) == (Action.REPAIR, False)
    assert [(one.topic, one.create, one.partitions) for one in change.topics] == [(DEAD, True, 1)]
    assert change.details == ("the topic of its dead letters is gone: make it again",)


def test_a_channel_whose_topic_is_gone_is_filled_again(sales: Definitions) -> None:
    world = applied(sales)
    world.topics[OWN] = None
    change = change_of(world.plan(sales))
    assert (change.action, change.renumbers) == (Action.REPAIR, True)
    assert [(one.topic, one.create) for one in change.topics] == [(OWN, True)]
    assert "fill it from the members" in change.details[0]
    world = applied(sales)
    world.change_topic(OWN, topic_id="other")
    again = change_of(world.plan(sales))
    assert (again.action, again.renumbers, again.topics) == (Action.REPAIR, True, ())


def test_another_project_s_channel_is_a_conflict(sales: Definitions) -> None:
    plan = applied(replace(sales, project="billing")).plan(sales)
    assert "'billing' owns it" in change_of(plan).refusals[0]


def test_nothing_is_deleted_without_pruning(sales: Definitions) -> None:
    change = change_of(applied(sales).plan(without_channel(sales)))
    assert (change.action, change.refusals, change.topics) == (Action.KEEP, (), ())


@pytest.mark.parametrize("stopped_after", ["catalog", "topics"])
def test_a_creation_that_was_interrupted_is_finished(
    sales: Definitions, stopped_after: str
) -> None:
    world = applied(sales)
    world.change(CHANNEL_NAME, active=None, topic_ids=(), feeding=None)
    if stopped_after == "catalog":
        world.topics[OWN] = world.topics[DEAD] = None
    change = change_of(world.plan(sales))
    assert (change.action, change.renumbers) == (Action.CREATE, True)
    assert len(change.topics) == (2 if stopped_after == "catalog" else 0)


def test_a_deletion_that_was_interrupted_is_finished(sales: Definitions) -> None:
    world = applied(sales)
    world.change(CHANNEL_NAME, wanted=None)
    world.topics[OWN] = None
    change = change_of(world.plan(without_channel(sales)))
    assert (change.action, [one.topic for one in change.topics]) == (Action.DELETE, [DEAD])


def grown(sales: Definitions, partitions: int) -> Definitions:
    """Both members keyed, with this many partitions, and the channel with as many."""
    for name, key in ((ORDER_NAME, "order_id"), (READING_NAME, "sensor")):
        sales = with_event(sales, name, partitions=partitions, partition_key=key)
    return with_channel(sales, partitions=partitions)


def test_a_channel_grows_only_with_leave_and_with_its_members(sales: Definitions) -> None:
    world = applied(grown(sales, 2))
    wider = grown(sales, 4)
    refused = change_of(world.plan(wider))
    assert "--allow-partition-growth" in refused.refusals[0]
    allowed = world.plan(wider, GROWING)
    assert allowed.refusals == ()
    assert [(one.topic, one.grow_to) for one in change_of(allowed).topics] == [(OWN, 4)]
    assert not change_of(allowed).renumbers
    ahead = applied(with_channel(grown(sales, 4), partitions=1))
    (refusal, *_) = change_of(ahead.plan(wider, GROWING)).refusals
    assert "Order_Placed__e has 4 already" in refusal


def test_a_growth_that_was_interrupted_goes_on(sales: Definitions) -> None:
    world = applied(grown(sales, 2))
    wider = grown(sales, 4)
    world.change(CHANNEL_NAME, wanted=wider.channels[CHANNEL_NAME])
    for name in (ORDER_NAME, READING_NAME):
        world.change_topic(NAMES.topic(name), partitions=4)
    change = change_of(world.plan(wider, GROWING))
    assert (change.refusals, change.topics[0].grow_to) == ((), 4)


def test_a_channel_never_gets_fewer_partitions(sales: Definitions) -> None:
    fewer = with_channel(grown(sales, 2), partitions=1)
    (refusal,) = change_of(applied(grown(sales, 2)).plan(fewer, GROWING)).refusals
    assert "cannot remove partitions" in refusal


def test_partitions_are_those_of_each_member(sales: Definitions) -> None:
    odd = with_channel(sales, partitions=3)
    (refusal,) = change_of(World().plan(odd)).refusals
    assert refusal.startswith("it has 3 partitions and its member Order_Placed__e 1;")
    world = applied(grown(sales, 2))
    plan = world.plan(without_channel(grown(sales, 4)), GROWING)
    assert "do not fit the 2 of the channel Sales__chn" in change_of(plan, ORDER_NAME).refusals[0]


def test_a_channel_s_records_fold_back_to_the_same_state(sales: Definitions) -> None:
    world = applied(sales)
    state = CatalogState()
    for key, value in CatalogState().records(world.state.entries.values()).items():
        state.fold(key.encode(), value, "catalog@0")
    assert state.entries == world.state.entries
