"""Subscribe, as a client sees it that sends and reads bytes: requests, responses and refusals."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from platform_events.bus.bus import EventBus
from platform_events.service import feeds as feeds_module
from platform_events.service import subscriber as subscriber_module
from platform_events.service.messages import CUSTOM, EARLIEST, LATEST, FetchRequest
from platform_events.service.refusals import MOST_HELD
from platform_events.settings import Settings
from tests.service.pubsub import PATIENCE, Client, Served, failure
from tests.service.subscribed import (
    INVALID,
    KEYED,
    TOPIC,
    A,
    Subscribed,
    numbers,
    publish,
    subscribed,
)
from tests.support import (
    delete_before,
    wait_until,
)


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
