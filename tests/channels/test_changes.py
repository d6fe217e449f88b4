"""A channel's definition changes while it is fed: from one position on, and exactly there."""

from __future__ import annotations

import random

from platform_events.bus.bus import EventBus
from platform_events.errors import PlatformEventsError
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, all_pass, check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    change_point,
    positions,
    publish,
    route_once,
    starts_of,
    status_of,
)
from tests.channels.samples import KEYED, NAME, A, B, channel, event, verdict
from tests.channels.stored import read_topic
from tests.faults.processes import publishing
from tests.support import delete_topic, topic_of, wait_until

PEER = event("Peer__e", 3)


def test_a_filter_changes_at_one_position(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, B, channel(NAME, "A__e", "B__e"))
    start_router()
    changes: dict[int, list[int]] = {}
    with publishing(bus, ("A__e", "B__e"), random.Random(7)):
        await_passed(settings, 100)
        for definition, rule in ((2, "n >= 50"), (3, "n < 0")):
            define(A, B, channel(NAME, f'A__e filter: "{rule}"', "B__e"))
            changes |= change_point(settings, NAME, definition)
            seen = status_of(settings, NAME).members[1].passed
            wait_until(lambda: status_of(settings, NAME).members[1].passed > seen + 50)  # noqa: B023
    await_caught_up(settings, NAME)
    rules = {1: -1, 2: 49, 3: 10**9}
    periods = [
        Period(number, verdict(bus, "A__e", lambda payload, above=above: payload["n"] > above))  # type: ignore[misc]
        for number, above in rules.items()
    ]
    stays = [Stay("A__e", periods), Stay("B__e", [Period(1, all_pass)])]
    findings = check_channel(settings, NAME, stays, changes)
    findings.assert_none()
    assert [changes[number][0] for number in (2, 3)] == sorted(
        changes[number][0] for number in (2, 3)
    )


def await_passed(settings: Settings, count: int) -> None:
    wait_until(lambda: sum(one.passed for one in status_of(settings, NAME).members) > count)


def test_members_come_go_and_come_again(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, B, channel(NAME, "A__e"))
    start_router()
    changes: dict[int, list[int]] = {}
    with publishing(bus, ("A__e", "B__e"), random.Random(7)):
        await_passed(settings, 50)
        both, one = channel(NAME, "A__e", "B__e"), channel(NAME, "A__e")
        for definition, document in ((2, both), (3, one), (4, both), (5, one)):
            define(A, B, document)
            changes |= change_point(settings, NAME, definition)
            await_passed(settings, 100 * definition)
        define(A, B, channel(NAME, "A__e", "B__e from: now"))
        changes |= change_point(settings, NAME, 6)
    await_caught_up(settings, NAME)
    starts = starts_of(settings, NAME, "B__e")
    assert starts[0] > 0
    stays = [
        Stay("A__e", [Period(1, all_pass)]),
        Stay("B__e", [Period(2, all_pass)], dropped=3),
        Stay("B__e", [Period(4, all_pass)], dropped=5),
        Stay("B__e", [Period(6, all_pass)], starts=starts),
    ]
    check_channel(settings, NAME, stays, changes).assert_none()


