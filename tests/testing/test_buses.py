"""The fixtures `event_bus`, `async_event_bus` and `expire`, used as users do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from platform_events import (
    AsyncEventBus,
    EventBus,
    ReplayExpiredError,
    ReplayId,
    Settings,
    Start,
    UnknownStreamError,
    UsageError,
)
from platform_events.files.loader import load_definitions
from platform_events.kafka.admin import Admin
from platform_events.testing import KafkaBroker
from platform_events.testing.tenancy import Tenancy

SCHEMAS = Path(__file__).with_name("schemas")
ORDERS = "Order_Placed__e"
CHANNEL = "/event/Large_Orders__chn"


def is_routing() -> bool:
    return any(thread.name == "router" for thread in threading.enumerate())


def test_a_bus_publishes_and_reads_without_a_router(event_bus: EventBus, tenant: str) -> None:
    assert event_bus.settings.tenant == tenant
    result = event_bus.publish(ORDERS, {"order_id": "A-1"})
    (event,) = event_bus.subscribe(ORDERS, follow=False)
    assert event.event_id == result.event_id
    assert not is_routing()


def test_a_bus_that_the_code_makes_is_of_the_same_tenant(event_bus: EventBus) -> None:
    event_bus.publish(ORDERS, {"order_id": "A-1"})
    with EventBus() as other:
        (event,) = other.subscribe(ORDERS, follow=False)
    assert event.payload["order_id"] == "A-1"


def test_asyncio_needs_no_loop_before_the_test(
    async_event_bus: AsyncEventBus, event_bus: EventBus
) -> None:
    async def publish_and_read() -> list[str]:
        await async_event_bus.publish(ORDERS, {"order_id": "A-1"})
        subscription = await async_event_bus.subscribe(ORDERS, follow=False)
        return [event.payload["order_id"] async for event in subscription]

    assert asyncio.run(publish_and_read()) == ["A-1"]
    assert [e.payload["order_id"] for e in event_bus.subscribe(ORDERS, follow=False)] == ["A-1"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_plugin_may_have_the_loop(async_event_bus: AsyncEventBus) -> None:
    result = await async_event_bus.publish(ORDERS, {"order_id": "A-1"})
    subscription = await async_event_bus.subscribe(ORDERS, follow=False)
    assert [event.event_id async for event in subscription] == [result.event_id]


def test_a_channel_has_what_was_published_before_it_is_read(event_bus: EventBus) -> None:
    for amount in (50.0, 100.0, 150.0, 20.0):
        event_bus.publish(ORDERS, {"order_id": f"A-{amount:g}", "amount": amount})
    with EventBus() as other:
        found = [e.payload["amount"] for e in other.subscribe(CHANNEL, follow=False)]
    assert found == [100.0, 150.0]
    assert is_routing()
    with event_bus.subscribe(CHANNEL) as subscription:
        event_bus.publish(ORDERS, {"order_id": "A-5", "amount": 500.0})
        assert next(subscription).payload["amount"] == 500.0


def test_asyncio_reads_channels_too(async_event_bus: AsyncEventBus) -> None:
    async def read() -> str:
        subscription = await async_event_bus.subscribe(CHANNEL)
        await async_event_bus.publish(ORDERS, {"order_id": "A-1", "amount": 1e3})
        async for event in subscription:
            return str(event.payload["order_id"])
        return "nothing"

    assert asyncio.run(read()) == "A-1"


def test_a_channel_that_is_not_defined_is_refused_without_a_router(event_bus: EventBus) -> None:
    with pytest.raises(UnknownStreamError, match="Lost__chn"):
        event_bus.subscribe("Lost__chn")
    assert not is_routing()


@pytest.mark.parametrize("stream", [ORDERS, "Large_Orders__chn"])
def test_ids_older_than_the_expired_one_are_refused(
    event_bus: EventBus, expire: Callable[[ReplayId], None], stream: str
) -> None:
    for number in range(3):
        event_bus.publish(ORDERS, {"order_id": str(number), "amount": 100.0})
    first, second, third = event_bus.subscribe(stream, follow=False)
    expire(second.replay_id)
    with pytest.raises(ReplayExpiredError):
        event_bus.subscribe(stream, first.replay_id)
    left = event_bus.subscribe(stream, second.replay_id, follow=False)
    assert [event.event_id for event in left] == [third.event_id]
    expire(second.replay_id)
    left = event_bus.subscribe(stream, Start.EARLIEST, follow=False)
    assert [event.event_id for event in left] == [third.event_id]


def test_several_partitions_expire_together(
    event_bus: EventBus, expire: Callable[[ReplayId], None]
) -> None:
    for number in range(30):
        event_bus.publish("Reading_Taken__e", {"sensor": f"s{number}"})
    events = list(event_bus.subscribe("Reading_Taken__e", follow=False))
    expire(events[19].replay_id)
    with pytest.raises(ReplayExpiredError):
        event_bus.subscribe("Reading_Taken__e", events[18].replay_id)
    left = event_bus.subscribe("Reading_Taken__e", events[19].replay_id, follow=False)
    assert {event.event_id for event in left} == {event.event_id for event in events[20:]}
    left = event_bus.subscribe("Reading_Taken__e", Start.EARLIEST, follow=False)
    assert len(list(left)) == 10


def test_an_id_of_another_stream_expires_nothing(
    event_bus: EventBus, expire: Callable[[ReplayId | bytes], None]
) -> None:
    whole = event_bus.publish(ORDERS, {"order_id": "A-1"}).replay_id
    assert whole is not None
    for foreign in (whole[:8], whole[:8] + b"\x12\x34"):
        with pytest.raises(UsageError, match="no stream of this test's tenant"):
            expire(foreign)
    assert len(list(event_bus.subscribe(ORDERS, follow=False))) == 1


def test_a_tenancy_leaves_no_topic_and_no_variable(
    kafka_broker: KafkaBroker, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_TENANT", "mine")
    monkeypatch.setenv("PLATFORM_EVENTS_KAFKA__SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("PLATFORM_EVENTS_LINGER", "1")
    before = dict(os.environ)
    subscribe = EventBus.subscribe
    with Tenancy(kafka_broker, tenant, load_definitions(SCHEMAS)):
        settings = Settings()
        with EventBus() as bus:
            list(bus.subscribe(CHANNEL, follow=False))
    assert (settings.tenant, settings.kafka, settings.linger) == (tenant, {}, 1.0)
    assert dict(os.environ) == before
    assert EventBus.subscribe is subscribe
    topics = [settings.namespace.catalog, *settings.namespace.topics("Large_Orders__chn")]
    with Admin(settings) as admin:
        assert not any(admin.describe([*topics, settings.namespace.topic(ORDERS)]).values())


def test_what_is_wrong_with_definitions_is_said_before_a_broker_starts(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(event_bus): pass\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "A__e.yaml").write_text("event: A__e\nfileds: []\n")
    assert "platform-events init" in failed_run(tmp_path)
    assert "fileds" in failed_run(tmp_path, "-o", "platform_events_schemas=broken")


def failed_run(directory: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(directory)]
    environment = os.environ | {"PLATFORM_EVENTS_TEST_BROKER": "none that could start"}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *options],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout
