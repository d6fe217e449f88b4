"""Dead letters: looked at, handled after all, thrown away."""

from __future__ import annotations

import json
import logging
import secrets
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.event import EPOCH, Event
from platform_events.errors import (
    UnknownLetterError,
    UnknownStreamError,
    UnknownSubscriptionError,
    UsageError,
)
from platform_events.kafka.producer import MAX_RECORD_BYTES
from platform_events.kafka.reader import read_range
from platform_events.settings import Settings
from platform_events.workers import letters as letters_module
from platform_events.workers.dead_letter import (
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    Letter,
    event_facts,
    letter_record,
    letter_tombstone,
)
from platform_events.workers.documents import JournalRecord
from platform_events.workers.journal import RedriveRequest, redrive_record
from platform_events.workers.letter_reader import LetterReader, read_letters
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters, show_letters
from platform_events.workers.router_letters import UNROUTABLE
from tests.channels.routing import Define, await_caught_up, routing
from tests.channels.samples import A, B, channel
from tests.support import consume_raw, produce_raw, topic_of
from tests.workers.journals import (
    NAME,
    ORDERS,
    READINGS,
    letter,
    read,
    subscribe,
    write,
    write_letters,
)


def letter_of(event: Event[Any], partition: int, offset: int, **changed: Any) -> Letter:
    """Return what a worker writes down of an event."""
    return letter(
        offset,
        partition,
        type=event.type,
        event_id=event.event_id,
        schema_id=event.schema_id,
        replay_id=str(event.replay_id),
        stored_ms=(event.published_at - EPOCH) // timedelta(milliseconds=1),
        **changed,
    )


def shown_ids(bus: EventBus, name: str, **wanted: Any) -> list[str]:
    return [one.letter.id for one in show_letters(bus, name, LetterFilter(**wanted))]