def test_each_partition_changes_at_a_position_of_its_own(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(KEYED, PEER, channel(NAME, "Keyed__e", partitions=3))
    start_router(), start_router()
    with publishing(bus, ("Keyed__e", "Peer__e"), random.Random(7)):
        await_passed(settings, 200)
        changed = channel(NAME, 'Keyed__e filter: "n > 30"', "Peer__e from: now", partitions=3)
        define(KEYED, PEER, changed)
        changes = change_point(settings, NAME, 2)
        await_passed(settings, 600)
    await_caught_up(settings, NAME)
    above = verdict(bus, "Keyed__e", lambda payload: payload["n"] > 30)
    starts = starts_of(settings, NAME, "Peer__e")
    stays = [
        Stay("Keyed__e", [Period(1, all_pass), Period(2, above)]),
        Stay("Peer__e", [Period(2, all_pass)], starts=starts),
    ]
    check_channel(settings, NAME, stays, changes).assert_none()


def test_a_change_while_no_router_runs_holds_from_the_end_of_the_channel_on(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel(NAME, "A__e"))
    publish(bus, "A__e", range(10))
    route_once(settings, NAME)
    publish(bus, "A__e", range(10, 20))
    define(A, channel(NAME, 'A__e filter: "n > 14"'))
    assert status_of(settings, NAME).members[0].definition == 1
    start_router()
    await_caught_up(settings, NAME)
    above = verdict(bus, "A__e", lambda payload: payload["n"] > 14)
    stay = Stay("A__e", [Period(1, all_pass), Period(2, above)])
    changes = change_point(settings, NAME, 2)
    check_channel(settings, NAME, [stay], changes).assert_none()
    (rows,) = read_topic(settings, topic_of(settings, NAME))
    assert len(rows) == 15
    assert rows[9].offset < changes[2][0] <= rows[10].offset


def test_restarts_do_not_move_the_position_of_a_change(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, B, channel(NAME, "A__e", "B__e"))
    publish(bus, "A__e", range(5))
    for number in range(3):
        router = start_router()
        publish(bus, "B__e", [number])
        await_caught_up(settings, NAME)
        router.stop()
    checkpoints = {place: one for place, (_, one) in positions(settings, NAME).items()}
    assert {one.at for one in checkpoints.values()} == {0}
    assert checkpoints["A__e", 0].passed == 5


class TestTopicsGone:
    OTHER = "Other__chn"

    def broken(self, settings: Settings, name: str) -> str:
        """Return why a channel is broken; nothing if it is not."""
        states = status_of(settings, name).partitions
        return next((one.detail for one in states if one.state == "broken"), "")

    def is_told(self, settings: Settings, name: str, *words: str) -> bool:
        detail = self.broken(settings, name)
        return all(word in detail for word in words)

    def test_a_member_s_topic(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        documents = (A, B, channel(NAME, "A__e", "B__e"), channel(self.OTHER, "A__e"))
        define(*documents)
        publish(bus, "A__e", range(5))
        publish(bus, "B__e", range(5))
        start_router()
        await_caught_up(settings, NAME, self.OTHER)
        delete_topic(settings, "B__e")
        # In one look: it tries again now and then, and is not broken meanwhile.
        wait_until(lambda: self.is_told(settings, NAME, "B__e", "apply"))
        publish(bus, "A__e", range(5, 10))
        await_caught_up(settings, self.OTHER)
        assert self.broken(settings, self.OTHER) == ""
        first = read_topic(settings, topic_of(settings, NAME))[0]
        define(*documents)
        wait_until(lambda: accepts(bus, "B__e"))
        publish(bus, "B__e", range(10, 15))
        await_caught_up(settings, NAME)
        check_channel(settings, self.OTHER, everything("A__e")).assert_none()
        (rows,) = read_topic(settings, topic_of(settings, NAME))
        assert rows[: len(first)] == first
        (members,) = read_topic(settings, topic_of(settings, "B__e"))
        bodies = [row.value for row in rows[len(first) :]]
        assert [body for body in bodies if body in {row.value for row in members}] == [
            row.value for row in members
        ]
        assert len(bodies) == 5 + len(members)

    def test_a_member_made_again_at_once_is_read_once_and_from_its_beginning(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        documents = (A, B, channel(NAME, "A__e", "B__e"))
        define(*documents)
        publish(bus, "B__e", range(2))
        start_router()
        await_caught_up(settings, NAME)
        (before,) = read_topic(settings, topic_of(settings, NAME))
        delete_topic(settings, "B__e")
        define(*documents)
        wait_until(lambda: accepts(bus, "B__e"))
        publish(bus, "B__e", range(100, 140))
        publish(bus, "A__e", range(3))
        await_caught_up(settings, NAME)
        (rows,) = read_topic(settings, topic_of(settings, NAME))
        (members,) = read_topic(settings, topic_of(settings, "B__e"))
        after = [row.value for row in rows[len(before) :]]
        (others,) = read_topic(settings, topic_of(settings, "A__e"))
        assert len(after) == len(members) + len(others)
        assert sorted(after, key=repr) == sorted(
            [row.value for row in (*members, *others)], key=repr
        )

    def test_the_channel_s_own_topic(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        documents = (A, B, channel(NAME, 'A__e filter: "n > 0"'), channel(self.OTHER, "A__e"))
        define(*documents)
        publish(bus, "A__e", range(5))
        start_router()
        await_caught_up(settings, NAME, self.OTHER)
        delete_topic(settings, NAME)
        wait_until(lambda: "apply" in self.broken(settings, NAME))
        publish(bus, "A__e", range(5, 10))
        await_caught_up(settings, self.OTHER)
        define(*documents)
        await_caught_up(settings, NAME)
        publish(bus, "A__e", range(10, 12))
        await_caught_up(settings, NAME, self.OTHER)
        above = verdict(bus, "A__e", lambda payload: payload["n"] > 0)
        check_channel(settings, NAME, [Stay("A__e", [Period(2, above)])]).assert_none()
        check_channel(settings, self.OTHER, everything("A__e")).assert_none()


def accepts(bus: EventBus, name: str) -> bool:
    try:
        (result,) = bus.publish_many(name, [{"n": -1}])
    except PlatformEventsError:
        return False
    return result.error is None
