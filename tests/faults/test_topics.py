"""Topics that are gone, or grow, which takes the clients a while to notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, check_channel, everything
from tests.channels.routing import await_caught_up, publish, status_of
from tests.channels.samples import channel, event
from tests.channels.stored import read_topic
from tests.faults.processes import GENEROUS, Fleet
from tests.support import apply_texts, produce_raw, topic_of, wait_until

A, KEYED = event("A__e"), event("Keyed__e", 3)
NAME, OTHER = "All__chn", "Other__chn"


def test_without_its_dead_letters_a_channel_waits_and_loses_nothing(
    settings: Settings, bus: EventBus, define: Callable[..., None], fleet: Fleet
) -> None:
    documents = (A, channel(NAME, "A__e"), channel(OTHER, "A__e"))
    define(*documents)
    publish(bus, "A__e", range(3))
    fleet.start()
    await_caught_up(settings, NAME, OTHER)
    with Admin(settings) as admin:
        admin.delete(settings.namespace.dead_letters(NAME))
    produce_raw(settings, "A__e", b"x")
    publish(bus, "A__e", range(3, 6))
    await_caught_up(settings, OTHER)
    wait_until(lambda: status_of(settings, NAME).partitions[0].state == "broken", GENEROUS)
    define(*documents)
    await_caught_up(settings, NAME, seconds=GENEROUS)
    stay = Stay("A__e", [Period(1, lambda row: None if row.value == b"x" else True)])
    for name in (NAME, OTHER):
        check_channel(settings, name, [stay]).assert_none()


def test_members_and_channel_grow_together(
    settings: Settings, bus: EventBus, fleet: Fleet, tmp_path: Path
) -> None:
    documents = [KEYED, channel(NAME, "Keyed__e", partitions=3)]
    apply_texts(settings, tmp_path / "schemas", *documents)
    fleet.start()
    publish(bus, "Keyed__e", range(30))
    await_caught_up(settings, NAME)
    wider = [text.replace("partitions: 3", "partitions: 5") for text in documents]
    apply_texts(settings, tmp_path / "schemas", *wider, allow_growth=True)

    def is_spread() -> bool:
        publish(bus, "Keyed__e", range(100, 140))
        return all(read_topic(settings, topic_of(settings, NAME)))

    wait_until(is_spread, GENEROUS)
    await_caught_up(settings, NAME, seconds=GENEROUS)
    check_channel(settings, NAME, everything("Keyed__e")).assert_none()
