"""Subscribe, as a client sees it: what streams have, what becomes of them and of the service."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
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
from platform_events.service import windows as windows_module
from platform_events.service.messages import CUSTOM, LATEST, FetchRequest
from platform_events.settings import Settings
from tests.channels.samples import channel, event
from tests.service.pubsub import PATIENCE, Client, Served, failure
from tests.service.subscribed import (
    CHANNEL,
    INVALID,
    KEYED,
    TOPIC,
    A,
    Subscribed,
    numbers,
    payloads,
    publish,
    subscribed,
)
from tests.support import (
    consume_raw,
    delete_before,
    delete_topic,
    produce_raw,
    wait_until,
)


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
