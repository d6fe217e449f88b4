"""Positions that were lost, or that retention overtook."""

from __future__ import annotations

import json
import logging
import time

import pytest
from confluent_kafka import Producer

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    commit_positions,
    forget_positions,
    positions,
    publish,
    route_once,
    status_of,
)
from tests.channels.samples import KEYED, NAME, A, B, channel, verdict
from tests.channels.stored import read_topic
from tests.support import delete_before, produce_raw, produce_to, topic_of, wait_until


def rows_of(settings: Settings) -> int:
    return len(read_topic(settings, topic_of(settings, NAME))[0])


def test_lost_positions_are_found_again_in_the_channel(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, B, KEYED, channel(NAME, 'A__e filter: "n < 30"', "B__e", "Keyed__e from: now"))
    router = start_router()
    publish(bus, "A__e", range(40))
    produce_raw(settings, "B__e", b"no header")
    publish(bus, "Keyed__e", range(30))
    await_caught_up(settings, NAME)
    router.stop()
    publish(bus, "A__e", range(20))
    publish(bus, "B__e", range(20))
    before = rows_of(settings)
    forget_positions(settings, NAME)
    assert positions(settings, NAME) == {}
    start_router()
    await_caught_up(settings, NAME)
    assert rows_of(settings) == before + 40
    below = verdict(bus, "A__e", lambda payload: payload["n"] < 30)
    stays = [
        Stay("A__e", [Period(1, below)]),
        Stay("B__e", [Period(1, lambda row: None if row.value == b"no header" else True)]),
        *everything("Keyed__e"),
    ]
    check_channel(settings, NAME, stays).assert_none()


@pytest.mark.usefixtures("routed")
def test_one_lost_position_is_found_again_beside_the_others(
    settings: Settings, bus: EventBus, start_router: StartRouter
) -> None:
    before = positions(settings, NAME)
    forget_positions(settings, NAME)
    commits = {key: (offset, one.to_text()) for key, (offset, one) in before.items()}
    del commits["B__e", 0]
    commit_positions(settings, NAME, commits)
    publish(bus, "B__e", range(5))
    start_router()
    await_caught_up(settings, NAME)
    stays = everything("A__e", "B__e")
    check_channel(settings, NAME, stays).assert_none()
    offset, checkpoint = positions(settings, NAME)["A__e", 0]
    assert (offset, checkpoint.passed, checkpoint.at) == (10, 10, before["A__e", 0][1].at)


@pytest.mark.parametrize("metadata", ["", "written by a tool", '{"definition": 1e999}'])
def test_a_position_that_other_software_wrote_is_taken_for_lost(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter, metadata: str
) -> None:
    define(A, channel(NAME, "A__e"))
    publish(bus, "A__e", range(10))
    route_once(settings, NAME)
    commit_positions(settings, NAME, {("A__e", 0): (3, metadata)})
    publish(bus, "A__e", range(10, 12))
    start_router()
    await_caught_up(settings, NAME)
    check_channel(settings, NAME, everything("A__e")).assert_none()


def test_records_of_other_software_in_the_channel_do_not_confuse_the_search(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel(NAME, "A__e"))
    publish(bus, "A__e", range(5))
    route_once(settings, NAME)
    id_ = b"AAAAAAAAAAFlOQ"
    for text in (b"foo 1 0 99 9 " + id_, b"/event/A__e 1 0 99", b"\xff", b"/event/A__e x 0 9 9 "):
        headers = [("ce_origin", text)]
        produce_raw(settings, NAME, b"x", headers)
        produce_raw(settings, NAME + ".dlq", b"x", headers)
    produce_to(settings, topic_of(settings, NAME), b"key", b"x")
    forget_positions(settings, NAME)
    publish(bus, "A__e", range(5, 8))
    start_router()
    await_caught_up(settings, NAME)
    findings = check_channel(settings, NAME, everything("A__e"))
    assert len(findings.foreign) == 9
    findings.foreign = []
    findings.assert_none()


