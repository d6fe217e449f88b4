"""Many subscribers of one stream, which come and go, fast and slow: each has every event once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from platform_events.bus.bus import EventBus
from platform_events.service import windows as windows_module
from platform_events.service.messages import CUSTOM, EARLIEST, LATEST
from tests.service.pubsub import PATIENCE, Client, Served
from tests.service.subscribed import (
    TOPIC,
    A,
    Subscribed,
    numbers,
    publish,
    subscribed,
)
from tests.support import (
    wait_until,
)


class Company:
    """Threads that read and publish at the same time."""

    def __init__(self, client: Client, bus: EventBus, count: int) -> None:
        self._client, self._bus = client, bus
        self.count = count
        """How many events there are."""
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, work: Callable[[], None]) -> None:
        def do() -> None:
            try:
                work()
            except BaseException as error:
                self.failures.append(error)
                raise

        self._threads.append(threading.Thread(target=do))
        self._threads[-1].start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE * 2)

    def publish(self) -> None:
        while not self._stop.is_set():
            publish(self._bus, 20, first=self.count)
            self.count += 20

    def read(self, number: int, preset: int, replay_id: bytes, expected: int | None) -> None:
        with subscribed(self._client, TOPIC, number, preset, replay_id) as subscription:
            while expected is None or not self._stop.is_set() or expected < self.count:
                (one,) = numbers(self._bus, subscription.take(1, number))
                assert expected in (one, None)
                expected = one + 1


class TestCompany:
    def test_a_window_of_large_events_has_few_of_them(
        self, client: Client, bus: EventBus, served: Served
    ) -> None:
        """They take next to nothing in Kafka, which is what the reader's own memory is bound by."""
        bus.publish_many(A, [{"n": n, "text": "x" * 100_000} for n in range(200)])

        async def kept() -> int:
            (stream,) = served.subscribing._streams
            return sum(window._bytes[-1] - window._bytes[0] for window in stream._windows)

        with subscribed(client, TOPIC, 10) as subscription:
            for _ in range(20):
                subscription.take(10, 10)
                assert served.run(kept()) <= windows_module.MOST_BYTES
        assert numbers(bus, subscription.events) == list(range(200))

    def test_who_comes_while_others_read_misses_and_repeats_nothing(
        self, client: Client, bus: EventBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Replays at many places, the latest and slow ones, in small windows, while it goes on."""
        monkeypatch.setattr(windows_module, "MOST_EVENTS", 300)
        monkeypatch.setattr(windows_module, "AHEAD_EVENTS", 150)
        monkeypatch.setattr(windows_module, "KEPT_EVENTS", 50)
        publish(bus, 3_000)
        ids = [bytes(one.replay_id) for one in bus.subscribe(A, follow=False)]
        company = Company(client, bus, 3_000)
        for number, start in ((100, 0), (9, 0), (100, 900), (50, 2_500), (100, 2_950)):
            replay_id = ids[start - 1] if start else bytes(10)
            company.begin(lambda n=number, r=replay_id, s=start: company.read(n, CUSTOM, r, s))
        for _ in range(3):
            company.begin(lambda: company.read(100, LATEST, b"", None))
        company.begin(company.publish)
        wait_until(lambda: company.count > 4_500 or bool(company.failures))
        company.end()
        assert not company.failures

    def test_those_at_the_same_place_are_served_by_one_reader(
        self, client: Client, bus: EventBus, served: Served
    ) -> None:
        publish(bus, 10)
        subscriptions = [Subscribed(client, TOPIC, 100, LATEST) for _ in range(20)]
        for one in subscriptions:
            one.response()
        publish(bus, 150, first=10)
        for one in subscriptions:
            assert numbers(bus, one.take(150)) == list(range(10, 160))
        (stream,) = served.subscribing._streams
        assert len(stream._feed_of) == 1
        for one in subscriptions:
            one.cancel()
        wait_until(lambda: not served.subscribing._streams)

    def test_nothing_is_left_when_the_last_has_gone(
        self, client: Client, bus: EventBus, served: Served
    ) -> None:
        publish(bus, 500)
        for preset in (EARLIEST, LATEST):
            subscription = Subscribed(client, TOPIC, 10, preset)
            subscription.response()
            subscription.cancel()
            wait_until(lambda: not served.subscribing._subscribers)
            wait_until(lambda: not served.subscribing._streams)
