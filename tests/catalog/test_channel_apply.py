"""Applying channels to a real cluster: topics, members and where each begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options, read_plan
from platform_events.catalog.plan import Action, Plan
from platform_events.catalog.state import Feed, Feeding
from platform_events.errors import PlanRefusedError
from platform_events.kafka.admin import Admin, Topic
from platform_events.settings import Settings
from tests.catalog.interruption import Killed, entry_of, interrupt
from tests.catalog.world import CHANNEL, ORDER_NAME, READING_NAME
from tests.catalog.world import CHANNEL_NAME as NAME
from tests.support import (
    KEYED,
    ORDER,
    apply_texts,
    delete_before,
    delete_topic,
    load,
    topic_of,
    wait_until,
)

BOTH = CHANNEL + "  - event: Reading_Taken__e\n    from: now\n"


def feeding_of(settings: Settings) -> Feeding:
    feeding = entry_of(settings, NAME).feeding
    assert feeding is not None
    return feeding


def topic(settings: Settings, name: str) -> Topic:
    with Admin(settings) as admin:
        found = admin.describe_one(name)
    assert found is not None
    return found


def plan_of(settings: Settings, directory: Path, *documents: str, **allow: bool) -> Plan:
    return read_plan(settings, load(directory, *documents), plan_options(settings, **allow))


def place_orders(settings: Settings, count: int) -> None:
    with EventBus(settings) as bus:
        bus.publish_many(ORDER_NAME, [{"order_id": str(number)} for number in range(count)])


def take_readings(settings: Settings, count: int) -> None:
    """Publish events of one key: all in one of the three partitions."""
    with EventBus(settings) as bus:
        bus.publish_many(READING_NAME, [{"sensor": "a", "value": n} for n in range(count)])


def test_members_begin_at_their_first_event_or_after_their_last(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    place_orders(settings, 5)
    take_readings(settings, 4)
    delete_before(settings, ORDER_NAME, [2])
    apply_texts(settings, tmp_path, ORDER, KEYED, BOTH)
    feeding = feeding_of(settings)
    orders, readings = feeding.feeds
    assert feeding.number == 1
    assert orders == Feed(
        ORDER_NAME, "amount >= 100", 1, topic(settings, topic_of(settings, ORDER_NAME)).topic_id,
        (2,),
    )  # fmt: skip
    assert (readings.filter, readings.added, sum(readings.starts)) == ("", 1, 4)
    assert sorted(readings.starts) == [0, 0, 4]


def test_both_topics_are_made_and_applying_again_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    made = apply_texts(settings, tmp_path, ORDER, KEYED, BOTH)
    assert [change.name for change in made.changes] == [ORDER_NAME, READING_NAME, NAME]
    names = [topic_of(settings, NAME), settings.namespace.dead_letters(NAME)]
    assert [topic(settings, name).partitions for name in names] == [1, 1]
    with Admin(settings) as admin:
        configs = admin.configs([*names, topic_of(settings, ORDER_NAME)])
        room = [int(config["max.message.bytes"]) for config in configs.values()]
        assert room[0] == room[1] == room[2] + 64 * 1024
        before = admin.watermarks({settings.namespace.catalog: 1})
        again = apply_texts(settings, tmp_path, ORDER, KEYED, BOTH)
        assert (again.effective, admin.watermarks({settings.namespace.catalog: 1})) == ((), before)
    entry = entry_of(settings, NAME)
    assert not entry.pending
    assert entry.topic_ids == (topic(settings, names[0]).topic_id,)
    with EventBus(settings) as bus:
        assert bus.catalog.channel(NAME).members[0].filter == "amount >= 100"


def test_members_join_and_leave_under_rising_numbers(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED, CHANNEL)
    place_orders(settings, 3)
    (first,) = feeding_of(settings).feeds
    take_readings(settings, 2)
    plan = apply_texts(settings, tmp_path, ORDER, KEYED, BOTH)
    assert [change.renumbers for change in plan.effective] == [True]
    feeding = feeding_of(settings)
    assert feeding.number == 2
    assert feeding.feeds[0] == first
    assert (feeding.feeds[1].added, sum(feeding.feeds[1].starts)) == (2, 2)

    stricter = BOTH.replace(">= 100", ">= 200")
    apply_texts(settings, tmp_path, ORDER, KEYED, stricter)
    changed = feeding_of(settings)
    assert changed.number == 3
    assert [(feed.filter, feed.added) for feed in changed.feeds] == [("amount >= 200", 1), ("", 2)]
    assert changed.feeds[0].starts == first.starts

    plan = apply_texts(settings, tmp_path, ORDER, KEYED, stricter + "owner: shop\n")
    assert [change.renumbers for change in plan.effective] == [False]
    assert feeding_of(settings) == changed

    last = "channel: Sales__chn\nmembers: [{event: Reading_Taken__e}]\n"
    apply_texts(settings, tmp_path, ORDER, KEYED, last)
    assert feeding_of(settings) == Feeding(4, changed.feeds[1:])
    apply_texts(settings, tmp_path, ORDER, KEYED, stricter)
    back = feeding_of(settings)
    assert (back.number, back.feeds[0].added, back.feeds[0].starts) == (5, 5, (0,))


def test_a_member_made_again_is_read_from_its_beginning(settings: Settings, tmp_path: Path) -> None:
    late = CHANNEL + "    from: now\n"
    apply_texts(settings, tmp_path, ORDER)
    place_orders(settings, 3)
    apply_texts(settings, tmp_path, ORDER, late)
    (before,) = feeding_of(settings).feeds
    assert before.starts == (3,)
    delete_topic(settings, ORDER_NAME)
    (orders, channel) = apply_texts(settings, tmp_path, ORDER, late).effective
    assert (orders.action, channel.action) == (Action.REPAIR, Action.REPAIR)
    assert "made again: read it from its beginning" in channel.details[0]
    feeding = feeding_of(settings)
    found = topic(settings, topic_of(settings, ORDER_NAME))
    assert feeding == Feeding(2, (Feed(ORDER_NAME, "amount >= 100", 2, found.topic_id, (0,)),))
    assert plan_of(settings, tmp_path, ORDER, late).effective == ()


def test_a_channel_whose_topic_is_gone_is_filled_again(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    place_orders(settings, 3)
    delete_before(settings, ORDER_NAME, [1])
    delete_topic(settings, NAME)
    (change,) = apply_texts(settings, tmp_path, ORDER, CHANNEL).effective
    assert (change.action, change.renumbers) == (Action.REPAIR, True)
    feeding = feeding_of(settings)
    assert (feeding.number, feeding.feeds[0].added, feeding.feeds[0].starts) == (2, 2, (1,))
    found = topic(settings, topic_of(settings, NAME))
    assert entry_of(settings, NAME).topic_ids[-1] == found.topic_id
    assert plan_of(settings, tmp_path, ORDER, CHANNEL).effective == ()


def test_drift_and_missing_dead_letters_are_repaired(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    feeding = feeding_of(settings)
    with Admin(settings) as admin:
        admin.configure(topic_of(settings, NAME), {"retention.ms": "1234567"})
        admin.delete(settings.namespace.dead_letters(NAME))
    (change,) = apply_texts(settings, tmp_path, ORDER, CHANNEL).effective
    assert (change.action, change.renumbers) == (Action.REPAIR, False)
    with Admin(settings) as admin:
        config = admin.configs([topic_of(settings, NAME)])[topic_of(settings, NAME)]
    assert config["retention.ms"] == str(72 * 3_600_000)
    assert topic(settings, settings.namespace.dead_letters(NAME)).partitions == 1
    assert feeding_of(settings) == feeding


def test_pruning_deletes_both_topics_and_the_number_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    place_orders(settings, 2)
    assert [c.action for c in plan_of(settings, tmp_path, ORDER).changes] == [
        Action.NONE, Action.KEEP,
    ]  # fmt: skip
    apply_texts(settings, tmp_path, ORDER, prune=True)
    with Admin(settings) as admin:
        names = [topic_of(settings, NAME), settings.namespace.dead_letters(NAME)]
        wait_until(lambda: not any(admin.describe(names).values()))
    gone = entry_of(settings, NAME)
    assert (gone.wanted, gone.active, feeding_of(settings).number) == (None, None, 1)
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    feeding = feeding_of(settings)
    assert (feeding.number, feeding.feeds[0].added, feeding.feeds[0].starts) == (2, 2, (0,))


def test_a_channel_and_its_members_are_pruned_together(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED, CHANNEL)
    plan = apply_texts(settings, tmp_path, KEYED, prune=True)
    assert [change.name for change in plan.effective] == [NAME, ORDER_NAME]


def test_a_field_that_a_filter_uses_is_dropped_in_two_steps(
    settings: Settings, tmp_path: Path
) -> None:
    order = ORDER.replace("double, default: 0.0", "double, optional: true")
    apply_texts(settings, tmp_path, order, CHANNEL)
    without = order.replace("  - {name: amount, type: double, optional: true}\n", "")
    free = "channel: Sales__chn\nmembers: [{event: Order_Placed__e}]\n"
    for documents in ([without], [without, free]):
        with pytest.raises(PlanRefusedError, match="the filter of Sales__chn uses amount"):
            apply_texts(settings, tmp_path, *documents)
    apply_texts(settings, tmp_path, order, free)
    apply_texts(settings, tmp_path, without, free)
    assert plan_of(settings, tmp_path, without, free).effective == ()


def test_members_and_channel_grow_together(settings: Settings, tmp_path: Path) -> None:
    channel = "channel: Sales__chn\npartitions: 3\nmembers: [{event: Reading_Taken__e}]\n"
    apply_texts(settings, tmp_path, KEYED, channel)
    take_readings(settings, 2)
    feeding = feeding_of(settings)
    wider = [text.replace("partitions: 3", "partitions: 5") for text in (KEYED, channel)]
    with pytest.raises(PlanRefusedError, match="--allow-partition-growth"):
        apply_texts(settings, tmp_path, *wider)
    apply_texts(settings, tmp_path, *wider, allow_growth=True)
    assert topic(settings, topic_of(settings, NAME)).partitions == 5
    assert topic(settings, settings.namespace.dead_letters(NAME)).partitions == 1
    assert feeding_of(settings) == feeding
    assert plan_of(settings, tmp_path, *wider).effective == ()


# The catalog, the member's topic, both of the channel's, the catalog again.
@pytest.mark.parametrize("number", range(1, 6))
def test_killed_between_any_two_steps_the_next_apply_finishes(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """The new member and the channel's topics, one of which is gone, come in one apply."""
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    place_orders(settings, 3)
    for name in (NAME, f"{NAME}.dlq"):
        delete_topic(settings, name)
    definitions = load(tmp_path, ORDER, KEYED, BOTH)
    with monkeypatch.context() as patch:
        interrupt(patch, number)
        with pytest.raises(Killed):
            apply(settings, definitions, plan_options(settings))
    apply(settings, definitions, plan_options(settings))
    assert read_plan(settings, definitions, plan_options(settings)).effective == ()
    entry, feeding = entry_of(settings, NAME), feeding_of(settings)
    assert not entry.pending
    assert entry.topic_ids[-1] == topic(settings, topic_of(settings, NAME)).topic_id
    assert feeding.number == 2
    assert [(feed.event, feed.added) for feed in feeding.feeds] == [
        (ORDER_NAME, 2), (READING_NAME, 2),
    ]  # fmt: skip
