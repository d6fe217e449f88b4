"""Journals in Kafka: followed by who owns partitions, written, and read as a whole."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.errors import RecordRejectedError, UnknownSubscriptionError
from platform_events.kafka.ledger import FencedWriter
from platform_events.kafka.reader import Batch
from platform_events.settings import Settings
from platform_events.workers.dead_letter import LARGEST_LETTER, letter_record, letter_tombstone
from platform_events.workers.documents import JournalRecord
from platform_events.workers.journal import Control, SavedPosition, control_record, position_record
from platform_events.workers.letter_reader import read_letters
from platform_events.workers.log import load
from tests.channels.stored import read_topic
from tests.support import delete_by_hand, wait_until
from tests.workers.journals import (
    READINGS,
    Stored,
    following,
    journal_of,
    letter,
    read,
    read_until_loaded,
    subscribe,
    write,
    write_letters,
    writing,
)


def test_an_owner_folds_its_partitions_and_no_others(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    write(bus, *((one, position_record(SavedPosition(one, "", "t", 0))) for one in range(3)))
    with following(bus.settings, bus.admin, [0, 2]) as reader:
        assert not reader.is_loaded(0)
        read_until_loaded(reader, 0, 2)
        assert [reader.journal(one).saved for one in (0, 2)] == [
            SavedPosition(0, "", "t", 0),
            SavedPosition(2, "", "t", 0),
        ]
        assert not reader.is_loaded(1)
        with pytest.raises(KeyError):
            reader.journal(1)
        first = reader.journal(0)
        reader.follow([0, 1])
        assert reader.is_loaded(0)
        assert reader.journal(0) is first
        read_until_loaded(reader, 1)
        assert reader.journal(1).saved == SavedPosition(1, "", "t", 0)
        write_letters(bus, letter(5), letter(6, 1), letter(7, 2))
        seen: set[int] = set()
        wait_until(lambda: bool(seen.update(reader.read())) or seen == {0, 1})
        assert [list(reader.journal(one).letters) for one in (0, 1)] == [["0-5"], ["1-6"]]
        reader.follow([])
        assert not reader.is_loaded(0)
        assert reader.read() == []


def test_an_empty_partition_is_loaded_and_that_is_news(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    with following(bus.settings, bus.admin, [1]) as reader:
        news: list[int] = []
        wait_until(lambda: bool(news.extend(reader.read())) or reader.is_loaded(1))
        assert news == [1]
        assert reader.journal(1).control == Control()


def test_nothing_is_loaded_before_what_a_transaction_holds_back(bus: EventBus) -> None:
    """A letter that stopped its key lies behind what a command has begun to write."""
    subscribe(bus)
    topic = journal_of(bus.settings)
    (before,) = bus.admin.log_ends(topic, 1)
    with FencedWriter(bus.settings, topic, "testing", 30_000) as command:
        command._producer.begin()
        command._producer.produce(topic, b"{}", b"control", 0)
        wait_until(lambda: bus.admin.log_ends(topic, 1) > [before])
        write_letters(bus, letter(5, stops_key=True))
        with following(bus.settings, bus.admin, [0]) as reader:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                reader.read()
                assert not reader.is_loaded(0)
            assert read(bus)[0].letters == {}
            command._producer.abort()
            read_until_loaded(reader, 0)
            assert list(reader.journal(0).letters) == ["0-5"]
            assert reader.journal(0).unreadable == []


def test_a_record_behind_an_end_in_one_batch_is_folded(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker tells an end now and then together with what came behind it."""
    subscribe(bus)
    with following(bus.settings, bus.admin, [0]) as reader:
        read_until_loaded(reader, 0)
        end = reader._next[0]
        behind: Any = Stored(letter_record(letter(9), b"", []), end)
        batches = [Batch([behind], {0: end}), Batch()]
        monkeypatch.setattr(reader._reader, "read", lambda *_: batches.pop(0))
        assert reader.read() == [0]
        assert list(reader.journal(0).letters) == ["0-9"]


def test_who_is_loaded_has_all_that_was_acknowledged_before(bus: EventBus) -> None:
    """Followers come while others write: whatever ends brokers tell them, nothing is missing."""
    subscribe(bus)
    stop = threading.Event()

    def write_on() -> None:
        number = 1_000
        with writing(bus) as writer:
            while not stop.is_set():
                number += 1
                writer.write(0, letter_record(letter(number), b"", []))
                time.sleep(0.002)

    thread = threading.Thread(target=write_on)
    thread.start()
    try:
        for number in range(15):
            write_letters(bus, letter(number))
            with following(bus.settings, bus.admin, [0]) as reader:
                read_until_loaded(reader, 0)
                assert f"0-{number}" in reader.journal(0).letters
    finally:
        stop.set()
        thread.join()


def test_a_journal_that_was_made_again_is_folded_anew(bus: EventBus) -> None:
    subscribe(bus)
    write_letters(bus, *map(letter, range(20)))
    with following(bus.settings, bus.admin, [0]) as reader:
        read_until_loaded(reader, 0)
        assert len(reader.journal(0).letters) == 20
        delete_by_hand(bus.settings, journal_of(bus.settings))
        subscribe(bus)
        write_letters(bus, letter(50))

        def is_new() -> bool:
            reader.read()
            return reader.is_loaded(0) and list(reader.journal(0).letters) == ["0-50"]

        wait_until(is_new)


