"""The catalog's topic was lost and the definitions are applied again: channels go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from platform_events.bus.bus import EventBus
from platform_events.catalog.positions import Checkpoint
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, all_pass, check_channel
from tests.channels.routing import (
    RunningRouter,
    await_caught_up,
    positions,
    publish,
    route_once,
    starts_of,
    status_of,
)
from tests.channels.samples import channel, event
from tests.support import delete_topic, topic_of

A, B, KEYED = event("A__e"), event("B__e"), event("Keyed__e", 3)
NAME = "All__chn"

Define = Callable[..., None]
StartRouter = Callable[[], RunningRouter]


def test_members_go_on_where_they_were(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    documents = (A, B, channel(NAME, "A__e", "B__e"))
    define(*documents)
    router = start_router()
    publish(bus, "A__e", range(10))
    publish(bus, "B__e", range(10))
    await_caught_up(settings, NAME)
    router.stop()
    delete_topic(settings, "catalog")
    define(*documents)
    publish(bus, "A__e", range(10, 20))
    start_router()
    await_caught_up(settings, NAME)
    stays = [Stay(name, [Period(1, all_pass)]) for name in ("A__e", "B__e")]
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
    stay = Stay("Keyed__e", [Period(1, all_pass)])
    assert sum(one.passed for _, one in positions(settings, NAME).values()) == 60
    assert starts_of(settings, NAME, "Keyed__e")
    findings = check_channel(settings, NAME, [stay])
    assert (findings.checked, findings.found) == (60, 60)


def advance(settings: Settings, partition: int, definition: int) -> None:
    """Commit what a feeder commits that resumes one channel partition under a later definition."""
    group = settings.namespace.positions(NAME)
    consumer = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": group})
    commits = []
    for (name, number), (offset, checkpoint) in positions(settings, NAME).items():
        if number == partition:
            later = Checkpoint(definition, checkpoint.at, checkpoint.passed).to_text()
            commits.append(TopicPartition(topic_of(settings, name), number, offset, later))
    consumer.commit(offsets=commits, asynchronous=False)
    consumer.close()
