from __future__ import annotations

import itertools
import secrets
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.subscription import Subscription
from platform_events.bus.values import Event, Start
from platform_events.catalog.apply import apply, plan_options
from platform_events.catalog.live import Catalog
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import (
    ClosedError,
    StreamDeletedError,
    StreamRecreatedError,
    UndecodableRecordError,
    UnknownStreamError,
    UsageError,
)
from platform_events.payloads.codec import PayloadEncoder
from platform_events.replay import (
    ReplayCorruptedError,
    ReplayExpiredError,
    ReplayFutureError,
    ReplayId,
    ReplayRecreatedError,
    ReplayWrongStreamError,
    encode_offset,
)
from platform_events.settings import Settings
from tests.support import (
    KEYED,
    ORDER,
    apply_texts,
    consume_raw,
    delete_before,
    delete_topic,
    load,
    produce_many,
    produce_raw,
    topic_of,
    wait_until,
)

EVENT = "Order_Placed__e"
READING = "Reading_Taken__e"


def publish_orders(bus: EventBus, count: int, first: int = 0) -> list[ReplayId]:
    results = bus.publish_many(
        EVENT, ({"order_id": f"A-{number}"} for number in range(first, first + count))
    )
    replay_ids = [result.replay_id for result in results]
    assert None not in replay_ids
    return replay_ids  # type: ignore[return-value]


def orders(subscription: Subscription[dict[str, Any]]) -> list[int]:
    return [int(event.payload["order_id"][2:]) for event in subscription]


class TestStart:
    def test_default_is_earliest_to_the_end_as_it_is_at_the_call(self, bus: EventBus) -> None:
        publish_orders(bus, 5)
        subscription = bus.subscribe(EVENT, follow=False)
        publish_orders(bus, 5, first=5)
        assert orders(subscription) == [0, 1, 2, 3, 4]

    def test_latest_sees_what_is_published_after_subscribe_returned(self, bus: EventBus) -> None:
        publish_orders(bus, 3)
        with bus.subscribe(EVENT) as subscription:
            publish_orders(bus, 1, first=3)
            assert next(subscription).payload["order_id"] == "A-3"

    def test_an_empty_stream_ends_at_once(self, bus: EventBus) -> None:
        assert orders(bus.subscribe(EVENT, follow=False)) == []
        assert orders(bus.subscribe(READING, follow=False)) == []

    @pytest.mark.parametrize("form", ["object", "text", "bytes", "cut to 8 bytes"])
    def test_a_replay_id_goes_on_after_its_event(self, bus: EventBus, form: str) -> None:
        replay_id = publish_orders(bus, 10)[6]
        start = {
            "object": replay_id,
            "text": str(replay_id),
            "bytes": bytes(replay_id),
            "cut to 8 bytes": bytes(replay_id[:8]),
        }[form]
        assert orders(bus.subscribe(EVENT, start=start, follow=False)) == [7, 8, 9]

    def test_the_last_event_s_id_is_the_end(self, bus: EventBus) -> None:
        replay_id = publish_orders(bus, 3)[-1]
        assert orders(bus.subscribe(EVENT, start=replay_id, follow=False)) == []

    def test_a_time_starts_with_the_first_event_stored_at_or_after_it(self, bus: EventBus) -> None:
        publish_orders(bus, 3)
        *_, last = bus.subscribe(EVENT, follow=False)
        wait_until(lambda: datetime.now(UTC) > last.published_at + timedelta(milliseconds=5))
        publish_orders(bus, 2, first=3)
        since = last.published_at + timedelta(milliseconds=1)
        assert orders(bus.subscribe(EVENT, start=since, follow=False)) == [3, 4]
        long_ago = datetime(2001, 1, 1, tzinfo=UTC)
        assert orders(bus.subscribe(EVENT, start=long_ago, follow=False)) == [0, 1, 2, 3, 4]
        later = datetime.now(UTC) + timedelta(hours=1)
        assert orders(bus.subscribe(EVENT, start=later, follow=False)) == []

    def test_what_is_no_start_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(UsageError, match="time zone"):
            bus.subscribe(EVENT, start=datetime(2024, 1, 1))  # noqa: DTZ001
        with pytest.raises(UsageError, match="neither"):
            bus.subscribe(EVENT, start=5)  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="on_expired"):
            bus.subscribe(EVENT, on_expired="never")  # type: ignore[call-overload]
        with pytest.raises(UnknownStreamError):
            bus.subscribe("/event/Nothing__e")


