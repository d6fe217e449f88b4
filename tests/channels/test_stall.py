"""A client that gets no more records of a partition, as one may after a broker was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.channels import feeder as feeder_module
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from platform_events.kafka import tail as tail_module
from platform_events.kafka.tail import Tail
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, all_pass, check_channel
from tests.channels.routing import await_caught_up, publish
from tests.channels.samples import channel, event
from tests.support import topic_of, wait_until

NAME = "All__chn"

Define = Callable[..., None]


class Deaf:
    """A consumer that loses the records of one topic."""

    def __init__(self, consumer: Any, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def consume(self, *args: Any) -> list[Any]:
        messages: list[Any] = self._consumer.consume(*args)
        heard = [message for message in messages if message.topic() != self._topic]
        self.lost += len(messages) - len(heard)
        return heard


def deafen(tail: Tail, topic: str) -> Deaf:
    deaf = Deaf(tail._consumer, topic)
    tail._consumer = deaf  # type: ignore[assignment]
    return deaf


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tail_module, feeder_module):
        monkeypatch.setattr(module, "STALL_SECONDS", 0.3)


@pytest.fixture
def tail(settings: Settings) -> Iterator[Tail]:
    tail = Tail(settings)
    yield tail
    tail.close()


def test_records_that_do_not_come_are_read_with_a_new_client(
    settings: Settings, bus: EventBus, define: Define, tail: Tail
) -> None:
    define(event("A__e"), event("B__e"))
    keys = {name: (topic_of(settings, name), 0) for name in ("A__e", "B__e")}
    attachment = tail.attach(dict.fromkeys(keys.values(), 0))
    found: dict[Any, list[int]] = {key: [] for key in keys.values()}

    def has(*numbers: int) -> bool:
        for key, records in attachment.take(0.1)[0]:
            found[key] += [record.offset() for record in records]
        return [len(offsets) for offsets in found.values()] == list(numbers)

    for name in keys:
        publish(bus, name, range(5))
    wait_until(lambda: has(5, 5))
    deaf = deafen(tail, keys["A__e"][0])
    for name in keys:
        publish(bus, name, range(3))
    wait_until(lambda: has(5, 8) and deaf.lost >= 3)
    tail.check({keys["A__e"]: 5, keys["B__e"]: 8})
    publish(bus, "B__e", [8])
    wait_until(lambda: has(5, 9))
    assert tail._consumer is deaf, "it had read what it was asked for"
    tail.check({keys["A__e"]: 8, keys["B__e"]: 9})
    wait_until(lambda: has(8, 9))
    assert found == {keys["A__e"]: [*range(8)], keys["B__e"]: [*range(9)]}


def test_a_channel_goes_on(settings: Settings, bus: EventBus, define: Define) -> None:
    define(event("A__e"), event("B__e"), channel(NAME, "A__e", "B__e"))
    router = Router(settings)
    with RouterThread(router):
        publish(bus, "A__e", range(5))
        await_caught_up(settings, NAME)
        deaf = deafen(router._tail, topic_of(settings, "A__e"))
        publish(bus, "A__e", range(5))
        publish(bus, "B__e", range(5))
        wait_until(lambda: deaf.lost > 0)
        await_caught_up(settings, NAME)
    stays = [Stay(name, [Period(1, all_pass)]) for name in ("A__e", "B__e")]
    check_channel(settings, NAME, stays).assert_none()
