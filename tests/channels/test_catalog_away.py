"""The catalog's topic is lost: what cannot be judged waits, and nothing is dead-lettered."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options
from platform_events.catalog.plan import Plan
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import Define, RunningRouter, StartRouter, await_caught_up, publish
from tests.channels.samples import channel, event
from tests.channels.stored import read_topic
from tests.support import delete_by_hand, load, topic_of, wait_until

NAME, OTHER = "All__chn", "Other__chn"
DOCUMENTS = (
    event("A__e"),
    event("B__e"),
    channel(NAME, "A__e", "B__e"),
    channel(OTHER, "A__e"),
)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have routers notice within a second what became of the catalog's topic."""
    monkeypatch.setattr("platform_events.channels.router._REFRESH", 0.1)


def lose_catalog(settings: Settings) -> None:
    delete_by_hand(settings, settings.namespace.catalog)


def rows_of(settings: Settings, name: str) -> int:
    return len(read_topic(settings, topic_of(settings, name))[0])


def tries_of(router: RunningRouter) -> int:
    """Return how often feeding failed."""
    return sum(one[0] == NAME and one[2] == "broken" for one in router.states)


def is_led(settings: Settings) -> bool:
    """Return whether any router has the channel."""
    with Admin(settings) as admin:
        members = admin.members(settings.namespace.routers)
    return any((topic_of(settings, NAME), 0) in member.partitions for member in members)


def dead_letters(settings: Settings) -> int:
    return len(read_topic(settings, settings.namespace.dead_letters(NAME))[0])


def assert_whole(settings: Settings) -> None:
    """Check that everything is in both channels once, and nothing was dead-lettered."""
    await_caught_up(settings, NAME, OTHER)
    both = everything("A__e", "B__e")
    check_channel(settings, NAME, both).assert_none()
    check_channel(settings, OTHER, both[:1]).assert_none()
    assert dead_letters(settings) == 0


def test_an_event_whose_schema_cannot_be_looked_up_waits(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(*DOCUMENTS)
    router = start_router()
    publish(bus, "A__e", range(5))
    await_caught_up(settings, NAME, OTHER)
    wait_until(lambda: router.leads(NAME) and router.leads(OTHER))
    # The router has met no event of B so far; the bus knows how to write one.
    publish(bus, "B__e", [])
    lose_catalog(settings)
    wait_until(lambda: not router.catalog.is_read)
    publish(bus, "B__e", range(3))
    publish(bus, "A__e", range(5, 8))
    wait_until(lambda: router.state(NAME) == "broken")
    assert "catalog" in next(one[3] for one in router.states[::-1] if one[0] == NAME)
    # The other channel's schemas are known.
    wait_until(lambda: rows_of(settings, OTHER) == 8)
    assert router.leads(OTHER)
    tries = tries_of(router)
    wait_until(lambda: tries_of(router) > tries)
    # Those of A may have come first.
    assert (rows_of(settings, NAME) <= 8, dead_letters(settings)) == (True, 0)
    define(*DOCUMENTS)
    assert_whole(settings)
    wait_until(lambda: router.leads(NAME))


def test_a_router_that_starts_meanwhile_waits_for_the_definitions(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(*DOCUMENTS)
    router = start_router()
    publish(bus, "A__e", range(5))
    publish(bus, "B__e", range(5))
    await_caught_up(settings, NAME, OTHER)
    router.stop()
    publish(bus, "A__e", range(5, 8))
    publish(bus, "B__e", range(5, 8))
    lose_catalog(settings)
    router = start_router()
    wait_until(lambda: router.catalog.known_at > 0)
    assert router.states == []
    define(*DOCUMENTS)
    assert_whole(settings)
    assert {state for _, _, state, _ in router.states} <= {"taking over", "live"}


def test_an_event_waits_while_the_definitions_are_about_to_be_applied_again(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    tmp_path: Path,
) -> None:
    """The catalog's topic is there again before anything is in it: an operator may be asked."""
    define(*DOCUMENTS)
    router = start_router()
    publish(bus, "A__e", range(5))
    publish(bus, "B__e", [])
    await_caught_up(settings, NAME, OTHER)
    wait_until(lambda: router.leads(NAME) and router.leads(OTHER))
    lose_catalog(settings)
    wait_until(lambda: not router.catalog.is_read)
    ends = rows_of(settings, NAME)

    def confirm(_: Plan) -> bool:
        publish(bus, "B__e", range(3))
        wait_until(lambda: tries_of(router) > 0 or not is_led(settings))
        assert (rows_of(settings, NAME), dead_letters(settings)) == (ends, 0)
        return True

    definitions = load(tmp_path / "again", *DOCUMENTS)
    apply(settings, definitions, plan_options(settings), confirm=confirm)
    assert_whole(settings)
