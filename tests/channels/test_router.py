"""What a router makes of its members' streams, and who does it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from platform_events.bus.aio import AsyncEventBus
from platform_events.bus.bus import EventBus
from platform_events.bus.event import Event
from platform_events.bus.values import Start
from platform_events.settings import Settings
from tests.channels.checking import Origin, Period, Stay, all_pass, check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    publish,
    status_of,
    transactional,
)
from tests.channels.samples import KEYED, A, B, channel, event, verdict
from tests.channels.stored import read_topic
from tests.faults.processes import publishing
from tests.support import consume_raw, topic_of, wait_until

C, PEER = event("C__e"), event("Peer__e", 3)


def origins(settings: Settings, name: str, partition: int = 0) -> list[Origin]:
    rows = read_topic(settings, topic_of(settings, name))[partition]
    return [origin for row in rows if (origin := Origin.of(row.headers)) is not None]


def numbers(events: list[Event[dict[str, Any]]]) -> list[int]:
    return [one.payload["n"] for one in events]


class TestOrder:
    def test_what_was_there_and_what_comes_is_one_order(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, B, channel("All__chn", 'A__e filter: "n >= 5"', "B__e"))
        for name in ("A__e", "B__e"):
            publish(bus, name, range(20))
        start_router()
        for round_ in range(20, 60, 10):
            for name in ("A__e", "B__e"):
                publish(bus, name, range(round_, round_ + 10))
        await_caught_up(settings, "All__chn")
        stays = [
            Stay("A__e", [Period(1, verdict(bus, "A__e", lambda payload: payload["n"] >= 5))]),
            *everything("B__e"),
        ]
        check_channel(settings, "All__chn", stays).assert_none()
        first, second = status_of(settings, "All__chn").members
        assert (first.passed, first.filtered, second.passed) == (55, 5, 60)
        assert (first.dead_lettered, first.expired, first.lag_ms) == (0, 0, 0)

    def test_what_was_there_is_merged_by_append_time(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, B, KEYED, channel("All__chn", "A__e", "B__e", "Keyed__e"))
        for number in range(150):
            publish(bus, ("A__e", "B__e", "Keyed__e")[number * 7 % 3], [number])
        start_router()
        await_caught_up(settings, "All__chn")
        check_channel(settings, "All__chn", everything("A__e", "B__e", "Keyed__e")).assert_none()
        found = origins(settings, "All__chn")
        assert len({origin.time_ms for origin in found}) > 20
        keys = [(one.time_ms, one.event, one.partition, one.offset) for one in found]
        assert keys == sorted(keys)

    def test_from_now_leaves_out_what_was_there(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, KEYED)
        publish(bus, "A__e", range(5))
        publish(bus, "Keyed__e", range(30))
        ends = [len(rows) for rows in read_topic(settings, topic_of(settings, "Keyed__e"))]
        define(A, KEYED, channel("All__chn", "A__e from: now", "Keyed__e from: now"))
        publish(bus, "A__e", range(5, 9))
        start_router()
        publish(bus, "Keyed__e", range(30, 60))
        await_caught_up(settings, "All__chn")
        stays = [
            Stay("A__e", [Period(1, all_pass)], starts=(5,)),
            Stay("Keyed__e", [Period(1, all_pass)], starts=ends),
        ]
        check_channel(settings, "All__chn", stays).assert_none()
        assert len(origins(settings, "All__chn")) == 34

    def test_a_channel_of_several_partitions_keeps_those_of_its_members(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(
            KEYED,
            PEER,
            channel("Wide__chn", 'Keyed__e filter: "n != 7"', "Peer__e", partitions=3),
            channel("Narrow__chn", "Keyed__e"),
        )
        publish(bus, "Keyed__e", range(60))
        start_router()
        publish(bus, "Peer__e", range(60))
        publish(bus, "Keyed__e", range(60, 90))
        await_caught_up(settings, "Wide__chn", "Narrow__chn")
        unlike = verdict(bus, "Keyed__e", lambda payload: payload["n"] != 7)
        stays = [Stay("Keyed__e", [Period(1, unlike)]), *everything("Peer__e")]
        check_channel(settings, "Wide__chn", stays).assert_none()
        check_channel(settings, "Narrow__chn", everything("Keyed__e")).assert_none()
        by_partition = read_topic(settings, topic_of(settings, "Wide__chn"))
        assert [len(rows) > 20 for rows in by_partition] == [True] * 3
        assert [one.state for one in status_of(settings, "Wide__chn").partitions] == ["live"] * 3

    def test_transactions_of_members_leave_gaps_only(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, B, channel("All__chn", "A__e", "B__e"))
        publish(bus, "A__e", [0])
        publish(bus, "B__e", [0])
        (template,) = consume_raw(settings, "A__e", 1)
        producer = transactional(settings, "A__e")

        def write(count: int, *, commit: bool) -> None:
            producer.begin_transaction()
            for _ in range(count):
                producer.produce(
                    topic_of(settings, "A__e"), template.value(), headers=template.headers()
                )
            producer.flush(10)
            producer.commit_transaction(10) if commit else producer.abort_transaction(10)

        for count, commit in ((3, True), (2, False), (1, True), (4, False)):
            write(count, commit=commit)
        start_router()
        await_caught_up(settings, "All__chn")
        for count, commit in ((2, False), (3, True), (2, True), (1, False)):
            write(count, commit=commit)
        publish(bus, "B__e", [1])
        # The position has to come after the aborted records, although nothing follows them.
        await_caught_up(settings, "All__chn")
        check_channel(settings, "All__chn", everything("A__e", "B__e")).assert_none()
        assert len(origins(settings, "All__chn")) == 12
        assert status_of(settings, "All__chn").members[0].lag_ms == 0


class TestSubscribers:
    def test_events_keep_what_they_are_and_say_where_they_come_from(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, B, channel("All__chn", "A__e", "B__e"))
        start_router()
        with bus.subscribe("All__chn", Start.EARLIEST) as subscription:
            sent = [
                bus.publish(name, {"n": number}, headers={"own": name})
                for number in range(5)
                for name in ("A__e", "B__e")
            ]
            events = [next(subscription) for _ in sent]
        members = {
            one.event_id: one
            for name in ("A__e", "B__e")
            for one in bus.subscribe(name, follow=False)
        }
        results = {result.event_id: result for result in sent}
        assert {one.event_id for one in events} == results.keys()
        for one in events:
            result, member = results[one.event_id], members[one.event_id]
            assert one.origin is not None
            assert one.origin.replay_id == result.replay_id == member.replay_id
            assert one.origin.stream == member.stream
            assert one.stream == "/event/All__chn"
            assert one.published_at == member.published_at
            assert (one.type, one.schema_id, one.payload, one.headers) == (
                member.type, member.schema_id, member.payload, member.headers,
            )  # fmt: skip
        assert len({bytes(one.replay_id) for one in events}) == len(events)
        after = next(one.origin for one in events if one.payload["n"] == 1)
        assert after is not None
        rest = bus.subscribe(after.stream, after.replay_id, follow=False)
        assert numbers(list(rest)) == [2, 3, 4]

    def test_a_saved_replay_id_resumes_across_routers(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, KEYED, channel("All__chn", "A__e", "Keyed__e"))
        seen: list[Event[dict[str, Any]]] = []
        position: Any = Start.EARLIEST
        for round_ in range(3):
            router = start_router()
            publish(bus, "A__e", range(10))
            publish(bus, "Keyed__e", range(10))
            with bus.subscribe("All__chn", position) as subscription:
                # Less than there is, so that the next round begins in the middle.
                seen += [next(subscription) for _ in range(17 if round_ < 2 else 26)]
                position = str(subscription.position)
            router.stop()
        ids = [one.event_id for one in seen]
        assert len(ids) == len(set(ids)) == 60
        everything_now = list(bus.subscribe("All__chn", follow=False))
        assert [one.event_id for one in everything_now] == ids
        check_channel(settings, "All__chn", everything("A__e", "Keyed__e")).assert_none()

    def test_asyncio(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, channel("All__chn", "A__e"))
        start_router()

        async def run() -> list[tuple[int, str]]:
            async with (
                AsyncEventBus(settings) as aio,
                await aio.subscribe("All__chn") as subscription,
            ):
                for number in range(3):
                    await aio.publish("A__e", {"n": number})
                found = []
                async for one in subscription:
                    assert one.origin is not None
                    found.append((one.payload["n"], one.origin.stream))
                    if len(found) == 3:
                        break
                return found

        assert asyncio.run(run()) == [(number, "/event/A__e") for number in range(3)]


class TestRouters:
    def test_a_new_channel_is_fed_by_a_router_that_runs(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        router = start_router()
        define(A, channel("First__chn", "A__e"))
        publish(bus, "A__e", range(3))
        await_caught_up(settings, "First__chn")
        define(A, channel("First__chn", "A__e"), channel("Second__chn", "A__e"))
        await_caught_up(settings, "Second__chn")
        publish(bus, "A__e", range(3, 6))
        await_caught_up(settings, "First__chn", "Second__chn")
        for name in ("First__chn", "Second__chn"):
            check_channel(settings, name, everything("A__e")).assert_none()
            assert router.leads(name)
        define(A, channel("Second__chn", "A__e"))
        publish(bus, "A__e", [6])
        await_caught_up(settings, "Second__chn")
        check_channel(settings, "Second__chn", everything("A__e")).assert_none()

    def test_two_share_the_channels_and_one_takes_over_what_the_other_leaves(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        names = [f"Chan{number}__chn" for number in range(4)]
        define(A, *(channel(name, "A__e") for name in names))
        first, second = start_router(), start_router()

        def shared() -> bool:
            return {router.leads(name) for router in (first, second) for name in names} == {
                True, False,
            } and all(first.leads(name) != second.leads(name) for name in names)  # fmt: skip

        with publishing(bus, ["A__e"], random.Random(7), pause=0.1) as publisher:
            wait_until(lambda: any(first.leads(name) for name in names))
            wait_until(lambda: any(second.leads(name) for name in names))
            first.stop()
            wait_until(lambda: all(second.leads(name) for name in names))
            third = start_router()
            wait_until(lambda: any(third.leads(name) for name in names))
        await_caught_up(settings, *names)
        for name in names:
            findings = check_channel(settings, name, everything("A__e"))
            findings.assert_none()
            assert findings.found == publisher.count
            (leader,) = status_of(settings, name).partitions
            wait_until(lambda name=name: status_of(settings, name).partitions[0].state == "live")  # type: ignore[misc]
            assert leader.leader is not None

    def test_status_tells_how_far_a_channel_is(
        self, settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
    ) -> None:
        define(A, B, channel("All__chn", 'A__e filter: "n > 0"', "B__e from: now"))
        publish(bus, "A__e", range(7))
        status = status_of(settings, "All__chn")
        (leader,) = status.partitions
        assert (leader.leader, leader.state) == (None, "no router")
        assert [member.definition for member in status.members] == [None, None]
        assert [member.lag for member in status.members] == [7, 0]
        assert (status.members[0].lag_ms or 0) > 0
        router = start_router()
        await_caught_up(settings, "All__chn")
        wait_until(lambda: status_of(settings, "All__chn").partitions[0].state == "live")
        status = status_of(settings, "All__chn")
        assert status.partitions[0].leader is not None
        first, second = status.members
        assert (first.definition, first.passed, first.filtered, first.lag) == (1, 6, 1, 0)
        assert (second.definition, second.passed, second.lag) == (1, 0, 0)
        router.stop()
        publish(bus, "A__e", range(3))
        status = status_of(settings, "All__chn")
        assert (status.members[0].lag, status.partitions[0].state) == (3, "no router")
