"""Names that go out of use: retired first, their topics deleted later."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options, read_plan
from platform_events.catalog.plan import Action
from platform_events.cli.views.streams import describe_streams
from platform_events.errors import UnknownStreamError
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.catalog.interruption import Killed, entry_of, interrupt
from tests.support import KEYED, ORDER, apply_texts, load, topic_of, wait_until

ORDER_NAME = "Order_Placed__e"
CHANNEL_NAME = "Sales__chn"
CHANNEL = "channel: Sales__chn\nmembers: [{event: Reading_Taken__e}]\n"
CHANGES = range(1, 6)
"""The catalog, three topics, the catalog again."""


def topics_of(settings: Settings, *names: str) -> list[str | None]:
    with Admin(settings) as admin:
        found = admin.describe(topic_of(settings, name) for name in names)
    return [topic.topic_id if topic else None for topic in found.values()]


@pytest.mark.parametrize("number", CHANGES)
def test_an_interrupted_deletion_is_finished_by_the_next_apply(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED, CHANNEL)
    with monkeypatch.context() as patch:
        interrupt(patch, number)
        with pytest.raises(Killed):
            apply_texts(settings, tmp_path, KEYED, prune=True)
    begun = number > 1
    apply_texts(settings, tmp_path, KEYED, prune=not begun)
    names = [ORDER_NAME, CHANNEL_NAME, f"{CHANNEL_NAME}.dlq"]
    wait_until(lambda: topics_of(settings, *names) == [None] * 3)
    for name in names[:2]:
        entry = entry_of(settings, name)
        assert (entry.pending, entry.active, len(entry.topic_ids)) == (False, None, 1)


@pytest.mark.parametrize("number", CHANGES)
def test_a_name_used_again_after_an_interrupted_deletion_is_a_new_stream(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    names = [ORDER_NAME, CHANNEL_NAME]
    apply_texts(settings, tmp_path, ORDER, KEYED, CHANNEL)
    old = topics_of(settings, *names)
    with monkeypatch.context() as patch:
        interrupt(patch, number)
        with pytest.raises(Killed):
            apply_texts(settings, tmp_path, KEYED, prune=True)
    begun = number > 1
    apply_texts(settings, tmp_path, ORDER, KEYED, CHANNEL)
    new = topics_of(settings, *names)
    assert [one in old for one in new] == [not begun] * 2
    for name, topic_id in zip(names, new, strict=True):
        entry = entry_of(settings, name)
        assert (entry.pending, entry.topic_ids[-1]) == (False, topic_id)
    plan = read_plan(settings, load(tmp_path, ORDER, KEYED, CHANNEL), plan_options(settings))
    assert plan.effective == ()
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "A"})


def test_a_retired_name_is_refused_while_its_topic_is_there(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "A"})
        with monkeypatch.context() as patch:
            interrupt(patch, 2)
            with pytest.raises(Killed):
                apply_texts(settings, tmp_path, KEYED, prune=True)

        def is_refused() -> bool:
            try:
                return not bus.publish(ORDER_NAME, {"order_id": "B"})
            except UnknownStreamError as error:
                return "was deleted" in str(error)

        wait_until(is_refused)
        with pytest.raises(UnknownStreamError):
            bus.subscribe(ORDER_NAME)
        states = {one["name"]: one["state"] for one in describe_streams(bus)}
        assert states == {ORDER_NAME: "pending", "Reading_Taken__e": "ready"}
    assert topics_of(settings, ORDER_NAME) != [None]
    plan = read_plan(settings, load(tmp_path, KEYED), plan_options(settings))
    assert [(change.action, len(change.asks)) for change in plan.effective] == [(Action.DELETE, 1)]


def publish_without_end(bus: EventBus) -> None:
    while True:
        bus.publish(ORDER_NAME, {"order_id": "A"})


def test_a_publisher_that_runs_stores_nothing_in_a_topic_that_goes(
    settings: Settings, tmp_path: Path
) -> None:
    """Every event is PERSISTED or refused, never UNKNOWN: the topic outlives the publishing."""
    apply_texts(settings, tmp_path, ORDER, KEYED)
    desired = load(tmp_path, KEYED)
    options = plan_options(settings, prune=True)
    pruning = threading.Thread(target=apply, args=(settings, desired, options))
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "A"})
        pruning.start()
        with pytest.raises(UnknownStreamError, match="was deleted"):
            publish_without_end(bus)
        pruning.join()
        with pytest.raises(UnknownStreamError, match="was deleted"):
            bus.publish(ORDER_NAME, {"order_id": "A"})
    wait_until(lambda: topics_of(settings, ORDER_NAME) == [None])
