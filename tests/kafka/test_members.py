"""Members of a group: what they read from where, what they give away, and what they commit."""

from __future__ import annotations

import random
import time

import pytest

from platform_events.kafka.groups import Protocol
from platform_events.settings import Settings
from tests.kafka.seats import (
    make_topic,
    produce,
    seated,
    until,
)

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


def test_of_what_comes_after_a_new_beginning_nothing_is_from_before(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    produce(settings, topic, 2_000)
    chance = random.Random(7)
    with seated(settings, topic, protocol, begins=False) as seat:
        until(lambda: seat.owned == ALL, seat)
        for _ in range(60):
            began = {partition: chance.randrange(2_000) for partition in ALL}
            for partition, offset in began.items():
                if chance.random() < 0.3:
                    seat.member.pause([partition])
                seat.begin(partition, offset)
            for _ in range(chance.randrange(4)):
                seat.read(chance.choice((0, 0.001, 0.02)))
            for partition, offset in began.items():
                found = seat.offsets[partition]
                assert found == list(range(offset, offset + len(found)))
        until(lambda: seat.ends.keys() >= ALL, seat)


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
            found = {}

            def gain() -> bool:
                for n in two.owned - found.keys():
                    found[n] = two.member.committed([n], 10).get(n)
                return len(found) == 2

            until(gain, one, two)
            assert {n: (c.offset, c.metadata) for n, c in found.items()} == {
                n: (7, f"of {n}") for n in found
            }
            assert one.member.is_member
            assert not one.lost
