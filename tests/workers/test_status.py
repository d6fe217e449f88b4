"""How subscriptions are doing, asked of Kafka while plain clients stand for workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Literal

import pytest
from confluent_kafka import Producer

from platform_events.bus.bus import EventBus
from platform_events.errors import (
    SubscriptionConflictError,
    UnknownSubscriptionError,
    UsageError,
)
from platform_events.settings import Settings
from platform_events.workers.documents import JournalRecord
from platform_events.workers.holes import Saved
from platform_events.workers.journal import (
    Control,
    SavedPosition,
    control_record,
    position_record,
    subscription_record,
)
from platform_events.workers.status import (
    SubscriptionStatus,
    list_subscriptions,
    show_subscription,
)
from tests.support import KEYED, ORDER, delete_before, delete_topic, topic_of
from tests.workers.journals import NAME, ORDERS, READINGS, subscribe, subscription, writing
from tests.workers.plain import await_nobody, commit, working

Define = Callable[..., None]


@pytest.fixture
def orders(bus: EventBus) -> EventBus:
    """Ten orders, and the subscription billing that begins with the first."""
    bus.publish_many(ORDERS, [{"order_id": f"A-{number}"} for number in range(10)])
    subscribe(bus)
    return bus


def numbers(status: SubscriptionStatus) -> tuple[int, int, int]:
    """Return lag, loss and holes."""
    assert status.backlog is not None
    return status.backlog.lag_events, status.backlog.events_lost, status.backlog.holes


def rest(bus: EventBus, status: SubscriptionStatus) -> list[str]:
    """Return the orders that subscribing from the position gives."""
    assert status.backlog is not None
    start = status.backlog.position
    return [one.payload["order_id"] for one in bus.subscribe(ORDERS, start, follow=False)]


def command(bus: EventBus, name: str, *records: JournalRecord) -> None:
    """Write one record into each partition of a journal."""
    with writing(bus, name) as writer:
        for partition, record in enumerate(records):
            writer.write(partition, record)


def test_before_its_first_commit_a_subscription_is_where_it_began(orders: EventBus) -> None:
    subscribe(orders, name="mail", offsets=(7,), order="none")
    billing, mail = list_subscriptions(orders)
    assert (billing.name, mail.name) == (NAME, "mail")
    assert (billing.order, mail.order) == ("key", "none")
    assert (billing.stream, billing.kind, billing.state) == (f"/event/{ORDERS}", "worker", "idle")
    assert (billing.protocol, billing.members, billing.generation) == (None, (), 0)
    assert (numbers(billing), numbers(mail)) == ((10, 0, 0), (3, 0, 0))
    assert rest(orders, mail) == ["A-7", "A-8", "A-9"]
    assert show_subscription(orders, "mail").name == "mail"


def test_what_is_handled_above_a_hole_is_no_lag(orders: EventBus) -> None:
    commit(orders.settings, NAME, ORDERS, {0: (2, Saved(high=8, holes=(2, 5)))})
    status = show_subscription(orders, NAME)
    assert numbers(status) == (4, 0, 2)
    assert rest(orders, status)[0] == "A-2"
    commit(orders.settings, NAME, ORDERS, {0: (10, "")})
    status = show_subscription(orders, NAME)
    assert numbers(status) == (0, 0, 0)
    assert status.backlog is not None
    assert (status.backlog.lag_seconds, status.backlog.time_to_loss_seconds) == (0, None)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_who_works_and_on_what(orders: EventBus, protocol: Literal["classic", "consumer"]) -> None:
    settings = orders.settings
    subscribe(orders, READINGS, name="alarm")
    with working(settings, "alarm", READINGS, 3, protocol, **{"client.id": "one"}) as worker:
        worker.commit({0: (0, Saved(running=2, failing=1)), 2: (0, Saved(running=1, failing=4))})
        status = show_subscription(orders, "alarm")
        assert (status.state, status.protocol) == ("running", protocol)
        (member,) = status.members
        assert (member.client_id, member.host) == ("one", "127.0.0.1")
        assert member.partitions == (0, 1, 2)
        assert (status.in_flight, status.failing_keys) == (3, 5)
    await_nobody(settings, "alarm")
    status = show_subscription(orders, "alarm")
    # What a killed worker had committed of its handlers is no more.
    assert (status.state, status.protocol, status.members) == ("idle", None, ())
    assert (status.in_flight, status.failing_keys) == (0, 0)


def test_the_time_to_loss_is_the_retention_less_the_age_of_the_oldest(orders: EventBus) -> None:
    (first, *_) = orders.subscribe(ORDERS, follow=False)
    orders.admin.configure(topic_of(orders.settings, ORDERS), {"retention.ms": "3600000"})
    time.sleep(1.1)
    orders.publish(ORDERS, {"order_id": "late"})
    backlog = show_subscription(orders, NAME).backlog
    assert backlog is not None
    assert backlog.lag_seconds is not None
    assert backlog.time_to_loss_seconds is not None
    age = time.time() - first.published_at.timestamp()
    assert 1.1 <= backlog.lag_seconds <= age
    assert backlog.time_to_loss_seconds == pytest.approx(3600 - backlog.lag_seconds)
    # The oldest that is left may be a hole, with all after it handled.
    commit(orders.settings, NAME, ORDERS, {0: (3, Saved(high=11, holes=(3,)))})
    hole = show_subscription(orders, NAME).backlog
    assert hole is not None
    assert hole.lag_events == 1
    assert hole.lag_seconds is not None
    assert hole.lag_seconds >= backlog.lag_seconds
    commit(orders.settings, NAME, ORDERS, {0: (10, "")})
    later = show_subscription(orders, NAME).backlog
    assert later is not None
    assert later.lag_seconds is not None
    assert later.lag_seconds < backlog.lag_seconds
    orders.admin.configure(topic_of(orders.settings, ORDERS), {"retention.ms": "-1"})
    backlog = show_subscription(orders, NAME).backlog
    assert backlog is not None
    assert backlog.time_to_loss_seconds is None


def test_what_retention_removed_before_it_was_handled_is_lost(orders: EventBus) -> None:
    commit(orders.settings, NAME, ORDERS, {0: (1, Saved(high=6, holes=(1, 3, 5)))})
    delete_before(orders.settings, ORDERS, [4])
    status = show_subscription(orders, NAME)
    assert numbers(status) == (5, 2, 3)
    assert status.backlog is not None
    assert status.backlog.time_to_loss_seconds == 0
    delete_before(orders.settings, ORDERS, [8])
    assert numbers(show_subscription(orders, NAME)) == (2, 5, 3)


def test_all_that_follows_may_be_markers_of_transactions(orders: EventBus) -> None:
    producer = Producer(
        {"bootstrap.servers": orders.settings.bootstrap_servers, "transactional.id": "status-test"}
    )
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic_of(orders.settings, ORDERS), b"x")
    producer.commit_transaction()
    commit(orders.settings, NAME, ORDERS, {0: (11, "")})
    status = show_subscription(orders, NAME)
    assert numbers(status) == (0, 0, 0)
    assert status.backlog is not None
    assert (status.backlog.lag_seconds, status.backlog.time_to_loss_seconds) == (0, None)


def test_positions_that_kafka_has_forgotten_are_those_of_the_journal(
    orders: EventBus, define: Define
) -> None:
    settings = orders.settings
    topic = orders.admin.describe_one(topic_of(settings, ORDERS))
    assert topic is not None
    saved = SavedPosition(6, "", topic.topic_id, 0)
    command(orders, NAME, position_record(saved))
    assert numbers(show_subscription(orders, NAME)) == (4, 0, 0)
    delete_topic(settings, ORDERS)
    define(ORDER, KEYED)
    orders.publish_many(ORDERS, [{"order_id": "B"}] * 3)
    # The offsets of another topic's log mean nothing in this one.
    assert numbers(show_subscription(orders, NAME)) == (3, 0, 0)


def test_a_command_is_pending_until_each_partition_has_applied_it(orders: EventBus) -> None:
    settings = orders.settings
    subscribe(orders, READINGS, name="alarm")

    def state() -> tuple[str, int]:
        status = show_subscription(orders, "alarm")
        return status.state, status.generation

    pause = control_record(Control(1, paused=True))
    command(orders, "alarm", *[pause] * 3)
    assert state() == ("pending", 1)
    commit(settings, "alarm", READINGS, {0: (0, Saved(1)), 1: (0, Saved(1))})
    assert state() == ("pending", 1)
    commit(settings, "alarm", READINGS, {2: (0, Saved(1))})
    assert state() == ("paused", 1)
    with working(settings, "alarm", READINGS, 3):
        assert state() == ("paused", 1)
        resume = control_record(Control(2))
        command(orders, "alarm", *[resume] * 3)
        assert state() == ("pending", 2)


def test_a_subscription_outlives_its_stream(orders: EventBus, define: Define) -> None:
    subscribe(orders, READINGS, name="alarm")
    delete_topic(orders.settings, ORDERS)
    alarm, billing = list_subscriptions(orders)
    assert numbers(alarm) == (0, 0, 0)
    assert (billing.backlog, billing.stream) == (None, f"/event/{ORDERS}")
    assert "platform-events apply makes it again" in billing.troubles[0]
    define(KEYED)
    _, billing = list_subscriptions(orders)
    assert "was deleted" in billing.troubles[0]
    with pytest.raises(UnknownSubscriptionError) as caught:
        show_subscription(orders, NAME)
    assert caught.value.subscription == NAME
    assert "subscriptions delete" in str(caught.value)


def test_what_a_newer_version_wrote_is_told(orders: EventBus) -> None:
    record = control_record(Control(3, paused=True))
    assert record.value is not None
    newer = json.dumps(json.loads(record.value) | {"version": 99}).encode()
    command(orders, NAME, JournalRecord(record.key, newer))
    status = show_subscription(orders, NAME)
    assert (status.state, status.generation) == ("idle", 0)
    assert "control" in status.troubles[0]
    commit(orders.settings, NAME, ORDERS, {0: (2, "99;what comes later")})
    status = show_subscription(orders, NAME)
    assert "partition 0" in status.troubles[1]
    assert numbers(status) == (8, 0, 0)


def test_a_subscription_of_a_newer_version_harms_no_other(
    orders: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    record = subscription_record(subscription(orders, name="mail"))
    assert record.value is not None
    newer = json.dumps(json.loads(record.value) | {"version": 99}).encode()
    subscribe(orders, name="mail")
    command(orders, "mail", JournalRecord(record.key, newer))
    assert [one.name for one in list_subscriptions(orders)] == [NAME]
    assert "mail is left out" in caplog.text
    with pytest.raises(SubscriptionConflictError, match="newer version"):
        show_subscription(orders, "mail")


def test_a_subscription_that_is_not_there(orders: EventBus) -> None:
    with pytest.raises(UnknownSubscriptionError, match="did you mean billing"):
        show_subscription(orders, "biling")
    with pytest.raises(UnknownSubscriptionError, match="no subscription zzz") as caught:
        show_subscription(orders, "zzz")
    assert "did you mean" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot name a subscription"):
        show_subscription(orders, "No!")


def test_a_tenant_without_subscriptions_has_none(bus: EventBus, settings: Settings) -> None:
    assert list_subscriptions(bus) == []
