"""What is known of who feeds a channel while others than apply and the router have a hand in it."""

from __future__ import annotations

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from platform_events.kafka.groups import Leadership
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    publish,
    status_of,
)
from tests.channels.samples import channel, event
from tests.support import topic_of, wait_until

A, KEYED = event("A__e"), event("Keyed__e", 3)
NAME, WIDE = "All__chn", "Wide__chn"


def test_what_the_router_before_said_is_not_taken_for_the_word_of_the_next(
    settings: Settings, define: Define, start_router: StartRouter
) -> None:
    define(A, channel(NAME, "A__e"))
    router = start_router()
    wait_until(lambda: status_of(settings, NAME).partitions[0].state == "live")
    router.stop()
    assigned: list[tuple[str, int]] = []
    silent = Leadership(
        settings, settings.namespace.routers, "silent", assigned.extend, lambda _: None
    )
    try:
        silent.share([topic_of(settings, NAME)])

        def is_assigned() -> bool:
            silent.poll(0.1)
            return bool(assigned)

        wait_until(is_assigned)
        (one,) = status_of(settings, NAME).partitions
    finally:
        silent.close()
    assert (one.leader, one.state) == ("silent", "taking over")
    assert status_of(settings, NAME).partitions[0].state == "no router"


def test_partitions_that_somebody_added_by_hand_are_noticed(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, KEYED, channel(NAME, "A__e", "Keyed__e"), channel(WIDE, "Keyed__e", partitions=3))
    publish(bus, "Keyed__e", range(30))
    start_router()
    await_caught_up(settings, NAME, WIDE)
    with Admin(settings) as admin:
        admin.grow(topic_of(settings, "Keyed__e"), 5)

    def details() -> set[str]:
        return {one.detail for one in status_of(settings, WIDE).partitions}

    expected = (
        "Keyed__e has 5 partitions, and Wide__chn was applied with 3 partitions; "
        "run platform-events plan"
    )
    wait_until(lambda: details() == {expected})

    def reaches_the_new_partitions() -> bool:
        publish(bus, "Keyed__e", range(100, 140))
        with Admin(settings) as admin:
            return all(admin.log_ends(topic_of(settings, "Keyed__e"), 5))

    wait_until(reaches_the_new_partitions)
    await_caught_up(settings, NAME)
    check_channel(settings, NAME, everything("Keyed__e")).assert_none()
