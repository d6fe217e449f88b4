"""A member and its channel grow from one partition, while events are published and routed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.checking import Origin, compare, everything
from tests.channels.routing import await_caught_up
from tests.channels.samples import channel
from tests.channels.stored import Row, read_topic
from tests.faults.processes import GENEROUS, Fleet, await_more, publishing
from tests.support import apply_texts, topic_of, wait_until

pytestmark = pytest.mark.timeout(300)

NAME, NARROW = "Wide__chn", "Narrow__chn"
MEMBERS = ("A__e", "B__e")


def keyed(name: str, partitions: int) -> str:
    return (
        f"event: {name}\npartitions: {partitions}\npartition_key: n\n"
        "fields:\n  - {name: n, type: long}\n  - {name: text, type: string}\n"
    )


def documents(partitions: int) -> list[str]:
    return [
        *(keyed(name, partitions) for name in MEMBERS),
        channel(NAME, *MEMBERS, partitions=partitions),
        channel(NARROW, *MEMBERS),
    ]


def origins(partitions: list[list[Row]]) -> list[Origin]:
    """Return where the records of a topic come from."""
    return [origin for rows in partitions for row in rows if (origin := Origin.of(row.headers))]


@pytest.mark.parametrize("routers", [1, 2])
def test_from_one_partition_to_three(
    settings: Settings, bus: EventBus, fleet: Fleet, tmp_path: Path, routers: int
) -> None:
    apply_texts(settings, tmp_path / "schemas", *documents(1))
    for _ in range(routers):
        fleet.start()
    with publishing(bus, MEMBERS, random.Random(7)) as publisher:
        await_more(settings, NAME, 300)
        apply_texts(settings, tmp_path / "schemas", *documents(3), allow_growth=True)
        wait_until(lambda: all(read_topic(settings, topic_of(settings, NAME))), GENEROUS)
        await_more(settings, NAME, 300)
    await_caught_up(settings, NAME, NARROW, seconds=GENEROUS)
    assert_exactly_once(settings, publisher.count)


def assert_exactly_once(settings: Settings, published: int) -> None:
    """Check both channels, but for replay IDs: those from before the growth keep their form."""
    members = {name: read_topic(settings, topic_of(settings, name)) for name in MEMBERS}
    assert all(all(partitions) for partitions in members.values())
    stays = everything(*MEMBERS)
    for name in (NAME, NARROW):
        rows = read_topic(settings, topic_of(settings, name))
        letters = read_topic(settings, settings.namespace.dead_letters(name))[0]
        findings = compare(stays, members, rows, letters)
        findings.assert_none()
        assert findings.checked == findings.found == published, name
        assert letters == []
        assert {origin.partition for origin in origins(rows)} == {0, 1, 2}