class TestVerdicts:
    def test_expired_by_deletion(self, bus: EventBus, settings: Settings) -> None:
        ids = publish_orders(bus, 10)
        delete_before(settings, EVENT, [6])
        with pytest.raises(ReplayExpiredError) as caught:
            bus.subscribe(EVENT, start=ids[2], follow=False)
        assert caught.value.lost == 3
        assert caught.value.replay_id == ids[2]
        resumed = bus.subscribe(EVENT, start=caught.value.earliest, follow=False)
        assert orders(resumed) == [6, 7, 8, 9]
        assert orders(bus.subscribe(EVENT, start=ids[5], follow=False)) == [6, 7, 8, 9]

    def test_expired_goes_where_the_subscriber_chose(
        self, bus: EventBus, settings: Settings
    ) -> None:
        ids = publish_orders(bus, 10)
        delete_before(settings, EVENT, [6])
        for choice, expected in (("earliest", [6, 7, 8, 9]), ("latest", [])):
            subscription = bus.subscribe(EVENT, ids[2], False, choice)  # type: ignore[call-overload]
            assert orders(subscription) == expected

    def test_expired_by_retention(self, settings: Settings, bus: EventBus, tmp_path: Any) -> None:
        apply_texts(settings, tmp_path / "short", ORDER.replace(
            "fields:", "retention: 1s\nfields:"), KEYED)  # fmt: skip
        first = publish_orders(bus, 1)[0]
        publish_orders(bus, 20, first=1)

        def expired() -> bool:
            publish_orders(bus, 1)
            try:
                bus.subscribe(EVENT, start=first, follow=False).close()
            except ReplayExpiredError as error:
                return error.lost >= 20
            return False

        wait_until(expired, 60)

    def test_retention_overtakes_a_slow_subscriber(self, bus: EventBus, settings: Settings) -> None:
        # Random, so that compression does not let all of it be fetched beforehand.
        bus.publish_many(
            EVENT, ({"order_id": "A-0", "note": secrets.token_hex(25_000)} for _ in range(1500))
        )
        slow = bus.subscribe(EVENT, start=Start.EARLIEST)
        willing = bus.subscribe(EVENT, start=Start.EARLIEST, on_expired="earliest")
        next(slow), next(willing)
        delete_before(settings, EVENT, [1499])
        with pytest.raises(ReplayExpiredError) as caught:
            for _ in slow:
                pass
        assert 0 < caught.value.lost < 1499
        seen = 1
        last = next(willing)
        while last.replay_id.value != 1500:
            last = next(willing)
            seen += 1
        assert seen < 1500
        slow.close(), willing.close()

    def test_recreated(self, bus: EventBus, settings: Settings, tmp_path: Any) -> None:
        old = publish_orders(bus, 3)[0]
        apply_texts(settings, tmp_path / "none", KEYED, prune=True)
        apply_texts(settings, tmp_path / "again", ORDER, KEYED)
        wait_until(lambda: publishable(bus))
        with pytest.raises(ReplayRecreatedError, match="created again"):
            bus.subscribe(EVENT, start=old)

    def test_future(self, bus: EventBus) -> None:
        (last,) = publish_orders(bus, 1)
        beyond = encode_offset(last.value + 5, last.tag)
        with pytest.raises(ReplayFutureError, match="5 events past the end"):
            bus.subscribe(EVENT, start=beyond)

    def test_wrong_stream(self, bus: EventBus, settings: Settings, tmp_path: Any) -> None:
        (foreign,) = publish_orders(bus, 1)
        with pytest.raises(ReplayWrongStreamError):
            bus.subscribe(READING, start=foreign)
        elsewhere = encode_offset(0, foreign.tag ^ 1)
        with pytest.raises(ReplayWrongStreamError):
            bus.subscribe(EVENT, start=elsewhere)

    @pytest.mark.parametrize("start", [b"random bytes!", "", "%%%", b"\xff" * 10, "A" * 10**7])
    def test_corrupted(self, bus: EventBus, start: bytes | str) -> None:
        with pytest.raises(ReplayCorruptedError):
            bus.subscribe(EVENT, start=start)


def publishable(bus: EventBus) -> bool:
    return bus.publish_many(EVENT, [{"order_id": "A-1"}])[0].replay_id is not None