@pytest.mark.usefixtures("routed")
def test_what_retention_removed_is_counted_and_said(
    settings: Settings,
    bus: EventBus,
    start_router: StartRouter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(bus, "A__e", range(10, 25))
    publish(bus, "B__e", range(10, 12))
    # All of one member's log: nothing that is still there moves its position.
    delete_before(settings, "A__e", [25])
    with caplog.at_level(logging.WARNING, "platform_events"):
        router = start_router()
        await_caught_up(settings, NAME)
    assert "EXPIRED" in caplog.text
    assert "15" in caplog.text
    wait_until(lambda: status_of(settings, NAME).members[0].expired == 15)
    first, second = status_of(settings, NAME).members
    assert (first.passed, first.expired, first.lag) == (10, 15, 0)
    assert (second.passed, second.expired) == (12, 0)
    router.stop()
    start_router()
    publish(bus, "A__e", range(25, 28))
    await_caught_up(settings, NAME)
    member = status_of(settings, NAME).members[0]
    assert (member.passed, member.expired) == (13, 15)
    (rows,) = read_topic(settings, topic_of(settings, NAME))
    assert len(rows) == 25


def test_retention_overtakes_a_channel_that_is_caught_up_with(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel(NAME, "A__e"))
    publish(bus, "A__e", range(30))
    start_router()
    await_caught_up(settings, NAME)
    delete_before(settings, "A__e", [30])
    publish(bus, "A__e", range(30, 40))
    await_caught_up(settings, NAME)
    member = status_of(settings, NAME).members[0]
    assert (member.passed, member.expired) == (40, 0)


def test_a_channel_whose_oldest_events_expired_goes_on_quietly(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Leading a partition means to be assigned it, but not to read it."""
    define(A, channel(NAME, "A__e"))
    publish(bus, "A__e", range(10))
    route_once(settings, NAME)
    delete_before(settings, NAME, [8])
    delete_before(settings, "A__e", [9])
    publish(bus, "A__e", range(10, 12))
    with caplog.at_level(logging.WARNING, "platform_events"):
        start_router()
        await_caught_up(settings, NAME)
    assert [record.message for record in caplog.records if record.name == "platform_events"] == []
    assert status_of(settings, NAME).members[0].passed == 12


@pytest.mark.usefixtures("routed")
def test_positions_of_silent_members_are_committed_again(
    settings: Settings, start_router: StartRouter
) -> None:
    """Kafka forgets those of a group without members some days after their last commit."""
    before = positions(settings, NAME)
    (ends,) = read_commits(settings)
    router = start_router()
    wait_until(lambda: router.leads(NAME))
    wait_until(lambda: read_commits(settings)[0] > ends)
    router.stop()
    assert positions(settings, NAME) == before


def read_commits(settings: Settings) -> list[int]:
    """Return how many commits of each position there were, the fewest first: one number."""
    from collections import Counter

    group = settings.namespace.positions(NAME).encode()
    counts = Counter(
        row.key
        for rows in read_topic(settings, "__consumer_offsets")
        for row in rows
        if row.key is not None and group in row.key and row.value is not None
    )
    return [min(counts.values())]


def test_an_unreadable_catalog_record_does_not_stop_channels(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    """Such as one by a newer version, which is rolled out."""
    define(A, channel(NAME, "A__e"))
    router = start_router()
    publish(bus, "A__e", range(3))
    await_caught_up(settings, NAME)
    newer = json.dumps({"version": 99}).encode()
    produce_to(settings, settings.namespace.catalog, b"event/New__e", newer)
    # The router looks at least every few seconds; what is published after that has to arrive.
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    (template,) = read_topic(settings, topic_of(settings, "A__e"))
    row = template[0]
    produced = 3

    def publish_past_the_look() -> bool:
        nonlocal produced
        producer.produce(row.topic, row.value, headers=list(row.headers))
        assert producer.flush(10) == 0
        produced += 1
        return time.monotonic() > looked_by

    looked_by = time.monotonic() + 6.5
    wait_until(publish_past_the_look)
    wait_until(lambda: rows_of(settings) >= produced)
    assert router.leads(NAME)
