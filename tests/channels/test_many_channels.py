"""More channels have to catch up than may at a time."""

from __future__ import annotations

import logging

import pytest

from platform_events.bus.bus import EventBus
from platform_events.channels import router as router_module
from platform_events.channels import transfer_loop
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, all_pass, check_channels
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    publish,
    status_of,
)
from tests.channels.samples import channel, event, verdict
from tests.support import wait_until

NAMES = tuple(f"Chan{number}__chn" for number in range(7))
EACH = 2_500
"""Events of each member: a channel that lacks so many waits for a turn."""


def member(number: int) -> tuple[str, str]:
    """Return a channel's first member, and a filter of its own for the second."""
    return ("A__e", "C__e")[number % 2], f"n >= {number * 100}"


@pytest.fixture
def many_channels(
    settings: Settings, bus: EventBus, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels that have everything to catch up with, each in several short turns."""
    monkeypatch.setattr(transfer_loop, "_TURN_SECONDS", 0.02)
    define(
        *(event(name) for name in ("A__e", "B__e", "C__e")),
        *(
            channel(name, member(number)[0], f'B__e filter: "{member(number)[1]}"')
            for number, name in enumerate(NAMES)
        ),
    )
    for begin in range(0, EACH, 500):
        for name in ("A__e", "B__e", "C__e"):
            publish(bus, name, range(begin, begin + 500))


def assert_whole(settings: Settings, bus: EventBus) -> None:
    await_caught_up(settings, *NAMES)
    stays = {}
    for number, name in enumerate(NAMES):
        least = number * 100
        above = verdict(bus, "B__e", lambda payload, least=least: payload["n"] >= least)  # type: ignore[misc]
        stays[name] = [
            Stay(member(number)[0], [Period(1, all_pass)]),
            Stay("B__e", [Period(1, above)]),
        ]
    for findings in check_channels(settings, stays).values():
        findings.assert_none()


def lacking(settings: Settings) -> list[str]:
    """Return the channels that are not complete."""
    return [
        name
        for name in NAMES
        if any(one.lag or one.definition is None for one in status_of(settings, name).members)
    ]


def test_each_has_its_turn(
    settings: Settings,
    bus: EventBus,
    many_channels: None,
    start_router: StartRouter,
) -> None:
    assert len(NAMES) > router_module._CATCHING_UP_AT_ONCE
    router = start_router()
    publish(bus, "B__e", range(EACH, EACH + 200))
    assert_whole(settings, bus)
    wait_until(lambda: all(router.leads(name) for name in NAMES))
    assert {state for _, _, state, _ in router.states} == {"taking over", "catching up", "live"}


def test_a_router_stops_while_channels_wait_for_their_turn(
    settings: Settings,
    bus: EventBus,
    many_channels: None,
    start_router: StartRouter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(router_module, "_CATCHING_UP_AT_ONCE", 1)
    router = start_router()
    wait_until(lambda: sum(router.state(name) == "catching up" for name in NAMES) > 1)
    with caplog.at_level(logging.WARNING, "platform_events"):
        router.stop()
    # None was waited for in vain.
    assert [one.message for one in caplog.records if one.name == "platform_events"] == []
    assert len(lacking(settings)) > 1
    publish(bus, "A__e", range(EACH, EACH + 100))
    start_router()
    assert_whole(settings, bus)
