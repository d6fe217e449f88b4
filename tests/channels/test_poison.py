"""Records that cannot go into a channel are dead-lettered; the channel goes on without them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.kafka.producer import MAX_RECORD_BYTES
from platform_events.payloads.codec import PayloadEncoder
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, check_channel, everything
from tests.channels.routing import (
    Define,
    StartRouter,
    await_caught_up,
    configure,
    publish,
    status_of,
)
from tests.channels.samples import A, B, channel, verdict
from tests.channels.stored import Row, read_topic
from tests.support import consume_raw, produce_raw, topic_of, wait_until

SCHEMA = "__value_schema_id"
LIMIT = 20_000
"""Bytes that the channel takes in the tests of records which a broker refuses."""


def schema_header(settings: Settings, name: str) -> bytes:
    """Return the header that names the schema of a stream's first record."""
    (message,) = consume_raw(settings, name, 1)
    value = dict(message.headers() or ())[SCHEMA]
    assert isinstance(value, bytes)
    return value


def dead_letters(settings: Settings, name: str) -> list[Row]:
    (rows,) = read_topic(settings, settings.namespace.dead_letters(name))
    return rows


def reason(row: Row) -> str:
    return (row.headers[-1][1] or b"").decode()


def test_what_cannot_be_decoded_is_dead_lettered_with_its_origin_and_a_reason(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel("All__chn", "A__e filter: n >= 0"))
    publish(bus, "A__e", [1])
    header = schema_header(settings, "A__e")
    good = consume_raw(settings, "A__e", 1)[0].value()
    poison: list[tuple[bytes | None, Any, str]] = [
        (good, None, "no header __value_schema_id"),
        (good, [(SCHEMA, b"\x00\x00\x00\x00\x07")], "no header __value_schema_id"),
        (good, [(SCHEMA, b"\x01" + b"?" * 16)], "never applied"),
        (b"\xff" * 40, [(SCHEMA, header), ("own", b"x")], ""),
        (b"", [(SCHEMA, header)], ""),
        (None, [(SCHEMA, header)], "tombstone"),
    ]
    before = [produce_raw(settings, "A__e", value, headers) for value, headers, _ in poison[:3]]
    start_router()
    await_caught_up(settings, "All__chn")
    after = [produce_raw(settings, "A__e", value, headers) for value, headers, _ in poison[3:]]
    publish(bus, "A__e", [2])
    await_caught_up(settings, "All__chn")
    bad = {*before, *after}
    stay = Stay("A__e", [Period(1, lambda row: None if row.offset in bad else True)])
    check_channel(settings, "All__chn", [stay]).assert_none()
    rows = dead_letters(settings, "All__chn")
    assert [row.value for row in rows] == [value for value, _, _ in poison]
    for row, (_, _, expected) in zip(rows, poison, strict=True):
        assert expected in reason(row)
        assert reason(row)
    (member,) = status_of(settings, "All__chn").members
    assert (member.passed, member.filtered, member.dead_lettered) == (2, 0, len(poison))


def test_without_a_filter_only_bodies_of_other_software_are_looked_at(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel("All__chn", "A__e"))
    publish(bus, "A__e", [1])
    (good,) = consume_raw(settings, "A__e", 1)
    foreign = [(SCHEMA, schema_header(settings, "A__e"))]
    refused = produce_raw(settings, "A__e", b"\xff", foreign)
    produce_raw(settings, "A__e", good.value(), foreign)
    produce_raw(settings, "A__e", b"\xff", list(good.headers() or ()))
    start_router()
    await_caught_up(settings, "All__chn")
    stay = Stay("A__e", [Period(1, lambda row: None if row.offset == refused else True)])
    check_channel(settings, "All__chn", [stay]).assert_none()
    (row,) = dead_letters(settings, "All__chn")
    assert (row.value, reason(row)) == (b"\xff", "the bytes end within a value")


