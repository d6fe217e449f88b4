"""Topics that other software made under the names of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.catalog.apply import plan_options, read_plan
from platform_events.catalog.plan import Change
from platform_events.errors import PlanRefusedError
from platform_events.kafka.admin import Admin, Topic
from platform_events.settings import Settings
from tests.support import KEYED, ORDER, apply_texts, delete_topic, load, produce_raw, topic_of

ORDER_NAME = "Order_Placed__e"
READING_NAME = "Reading_Taken__e"
CHANNEL_NAME = "Sales__chn"
CHANNEL = "channel: Sales__chn\nmembers: [{event: Order_Placed__e}]\n"


def make_topic(settings: Settings, name: str, partitions: int = 1, records: int = 0) -> str:
    """Make a topic as a broker does for whoever asks for one; return its UUID."""
    with Admin(settings) as admin:
        admin.create(topic_of(settings, name), partitions, -1, {})
        made = admin.await_topic(topic_of(settings, name))
    for _ in range(records):
        produce_raw(settings, name, b"x")
    return made.topic_id


def topic(settings: Settings, name: str) -> Topic:
    with Admin(settings) as admin:
        found = admin.describe_one(topic_of(settings, name))
    assert found is not None
    return found


def change_of(
    settings: Settings, directory: Path, name: str, *documents: str, **allow: bool
) -> Change:
    found = read_plan(settings, load(directory, *documents), plan_options(settings, **allow))
    (change,) = [one for one in found.changes if one.name == name]
    return change


def check_event(settings: Settings, directory: Path, document: str) -> None:
    """Check that what is published can be read, and that nothing is left to do."""
    name = document.split()[1]
    fields = {"order_id": "A"} if name == ORDER_NAME else {"sensor": "a", "value": 1}
    with EventBus(settings) as bus:
        bus.publish(name, fields)
        options = {"start": Start.EARLIEST, "follow": False, "on_undecodable": "skip"}
        assert len(list(bus.subscribe(name, **options))) == 1  # type: ignore[call-overload]
    assert not read_plan(settings, load(directory, document), plan_options(settings)).effective


@pytest.mark.parametrize("partitions", [1, 3, 4])
def test_an_empty_topic_is_taken_over(settings: Settings, tmp_path: Path, partitions: int) -> None:
    made = make_topic(settings, READING_NAME, partitions)
    change = change_of(settings, tmp_path, READING_NAME, KEYED)
    assert (change.asks, change.refusals) == ((), ())
    apply_texts(settings, tmp_path, KEYED)
    found = topic(settings, READING_NAME)
    assert (found.topic_id == made, found.partitions) == (partitions <= 3, 3)
    check_event(settings, tmp_path, KEYED)


def test_a_topic_with_records_is_taken_over_when_that_is_confirmed(
    settings: Settings, tmp_path: Path
) -> None:
    made = make_topic(settings, ORDER_NAME, records=2)
    detail = "take over the topic that other software made, with 2 records as its first events"
    assert change_of(settings, tmp_path, ORDER_NAME, ORDER).asks[0] == detail
    apply_texts(settings, tmp_path, ORDER)
    assert topic(settings, ORDER_NAME).topic_id == made
    check_event(settings, tmp_path, ORDER)


def test_too_many_partitions_with_records_go_when_that_is_confirmed(
    settings: Settings, tmp_path: Path
) -> None:
    made = make_topic(settings, ORDER_NAME, partitions=2, records=2)
    (ask,) = change_of(settings, tmp_path, ORDER_NAME, ORDER).asks
    assert ask.endswith("is there with 2 partitions: delete it with 2 records, and make it again")
    apply_texts(settings, tmp_path, ORDER)
    found = topic(settings, ORDER_NAME)
    assert (found.topic_id == made, found.partitions) == (False, 1)
    check_event(settings, tmp_path, ORDER)


def test_too_few_partitions_with_records_still_need_leave(
    settings: Settings, tmp_path: Path
) -> None:
    make_topic(settings, READING_NAME, records=1)
    with pytest.raises(PlanRefusedError, match="--allow-partition-growth"):
        apply_texts(settings, tmp_path, KEYED)
    apply_texts(settings, tmp_path, KEYED, allow_growth=True)
    check_event(settings, tmp_path, KEYED)


def test_a_topic_made_again_under_an_event_is_taken_over(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER)
    delete_topic(settings, ORDER_NAME)
    make_topic(settings, ORDER_NAME, partitions=3, records=1)
    change = change_of(settings, tmp_path, ORDER_NAME, ORDER)
    assert change.refusals == ()
    assert "delete it with 1 record," in change.asks[0]
    apply_texts(settings, tmp_path, ORDER)
    check_event(settings, tmp_path, ORDER)


@pytest.mark.parametrize("records", [0, 2])
def test_a_channel_is_filled_into_a_topic_of_its_own(
    settings: Settings, tmp_path: Path, records: int
) -> None:
    made = make_topic(settings, CHANNEL_NAME, partitions=2, records=records)
    change = change_of(settings, tmp_path, CHANNEL_NAME, ORDER, CHANNEL)
    assert (len(change.asks), change.refusals) == (records > 0, ())
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    found = topic(settings, CHANNEL_NAME)
    assert (found.topic_id == made, found.partitions) == (False, 1)
    assert not read_plan(settings, load(tmp_path, ORDER, CHANNEL), plan_options(settings)).effective


def test_a_topic_with_our_config_is_used_as_it_is(settings: Settings, tmp_path: Path) -> None:
    """Such as one made by other means for an `apply` that may not, or after a lost catalog."""
    apply_texts(settings, tmp_path, ORDER)
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "A"})
    delete_topic(settings, "catalog")
    change = change_of(settings, tmp_path, ORDER_NAME, ORDER + "retention: 80h\n")
    assert (change.asks, change.refusals) == ((), ())
    assert "use the topic that is there already" in change.details
