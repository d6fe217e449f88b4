"""Live subscriptions: by themselves while they are behind, then through the tail."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.aio import AsyncEventBus, AsyncSubscription
from platform_events.bus.bus import EventBus
from platform_events.bus.subscription import Subscription
from platform_events.bus.values import Start
from platform_events.kafka import tail as tail_module
from platform_events.kafka.live import LiveReader
from platform_events.settings import Settings
from tests.bus.orders import EVENT, READING, publish_orders
from tests.support import ORDER, apply_texts, wait_until


def reader_of(subscription: Subscription[Any]) -> LiveReader:
    reader = subscription._reader
    assert isinstance(reader, LiveReader)
    return reader


def numbers(subscription: Subscription[Any], count: int) -> list[int]:
    events = itertools.islice(subscription, count)
    return [int(event.payload["order_id"][2:]) for event in events]


def read_until_live(subscription: Subscription[Any]) -> list[int]:
    read: list[int] = []

    def is_live() -> bool:
        read.extend(int(one.payload["order_id"][2:]) for one in subscription.take(500, 0.05))
        return reader_of(subscription)._own is None

    wait_until(is_live)
    return read


def test_from_the_latest_there_is_no_client_of_its_own(bus: EventBus) -> None:
    with bus.subscribe(EVENT) as first, bus.subscribe(EVENT) as second:
        assert reader_of(first)._own is None
        assert reader_of(second)._own is None
        publish_orders(bus, 700)
        assert numbers(first, 700) == numbers(second, 700) == list(range(700))


def test_a_stream_that_is_read_already_is_joined_without_a_gap(bus: EventBus) -> None:
    """What was published between the question for the end and the tail's next is read first."""
    with bus.subscribe(EVENT) as first:
        for number in range(20):
            publish_orders(bus, 50, first=50 * number)
            with bus.subscribe(EVENT) as later:
                publish_orders(bus, 1, first=10_000 + number)
                assert numbers(later, 1) == [10_000 + number]
            assert numbers(first, 51)[-1] == 10_000 + number


def test_one_that_catches_up_goes_to_the_tail_without_loss_or_repetition(bus: EventBus) -> None:
    publish_orders(bus, 4_000)
    with bus.subscribe(EVENT, Start.EARLIEST) as subscription:
        assert reader_of(subscription)._own is not None
        read = numbers(subscription, 100)
        publish_orders(bus, 500, first=4_000)
        read += read_until_live(subscription)
        publish_orders(bus, 500, first=4_500)
        assert read + numbers(subscription, 5_000 - len(read)) == list(range(5_000))


def test_one_that_falls_behind_reads_by_itself_and_comes_back(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "MAX_WAITING", 1_000)
    with bus.subscribe(EVENT) as slow, bus.subscribe(EVENT) as quick:
        for number in range(4):
            publish_orders(bus, 1_000, first=1_000 * number)
            assert len(numbers(quick, 1_000)) == 1_000
        attachment = reader_of(slow)._attachment
        assert attachment is not None
        assert attachment.ended
        read = numbers(slow, 1_500)
        read += read_until_live(slow)
        publish_orders(bus, 10, first=4_000)
        assert read + numbers(slow, 4_010 - len(read)) == list(range(4_010))


def test_several_partitions_while_it_goes_to_the_tail(bus: EventBus) -> None:
    """Every position resumes exactly, wherever the change happens."""
    stop = threading.Event()
    published: list[int] = []

    def publish() -> None:
        for first in itertools.count(0, 100):
            many = [{"sensor": f"s{n % 11}", "value": n} for n in range(first, first + 100)]
            bus.publish_many(READING, many)
            published.extend(range(first, first + 100))
            if stop.is_set():
                return

    publishing = threading.Thread(target=publish)
    publishing.start()
    read = []
    with bus.subscribe(READING, Start.EARLIEST) as subscription:
        wait_until(lambda: bool(read.extend(subscription.take(200, 0.05)))
                   or (reader_of(subscription)._own is None and len(read) > 500))  # fmt: skip
        stop.set()
        publishing.join()
        while len(read) < len(published):
            read += subscription.take(500, 1.0)
    assert sorted(event.payload["value"] for event in read) == published
    for place in (0, len(read) // 2, len(read) - 2):
        rest = list(bus.subscribe(READING, read[place].replay_id, follow=False))
        seen = {event.payload["value"] for event in [*read[: place + 1], *rest]}
        assert len(rest) == len(published) - place - 1
        assert seen == set(published)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_tasks_that_wait_need_no_threads(bus: EventBus, settings: Settings) -> None:
    async def main() -> None:
        async with AsyncEventBus(settings) as events:
            one = await events.subscribe(EVENT)
            before = threads()
            many = [one, *[await events.subscribe(EVENT) for _ in range(60)]]
            tasks = [asyncio.create_task(take_one(subscription)) for subscription in many]
            await asyncio.sleep(0.1)
            # Those that begin and decode are few, and shared.
            assert threads() < before + 20
            await events.publish(EVENT, {"order_id": "A-7"})
            assert await asyncio.gather(*tasks) == ["A-7"] * 61

    asyncio.run(main())


def threads() -> int:
    """Return how many threads this process has, the client library's included."""
    return len(list(Path("/proc/self/task").iterdir()))


async def take_one(subscription: AsyncSubscription[Any]) -> str:
    event = await anext(subscription)
    return str(event.payload["order_id"])


def test_a_topic_made_again_does_not_keep_its_name_from_the_tail(
    bus: EventBus, settings: Settings, tmp_path: Path
) -> None:
    publish_orders(bus, 100)
    old = bus.subscribe(EVENT)
    apply_texts(settings, tmp_path / "none", "event: Other__e\nfields: []\n", prune=True)
    apply_texts(settings, tmp_path / "again", ORDER)
    with EventBus(settings) as publishing, bus.subscribe(EVENT) as new:
        publish_orders(publishing, 3)
        assert numbers(new, 3) == [0, 1, 2]
        # Even while somebody has the old one, whose offsets the new topic does not reach.
        assert read_until_live(new) == []
    old.close()


def test_a_second_reader_knows_of_partitions_that_have_nothing_more(bus: EventBus) -> None:
    """The time in its replay IDs moves with the events, though it was told no end itself."""
    bus.publish_many(READING, [{"sensor": f"s{n}", "value": n} for n in range(50)])
    with bus.subscribe(READING) as first:
        wait_until(lambda: ends_known(first) == 3)
        with bus.subscribe(READING) as second:
            event = None

            def has_time() -> bool:
                nonlocal event
                bus.publish(READING, {"sensor": "a", "value": 1})
                event = (second.take(1, 5.0) or [event])[-1]
                first.take(1, 5.0)
                return event is not None and event.replay_id.value > 0

            wait_until(has_time)


def ends_known(subscription: Subscription[Any]) -> int:
    subscription.take(1, 0.2)
    return sum(subscription._position._low_water._at_end)