def test_random_bodies_never_stop_a_filtered_channel(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    wide = (
        "event: Wide__e\nfields:\n  - {name: n, type: long}\n  - {name: s, type: string}\n"
        "  - {name: list, type: {type: array, items: string}}\n"
        "  - {name: amount, type: {type: bytes, logicalType: decimal, precision: 9, scale: 2}}\n"
        "  - {name: at, type: {type: long, logicalType: timestamp-millis}, optional: true}\n"
    )
    rule = "amount > 5 AND at > 2020-01-01T00:00:00Z AND s LIKE 'a%'"
    define(wide, channel("All__chn", f'Wide__e filter: "{rule}"'))
    from decimal import Decimal

    bus.publish("Wide__e", {"n": 1, "s": "abc", "list": ["x"], "amount": Decimal("7.25")})
    header = schema_header(settings, "Wide__e")
    source = random.Random(7)
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for _ in range(3_000):
        body = source.randbytes(source.choice([1, 5, 20, 60]))
        producer.produce(topic_of(settings, "Wide__e"), body, headers=[(SCHEMA, header)])
    assert producer.flush(20) == 0
    start_router()
    await_caught_up(settings, "All__chn")
    (member,) = status_of(settings, "All__chn").members
    assert member.passed + member.filtered + member.dead_lettered == 3_001
    assert member.dead_lettered > 1_000


def test_the_largest_event_passes(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel("All__chn", "A__e"))
    size = MAX_RECORD_BYTES - 600
    bus.publish("A__e", {"n": 1, "text": secrets.token_hex(size // 2)})
    with pytest.raises(Exception, match="limit is 1,048,576"):
        bus.publish("A__e", {"n": 1, "text": "x" * MAX_RECORD_BYTES})
    start_router()
    await_caught_up(settings, "All__chn")
    bus.publish("A__e", {"n": 2, "text": secrets.token_hex(size // 2)})
    await_caught_up(settings, "All__chn")
    check_channel(settings, "All__chn", everything("A__e")).assert_none()


@pytest.mark.parametrize("part", ["body", "key", "header"])
def test_a_record_that_only_the_member_can_hold_is_dead_lettered_without_what_is_too_large(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter, part: str
) -> None:
    """It was compressed: a broker judges the size that a batch has then."""
    define(A, channel("All__chn", "A__e"))
    publish(bus, "A__e", [1])
    header = schema_header(settings, "A__e")
    large = b"x" * 4_000_000
    text = large.decode() if part == "body" else ""
    encode = PayloadEncoder(bus.catalog.event("A__e").schema.parsed).encode
    body = encode({"CreatedDate": 0, "CreatedById": "", "n": 0, "text": text})
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "compression.type": "zstd",
            "message.max.bytes": 10_000_000,
        }
    )
    headers: list[tuple[str, str | bytes | None]] = [(SCHEMA, header)]
    producer.produce(
        topic_of(settings, "A__e"),
        body,
        large if part == "key" else None,
        headers=[*headers, ("own", large)] if part == "header" else headers,
    )
    assert producer.flush(20) == 0
    publish(bus, "A__e", [2])
    start_router()
    await_caught_up(settings, "All__chn")
    (rows,) = read_topic(settings, topic_of(settings, "All__chn"))
    assert len(rows) == 2
    (buried,) = dead_letters(settings, "All__chn")
    assert "large" in reason(buried).lower()


def refused_by_the_channel(settings: Settings) -> Callable[[Row], bool | None]:
    return lambda row: None if len(row.value or b"") > LIMIT else True


def put(bus: EventBus, name: str, *texts: int) -> None:
    """Publish events with random texts of these lengths."""
    results = bus.publish_many(
        name, ({"n": number, "text": secrets.token_hex(size // 2)} for number, size in
               enumerate(texts))
    )  # fmt: skip
    assert [result.error for result in results if result.error] == []


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([10] * 30 + [50_000] + [10] * 30 + [60_000] + [10] * 30, id="among others"),
        # The client learns of the refusal long before the end of the transaction.
        pytest.param([50_000] + [10_000] * 400, id="while others are still being written"),
    ],
)
def test_a_record_that_the_broker_refuses_is_found(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    sizes: list[int],
) -> None:
    define(A, channel("All__chn", "A__e"))
    put(bus, "A__e", *sizes)
    configure(settings, topic_of(settings, "All__chn"), max_message_bytes=LIMIT)
    start_router()
    await_caught_up(settings, "All__chn")
    stay = Stay("A__e", [Period(1, refused_by_the_channel(settings))])
    check_channel(settings, "All__chn", [stay]).assert_none()
    letters = dead_letters(settings, "All__chn")
    assert [len(row.value or b"") for row in letters] == [0] * sum(size > LIMIT for size in sizes)


def test_another_record_that_is_refused_right_after_the_first_is_found_too(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It arrives while the first is looked for, and nobody else is taken for it."""
    define(A, B, channel("All__chn", "A__e", "B__e"))
    configure(settings, topic_of(settings, "All__chn"), max_message_bytes=LIMIT)
    router = start_router()
    wait_until(lambda: router.leads("All__chn"))
    put(bus, "A__e", 10, 50_000)
    wait_until(lambda: "cannot be written" in caplog.text)
    put(bus, "A__e", 20, 60_000)
    put(bus, "B__e", 30, 70_000, 40)
    put(bus, "A__e", 50)
    await_caught_up(settings, "All__chn")
    verdict_ = refused_by_the_channel(settings)
    stays = [Stay(name, [Period(1, verdict_)]) for name in ("A__e", "B__e")]
    check_channel(settings, "All__chn", stays).assert_none()


def test_foreign_records_keep_their_derived_identity(
    settings: Settings, bus: EventBus, define: Define, start_router: StartRouter
) -> None:
    define(A, channel("All__chn", "A__e filter: n < 5"))
    publish(bus, "A__e", [1])
    header = schema_header(settings, "A__e")
    body = consume_raw(settings, "A__e", 1)[0].value()
    produce_raw(settings, "A__e", body, [(SCHEMA, header), ("own", b"x")])
    produce_raw(settings, "A__e", body, [("ce_type", b"Other__e"), (SCHEMA, header)])
    produce_raw(settings, "A__e", body, [("ce_origin", b"/event/A__e 1 0 0 0 x"), (SCHEMA, header)])
    start_router()
    await_caught_up(settings, "All__chn")
    stay = Stay("A__e", [Period(1, verdict(bus, "A__e", lambda payload: payload["n"] < 5))])
    check_channel(settings, "All__chn", [stay]).assert_none()
    members = list(bus.subscribe("A__e", follow=False))
    routed = list(bus.subscribe("All__chn", Start.EARLIEST, follow=False))
    assert [one.event_id for one in routed] == [one.event_id for one in members]
    assert [one.type for one in routed] == [one.type for one in members]
    assert [one.headers for one in routed] == [one.headers for one in members]
    assert [one.published_at for one in routed] == [one.published_at for one in members]
    origins = [one.origin for one in routed]
    assert [one.replay_id for one in origins if one] == [one.replay_id for one in members]
    assert {one.stream for one in origins if one} == {"/event/A__e"}
