"""One consumer for many readers: nobody misses a record, whoever comes and goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.kafka.tail import MAX_WAITING_BYTES, Attachment, Tail
from platform_events.settings import Settings
from tests.channels.routing import Define, log_ends, publish
from tests.channels.samples import event
from tests.support import topic_of, wait_until


class HeldConsumer:
    """A consumer whose records are held back between reading and handing out, on demand."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._free = threading.Event()
        self._free.set()
        self.holding = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()
        self.holding.clear()

    def consume(self, *args: Any) -> list[Any]:
        messages: list[Any] = self._consumer.consume(*args)
        if any(message.error() is None for message in messages) and not self._free.is_set():
            self.holding.set()
            assert self._free.wait(30)
        return messages


@pytest.fixture
def tail(settings: Settings) -> Iterator[Tail]:
    tail = Tail(settings)
    tail._consumer = HeldConsumer(tail._consumer)  # type: ignore[assignment]
    yield tail
    held(tail).let_go()
    tail.close()


def held(tail: Tail) -> HeldConsumer:
    return tail._consumer  # type: ignore[return-value]


def offsets(attachment: Attachment) -> list[int]:
    runs, _ = attachment.take(0)
    return [record.offset() for _, records in runs for record in records]


def test_records_in_hand_are_not_handed_to_a_reader_that_began_before_them(
    settings: Settings, bus: EventBus, define: Define, tail: Tail
) -> None:
    """They would come first, and the reader would take what comes after them for known."""
    define(event("A__e"))
    key = (topic_of(settings, "A__e"), 0)
    publish(bus, "A__e", range(5))
    first = tail.attach({key: 5})
    publish(bus, "A__e", range(5, 8))
    seen: list[int] = []

    def saw(last: int) -> Callable[[], bool]:
        def check() -> bool:
            seen.extend(offsets(first))
            return bool(seen) and seen[-1] == last

        return check

    wait_until(saw(7))
    assert seen == [5, 6, 7]
    ends = log_ends(settings, key[0])
    assert ends == [8]
    publish(bus, "A__e", range(8, 10))
    wait_until(saw(9))
    held(tail).hold()
    publish(bus, "A__e", range(10, 12))
    assert held(tail).holding.wait(20)
    tail.detach(first)
    second = tail.attach({key: 8})
    held(tail).let_go()
    got: list[int] = []

    def complete() -> bool:
        got.extend(offsets(second))
        return 11 in got

    wait_until(complete)
    start = second.starts[key]
    wanted = [offset for offset in got if offset >= start]
    assert wanted == list(range(start, 12))


def test_a_reader_that_comes_later_misses_nothing_from_its_start_on(
    settings: Settings, bus: EventBus, define: Define, tail: Tail
) -> None:
    define(event("A__e"))
    key = (topic_of(settings, "A__e"), 0)
    attachments = []
    for number in range(5):
        attachments.append(tail.attach({key: number * 10}))
        publish(bus, "A__e", range(10))
    got: list[list[int]] = [[] for _ in attachments]

    def complete() -> bool:
        for attachment, found in zip(attachments, got, strict=True):
            found.extend(offsets(attachment))
        return all(found and found[-1] == 49 for found in got)

    wait_until(complete)
    for attachment, found in zip(attachments, got, strict=True):
        start = attachment.starts[key]
        assert [offset for offset in found if offset >= start] == list(range(start, 50))


def test_who_lags_too_far_is_let_go_and_holds_nobody(
    settings: Settings,
    bus: EventBus,
    define: Define,
    tail: Tail,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 1_000
    monkeypatch.setattr("platform_events.kafka.tail.MAX_WAITING", most)
    define(event("A__e"))
    key = (topic_of(settings, "A__e"), 0)
    slow, quick = tail.attach({key: 0}), tail.attach({key: 0})
    seen = published = 0

    def step() -> bool:
        nonlocal seen, published
        if seen == published:
            publish(bus, "A__e", range(100))
            published += 100
        seen += len(offsets(quick))
        return seen > most + 100

    wait_until(step)
    wait_until(lambda: slow.ended != "")
    assert quick.ended == ""
    kept = offsets(slow)
    assert kept == list(range(len(kept)))
    assert len(kept) <= most


def test_who_lags_too_far_is_told_of_no_end_before_which_it_lost_records() -> None:
    first, second = ("topic", 0), ("topic", 1)
    attachment = Attachment({first: 0, second: 0})
    assert attachment.put((first, [object()] * 10), 0)  # type: ignore[list-item]
    attachment.reach(first, 10)
    assert not attachment.put((second, [object()]), MAX_WAITING_BYTES + 1)  # type: ignore[list-item]
    assert attachment.ended
    assert attachment.take(0) == ([], {})
