"""The catalog's topic was lost and the definitions are applied again: channels go on."""

from __future__ import annotations

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.positions import Checkpoint
from platform_events.errors import CatalogCorruptError
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    commit_positions,
    positions,
    publish,
    route_once,
    starts_of,
    status_of,
)
from tests.channels.samples import KEYED, NAME, A, B, channel
from tests.support import delete_topic, produce_to, wait_until


def test_members_go_on_where_they_were(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    routed: tuple[str, ...],
) -> None:
    delete_topic(settings, "catalog")
    define(*routed)
    publish(bus, "A__e", range(10, 20))
    start_router()
    await_caught_up(settings, NAME)
    stays = everything("A__e", "B__e")
    check_channel(settings, NAME, stays, {2: [20]}).assert_none()


@pytest.mark.parametrize("record", [b"junk", b'{"version": 99}'])
def test_a_channel_whose_record_alone_is_unreadable_waits_and_goes_on(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    routed: tuple[str, ...],
    record: bytes,
) -> None:
    router = start_router()
    wait_until(lambda: router.leads(NAME))
    produce_to(settings, settings.namespace.catalog, f"channel/{NAME}".encode(), record)
    bus.catalog.refresh()
    with pytest.raises(CatalogCorruptError, match=f"apply the definition of {NAME} again"):
        bus.subscribe(NAME)
    publish(bus, "A__e", range(10, 20))
    define(*routed)
    await_caught_up(settings, NAME)
    stays = everything("A__e", "B__e")
    check_channel(settings, NAME, stays, {2: [20]}).assert_none()


def test_a_member_that_had_been_dropped_is_read_again(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    """As it would be with the catalog, and under a number that is higher than all before."""
    define(A, B, channel(NAME, "A__e"))
    router = start_router()
    publish(bus, "A__e", range(5))
    await_caught_up(settings, NAME)
    for members in (["B__e"], ['B__e filter: "n > 2"']):
        define(A, B, channel(NAME, *members))
        publish(bus, "B__e", range(5))
        await_caught_up(settings, NAME)
    publish(bus, "A__e", range(5, 8))
    router.stop()
    delete_topic(settings, "catalog")
    define(A, B, channel(NAME, "A__e"))
    start_router()
    await_caught_up(settings, NAME)
    assert status_of(settings, NAME).definition == 4
    (member,) = status_of(settings, NAME).members
    assert (member.passed, member.lag) == (8, 0)


@pytest.mark.parametrize("start", ["earliest", "now"])
def test_partitions_that_were_at_different_definitions_all_go_on(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter, start: str
) -> None:
    """As when the feeder of one of them had not come to the last change."""
    documents = (KEYED, channel(NAME, f"Keyed__e from: {start}", partitions=3))
    define(*documents)
    route_once(settings, NAME)
    publish(bus, "Keyed__e", range(30))
    route_once(settings, NAME)
    advance(settings, 1, definition=5)
    publish(bus, "Keyed__e", range(30, 60))
    delete_topic(settings, "catalog")
    define(*documents)
    assert status_of(settings, NAME).definition == 6
    start_router()
    await_caught_up(settings, NAME)
    assert sum(one.passed for _, one in positions(settings, NAME).values()) == 60
    assert starts_of(settings, NAME, "Keyed__e")
    findings = check_channel(settings, NAME, everything("Keyed__e"))
    assert (findings.checked, findings.found) == (60, 60)


def advance(settings: Settings, partition: int, definition: int) -> None:
    """Commit what a feeder commits that resumes one channel partition under a later definition."""
    commits = {
        (name, number): (offset, Checkpoint(definition, one.at, one.passed).to_text())
        for (name, number), (offset, one) in positions(settings, NAME).items()
        if number == partition
    }
    commit_positions(settings, NAME, commits)
