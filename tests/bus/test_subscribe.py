"""Reading streams: positions, partitions, changes while it is read."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.event import Event
from platform_events.bus.values import Start
from platform_events.errors import (
    ClosedError,
    StreamDeletedError,
    StreamRecreatedError,
    UsageError,
)
from platform_events.settings import Settings
from tests.bus.orders import EVENT, READING, orders, publish_orders
from tests.support import (
    KEYED,
    ORDER,
    apply_texts,
    consume_raw,
    delete_topic,
    topic_of,
    wait_until,
)


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
        # A commit is answered before its marker is written, and read only after.
        wait_until(lambda: orders(bus.subscribe(EVENT, follow=False)) == [0, 0, 0])
        publish_orders(bus, 1, first=7)
        last = [event.replay_id for event in bus.subscribe(EVENT, follow=False)][-2]
        assert orders(bus.subscribe(EVENT, last, False)) == [7]


class TestClosing:
    @pytest.mark.parametrize("closed", ["subscription", "bus"])
    def test_nothing_comes_from_a_closed_subscription(self, bus: EventBus, closed: str) -> None:
        publish_orders(bus, 600)
        subscription = bus.subscribe(EVENT, Start.EARLIEST)
        batches = subscription.batches(10)
        next(subscription)
        last = next(batches)[-1]
        (subscription if closed == "subscription" else bus).close()
        for read in (
            lambda: next(subscription),
            lambda: next(batches),
            lambda: subscription.take(10, 0),
        ):
            with pytest.raises(ClosedError):
                read()
        assert subscription.position == last.replay_id

    def test_nothing_comes_after_another_thread_closed_it(self, bus: EventBus) -> None:
        publish_orders(bus, 3000)
        for _ in range(10):
            subscription = bus.subscribe(EVENT, Start.EARLIEST)
            next(subscription)
            closing = threading.Thread(target=subscription.close)
            closing.start()
            try:
                for _ in subscription:
                    if subscription.closed and not closing.is_alive():
                        # This one may have been on its way; the next one is not.
                        break
            except ClosedError:
                pass
            closing.join()
            with pytest.raises(ClosedError):
                next(subscription)


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
            wait_until(lambda: reached_all_partitions(bus, event, payloads[10:]))
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
