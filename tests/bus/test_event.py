"""An event is a value: it can be kept, pickled and compared."""

from __future__ import annotations

import itertools
import pickle

import pytest

from platform_events.bus.bus import EventBus
from platform_events.errors import UndecodableRecordError
from platform_events.settings import Settings
from tests.bus.orders import EVENT, READING, publish_orders
from tests.support import produce_raw


@pytest.mark.parametrize("name", [EVENT, READING])
def test_it_survives_its_subscription_and_a_pickle(bus: EventBus, name: str) -> None:
    payloads = [{"order_id": "A-1"}, {"order_id": "A-2"}]
    if name == READING:
        payloads = [{"sensor": f"s{n}", "value": n} for n in range(20)]  # type: ignore[dict-item]
    bus.publish_many(name, payloads, headers={"own": "1"})
    with bus.subscribe(name, follow=False) as subscription:
        events = list(subscription)
    again = pickle.loads(pickle.dumps(events))
    assert again == events
    assert len({*again, *events}) == len(events)
    for one, other in zip(events, again, strict=True):
        for name in ("stream", "replay_id", "event_id", "type", "schema_id", "published_at",
                     "headers", "payload", "origin"):  # fmt: skip
            assert getattr(one, name) == getattr(other, name)
    assert again[0].headers == {"own": b"1"}


def test_the_same_event_read_twice_is_equal_and_another_is_not(bus: EventBus) -> None:
    publish_orders(bus, 2)
    first, second = bus.subscribe(EVENT, follow=False)
    (repeated,) = bus.subscribe(EVENT, first.replay_id, follow=False)
    assert repeated == second
    assert hash(repeated) == hash(second)
    assert first != second
    assert first != "first"


def test_whoever_asks_gets_the_next_event_whatever_iterators_there_are(bus: EventBus) -> None:
    publish_orders(bus, 2_000)
    read: list[str] = []
    subscription = bus.subscribe(EVENT, follow=False)
    for event in subscription:
        read.append(event.payload["order_id"])
        read += [one.payload["order_id"] for one in subscription.take(99, 0)]
        if len(read) % 7 == 0:
            read += [one.payload["order_id"] for one in itertools.islice(subscription, 1)]
    assert read == [f"A-{number}" for number in range(2_000)]
    with bus.subscribe(EVENT, follow=False) as subscription:
        pairs = list(zip(subscription, subscription, strict=False))
    assert [one.payload["order_id"] for pair in pairs for one in pair] == read


def test_a_loop_goes_on_after_an_error_and_after_a_break(bus: EventBus, settings: Settings) -> None:
    publish_orders(bus, 2)
    produce_raw(settings, EVENT, b"junk")
    publish_orders(bus, 3, first=2)
    subscription = bus.subscribe(EVENT, follow=False)
    read = []
    for event in subscription:
        read.append(event.payload["order_id"])
        break
    with pytest.raises(UndecodableRecordError):
        read.extend(event.payload["order_id"] for event in subscription)
    read += [event.payload["order_id"] for event in itertools.islice(subscription, 2)]
    position = subscription.position
    assert [event.payload["order_id"] for event in subscription] == ["A-4"]
    assert read == ["A-0", "A-1", "A-2", "A-3"]
    (rest,) = bus.subscribe(EVENT, position, follow=False)
    assert rest.payload["order_id"] == "A-4"
    assert list(subscription) == []
