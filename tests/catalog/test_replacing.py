"""Events whose streams begin again, because their new version breaks readers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import plan_options, read_plan
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from platform_events.errors import PlanRefusedError
from platform_events.replay import ReplayRecreatedError
from platform_events.settings import Settings
from tests.catalog.interruption import Killed, entry_of, interrupt
from tests.support import ORDER, apply_texts, load, wait_until

ORDER_NAME = "Order_Placed__e"
BROKEN = ORDER.replace("{name: amount, type: double, default: 0.0}", "{name: total, type: double}")
CHANNEL = "channel: Sales__chn\nmembers: [{event: Order_Placed__e}]\n"


def test_a_break_is_accepted_by_replacing_and_old_replay_ids_are_recreated(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER)
    with EventBus(settings) as bus:
        old, _ = [bus.publish(ORDER_NAME, {"order_id": name}).replay_id for name in "AB"]
        with pytest.raises(PlanRefusedError, match="apply --replace Order_Placed__e"):
            apply_texts(settings, tmp_path, BROKEN)
        plan = apply_texts(settings, tmp_path, BROKEN, replace=[ORDER_NAME])
        assert any("replace the topic with 2 events" in ask for ask in plan.asks)

        def publishes() -> bool:
            payload = {"order_id": "C", "total": 1.0}
            return bus.publish_many(ORDER_NAME, [payload])[0].error is None

        wait_until(publishes)
        events = list(bus.subscribe(ORDER_NAME, follow=False))
        assert {event.payload["order_id"] for event in events} == {"C"}
        with pytest.raises(ReplayRecreatedError):
            bus.subscribe(ORDER_NAME, start=old, follow=False)
    assert read_plan(settings, load(tmp_path, BROKEN), plan_options(settings)).effective == ()
    # What was accepted is not judged again.
    later = BROKEN + "  - {name: more, type: string, optional: true}\n"
    apply_texts(settings, tmp_path, later)


def test_a_channel_keeps_its_events_and_goes_on_with_the_new_topic(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    with RouterThread(Router(settings)), EventBus(settings) as bus:
        subscription = bus.subscribe("Sales__chn")
        bus.publish(ORDER_NAME, {"order_id": "A"})
        assert next(subscription).payload["order_id"] == "A"
        apply_texts(settings, tmp_path, BROKEN, CHANNEL, replace=[ORDER_NAME])
        payload = {"order_id": "B", "total": 1.0}
        wait_until(lambda: bus.publish_many(ORDER_NAME, [payload])[0].error is None)
        event = next(subscription)
        assert (event.payload["order_id"], event.payload["total"]) == ("B", 1.0)


@pytest.mark.parametrize("number", range(1, 5))
def test_an_interrupted_replacement_is_finished_by_the_next_apply(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    with EventBus(settings) as bus:
        old = bus.publish(ORDER_NAME, {"order_id": "A"}).replay_id
    nothing_done = number == 1
    for replaced in ([ORDER_NAME], [ORDER_NAME] if nothing_done else []):
        with monkeypatch.context() as patch:
            interrupt(patch, number)
            with contextlib.suppress(Killed):
                apply_texts(settings, tmp_path, BROKEN, CHANNEL, replace=replaced)
    apply_texts(settings, tmp_path, BROKEN, CHANNEL, replace=[ORDER_NAME] if nothing_done else [])
    desired = load(tmp_path, BROKEN, CHANNEL)
    assert read_plan(settings, desired, plan_options(settings)).effective == ()
    event, channel = entry_of(settings, ORDER_NAME), entry_of(settings, "Sales__chn")
    assert [event.pending, channel.pending] == [False, False]
    assert event.compared == event.schema_ids[-1:]
    assert channel.feeding is not None
    assert [feed.topic_id for feed in channel.feeding.feeds] == [event.topic_ids[-1]]
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "B", "total": 1.0})
        (found,) = bus.subscribe(ORDER_NAME, follow=False)
        assert found.payload["order_id"] == "B"
        with pytest.raises(ReplayRecreatedError):
            bus.subscribe(ORDER_NAME, start=old, follow=False)


def test_an_event_that_a_channel_without_a_file_reads_is_not_replaced(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, CHANNEL)
    with pytest.raises(PlanRefusedError, match="Sales__chn, which no file here defines"):
        apply_texts(settings, tmp_path, BROKEN, replace=[ORDER_NAME])
    plan = apply_texts(settings, tmp_path, BROKEN, replace=[ORDER_NAME], prune=True)
    assert [change.name for change in plan.effective] == [ORDER_NAME, "Sales__chn"]


def test_nothing_is_replaced_without_need_and_no_other_event(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER)
    options = plan_options(settings, replace=[ORDER_NAME])
    assert read_plan(settings, load(tmp_path, ORDER), options).effective == ()
    options = plan_options(settings, replace=["Order_Paid__e"])
    plan = read_plan(settings, load(tmp_path, ORDER), options)
    assert plan.refusals == (
        "Order_Paid__e: no event of this project is called so, and so it cannot be replaced",
    )
