"""Subscribe, as a client sees it that sends and reads bytes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from platform_events.bus.bus import EventBus
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from platform_events.service import feeds as feeds_module
from platform_events.service import subscriber as subscriber_module
from platform_events.service import windows as windows_module
from platform_events.service.messages import CUSTOM, EARLIEST, LATEST, FetchRequest
from platform_events.service.refusals import MOST_HELD
from platform_events.settings import Settings
from tests.channels.samples import channel, event
from tests.service.pubsub import PATIENCE, Client, Served, failure, serving
from tests.service.subscribed import Subscribed, numbers, payloads, subscribed
from tests.support import (
    consume_raw,
    delete_before,
    delete_topic,
    produce_raw,
    wait_until,
)

A, KEYED, CHANNEL = "A__e", "Keyed__e", "All__chn"
TOPIC = f"/event/{A}"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def served(settings: Settings, define: Callable[..., None]) -> Iterator[Served]:
    define(event(A), event(KEYED, 3), channel(CHANNEL, A))
    with serving(settings) as target:
        yield target


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = Client(served)
    yield client
    client.close()


def publish(bus: EventBus, count: int, first: int = 0, name: str = A) -> None:
    results = bus.publish_many(name, [{"n": n} for n in range(first, first + count)])
    assert all(result.replay_id for result in results)


class TestFlow:
    def test_what_is_there_comes_in_order_and_as_many_as_were_asked_for(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 1_000)
        with subscribed(client, TOPIC, 7) as subscription:
            assert subscription.response().pending_num_requested == 7
            events = subscription.take(1_000, 7)
        assert numbers(bus, events) == list(range(1_000))
        assert len({one.event.id for one in events}) == 1_000
        assert [one.replay_id for one in events] == sorted(one.replay_id for one in events)
        read = list(bus.subscribe(A, follow=False))
        assert [one.event.id for one in events] == [one.event_id for one in read]
        assert [one.replay_id for one in events] == [one.replay_id for one in read]
        assert {one.event.schema_id for one in events} == {read[0].schema_id}

    def test_the_first_response_says_the_place_and_what_comes_later_is_sent(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 3)
        with subscribed(client, TOPIC, 2, LATEST) as subscription:
            first = subscription.response()
            assert (list(first.events), first.pending_num_requested) == ([], 2)
            publish(bus, 3, first=3)
            assert numbers(bus, subscription.take(2, 50)) == [3, 4]
            assert subscription.responses[-1].pending_num_requested == 0
            assert numbers(bus, subscription.take(1)) == [5]
        with subscribed(client, TOPIC, 9, CUSTOM, first.latest_replay_id) as again:
            assert numbers(bus, again.take(3)) == [3, 4, 5]

    def test_too_much_is_taken_as_the_most(self, client: Client, bus: EventBus) -> None:
        publish(bus, 300)
        with subscribed(client, TOPIC, 2**31 - 1) as subscription:
            assert subscription.response().pending_num_requested == 100
            while subscription.response().pending_num_requested:
                pass
            assert len(subscription.events) == 100
            for _ in range(3):
                subscription.ask(2**31 - 1)
            while len(subscription.events) < 300:
                subscription.response()
            assert numbers(bus, subscription.events) == list(range(300))

    def test_each_subscriber_has_its_own_pace(self, client: Client, bus: EventBus) -> None:
        publish(bus, 500)
        with (
            subscribed(client, TOPIC, 1) as slow,
            subscribed(client, TOPIC, 100) as quick,
        ):
            assert numbers(bus, slow.take(3, 1)) == [0, 1, 2]
            assert numbers(bus, quick.take(500)) == list(range(500))
            publish(bus, 500, first=500)
            assert numbers(bus, quick.take(500)) == list(range(500, 1_000))
            assert numbers(bus, slow.take(997)) == list(range(3, 1_000))

    def test_later_requests_change_neither_topic_nor_place(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 4)
        with subscribed(client, TOPIC, 1) as subscription:
            subscription.take(1, 1)
            subscription.ask(1, topic_name=TOPIC, replay_preset=CUSTOM, replay_id=b"nonsense")
            subscription.ask(1, replay_preset=LATEST, auth_refresh="x")
            assert numbers(bus, subscription.take(3)) == [1, 2, 3]

    def test_without_events_the_place_is_told_now_and_then(
        self, client: Client, bus: EventBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscriber_module, "KEEPALIVE_SECONDS", 0.05)
        publish(bus, 3)
        with subscribed(client, TOPIC, 5) as subscription:
            subscription.take(3)
            for _ in range(3):
                response = subscription.response()
                assert (list(response.events), response.pending_num_requested) == ([], 2)
                assert response.latest_replay_id == subscription.events[-1].replay_id

    def test_who_asks_for_nothing_more_is_let_go_with_an_error(
        self, client: Client, bus: EventBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscriber_module, "IDLE_SECONDS", 0.2)
        publish(bus, 2)
        with subscribed(client, TOPIC, 2) as subscription:
            status, code, _ = subscription.failure()
            assert len(subscription.events) == 2
        assert (status, code) == (grpc.StatusCode.UNAVAILABLE, "subscription.internal.error")

    def test_who_has_ended_its_side_has_the_call_ended_well(
        self, client: Client, bus: EventBus
    ) -> None:
        with subscribed(client, TOPIC, 100, LATEST) as subscription:
            subscription.response()
            subscription.half_close()
            assert list(subscription.call) == []
            assert subscription.call.code() is grpc.StatusCode.OK
        assert list(client.stream("Subscribe", [])) == []

    def test_large_events_come_in_several_responses(self, client: Client, bus: EventBus) -> None:
        bus.publish_many(A, [{"n": n, "text": "x" * 200_000} for n in range(12)])
        with subscribed(client, TOPIC, 100) as subscription:
            events = subscription.take(12)
            assert numbers(bus, events) == list(range(12))
            assert max(len(one.events) for one in subscription.responses) == 2


class TestStarts:
    def test_a_replay_id_goes_on_after_its_event_whole_or_cut(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 5)
        third = list(bus.subscribe(A, follow=False))[2].replay_id
        for replay_id in (third, third[:8], third[:8] + bytes(2)):
            with subscribed(client, TOPIC, 5, CUSTOM, bytes(replay_id)) as subscription:
                assert numbers(bus, subscription.take(2)) == [3, 4]

    def test_a_time_begins_with_what_was_stored_since(self, client: Client, bus: EventBus) -> None:
        publish(bus, 2)
        time.sleep(0.01)
        published = list(bus.subscribe(A, follow=False))[-1].published_at
        wait_until(lambda: time.time() > published.timestamp() + 0.005)
        publish(bus, 2, first=2)
        since = list(bus.subscribe(A, follow=False))[2].published_at
        for text in (since.isoformat(), str(round(since.timestamp() * 1000))):
            for preset in (LATEST, EARLIEST):
                with subscribed(client, TOPIC, 5, preset, pe_start_time=text) as subscription:
                    assert numbers(bus, subscription.take(2)) == [2, 3]
            with subscribed(
                client, TOPIC, 5, CUSTOM, bytes(10), pe_start_time=text
            ) as subscription:
                assert numbers(bus, subscription.take(4)) == [0, 1, 2, 3]

    def test_an_expired_one_says_what_is_gone_or_goes_on_as_was_wished(
        self, client: Client, bus: EventBus, settings: Settings
    ) -> None:
        publish(bus, 10)
        delete_before(settings, A, [6])
        read = list(bus.subscribe(A, follow=False))
        with subscribed(client, TOPIC, 5, CUSTOM, bytes(10)) as subscription:
            status, code, trailers = subscription.failure()
        assert (status, code) == (INVALID, "subscription.fetch.replayid.corrupted")
        assert trailers["pe-verdict"] == "EXPIRED"
        assert trailers["pe-events-lost"] == "6"
        earliest = trailers["pe-earliest-replay-id"]
        assert [one.event_id for one in bus.subscribe(A, earliest, False)] == [
            one.event_id for one in read
        ]
        options: dict[str, Any] = {"pe_on_expired": "earliest"}
        with subscribed(client, TOPIC, 5, CUSTOM, bytes(10), **options) as subscription:
            assert numbers(bus, subscription.take(4)) == [6, 7, 8, 9]
        options = {"pe_on_expired": "latest"}
        with subscribed(client, TOPIC, 5, CUSTOM, bytes(10), **options) as subscription:
            subscription.response()
            publish(bus, 1, first=10)
            assert numbers(bus, subscription.take(1)) == [10]

    def test_a_stream_of_several_partitions_goes_on_after_any_event(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 200, name=KEYED)
        topic = f"/event/{KEYED}"
        with subscribed(client, topic, 100) as subscription:
            events = subscription.take(200)
            assert sorted(numbers(bus, events)) == list(range(200))
            publish(bus, 100, first=200, name=KEYED)
            events += subscription.take(100)
        assert sorted(numbers(bus, events)) == list(range(300))
        for at in (0, 77, 199, 298):
            with subscribed(client, topic, 100, CUSTOM, events[at].replay_id) as again:
                rest = again.take(299 - at)
            seen = numbers(bus, [*events[: at + 1], *rest])
            assert sorted(seen) == list(range(300))


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            (FetchRequest(num_requested=1), "topic.validation.empty"),
            (FetchRequest(topic_name=TOPIC), "subscription.fetch.requested.events.invalid"),
            (
                FetchRequest(topic_name=TOPIC, num_requested=-5),
                "subscription.fetch.requested.events.invalid",
            ),
            (
                FetchRequest(topic_name=TOPIC, num_requested=1, replay_preset=CUSTOM),
                "subscription.fetch.replayid.validation.failed",
            ),
            (
                FetchRequest(topic_name=TOPIC, num_requested=1, replay_preset=7),
                "subscription.fetch.request.invalid",
            ),
            (
                FetchRequest(
                    topic_name=TOPIC, num_requested=1, replay_preset=CUSTOM, replay_id=b"abc"
                ),
                "subscription.fetch.replayid.corrupted",
            ),
            (
                FetchRequest(
                    topic_name=TOPIC,
                    num_requested=1,
                    replay_preset=CUSTOM,
                    replay_id=b"\0" * 7 + b"\x63\x01\x02",
                ),
                "subscription.fetch.replayid.corrupted",
            ),
            (b"\xff\xff\xff", "subscription.fetch.request.invalid"),
        ],
    )
    def test_a_first_request_that_is_wrong_is_refused(
        self, client: Client, request_: Any, code: str
    ) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            list(client.stream("Subscribe", [request_]))
        assert failure(caught.value)[:2] == (INVALID, code)

    @pytest.mark.parametrize("name", ["/event/Nothing__e", "A__e", "/data/A__e", "x" * 9_000])
    def test_an_unknown_topic_is_not_found(self, client: Client, name: str) -> None:
        with subscribed(client, name) as subscription:
            status, code, _ = subscription.failure()
        assert (status, code) == (grpc.StatusCode.NOT_FOUND, "topic.not.found")

    @pytest.mark.parametrize(
        "metadata",
        [
            {"pe_start_time": "yesterday"},
            {"pe_start_time": "2026-01-31T12:00:00"},
            {"pe_start_time": "9" * 30},
            {"pe_on_expired": "never"},
        ],
    )
    def test_metadata_that_says_nothing_is_refused(
        self, client: Client, metadata: dict[str, Any]
    ) -> None:
        with subscribed(client, TOPIC, **metadata) as subscription:
            status, code, _ = subscription.failure()
        assert (status, code) == (INVALID, "subscription.fetch.request.invalid")

    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            (FetchRequest(num_requested=0), "subscription.fetch.requested.events.invalid"),
            (
                FetchRequest(topic_name="/event/B__e", num_requested=1),
                "subscription.fetch.topic.mismatch",
            ),
            (b"\xff", "subscription.fetch.request.invalid"),
        ],
    )
    def test_a_later_one_that_is_wrong_ends_the_call(
        self, client: Client, request_: Any, code: str
    ) -> None:
        with subscribed(client, TOPIC, 5, LATEST) as subscription:
            subscription.response()
            subscription.send(request_)
            assert subscription.failure()[:2] == (INVALID, code)

    def test_refusals_need_no_client_and_few_questions_and_hold_up_nobody_else(
        self, client: Client, bus: EventBus, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(bus, 3)
        asked = []
        watermarks = type(bus.admin).watermarks
        monkeypatch.setattr(
            type(bus.admin), "watermarks", lambda *a: (asked.append(1), watermarks(*a))[1]
        )
        monkeypatch.setattr(served.subscribing._refusals, "delay", lambda who: 0.0)
        opened = []
        reading = feeds_module.Reading
        monkeypatch.setattr(feeds_module, "Reading", lambda *a: (opened.append(1), reading(*a))[1])
        refused = [Subscribed(client, TOPIC, 5, CUSTOM, b"12345") for _ in range(60)]
        for one in refused:
            assert one.failure()[1] == "subscription.fetch.replayid.corrupted"
            one.cancel()
        assert not opened
        assert len(asked) < 40
        with subscribed(client, TOPIC, 5) as subscription:
            assert numbers(bus, subscription.take(3)) == [0, 1, 2]

    def test_who_is_refused_again_waits_and_others_do_not(
        self, client: Client, bus: EventBus
    ) -> None:
        publish(bus, 1)
        refused = [Subscribed(client, TOPIC, 5, CUSTOM, b"12345") for _ in range(4)]
        with subscribed(client, TOPIC, 5) as subscription:
            assert numbers(bus, subscription.take(1)) == [0]
        assert not all(one.call.done() for one in refused)
        for one in refused:
            one.failure()
            one.cancel()

    def test_who_does_not_wait_for_refusals_is_judged_once(
        self, client: Client, bus: EventBus, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begin = type(served.subscribing)._begin
        judged = []
        monkeypatch.setattr(
            type(served.subscribing), "_begin", lambda *a: (judged.append(1), begin(*a))[1]
        )
        delays = iter([0.0])
        monkeypatch.setattr(
            served.subscribing._refusals, "delay", lambda who: next(delays, PATIENCE)
        )
        held = served.subscribing._held._held
        # The first is not held back.
        waiting = [Subscribed(client, TOPIC, 5, CUSTOM, b"12345") for _ in range(MOST_HELD + 1)]
        wait_until(lambda: [count for count, _ in held.values()] == [MOST_HELD])
        assert len(judged) == MOST_HELD + 1
        for _ in range(30):
            with subscribed(client, TOPIC, 5, CUSTOM, b"12345") as one:
                status, code, trailers = one.failure()
            assert (status, code) == (INVALID, "subscription.fetch.replayid.corrupted")
            assert trailers["pe-verdict"] == "CORRUPTED"
        assert len(judged) == MOST_HELD + 1
        with subscribed(client, TOPIC, 5, EARLIEST) as other:
            other.response()
        for one in waiting:
            one.cancel()
        wait_until(lambda: not held)


class TestContents:
    def test_a_publisher_s_headers_and_event_id_come_too(
        self, client: Client, bus: EventBus
    ) -> None:
        bus.publish(A, {"n": 1}, headers={"x": "y", "empty": None}, event_id="mine")
        with subscribed(client, TOPIC, 5) as subscription:
            (one,) = subscription.take(1)
        assert one.event.id == "mine"
        assert [(header.key, header.value) for header in one.event.headers] == [
            ("x", b"y"),
            ("empty", b""),
        ]

    def test_records_of_other_software_are_judged(
        self,
        client: Client,
        bus: EventBus,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        bus.publish(A, {"n": 1})
        (record,) = consume_raw(settings, A, 1)
        body = record.value()
        assert body is not None
        schema = ("__value_schema_id", dict(record.headers() or ())["__value_schema_id"])
        own: list[tuple[str, Any]] = [
            ("ce_id", b"\xff\xfe"), schema, ("ce_type", A.encode()), ("x", b"z"),
        ]  # fmt: skip
        for value, headers in (
            (body, [schema, ("x", b"y")]),
            (body + b"?", [schema]),
            (body, []),
            (None, [schema]),
            (body, [("__value_schema_id", b"\x01" + b"?" * 16)]),
            (body, own),
            (body[:-1], [schema]),
        ):
            produce_raw(settings, A, value, headers)
        bus.publish(A, {"n": 2})
        read = list(bus.subscribe(A, follow=False, on_undecodable="skip"))
        with subscribed(client, TOPIC, 100) as subscription:
            events = subscription.take(4)
        assert numbers(bus, events) == [1, 1, 1, 2]
        assert [one.event.id for one in events] == [one.event_id for one in read]
        assert [one.replay_id for one in events] == [one.replay_id for one in read]
        assert [[h.key for h in one.event.headers] for one in events] == [[], ["x"], ["x"], []]
        skipped = [one for one in caplog.messages if one.startswith("skipped: ")]
        assert len([one for one in skipped if "offset 2 " in one]) >= 1

    def test_a_channel_has_the_bytes_of_its_members(
        self, client: Client, bus: EventBus, settings: Settings
    ) -> None:
        with (
            RouterThread(Router(settings)),
            subscribed(client, f"/event/{CHANNEL}", 100) as subscription,
        ):
            publish(bus, 150)
            events = subscription.take(150)
            publish(bus, 50, first=150)
            events += subscription.take(50)
            assert numbers(bus, events) == list(range(200))
            with subscribed(
                client, f"/event/{CHANNEL}", 100, CUSTOM, events[120].replay_id
            ) as again:
                assert numbers(bus, again.take(79)) == list(range(121, 200))
        with subscribed(client, TOPIC, 100) as member:
            for one, original in zip(events, member.take(200), strict=True):
                assert one.event == original.event

    def test_each_event_is_told_with_the_schema_that_it_was_written_with(
        self, client: Client, bus: EventBus, settings: Settings, define: Callable[..., None]
    ) -> None:
        bus.publish(A, {"n": 1})
        with subscribed(client, TOPIC, 100) as subscription:
            subscription.take(1)
            define(
                event(A) + "  - {name: more, type: long, optional: true}\n",
                event(KEYED, 3), channel(CHANNEL, A),
            )  # fmt: skip
            with EventBus(settings) as newer:
                newer.publish(A, {"n": 2, "more": 3})
            events = subscription.events[:1] + subscription.take(1)
            first, second = payloads(bus, events)
        assert events[0].event.schema_id != events[1].event.schema_id
        assert "more" not in first
        assert (second["n"], second["more"]) == (2, 3)


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


class TestWhatBecomesOfTheStream:
    def test_one_that_is_deleted_is_not_found(
        self, client: Client, bus: EventBus, settings: Settings
    ) -> None:
        with subscribed(client, TOPIC, 100, LATEST) as subscription:
            subscription.response()
            delete_topic(settings, A)
            status, code, _ = subscription.failure()
        assert (status, code) == (grpc.StatusCode.NOT_FOUND, "topic.not.found")

    def test_one_that_is_made_again_is_another(
        self, client: Client, bus: EventBus, settings: Settings, define: Callable[..., None]
    ) -> None:
        publish(bus, 5)
        with subscribed(client, TOPIC, 100) as subscription:
            events = subscription.take(5)
            delete_topic(settings, A)
            define(event(A), event(KEYED, 3), channel(CHANNEL, A))
            status, code, trailers = subscription.failure()
        assert (status, code) in (
            (INVALID, "subscription.fetch.replayid.corrupted"),
            (grpc.StatusCode.NOT_FOUND, "topic.not.found"),
        )
        if status is INVALID:
            assert trailers["pe-verdict"] == "RECREATED"
        with subscribed(client, TOPIC, 100, CUSTOM, events[2].replay_id) as again:
            _, code, trailers = again.failure()
        assert code == "subscription.fetch.replayid.corrupted"
        assert trailers["pe-verdict"] == "RECREATED"
        with EventBus(settings) as newer, subscribed(client, TOPIC, 100) as again:
            publish(newer, 2, first=50)
            assert numbers(bus, again.take(2)) == [50, 51]

    @pytest.mark.parametrize("on_expired", ["fail", "earliest"])
    def test_retention_that_overtakes_a_reader(
        self,
        client: Client,
        bus: EventBus,
        settings: Settings,
        served: Served,
        monkeypatch: pytest.MonkeyPatch,
        on_expired: str,
    ) -> None:
        monkeypatch.setattr(windows_module, "AHEAD_EVENTS", 1)
        monkeypatch.setattr(feeds_module, "_IDLE_AFTER", 0.0)
        publish(bus, 5_000)
        with subscribed(client, TOPIC, 1, pe_on_expired=on_expired) as subscription:
            subscription.take(1, 1)
            (stream,) = served.subscribing._streams
            # What the reader had is closed with it, and it begins again at its place.
            wait_until(lambda: all(one._reading is None for one in stream._feed_of.values()))
            delete_before(settings, A, [4_990])
            if on_expired == "fail":
                subscription.goes_on = True
                status, code, trailers = subscription.failure()
                assert (status, code) == (INVALID, "subscription.fetch.replayid.corrupted")
                assert trailers["pe-verdict"] == "EXPIRED"
            else:
                while numbers(bus, subscription.take(1))[0] != 4_999:
                    pass
                read = numbers(bus, subscription.events)
                gap = read.index(4_990)
                assert read == [*range(gap), *range(4_990, 5_000)]

    def test_partitions_that_it_gains_are_read_from_their_beginning(
        self, client: Client, bus: EventBus, define: Callable[..., None], settings: Settings
    ) -> None:
        topic = f"/event/{KEYED}"
        publish(bus, 30, name=KEYED)
        with subscribed(client, topic, 100) as subscription:
            events = subscription.take(30)
            define(event(A), event(KEYED, 5), channel(CHANNEL, A), allow_growth=True)
            with EventBus(settings) as newer:
                publish(newer, 100, first=30, name=KEYED)
            events += subscription.take(100)
            assert sorted(numbers(bus, events)) == list(range(130))
            with subscribed(client, topic, 100, CUSTOM, events[-20].replay_id) as again:
                assert sorted(numbers(bus, [*events[:-19], *again.take(19)])) == list(range(130))


class TestTheEnd:
    def test_draining_tells_the_place_and_that_it_is_no_end(
        self, client: Client, bus: EventBus, served: Served
    ) -> None:
        publish(bus, 5)
        idle = Subscribed(client, TOPIC, 100, LATEST)
        reading = Subscribed(client, TOPIC, 3)
        idle.response()
        reading.take(2)
        while len(reading.events) < 3:
            reading.response()
        served.run(served.subscribing.drain())
        for one, place in ((idle, None), (reading, reading.events[2].replay_id)):
            status, code, _ = one.failure()
            assert (status, code) == (grpc.StatusCode.UNAVAILABLE, "subscription.internal.error")
            last = one.responses[-1]
            assert list(last.events) == [] or place is None
            if place is not None and len(one.events) == 3:
                assert last.latest_replay_id == place
            one.cancel()
        with subscribed(client, TOPIC) as late:
            assert late.failure()[0] is grpc.StatusCode.UNAVAILABLE

    def test_draining_waits_neither_for_a_first_request_nor_for_refusals_held_back(
        self, client: Client, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = threading.Event()

        def delay(_: object) -> float:
            held.set()
            return 3_600.0

        monkeypatch.setattr(served.subscribing._refusals, "delay", delay)
        refused = Subscribed(client, TOPIC, 5, CUSTOM, b"12345")
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        silent = client.stream("Subscribe", iter(requests.get, "over"))
        assert held.wait(PATIENCE)
        wait_until(lambda: len(served.subscribing._waits) == 2)
        served.run(served.subscribing.drain())
        with pytest.raises(grpc.RpcError) as caught:
            next(silent)
        requests.put("over")
        for status, code, _ in (failure(caught.value), refused.failure()):
            assert (status, code) == (grpc.StatusCode.UNAVAILABLE, "subscription.internal.error")
        refused.cancel()

    def test_draining_does_not_wait_for_a_client_that_does_not_read(
        self, client: Client, bus: EventBus, served: Served
    ) -> None:
        bus.publish_many(A, [{"n": n, "text": "x" * 100_000} for n in range(100)])
        with subscribed(client, TOPIC) as subscription:
            subscription.response()
            served.run(served.subscribing.drain())
            wait_until(lambda: not served.subscribing._subscribers)

    def test_a_client_that_goes_leaves_no_trace_in_the_log(
        self, client: Client, bus: EventBus, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(bus, 2_000)
        for number in range(20):
            subscription = Subscribed(client, TOPIC, 100, number % 2)
            if number % 4:
                subscription.response()
            subscription.cancel()
        wait_until(lambda: not served.subscribing._subscribers)
        assert [one for one in caplog.records if one.levelname in ("ERROR", "CRITICAL")] == []


def test_nonsense_never_is_the_service_s_failure(
    client: Client, caplog: pytest.LogCaptureFixture, served: Served
) -> None:
    served.subscribing._refusals.delay = lambda who: 0.0  # type: ignore[method-assign]

    @hypothesis_settings(max_examples=150)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=60),
                st.builds(
                    lambda topic, number, preset, replay_id: FetchRequest(
                        topic_name=topic,
                        num_requested=number,
                        replay_preset=preset,
                        replay_id=replay_id,
                    ).SerializeToString(),
                    st.sampled_from(["", TOPIC, "/event/B__e", "é"]),
                    st.integers(-(2**31), 2**31 - 1),
                    st.integers(-1, 4),
                    st.binary(max_size=20),
                ),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def fuzz(requests: list[bytes]) -> None:
        call = client.stream("Subscribe", requests)
        try:
            list(call)
        except grpc.RpcError as error:
            status, code, trailers = failure(error)
            assert status in (INVALID, grpc.StatusCode.NOT_FOUND), code
            assert trailers["rpc-id"]

    fuzz()
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