def test_the_largest_event_is_a_letter_with_what_is_told_of_it(bus: EventBus) -> None:
    """Its body is random, so that nothing is left to the compression of batches."""
    subscribed = subscribe(bus)
    headers = {"own": secrets.token_hex(20_000)}
    size = MAX_RECORD_BYTES - 40_600
    for longer in range(600, 0, -1):
        payload = {"order_id": "A-1", "note": secrets.token_hex(size // 2) + "x" * longer}
        result = bus.submit(ORDERS, payload, headers=headers).result()
        if result.error is None:
            break
    (raw,) = consume_raw(bus.settings, ORDERS, 1)
    own = list(raw.headers() or [])
    body = raw.value()
    assert body is not None
    assert MAX_RECORD_BYTES - len(body) - sum(len(k) + len(v or b"") for k, v in own) < 10
    told = letter(
        0,
        traceback="\U0001f4a5" * LONGEST_TRACEBACK,
        message="\U0001f4a5" * LONGEST_MESSAGE,
        key=raw.key(),
    )
    write(bus, (0, letter_record(told, body, own)))
    (index,) = read(bus)
    found = read_letters(bus.settings, subscribed, list(index.letters.values()))["0-0"]
    assert (found.value(), found.headers(), found.key()) == (body, own, raw.key())
    assert found.letter.traceback == told.traceback
    assert found.letter.message == told.message
    (shown,) = show_letters(bus, NAME, LetterFilter())
    assert shown.event is not None
    assert shown.event.payload["note"] == payload["note"]


def test_the_event_in_a_letter_is_the_event_of_the_stream(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    payloads = [{"sensor": sensor, "value": n} for n in range(4) for sensor in "abcdef"]
    bus.publish_many(READINGS, payloads, headers={"own": "x", "pe-letter": "mine"})
    raw = {(one.partition(), one.offset()): one for one in raw_records(bus, READINGS)}
    events = list(bus.subscribe(READINGS, follow=False))
    places = [place_of(event, raw) for event in events]
    letters = [
        letter_of(event, *place, key=raw[place].key(), traceback=f"line {place}")
        for event, place in zip(events, places, strict=True)
    ]
    for one, place in zip(letters, places, strict=True):
        write(bus, (place[0], letter_record(one, raw[place].value(), raw[place].headers())))
    shown = list(show_letters(bus, NAME, LetterFilter()))
    assert [one.letter.id for one in shown] == [f"{p}-{o}" for p, o in sorted(places)]
    by_place = dict(zip(places, events, strict=True))
    for one in shown:
        place = (one.letter.partition, one.letter.offset)
        assert one.event == by_place[place]
        assert one.event is not None
        assert one.event.replay_id == by_place[place].replay_id
        assert one.event.published_at == by_place[place].published_at
        assert one.event.headers == {"own": b"x", "pe-letter": b"mine"}
        assert one.letter.traceback == f"line {place}"
        assert (one.stream, one.owner, one.status) == (f"/event/{READINGS}", NAME, "dead")


def raw_records(bus: EventBus, stream: str) -> list[Any]:
    topic = topic_of(bus.settings, stream)
    found = bus.admin.await_topic(topic)
    marks = bus.admin.watermarks({topic: found.partitions})[topic]
    return list(read_range(bus.settings, topic, marks))


def place_of(event: Event[Any], raw: dict[tuple[int, int], Any]) -> tuple[int, int]:
    (place,) = (p for p, record in raw.items() if record.headers()[0][1] == event.event_id.encode())
    return place


def test_what_cannot_be_decoded_is_shown_with_its_bytes(bus: EventBus) -> None:
    subscribe(bus)
    write_letters(bus, letter(1), body=b"\xff\xfe")
    write_letters(bus, letter(2), body=None)
    write_letters(bus, letter(3), body=b"")
    shown = list(show_letters(bus, NAME, LetterFilter()))
    assert [one.event for one in shown] == [None, None, None]
    assert [one.body for one in shown] == [b"\xff\xfe", None, b""]
    assert [one.letter.has_body for one in shown] == [True, False, True]


def test_letters_far_apart_are_read(bus: EventBus) -> None:
    subscribed = subscribe(bus, READINGS)
    for begin in (0, 1_500, 3_000):
        write_letters(bus, *(letter(begin + n, n % 2) for n in range(1_500)))
    journals = read(bus)
    chosen = [one for each in journals for one in each.letters.values() if one.offset % 1_400 < 2]
    assert len(chosen) == 8
    with LetterReader(bus.settings, subscribed) as reader:
        assert set(reader.read(chosen)) == {one.id for one in chosen}
        assert set(reader.read(chosen[:1])) == {chosen[0].id}
        assert reader.read([]) == {}
    assert read_letters(bus.settings, subscribed, []) == {}


def test_a_filter_chooses_what_is_all_of_that(bus: EventBus) -> None:
    subscribe(bus)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    ms = int(at.timestamp() * 1000)
    write_letters(
        bus,
        letter(9, reason="rejected", last_failure_ms=ms),
        letter(1, reason="failed", last_failure_ms=ms - 1),
        letter(3, reason="failed", type="Other__e", last_failure_ms=ms + 1),
    )
    assert shown_ids(bus, NAME) == ["0-1", "0-3", "0-9"]
    assert shown_ids(bus, NAME, reason="failed") == ["0-1", "0-3"]
    assert shown_ids(bus, NAME, reason="failed", type=ORDERS) == ["0-1"]
    assert shown_ids(bus, NAME, since=at) == ["0-3", "0-9"]
    assert shown_ids(bus, NAME, until=at) == ["0-1"]
    assert shown_ids(bus, NAME, ids=["0-9", "0-3", "0-9"]) == ["0-3", "0-9"]
    assert shown_ids(bus, NAME, ids=["0-9"], reason="failed") == []
    with pytest.raises(UnknownLetterError, match="billing has no dead letter '0-2'") as error:
        shown_ids(bus, NAME, ids=["0-1", "0-2"])
    assert error.value.letter == "0-2"
    with pytest.raises(UnknownSubscriptionError):
        shown_ids(bus, "other")
    with pytest.raises(UsageError):
        shown_ids(bus, "Order_Placed__e")


def test_a_record_that_cannot_be_read_hides_no_other(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    subscribe(bus)
    write_letters(bus, letter(1), letter(2))
    newer = json.dumps({"format": 2}).encode()
    write(bus, (0, JournalRecord(b"letter/0-1", b"x", [("pe-letter", newer)])))
    with caplog.at_level(logging.WARNING, "platform_events"):
        assert shown_ids(bus, NAME) == ["0-2"]
    assert "journal of subscription billing: letter/0-1 at offset 3" in caplog.text
    with pytest.raises(UnknownLetterError):
        shown_ids(bus, NAME, ids=["0-1"])


def test_letters_that_are_redriven_are_asked_for_once(bus: EventBus) -> None:
    subscribe(bus)
    write_letters(bus, *(letter(number, version=number) for number in (4, 3, 2, 1)))
    first, second = SubscriptionLetters(bus, NAME), SubscriptionLetters(bus, NAME)
    chosen = first.select(LetterFilter(ids=["0-3", "0-1"]))
    assert [one.id for one in first.redrive(chosen)] == ["0-1", "0-3"]
    # What was found before is asked for once more, which changes nothing.
    assert len(list(second.redrive(second.select(LetterFilter())))) == 4
    (found,) = read(bus)
    assert list(found.requests) == ["0-1", "0-2", "0-3", "0-4"]
    assert {one.letter_version for one in found.requests.values()} == {1, 2, 3, 4}
    third = SubscriptionLetters(bus, NAME)
    assert list(third.redrive(third.select(LetterFilter()))) == []
    assert {third.status(one) for one in third.select(LetterFilter())} == {"redriving"}
    write_letters(bus, letter(2, version=9))
    after = SubscriptionLetters(bus, NAME)
    assert [after.status(one) for one in after.select(LetterFilter(ids=["0-2"]))] == ["dead"]


def test_redriving_is_as_slow_as_asked_for(bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe(bus)
    write_letters(bus, *map(letter, range(4)))
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    letters = SubscriptionLetters(bus, NAME)
    chosen = letters.select(LetterFilter())
    clock = SimpleNamespace(time_ns=lambda: 5_000_000, monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(letters_module, "time", clock)
    taken = letters.redrive(chosen, rate=2)
    assert next(taken).id == "0-0"
    assert list(read(bus)[0].requests) == ["0-0"]
    assert [one.id for one in taken] == ["0-1", "0-2", "0-3"]
    assert slept == [0.5] * 4


def test_what_was_written_again_is_not_thrown_away(bus: EventBus) -> None:
    subscribe(bus)
    write_letters(bus, *map(letter, range(4)))
    write(bus, (0, redrive_record(RedriveRequest("0-1", 1, 0))))
    letters = SubscriptionLetters(bus, NAME)
    chosen = letters.select(LetterFilter(ids=["0-1", "0-2", "0-3"]))
    write_letters(bus, letter(2, version=2))
    write(bus, (0, letter_tombstone("0-3")))
    assert [one.id for one in letters.discard(chosen)] == ["0-1"]
    (found,) = read(bus)
    assert sorted(found.letters) == ["0-0", "0-2"]
    assert found.requests == {}
    assert shown_ids(bus, NAME) == ["0-0", "0-2"]


def test_an_event_of_other_software_keeps_what_it_says(bus: EventBus) -> None:
    subscribe(bus)
    bus.publish(ORDERS, {"order_id": "A-1"})
    (first,) = consume_raw(bus.settings, ORDERS, 1)
    headers = [one for one in first.headers() or [] if one[0] == "__value_schema_id"]
    offset = produce_raw(bus.settings, ORDERS, first.value(), headers)
    (event,) = list(bus.subscribe(ORDERS, follow=False))[1:]
    told = letter_of(event, 0, offset)
    assert event_facts(headers) == ("", "", event.schema_id)
    write(bus, (0, letter_record(told, first.value(), headers)))
    (shown,) = show_letters(bus, NAME, LetterFilter())
    assert shown.event is not None
    assert (shown.event.event_id, shown.event.type) == (event.event_id, ORDERS)
    assert shown.event.replay_id == event.replay_id


class TestChannel:
    def test_what_the_router_could_not_route_is_shown(
        self, settings: Settings, define: Define
    ) -> None:
        define(A, B, channel("All__chn", "A__e", "B__e"))
        with EventBus(settings) as bus:
            good = bus.publish("A__e", {"n": 1, "text": "x"})
            (raw,) = consume_raw(settings, "A__e", 1)
            headers = list(raw.headers() or [])
            produce_raw(settings, "A__e", b"\xff", [("own", b"x"), *headers])
            produce_raw(settings, "B__e", None, headers)
            produce_raw(settings, "B__e", raw.value(), [("plain", b"y")])
            with routing(settings):
                await_caught_up(settings, "All__chn")
            shown = list(show_letters(bus, "All__chn", LetterFilter()))
            facts = {(one.stream, one.letter.id): one for one in shown}
            assert set(facts) == {
                ("/event/A__e", "0-1"), ("/event/B__e", "0-0"), ("/event/B__e", "0-1"),
            }  # fmt: skip
            first = facts["/event/A__e", "0-1"]
            assert (first.body, first.event, first.owner) == (b"\xff", None, "All__chn")
            assert first.letter.reason == UNROUTABLE
            assert first.letter.message == "the bytes end within a value"
            assert first.letter.type == "A__e"
            assert first.letter.event_id == good.event_id
            assert facts["/event/B__e", "0-0"].body is None
            assert "__value_schema_id" in facts["/event/B__e", "0-1"].letter.message
            assert len(shown_ids(bus, "/event/All__chn", ids=["0-1"])) == 2
            assert shown_ids(bus, "All__chn", reason="failed") == []
            with pytest.raises(UnknownLetterError, match="channel All__chn has no dead letter"):
                shown_ids(bus, "All__chn", ids=["0-7"])
            with pytest.raises(UnknownStreamError):
                shown_ids(bus, "Other__chn")
