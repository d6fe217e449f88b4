"""The checker has to find what it is there for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer

from platform_events.bus.bus import EventBus
from platform_events.replay import StreamIdentity
from platform_events.settings import Settings
from tests.channels.checking import Findings, Origin, Period, Stay, all_pass, check_channel, compare
from tests.channels.routing import Define, StartRouter, await_caught_up, publish
from tests.channels.samples import channel, event
from tests.channels.stored import Row, read_topic
from tests.support import topic_of

IDENTITY = StreamIdentity("cluster", "topic", 1)
OWN = (("ce_id", b"1"), ("ce_type", b"A__e"))
STAY = Stay("A__e", [Period(1, all_pass)])
Rows = list[Row]


def member(count: int) -> Rows:
    return [Row("A__e", 0, at, 1_000 + at, b"k", b"%d" % at, OWN) for at in range(count)]


def routed(row: Row, offset: int, definition: int = 1) -> Row:
    replay = str(IDENTITY.position_id([row.offset + 1]))
    text = f"/event/A__e {definition} {row.partition} {row.offset} {row.time_ms} {replay}"
    origin = ("ce_origin", text.encode())
    return replace(row, topic="C", offset=offset, time_ms=0, headers=(*row.headers, origin))


def fill(rows: Rows, definition: int = 1) -> Rows:
    return [routed(row, 2 * at, definition) for at, row in enumerate(rows)]


def found(rows: Rows, in_channel: Rows, *stays: Stay, **more: Any) -> Findings:
    return compare(
        stays or [STAY], {"A__e": [rows]}, [in_channel], identities={"A__e": IDENTITY}, **more
    )


def test_a_channel_that_is_right_passes() -> None:
    findings = found(member(5), fill(member(5)))
    findings.assert_none()
    assert (findings.checked, findings.found) == (5, 5)


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_missing_event_is_found(at: int) -> None:
    rows = fill(member(5))
    del rows[at]
    findings = found(member(5), rows)
    assert findings == Findings(missing=[f"A__e[0]@{at}"], checked=5, found=4)
    with pytest.raises(AssertionError, match="1 missing"):
        findings.assert_none()


def test_a_doubled_event_is_found() -> None:
    rows = fill(member(5))
    findings = found(member(5), [*rows, replace(rows[-1], offset=99)])
    assert findings.doubled == ["A__e[0]@4 by 1 2 times"]
    findings = found(member(5), [*rows, replace(rows[1], offset=99)])
    assert (len(findings.doubled), len(findings.swapped)) == (1, 1)


def test_swapped_events_are_found() -> None:
    rows = fill(member(5))
    rows[1], rows[2] = rows[2], rows[1]
    findings = found(member(5), rows)
    assert (findings.missing, findings.doubled) == ([], [])
    assert findings.swapped == ["A__e[0]@1 by 1 after 2"]


def test_foreign_records_are_found() -> None:
    rows = fill(member(5))
    stranger = replace(rows[0], headers=OWN)
    beyond = routed(replace(member(1)[0], offset=77), 90)
    not_yet = routed(member(6)[5], 91, definition=7)
    dropped = replace(STAY, dropped=7)
    findings = found(member(6)[:5], [*rows, stranger, beyond, not_yet], dropped)
    assert len(findings.foreign) == 3


def test_every_part_of_an_event_is_compared() -> None:
    row = fill(member(1))[0]
    header = row.headers[-1][1] or b""
    spoiled = [
        replace(row, value=b"other"),
        replace(row, key=None),
        replace(row, headers=(("ce_id", b"2"), *row.headers[1:])),
        replace(row, headers=(("more", b"2"), *row.headers)),
        replace(row, headers=(row.headers[-1], *row.headers[:-1])),
        replace(row, headers=(*OWN, ("ce_origin", header.replace(b"1000", b"1001")))),
        replace(row, headers=(*OWN, ("ce_origin", header[:-2] + b"xx"))),
    ]
    for one in spoiled:
        assert found(member(1), [one]).altered, one


def test_a_filter_s_verdict_is_compared() -> None:
    even = Stay("A__e", [Period(1, lambda row: row.offset % 2 == 0)])
    rows = fill(member(5))
    found(member(5), rows[::2], even).assert_none()
    assert found(member(5), rows, even).foreign
    assert found(member(5), rows[2::2], even).missing == ["A__e[0]@0"]


def test_the_moment_of_a_change_is_free_but_there_has_to_be_one() -> None:
    stay = Stay(
        "A__e", [Period(1, lambda row: row.offset % 2 == 0), Period(3, lambda row: row.offset > 5)]
    )
    old, new = fill(member(10)), fill(member(10), 3)
    for moment in range(10):
        rows = [*(row for row in old[:moment:2]), *new[max(moment, 6) :]]
        found(member(10), rows, stay).assert_none()
    assert found(member(10), [old[0], old[4], *new[6:]], stay).foreign == [
        "A__e[0]@4 should not be where it is"
    ]
    assert found(member(10), [old[0], *new[7:]], stay).missing == ["A__e[0]@6"]
    assert found(member(10), [new[6], old[8]], stay).swapped
    assert found(member(10), [old[0], old[2], *new[4:]], stay).foreign
    at = {3: [new[6].offset]}
    found(member(10), [*old[:6:2], *new[6:]], stay, changes=at).assert_none()
    assert found(member(10), [*old[:7:2], *new[7:]], stay, changes=at).swapped


def test_a_member_that_comes_again_is_read_again() -> None:
    first, again = replace(STAY, dropped=2), Stay("A__e", [Period(3, all_pass)], starts=(1,))
    rows = [*fill(member(3)), *(replace(r, offset=r.offset + 50) for r in fill(member(5), 3)[1:])]
    found(member(5), rows, first, again).assert_none()
    assert found(member(5), rows[:3], first, again).missing
    assert found(member(5), [*rows[:3], *fill(member(5), 3)], first, again).foreign


def test_what_is_dead_lettered_is_compared() -> None:
    stay = Stay("A__e", [Period(1, lambda row: None if row.offset == 1 else True)])
    rows = fill(member(3))
    dead = replace(rows[1], headers=(*rows[1].headers, ("ce_deadletterreason", b"why")))
    found(member(3), [rows[0], rows[2]], stay, dead_letters=[dead]).assert_none()
    silent = replace(dead, headers=(*rows[1].headers, ("ce_deadletterreason", b"")))
    assert found(member(3), [rows[0], rows[2]], stay, dead_letters=[silent]).altered
    assert found(member(3), [rows[0], rows[2]], stay).missing == ["A__e[0]@1"]
    assert found(member(3), rows, stay, dead_letters=[dead]).foreign
    assert found(member(3), [rows[0], rows[2]], stay, dead_letters=[dead, dead]).doubled


def test_partitions_of_a_channel_are_those_of_its_members() -> None:
    rows = fill(member(2))
    other = [replace(row, partition=1) for row in rows]
    assert compare([STAY], {"A__e": [member(2), []]}, [[], other]).foreign
    compare([STAY], {"A__e": [member(2), []]}, [rows, []]).assert_none()


def test_origins_are_taken_apart() -> None:
    assert Origin.of(fill(member(1))[0].headers) == Origin(
        "A__e", 1, 0, 0, 1_000, str(IDENTITY.position_id([1]))
    )
    for text in (b"", b"A__e 1 0 0 0 x", b"/event/A__e 1 0 x 0 x", b"/event/A__e 1 0 0 0"):
        assert Origin.of([("ce_origin", text)]) is None
    assert Origin.of(OWN) is None


def test_a_topic_that_somebody_tampered_with_is_found_out(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
) -> None:
    define(event("A__e"), channel("All__chn", "A__e"))
    publish(bus, "A__e", range(20))
    router = start_router()
    await_caught_up(settings, "All__chn")
    check_channel(settings, "All__chn", [STAY]).assert_none()
    router.stop()
    topic = topic_of(settings, "All__chn")
    (rows,) = read_topic(settings, topic)
    (members,) = read_topic(settings, topic_of(settings, "A__e"))

    def append(row: Row, value: bytes | None) -> None:
        producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
        producer.produce(topic, value, row.key, headers=list(row.headers))
        assert producer.flush(10) == 0

    append(rows[3], rows[3].value)
    findings = check_channel(settings, "All__chn", [STAY])
    assert (len(findings.doubled), len(findings.swapped)) == (1, 1)
    assert not findings.altered
    append(members[4], members[4].value)
    assert len(check_channel(settings, "All__chn", [STAY]).foreign) == 1
    append(rows[5], b"another body")
    assert len(check_channel(settings, "All__chn", [STAY]).altered) == 1
    publish(bus, "A__e", [20, 21])
    assert check_channel(settings, "All__chn", [STAY]).missing == ["A__e[0]@20", "A__e[0]@21"]