class TestReading:
    def test_position_resumes_without_loss_or_repetition(self, bus: EventBus) -> None:
        publish_orders(bus, 1000)
        with bus.subscribe(EVENT, follow=False) as subscription:
            assert orders(bus.subscribe(EVENT, subscription.position, False)) == list(range(1000))
            first = [next(subscription) for _ in range(333)]
            position = subscription.position
        assert position == first[-1].replay_id
        assert orders(bus.subscribe(EVENT, position, False)) == list(range(333, 1000))

    def test_batches_wait_for_their_first_event_only(self, bus: EventBus) -> None:
        publish_orders(bus, 1050)
        sizes, seen = [], 0
        with bus.subscribe(EVENT, follow=False) as subscription:
            for batch in subscription.batches(100):
                sizes.append(len(batch))
                assert int(batch[0].payload["order_id"][2:]) == seen
                seen += len(batch)
                assert subscription.position == batch[-1].replay_id
        assert seen == 1050
        assert max(sizes) == 100
        with bus.subscribe(EVENT) as live:
            publish_orders(bus, 1)
            assert len(next(live.batches(100))) == 1
        with pytest.raises(UsageError):
            next(bus.subscribe(EVENT).batches(0))

    def test_closing_ends_a_waiting_reader(self, bus: EventBus) -> None:
        subscription = bus.subscribe(EVENT)
        raised: list[BaseException] = []

        def read() -> None:
            try:
                next(subscription)
            except ClosedError as error:
                raised.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        subscription.close()
        thread.join(20)
        assert len(raised) == 1
        with pytest.raises(ClosedError):
            next(subscription)

    def test_transactions_of_other_software_leave_gaps_only(
        self, bus: EventBus, settings: Settings
    ) -> None:
        publish_orders(bus, 1)
        (template,) = consume_raw(settings, EVENT, 1)
        from confluent_kafka import Producer

        producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "transactional.id": f"test-{settings.tenant}",
            }
        )
        producer.init_transactions(20)
        for commit in (True, False, True):
            producer.begin_transaction()
            producer.produce(
                topic_of(settings, EVENT), template.value(), headers=template.headers()
            )
            producer.flush(10)
            producer.commit_transaction() if commit else producer.abort_transaction()
        assert orders(bus.subscribe(EVENT, follow=False)) == [0, 0, 0]
        publish_orders(bus, 1, first=7)
        last = [event.replay_id for event in bus.subscribe(EVENT, follow=False)][-2]
        assert orders(bus.subscribe(EVENT, last, False)) == [7]