def test_a_journal_that_is_not_there_is_never_loaded_and_says_why(bus: EventBus) -> None:
    with following(bus.settings, bus.admin, [0]) as reader:
        wait_until(lambda: reader.read() == [] and reader.failure is not None)
        assert not reader.is_loaded(0)
        subscribe(bus)
        read_until_loaded(reader, 0)
        assert reader.failure is None
    with pytest.raises(UnknownSubscriptionError, match="no subscription other"):
        load(bus.settings, bus.admin, journal_of(bus.settings, "other"))


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_a_reader_goes_on_when_the_broker_is_back(
    event_bus: EventBus, break_broker: Callable[[Any], AbstractContextManager[None]], how: str
) -> None:
    """Without it nothing is raised, nothing is waited for, and nothing counts as loaded."""
    bus = event_bus
    subscribe(bus)
    with following(bus.settings, bus.admin, [0]) as reader:
        read_until_loaded(reader, 0)
        with ExitStack() as stack:
            with break_broker(how):
                late = stack.enter_context(following(bus.settings, bus.admin, [0]))
                deadline = time.monotonic() + 2
                while time.monotonic() < deadline:
                    assert late.read() == reader.read() == []
                    time.sleep(0.02)
                assert not late.is_loaded(0)
                assert reader.is_loaded(0)
            read_until_loaded(late, 0)
            write_letters(bus, letter(5))
            wait_until(lambda: reader.read() == [0])
            assert list(reader.journal(0).letters) == ["0-5"]


def test_a_tombstone_removes_and_what_compaction_left_says_the_same(bus: EventBus) -> None:
    """The broker compacts closed segments only, so a record is written after they were closed."""
    subscribe(bus)
    topic = journal_of(bus.settings)
    bus.admin.configure(
        topic,
        {
            "segment.ms": "1",
            "min.cleanable.dirty.ratio": "0.001",
            "max.compaction.lag.ms": "1",
            "delete.retention.ms": "0",
        },
    )
    control = Control(4, paused=True)
    for number in range(3):
        write_letters(bus, *(letter(one, version=number) for one in range(3)))
        write(bus, (0, letter_tombstone("0-1")), (0, control_record(control)))

    def is_compacted() -> bool:
        write(bus, (0, position_record(SavedPosition(1, "", "t", time.time_ns()))))
        keys = [row.key for row in read_topic(bus.settings, topic)[0]]
        return keys.count(b"letter/0-0") == 1 and keys.count(b"letter/0-1") == 0

    wait_until(is_compacted)
    (found,) = read(bus)
    assert sorted(found.letters) == ["0-0", "0-2"]
    assert {one.version for one in found.letters.values()} == {2}
    assert found.control == control
    assert found.subscription is not None


def test_the_largest_letter_is_taken(settings: Settings, bus: EventBus) -> None:
    """Uncompressed, by the producer that all share and by the topic."""
    bare = Settings(
        bootstrap_servers=settings.bootstrap_servers, tenant=settings.tenant, compression="none"
    )
    with EventBus(bare) as plain:
        subscribed = subscribe(plain)
        empty = letter_record(letter(1), b"", [("own", b"x")])
        body = secrets.token_bytes(LARGEST_LETTER - empty.size)
        record = letter_record(letter(1), body, [("own", b"x")])
        assert record.size == LARGEST_LETTER
        write(plain, (0, record))
        (index,) = read(plain)
        found = read_letters(bare, subscribed, list(index.letters.values()))["0-1"]
        assert (found.value(), found.headers()) == (body, [("own", b"x")])
        with pytest.raises(RecordRejectedError):
            write(plain, (0, letter_record(letter(2), body + bytes(100_000), [])))


def test_a_write_that_fails_is_told(bus: EventBus) -> None:
    subscribe(bus)
    with writing(bus) as writer:
        good = writer.write(0, letter_record(letter(1), b"", []))
        bad = writer.write(7, letter_record(letter(2), b"", []))
        settled: list[Any] = []
        wait_until(lambda: bool(settled.extend(writer.settled())) or len(settled) == 2)
        assert writer.has_room()
        assert writer.explain(good) is None
        assert good.offset > 0
        assert bad.in_log is False
        assert "_UNKNOWN_PARTITION" in str(writer.explain(bad))
    assert list(read(bus)[0].letters) == ["0-1"]


def test_what_others_write_into_a_journal_condemns_only_itself(bus: EventBus) -> None:
    subscribe(bus)
    bad = [JournalRecord(key.encode(), b"junk") for key in ("control", "letter/0-1", "own")]
    write(bus, *((0, record) for record in bad))
    write_letters(bus, letter(2))
    (found,) = read(bus)
    assert list(found.letters) == ["0-2"]
    assert found.subscription is not None
    assert len(found.unreadable) == 2
