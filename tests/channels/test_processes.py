"""A router's process ends, or is stopped, at any point: small versions of the tests of faults."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import Define, await_caught_up, publish, status_of
from tests.channels.samples import channel, event
from tests.faults.processes import (
    Fleet,
    Publisher,
    RouterProcess,
    await_more,
    has_open_transaction,
    publishing,
)
from tests.support import wait_until

NAME = "All__chn"
MEMBERS = ("A__e", "B__e")
BACKLOG = 6_000
"""Events that are there before the first router, which moves them in large transactions."""

PAUSE = 0.02
"""Seconds between two batches that are published: a router stays behind, and not by much."""


@pytest.fixture
def fleet(settings: Settings, bus: EventBus, define: Define, tmp_path: Path) -> Iterator[Fleet]:
    define(*(event(name) for name in MEMBERS), channel(NAME, *MEMBERS))
    for begin in range(0, BACKLOG // 2, 500):
        for name in MEMBERS:
            publish(bus, name, range(begin, begin + 500))
    fleet = Fleet(settings, tmp_path)
    yield fleet
    fleet.close()


def assert_exactly_once(settings: Settings) -> int:
    """Wait until everything is routed, then check it; return how many events there are."""
    await_caught_up(settings, NAME)
    findings = check_channel(settings, NAME, everything(*MEMBERS))
    findings.assert_none()
    return findings.checked


def is_led_by(settings: Settings, router: RouterProcess) -> bool:
    (leader,) = status_of(settings, NAME).partitions
    return leader.state == "live" and str(leader.leader).endswith(f":{router.pid}")


def catch_within_a_transaction(
    settings: Settings, router: RouterProcess, publisher: Publisher
) -> None:
    """Stop a router's process when it has left a transaction open.

    What is published almost without a pause keeps it in transactions; later there is less to check.
    """

    def is_caught() -> bool:
        router.pause()
        if has_open_transaction(settings, NAME):
            return True
        router.resume()
        return False

    wait_until(is_caught)
    publisher.pause = 0.3


def test_what_a_killed_router_left_open_is_done_again_once(
    settings: Settings, bus: EventBus, fleet: Fleet
) -> None:
    with publishing(bus, MEMBERS, random.Random(7), pause=PAUSE) as publisher:
        first = fleet.start()
        catch_within_a_transaction(settings, first, publisher)
        first.kill()
        fleet.start()
        await_more(settings, NAME, 500)
    assert assert_exactly_once(settings) == BACKLOG + publisher.count


def test_a_stopped_router_that_goes_on_doubles_nothing(
    settings: Settings, bus: EventBus, fleet: Fleet
) -> None:
    with publishing(bus, MEMBERS, random.Random(7), pause=PAUSE) as publisher:
        first = fleet.start()
        catch_within_a_transaction(settings, first, publisher)
        second = fleet.start()
        wait_until(lambda: is_led_by(settings, second))
        first.resume()
        await_more(settings, NAME, 500)
    assert assert_exactly_once(settings) == BACKLOG + publisher.count
