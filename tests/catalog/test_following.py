"""A catalog that is followed through the tail: nothing is missed, whatever becomes of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.live import Catalog
from platform_events.catalog.log import CatalogLog
from platform_events.kafka.admin import Admin
from platform_events.kafka.reader import Record, TopicReader
from platform_events.kafka.tail import Attachment, Tail
from platform_events.settings import Settings
from tests.channels.test_tail import HeldConsumer
from tests.support import ORDER, delete_by_hand, wait_until

EVENT = "Order_Placed__e"
Define = Callable[..., None]


def named(number: int) -> str:
    return ORDER.replace(EVENT, f"Thing_{number}__e")


def attachment(bus: EventBus) -> Attachment | None:
    log = bus.catalog._log
    return log and log._attachment


def await_attached(bus: EventBus) -> Attachment:
    wait_until(lambda: attachment(bus) is not None)
    found = attachment(bus)
    assert found is not None
    return found


@pytest.fixture
def followed(bus: EventBus, define: Define) -> EventBus:
    """A bus that has read its catalog, and follows it through the tail."""
    define(ORDER)
    bus.catalog.refresh()
    await_attached(bus)
    return bus


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, int]]:
    """The offsets at which catalogs began to read by themselves."""
    begun: list[dict[int, int]] = []

    def begin(settings: Settings, topic: str, offsets: dict[int, int]) -> TopicReader:
        begun.append(offsets)
        return TopicReader(settings, topic, offsets)

    monkeypatch.setattr("platform_events.catalog.log.TopicReader", begin)
    return begun


def hold(tail: Tail) -> HeldConsumer:
    """Have records held back between the client and the tail's readers."""
    held = HeldConsumer(tail._consumer)
    tail._consumer = held  # type: ignore[assignment]
    held.hold()
    return held


def test_changes_arrive_without_a_question(followed: EventBus, define: Define) -> None:
    define(ORDER, named(1))
    wait_until(lambda: followed.catalog.cached("Thing_1__e") is not None)
    assert attachment(followed) is not None


def test_a_refresh_has_what_was_just_applied(
    followed: EventBus,
    define: Define,
    readers: list[dict[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the tail, although the end lies after a transaction marker."""
    monkeypatch.setattr("platform_events.catalog.log._PATIENCE", 60.0)
    for number in range(5):
        define(ORDER, named(number))
        followed.catalog.refresh()
        entry = followed.catalog.cached(f"Thing_{number}__e")
        assert entry is not None
        assert entry.active is not None
    assert readers == []


def test_a_tail_that_is_late_keeps_no_question_waiting(
    followed: EventBus, define: Define, readers: list[dict[int, int]]
) -> None:
    held = hold(followed._connection.clients.tail)
    try:
        define(ORDER, named(1))
        followed.catalog.refresh()
        assert followed.catalog.entry("Thing_1__e")
        assert len(readers) == 1
        revision = followed.catalog.revision
    finally:
        held.let_go()
    # What was held back comes again through the tail, and is passed over.
    await_attached(followed)
    define(ORDER, named(1), named(2))
    wait_until(lambda: followed.catalog.cached("Thing_2__e") is not None)
    assert followed.catalog.revision > revision


def test_a_catalog_that_the_tail_lets_go_reads_by_itself_and_comes_back(
    followed: EventBus, define: Define
) -> None:
    first = await_attached(followed)
    first.end("it lagged too far")
    define(ORDER, named(1))
    wait_until(lambda: followed.catalog.cached("Thing_1__e") is not None)
    wait_until(lambda: attachment(followed) not in (first, None))
    define(ORDER, named(1), named(2))
    wait_until(lambda: followed.catalog.cached("Thing_2__e") is not None)


def test_a_catalog_that_is_lost_is_found_again(
    followed: EventBus, define: Define, settings: Settings
) -> None:
    """Kafka's client tells nobody: it goes on at the old offset in the new topic."""
    first = await_attached(followed)
    assert followed._followed is not None
    followed._followed.refresh = 0.1
    delete_by_hand(settings, settings.namespace.catalog)
    wait_until(lambda: not followed.catalog.is_read)
    define(named(1))
    assert followed.catalog.entry("Thing_1__e").active
    assert followed.catalog.cached(EVENT) is None
    wait_until(lambda: attachment(followed) not in (first, None))
    define(named(1), named(2))
    wait_until(lambda: followed.catalog.cached("Thing_2__e") is not None)


@pytest.fixture
def tail(settings: Settings) -> Iterator[Tail]:
    tail = Tail(settings)
    yield tail
    tail.close()


class Fold:
    """Where a log begins, and the offsets of what it gave since."""

    def __init__(self, settings: Settings) -> None:
        self.offsets: list[int] = []
        topic = settings.namespace.catalog
        self.log = CatalogLog(settings, topic, 0, self._take)

    def _take(self, records: Any) -> None:
        self.offsets += [record.offset() for record in records]


def end_of(settings: Settings) -> int:
    with Admin(settings) as admin:
        return admin.watermarks({settings.namespace.catalog: 1})[settings.namespace.catalog][0][1]


def goes_on_through(tail: Tail, log: CatalogLog) -> bool:
    log.take(0)
    spare = log.attach(tail)
    if spare is not None:
        spare.close()
    return spare is not None


@pytest.mark.parametrize("who_is_ahead", ["the tail", "the reader"])
def test_nothing_is_missed_and_nothing_comes_twice_where_the_tail_takes_over(
    settings: Settings, define: Define, tail: Tail, who_is_ahead: str
) -> None:
    define(ORDER)
    key = (settings.namespace.catalog, 0)
    whole, seam = Fold(settings), Fold(settings)
    early = end_of(settings)
    other = tail.attach({key: early})
    if who_is_ahead == "the tail":
        seam.log.take_up_to(early)
    define(ORDER, named(1))
    seen: list[Record] = []

    def has_come() -> bool:
        seen.extend(record for _, run in other.take(0)[0] for record in run)
        return bool(seen) and seen[-1].offset() + 1 >= tail.read_up_to(key) > early

    if who_is_ahead == "the tail":
        wait_until(has_come)
        wait_until(lambda: goes_on_through(tail, seam.log))
    else:
        wait_until(lambda: tail.is_reading(key))
        held = hold(tail)
        define(ORDER, named(1), named(2))
        assert held.holding.wait(60)
        seam.log.take_up_to(end_of(settings))
        assert goes_on_through(tail, seam.log)
        held.let_go()
    define(ORDER, named(1), named(2), named(3))
    end = end_of(settings)
    seam.log.take_up_to(end)
    whole.log.take_up_to(end)
    assert seam.offsets == whole.offsets
    for fold in (seam, whole):
        fold.log.close()


def test_a_catalog_that_is_asked_once_needs_no_tail(bus: EventBus, define: Define) -> None:
    define(ORDER)
    assert [entry.name for entry in bus.catalog.entries()] == [EVENT]
    catalog: Catalog = bus.catalog
    assert catalog._log is not None
    if catalog._log._attachment is None:  # the thread that follows has not come round yet
        assert bus._connection.clients._tail is None
