"""Kafka forgets the positions of a silent group after a week: a live channel commits them again."""

from __future__ import annotations

import pytest

from platform_events.bus.bus import EventBus
from platform_events.channels import transfer_loop
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import (
    Define,
    RunningRouter,
    StartRouter,
    await_caught_up,
    forget_positions,
    positions,
    publish,
)
from tests.channels.samples import channel, event
from tests.support import wait_until

NAME, WIDE = "All__chn", "Wide__chn"
MEMBERS = ("A__e", "B__e", "Keyed__e")


@pytest.fixture
def live(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    monkeypatch: pytest.MonkeyPatch,
) -> RunningRouter:
    """Channels that are live and idle; one member never had an event."""
    monkeypatch.setattr(transfer_loop, "_IDLE_SECONDS", 0.2)
    define(
        event("A__e"),
        event("B__e"),
        event("Keyed__e", 3),
        channel(NAME, *MEMBERS),
        channel(WIDE, "Keyed__e", partitions=3),
    )
    publish(bus, "A__e", range(3))
    publish(bus, "Keyed__e", range(30))
    router = start_router()
    await_caught_up(settings, NAME, WIDE)
    wait_until(lambda: router.leads(NAME) and all(router.leads(WIDE, one) for one in range(3)))
    return router


def keep_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_loop, "_KEEP_SECONDS", 0.2)


def test_an_idle_channel_commits_all_its_positions_now_and_then(
    settings: Settings, live: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: positions(settings, name) for name in (NAME, WIDE)}
    # Those of the members' partitions, and the channel's own.
    assert {name: len(found) for name, found in before.items()} == {NAME: 6, WIDE: 6}
    for name in (NAME, WIDE):
        forget_positions(settings, name)
        assert positions(settings, name) == {}
    keep_often(monkeypatch)
    for name in (NAME, WIDE):
        wait_until(lambda name=name: positions(settings, name) == before[name])  # type: ignore[misc]
    # Again, and not only once.
    forget_positions(settings, NAME)
    wait_until(lambda: positions(settings, NAME) == before[NAME])


def test_a_channel_with_one_busy_member_commits_those_of_the_silent_ones_too(
    settings: Settings, bus: EventBus, live: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = positions(settings, NAME)
    forget_positions(settings, NAME)
    publish(bus, "A__e", range(3, 6))
    busy = {("A__e", 0)}
    wait_until(lambda: positions(settings, NAME).keys() == busy)
    keep_often(monkeypatch)

    def is_kept() -> bool:
        publish(bus, "A__e", [6])
        return positions(settings, NAME).keys() == before.keys()

    wait_until(is_kept)
    found = positions(settings, NAME)
    assert {place: found[place] for place in before.keys() - busy} == {
        place: before[place] for place in before.keys() - busy
    }
    await_caught_up(settings, NAME)
    stays = everything(*MEMBERS)
    check_channel(settings, NAME, stays).assert_none()
