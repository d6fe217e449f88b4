"""Members of a group: what they read from where, what they give away, and what they commit."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from platform_events.kafka import members
from platform_events.kafka.groups import Protocol
from platform_events.kafka.offsets import Committed
from platform_events.settings import Settings
from tests.kafka.seats import (
    Seat,
    committed,
    make_topic,
    members_of,
    produce,
    seated,
    until,
)
from tests.support import delete_before, delete_topic

ALL = {0, 1, 2, 3}


@pytest.fixture(params=["consumer", "classic"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def topic(settings: Settings) -> str:
    return make_topic(settings)


def test_nothing_is_read_before_it_is_begun_and_then_from_there(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    produce(settings, topic, 100)
    with seated(settings, topic, protocol, begins=False) as seat:
        until(lambda: seat.owned == ALL, seat)
        assert seat.member.is_member
        for _ in range(20):
            assert not seat.read()
        seat.begin(2, 40)
        until(lambda: 2 in seat.ends, seat)
        assert seat.offsets == {2: list(range(40, 100))}
        assert seat.ends == {2: 100}
        seat.begin(1, 99)
        until(lambda: 1 in seat.ends, seat)
        assert seat.offsets[1] == [99]


def test_wherever_it_was_before_a_partition_goes_on_where_it_is_begun(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    """Nothing of before comes after it, nothing stands still, and no place is taken for another."""
    produce(settings, topic, 3_000)
    delete_before(settings, "A__e", [1_000] * 4)
    chance = random.Random(7)
    with seated(settings, topic, protocol, begins=False) as seat:
        until(lambda: seat.owned == ALL, seat)
        for _ in range(60):
            begun: dict[int, int] = {}
            for partition in ALL:
                for _ in range(chance.randrange(1, 4)):
                    if chance.random() < 0.2:
                        seat.member.pause([partition])
                    begun[partition] = chance.choice((0, 500, 1_000, 1_500, 2_990, 5_000))
                    seat.begin(partition, begun[partition])
                    for _ in range(chance.randrange(3)):
                        seat.read(chance.choice((0, 0.001, 0.02)))
            gone = {one for one, offset in begun.items() if not 1_000 <= offset < 3_000}
            until(lambda: all(seat.offsets[one] for one in ALL - gone), seat)  # noqa: B023
            until(lambda: seat.out_of_range >= gone, seat)  # noqa: B023
            assert seat.out_of_range == gone
            for partition, offset in begun.items():
                found = seat.offsets[partition]
                assert found == list(range(offset, offset + len(found)))


def test_members_share_and_hand_over(settings: Settings, topic: str, protocol: Protocol) -> None:
    produce(settings, topic, 10)
    with seated(settings, topic, protocol) as one:
        until(lambda: len(one.ends) == 4, one)
        with seated(settings, topic, protocol, client_id="two") as two:
            until(lambda: len(one.owned) == len(two.owned) == 2, one, two)
            assert one.owned | two.owned == ALL
            until(lambda: two.ends.keys() == two.owned, one, two)
            produce(settings, topic, 5)
            for seat, first in ((one, 10), (two, 0)):
                for partition in seat.owned:
                    until(lambda: seat.ends[partition] == 15, one, two)  # noqa: B023
                    assert seat.offsets[partition][-(15 - first) :] == list(range(first, 15))
        until(lambda: one.owned == ALL, one)
        until(lambda: all(one.offsets[n] == list(range(15)) for n in two.offsets), one)


def test_who_gives_partitions_away_may_take_its_time_and_commit(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    with seated(settings, topic, protocol) as one:
        until(lambda: one.owned == ALL, one)

        def give(partitions: list[int]) -> None:
            time.sleep(3)
            one.member.commit_now({n: (7, f"of {n}") for n in partitions})

        one.on_revoked = give
        with seated(settings, topic, protocol, client_id="two", begins=False) as two:
            found: dict[int, Committed] = {}

            def look() -> bool:
                new = two.owned - found.keys()
                found.update(two.member.committed(new, 10) if new else {})
                return len(two.owned) == 2

            until(look, one, two)
            assert {n: (at.offset, at.metadata) for n, at in found.items()} == {
                n: (7, f"of {n}") for n in two.owned
            }
            assert one.member.is_member
            assert not one.lost


def test_who_has_lost_its_partitions_commits_nothing(
    settings: Settings, topic: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "_POLL_INTERVAL_MS", 6_000)
    with seated(settings, topic, protocol) as one:
        until(lambda: one.owned == ALL, one)
        assert one.commit({0: (1, "kept")}) == {0: ""}

        def lose(partitions: list[int]) -> None:
            assert not one.member.is_member
            assert not one.member.commit(dict.fromkeys(partitions, (9, "lost")))
            one.member.commit_now(dict.fromkeys(partitions, (9, "lost")))

        one.on_lost = lose
        with seated(settings, topic, protocol, client_id="two") as two:
            until(lambda: two.owned == ALL, two)
            until(lambda: one.lost, one, two)
            until(lambda: len(one.owned) == len(two.owned) == 2, one, two)
            assert one.member.is_member
            assert one.errors == []
    assert committed(settings, topic) == {0: (1, "kept")}


def test_each_partition_is_told_what_became_of_its_commit(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    longest, longer = "x" * 4_095, "x" * 5_000
    with seated(settings, topic, protocol) as seat:
        until(lambda: seat.owned == ALL, seat)
        assert seat.commit({0: (1, longest), 1: (2, "b")}) == {0: "", 1: ""}
        refused = "OFFSET_METADATA_TOO_LARGE"
        positions = {0: (3, longer), 1: (4, "d"), 2: (5, longer), 3: (6, "")}
        assert seat.commit(positions) == {0: refused, 1: "", 2: refused, 3: ""}
        assert seat.commit({2: (7, longer)}) == {2: refused}
        assert seat.commit({2: (8, "e")}) == {2: ""}
    assert committed(settings, topic) == {0: (1, longest), 1: (4, "d"), 2: (8, "e"), 3: (6, "")}


def test_one_commit_is_under_way_and_of_what_is_here(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    with seated(settings, topic, protocol) as one:
        assert not one.member.commit({0: (1, "")})
        until(lambda: one.owned == ALL, one)
        assert one.member.commit({0: (1, "a"), 9: (1, "elsewhere")})
        assert not one.member.commit({1: (1, "b")})
        until(lambda: one.outcomes == [{0: ""}], one)


def test_a_commit_of_what_went_away_meanwhile_does_not_hold_up_the_next(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    with seated(settings, topic, protocol) as one:
        until(lambda: one.owned == ALL, one)
        sent: list[bool] = []

        def give(partitions: list[int]) -> None:
            sent.append(one.member.commit(dict.fromkeys(partitions, (1, "by the way"))))
            one.member.commit_now(dict.fromkeys(partitions, (2, "last")))

        one.on_revoked = give
        with seated(settings, topic, protocol, client_id="two") as two:
            until(lambda: len(two.owned) == 2, one, two)
            assert sent == [True]
            assert one.outcomes == []
            kept = min(one.owned)
            assert one.commit({kept: (3, "next")}) == {kept: ""}
            expected = dict.fromkeys(two.owned, (2, "last")) | {kept: (3, "next")}
            assert committed(settings, topic) == expected


def test_what_callbacks_raise_is_raised_by_the_next_read_and_nothing_is_lost(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    produce(settings, topic, 10)
    with seated(settings, topic, protocol) as one:
        raised: list[str] = []

        def read_all(condition: Callable[[], bool], *others: Seat) -> None:
            while not condition():
                try:
                    one.read()
                except ZeroDivisionError as error:
                    raised.append(str(error))
                for other in others:
                    other.read()

        def fail(*_: object) -> None:
            raise ZeroDivisionError(str(len(raised)))

        one.on_assigned = one.on_committed = one.on_revoked = fail
        read_all(lambda: len(one.ends) == 4)
        assert raised == ["0"]
        assert one.offsets == {n: list(range(10)) for n in ALL}
        assert one.member.commit({0: (1, "a")})
        read_all(lambda: len(raised) == 2)
        assert one.outcomes == [{0: ""}]
        with seated(settings, topic, protocol, client_id="two") as two:
            read_all(lambda: len(two.ends) == 2, two)
            assert len(raised) == 3
            assert one.owned | two.owned == ALL


def test_what_the_log_does_not_have_is_told_and_another_place_goes_on(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    produce(settings, topic, 20)
    delete_before(settings, "A__e", [10, 0, 0, 0])
    with seated(settings, topic, protocol, begins=False) as seat:
        until(lambda: seat.owned == ALL, seat)
        for partition, offset in ((0, 0), (1, 500), (2, 0)):
            seat.begin(partition, offset)
        until(lambda: seat.out_of_range == {0, 1} and 2 in seat.ends, seat)
        seat.begin(0, 10)
        seat.begin(1, 20)
        until(lambda: seat.ends == {0: 20, 1: 20, 2: 20}, seat)
        assert seat.offsets == {0: list(range(10, 20)), 1: [], 2: list(range(20))}
        produce(settings, topic, 1)
        until(lambda: seat.ends == {0: 21, 1: 21, 2: 21}, seat)
        assert seat.offsets[1] == [20]


def test_a_topic_may_come_and_go(settings: Settings, protocol: Protocol) -> None:
    topic = settings.namespace.topic("A__e")
    with seated(settings, topic, protocol) as seat:
        until(lambda: seat.member.failure or seat.member.is_member, seat)
        for count in (1, 2):
            make_topic(settings)
            produce(settings, topic, count)
            until(lambda: seat.owned == ALL, seat)
            assert seat.member.is_member
            assert seat.member.failure is None
            until(lambda: all(seat.offsets[n] == list(range(count)) for n in ALL), seat)  # noqa: B023
            delete_topic(settings, "A__e")
            until(lambda: not seat.owned, seat)
        assert seat.errors == []


def test_one_without_partitions_is_a_member_and_leaves_like_others(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    seats = [Seat(settings, topic, protocol, client_id=str(number)) for number in range(5)]
    try:
        until(lambda: sum(len(seat.owned) == 1 for seat in seats) == 4, *seats)
        until(lambda: all(seat.member.is_member for seat in seats), *seats)
        assert not any(seat.member.failure for seat in seats)
        spare = next(seat for seat in seats if not seat.owned)
        spare.member.close(10)
        assert not spare.member.is_member
        left = {str(number) for number in range(5) if seats[number] is not spare}
        assert members_of(settings) == left
    finally:
        for seat in seats:
            seat.member.close(10)
    assert members_of(settings) == set()


def test_who_closes_is_out_of_the_group_though_another_joins(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    with seated(settings, topic, protocol, client_id="one") as one:
        until(lambda: one.owned == ALL, one)
        with seated(settings, topic, protocol, client_id="two") as two:
            # It has been given nothing yet, because nobody else reads.
            for _ in range(10):
                two.read()
            assert not two.owned
            one.member.close(10)
            assert members_of(settings) == {"two"}
            until(lambda: two.owned == ALL, two)
            one.read()
            assert not one.member.commit({0: (1, "")})


def test_all_that_was_done_is_committed_before_it_leaves_though_another_joins(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    """As a worker ends: pause, commit while it reads until all is taken or gone, close."""
    for number in range(1, 7):
        last = (number, "last")
        done: set[int] = set()
        with seated(settings, topic, protocol, client_id="one") as one:
            until(lambda: one.owned == ALL, one)
            one.on_revoked = lambda gone: one.member.commit_now(dict.fromkeys(gone, last))  # noqa: B023
            one.on_committed = lambda codes: done.update(n for n in codes if not codes[n])  # noqa: B023
            with seated(settings, topic, protocol, client_id="two") as two:
                for _ in range(number):
                    two.read()
                one.member.pause(list(one.owned))
                while one.owned - done:
                    one.member.commit(dict.fromkeys(one.owned - done, last))
                    one.read(0.01)
                one.member.close(10)
                assert committed(settings, topic) == dict.fromkeys(ALL, last)
