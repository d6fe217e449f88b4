"""A member's part in a group, with both protocols."""

from __future__ import annotations

import pytest

from platform_events.settings import Settings
from tests.kafka.membership import (
    PROTOCOLS,
    make_topic,
    read_until,
    seated,
    write,
)


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nothing_is_delivered_before_a_partition_is_begun_and_then_all_from_there(
    settings: Settings, protocol: str
) -> None:
    topic = make_topic(settings, 2)
    write(settings, topic, 50, (0, 1))
    with seated(settings, topic, protocol) as one:
        one.begins_at = None
        assert not one.member.is_member
        read_until(lambda: one.owned == {0, 1}, one)
        assert one.member.is_member
        for _ in range(10):
            one.read()
        assert one.records == []
        assert one.ends == {}
        one.member.begin(1, 20)
        read_until(lambda: one.ends == {1: 50}, one)
        assert one.records == [(1, offset) for offset in range(20, 50)]
        one.member.begin(0, 0)
        write(settings, topic, 5, (0, 1))
        read_until(lambda: one.ends == {0: 55, 1: 55}, one)
    assert one.offsets(0) == list(range(55))
    assert one.offsets(1) == list(range(20, 55))
    assert one.told == [("assigned", [0, 1])]