class TestForeignRecords:
    def test_a_record_without_cloudevents_headers_is_delivered(
        self, bus: EventBus, settings: Settings
    ) -> None:
        bus.publish(EVENT, {"order_id": "A-7"})
        (message,) = consume_raw(settings, EVENT, 1)
        schema = dict(message.headers() or ())["__value_schema_id"]
        produce_raw(settings, EVENT, message.value(), {"__value_schema_id": schema, "x": b"y"})
        read = [list(bus.subscribe(EVENT, follow=False))[1] for _ in range(2)]
        assert read[0].payload["order_id"] == "A-7"
        assert read[0].type == EVENT
        assert read[0].headers == {"x": b"y"}
        assert read[0].event_id == read[1].event_id != ""

    def test_type_and_id_are_the_same_whatever_the_order_of_headers(
        self, bus: EventBus, settings: Settings
    ) -> None:
        publish_orders(bus, 1)
        (message,) = consume_raw(settings, EVENT, 1)
        schema = ("__value_schema_id", dict(message.headers() or ())["__value_schema_id"])
        event_id, type_ = ("ce_id", b"mine"), ("ce_type", b"Other")
        kinds: list[tuple[tuple[str, Any], ...]] = [
            (schema,),
            (schema, event_id),
            (schema, type_),
            (schema, event_id, type_),
            (schema, ("ce_id", None), ("ce_type", b"")),
        ]
        for kind in kinds:
            for headers in itertools.permutations((*kind, ("x", None))):
                produce_raw(settings, EVENT, message.value(), list(headers))
        first, *read = bus.subscribe(EVENT, follow=False)
        again = list(bus.subscribe(EVENT, first.replay_id, False))
        assert [event.event_id for event in again] == [event.event_id for event in read]
        for kind in kinds:
            given = dict(kind)
            for _ in itertools.permutations((*kind, ("x", None))):
                event = read.pop(0)
                assert event.type == (given.get("ce_type") or EVENT.encode()).decode()
                if given.get("ce_id"):
                    assert event.event_id == "mine"
                else:
                    assert uuid.UUID(event.event_id).version == 5
                assert event.headers == {"x": None}
        assert not read

    def test_an_unknown_schema_is_asked_for_once_a_batch(
        self, bus: EventBus, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        schema = Catalog.schema
        monkeypatch.setattr(
            Catalog, "schema", lambda *a, **k: (asked.append(a[1]), schema(*a, **k))[1]
        )
        publish_orders(bus, 1)
        produce_many(settings, EVENT, 500, [("__value_schema_id", b"\x01" + b"?" * 16)])
        publish_orders(bus, 1, first=1)
        with bus.subscribe(EVENT, follow=False, on_undecodable="skip") as subscription:
            assert orders(subscription) == [0, 1]
        assert 1 <= asked.count(schema_id_from_guid(b"?" * 16)) <= 5

    def test_a_schema_applied_after_it_was_asked_for_is_found(
        self, bus: EventBus, settings: Settings, tmp_path: Path
    ) -> None:
        """Whoever writes events right after an apply finds readers that know their schema."""
        newer = load(tmp_path / "newer", ORDER + "  - {name: more, type: string, optional: true}")
        schema = newer.events[EVENT].schema
        headers = [("__value_schema_id", b"\x01" + schema.guid)]
        body = PayloadEncoder(schema.parsed).encode(
            {"CreatedDate": 1, "CreatedById": "x", "order_id": "A-1", "more": "m"}
        )
        with bus.subscribe(EVENT) as subscription:
            produce_raw(settings, EVENT, body, headers)
            with pytest.raises(UndecodableRecordError, match="never applied"):
                next(subscription)
            apply(settings, newer, plan_options(settings))
            # Its readers were told that the schema is unknown less than a second ago.
            produce_raw(settings, EVENT, body, headers)
            assert next(subscription).payload["more"] == "m"

    @pytest.mark.parametrize(
        ("value", "header", "reason"),
        [
            (b"\x00", None, "no header __value_schema_id"),
            (b"\x00", b"\x01" + b"?" * 16, "never applied"),
            (b"\x00", b"\x00\x00\x00\x00\x07", "no header __value_schema_id"),
            (None, "its own", "tombstone"),
            (b"\xff" * 40, "its own", "decoded"),
            (b"", "its own", "decoded"),
            ("longer", "its own", "left over"),
        ],
    )
    def test_what_cannot_be_decoded_is_one_error_and_reading_goes_on(
        self, bus: EventBus, settings: Settings, value: Any, header: Any, reason: str
    ) -> None:
        publish_orders(bus, 1)
        (good,) = consume_raw(settings, EVENT, 1)
        if header == "its own":
            header = dict(good.headers() or ())["__value_schema_id"]
        if value == "longer":
            value = (good.value() or b"") + b"\x00"
        headers = [] if header is None else [("__value_schema_id", header)]
        offset = produce_raw(settings, EVENT, value, headers)
        publish_orders(bus, 2, first=1)
        with bus.subscribe(EVENT, follow=False) as subscription:
            assert next(subscription).payload["order_id"] == "A-0"
            with pytest.raises(UndecodableRecordError, match=reason) as caught:
                next(subscription)
            assert (caught.value.partition, caught.value.offset) == (0, offset)
            assert orders(subscription) == [1, 2]
        with bus.subscribe(EVENT, follow=False, on_undecodable="skip") as subscription:
            assert orders(subscription) == [0, 1, 2]
        with bus.subscribe(EVENT, follow=False) as subscription:
            batches = subscription.batches(10)
            assert len(next(batches)) == 1
            with pytest.raises(UndecodableRecordError):
                next(batches)
            assert [len(batch) for batch in subscription.batches(10)] == [2]


class TestPartitions:
    def test_a_vector_resumes_every_partition_exactly(self, bus: EventBus) -> None:
        payloads = [{"sensor": f"s{n % 11}", "value": n} for n in range(600)]
        bus.publish_many(READING, payloads)
        with bus.subscribe(READING, follow=False) as subscription:
            first = [next(subscription) for _ in range(250)]
            position = subscription.position
        rest = list(bus.subscribe(READING, str(position), False))
        assert sorted(e.payload["value"] for e in [*first, *rest]) == list(range(600))
        assert {e.event_id for e in first}.isdisjoint(e.event_id for e in rest)

    def test_cut_to_8_bytes_a_vector_resumes_by_time_at_least_once(self, bus: EventBus) -> None:
        payloads = [{"sensor": f"s{n % 11}", "value": n} for n in range(300)]
        bus.publish_many(READING, payloads)
        with bus.subscribe(READING, follow=False) as subscription:
            first = {next(subscription).payload["value"] for _ in range(100)}
            cut = bytes(subscription.position[:8])
        rest = {e.payload["value"] for e in bus.subscribe(READING, cut, False)}
        assert first | rest == set(range(300))

    def test_a_result_s_id_is_a_time(self, bus: EventBus) -> None:
        result = bus.publish(READING, {"sensor": "a", "value": 1})
        assert result.replay_id is not None
        assert len(result.replay_id) == 10
        bus.publish(READING, {"sensor": "b", "value": 2})
        read = {e.payload["value"] for e in bus.subscribe(READING, result.replay_id, False)}
        assert read >= {2}

    def test_growth_reaches_a_live_subscriber_and_old_ids_stay_exact(
        self, settings: Settings, tmp_path: Any
    ) -> None:
        soon = {"topic.metadata.refresh.interval.ms": 500}
        bus = EventBus(settings.model_copy(update={"kafka": soon}))
        one = KEYED.replace("partitions: 3", "partitions: 1").replace("Reading", "Probe")
        apply_texts(settings, tmp_path / "one", one, project="probes")
        event = "Probe_Taken__e"
        payloads = [{"sensor": f"s{n}", "value": n} for n in range(40)]
        old = bus.publish_many(event, payloads[:10])[4].replay_id
        with bus.subscribe(event) as live:
            apply_texts(settings, tmp_path / "three", one.replace(": 1", ": 3"),
                        project="probes", allow_growth=True)  # fmt: skip
            wait_until(lambda: reached_all_partitions(bus, event, payloads[10:]), 40)
            expected = {payload["value"] for payload in payloads[10:]}
            seen: set[int] = set()
            while not seen >= expected:
                seen.add(next(live).payload["value"])
        resumed = {e.payload["value"] for e in bus.subscribe(event, old, False)}
        assert resumed == set(range(5, 40))
        bus.close()


def reached_all_partitions(bus: EventBus, event: str, payloads: list[dict[str, Any]]) -> bool:
    bus.publish_many(event, payloads)
    ends: set[int] = set()
    last: Event[Any] | None = None
    for last in bus.subscribe(event, follow=False):
        ends = {p for p, offset in enumerate(last.replay_id.vector()) if offset > 0}
    return last is not None and ends == {0, 1, 2}


class TestLiveChanges:
    def test_a_new_schema_version_reaches_publisher_and_subscriber(
        self, bus: EventBus, settings: Settings, tmp_path: Any
    ) -> None:
        with bus.subscribe(EVENT) as subscription:
            publish_orders(bus, 1)
            apply_texts(settings, tmp_path / "v2", ORDER + "  - {name: city, type: string, "
                        "optional: true}\n", KEYED)  # fmt: skip
            wait_until(lambda: takes_city(bus))
            old, new = next(subscription), next(subscription)
        assert "city" not in old.payload
        assert new.payload["city"] == "Kyiv"
        assert old.schema_id != new.schema_id

    def test_a_deleted_topic_is_a_typed_error(self, bus: EventBus, settings: Settings) -> None:
        with bus.subscribe(EVENT) as subscription:
            delete_topic(settings, EVENT)
            with pytest.raises(StreamDeletedError, match="apply makes it again"):
                next(subscription)

    def test_a_re_created_topic_is_a_typed_error(
        self, bus: EventBus, settings: Settings, tmp_path: Any
    ) -> None:
        publish_orders(bus, 3)
        with bus.subscribe(EVENT) as subscription:
            apply_texts(settings, tmp_path / "none", KEYED, prune=True)
            apply_texts(settings, tmp_path / "again", ORDER, KEYED)
            with pytest.raises(StreamRecreatedError, match="created again"):
                next(subscription)


def takes_city(bus: EventBus) -> bool:
    result = bus.publish_many(EVENT, [{"order_id": "A-9", "city": "Kyiv"}])[0]
    return result.replay_id is not None
