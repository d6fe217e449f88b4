"""Journals and what is in them, for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from platform_events.workers.creation import ensure_journal
from platform_events.workers.dead_letter import Letter, letter_record
from platform_events.workers.documents import JournalRecord
from platform_events.workers.journal import PartitionJournal, SubscriptionRecord
from platform_events.workers.log import JournalReader, JournalWriter, load
from tests.support import PATIENCE

NAME = "billing"
ORDERS = "Order_Placed__e"
READINGS = "Reading_Taken__e"


@dataclass(frozen=True)
class Stored:
    """A record as a client library gives it."""

    record: JournalRecord
    at: int = 0
    part: int = 0

    def partition(self) -> int:
        return self.part

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.record.key

    def value(self) -> bytes | None:
        return self.record.value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.record.headers)


def letter(offset: int, partition: int = 0, **changed: Any) -> Letter:
    """Return a letter of which only some things matter."""
    known: dict[str, Any] = {
        "version": 1,
        "status": "dead",
        "stops_key": False,
        "reason": "failed",
        "message": "ValueError: no",
        "attempts": 5,
        "first_failure_ms": 1_000,
        "last_failure_ms": 2_000,
        "type": ORDERS,
        "event_id": f"event-{offset}",
        "schema_id": "x" * 22,
        "replay_id": "AAAAAAAAAAE",
        "stored_ms": 900,
        "key": None,
    }
    return Letter(partition, offset, **{**known, **changed})


def subscription(bus: EventBus, stream: str = ORDERS, **changed: Any) -> SubscriptionRecord:
    """Return what a subscription of a stream is to be."""
    topic = bus.admin.await_topic(bus.settings.namespace.topic(stream))
    known: dict[str, Any] = {
        "name": NAME,
        "stream": stream,
        "topic_id": topic.topic_id,
        "order": "key",
        "start": "latest",
        "offsets": (0,) * topic.partitions,
        "created_ms": 1,
    }
    return SubscriptionRecord(**{**known, **changed})


def subscribe(bus: EventBus, stream: str = ORDERS, **changed: Any) -> SubscriptionRecord:
    """Make a subscription."""
    wanted = subscription(bus, stream, **changed)
    return ensure_journal(bus.settings, bus.clients, wanted, len(wanted.offsets))


def journal_of(settings: Settings, name: str = NAME) -> str:
    return settings.namespace.journal(name)


@contextmanager
def writing(bus: EventBus, name: str = NAME) -> Iterator[JournalWriter]:
    writer = JournalWriter(bus.clients.producer, journal_of(bus.settings, name))
    try:
        yield writer
        writer.flush()
    finally:
        writer.close(PATIENCE)


def write(bus: EventBus, *records: tuple[int, JournalRecord]) -> None:
    """Write records into partitions of the journal."""
    with writing(bus) as writer:
        for partition, record in records:
            writer.write(partition, record)


def write_letters(bus: EventBus, *letters: Letter, body: bytes | None = b"?") -> None:
    write(bus, *((one.partition, letter_record(one, body, [])) for one in letters))


def read(bus: EventBus) -> list[PartitionJournal]:
    return load(bus.settings, bus.admin, journal_of(bus.settings))


@contextmanager
def following(
    settings: Settings, admin: Admin, partitions: Sequence[int]
) -> Iterator[JournalReader]:
    reader = JournalReader(settings, admin, journal_of(settings))
    try:
        reader.follow(partitions)
        yield reader
    finally:
        reader.close()


def read_until_loaded(reader: JournalReader, *partitions: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(map(reader.is_loaded, partitions)):
        reader.read()
        assert time.monotonic() < deadline, f"the journal is not loaded: {reader.failure}"
        time.sleep(0.005)


@dataclass
class Folded:
    """What a fold says, to compare."""

    journal: PartitionJournal
    facts: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        journal = self.journal
        self.facts = (
            journal.subscription,
            journal.control,
            journal.saved,
            journal.letters,
            list(journal.requests.items()),
            sorted(journal.unreadable),
        )
