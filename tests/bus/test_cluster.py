"""One connection, many tenants."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_events import (
    ClosedError,
    Cluster,
    ConfigurationError,
    EventBus,
    PlatformEventsError,
    PublishStatus,
    Settings,
    Start,
    UnknownStreamError,
    UsageError,
)
from platform_events.kafka.admin import Admin
from tests.bus.orders import EVENT, READING, order_ids
from tests.support import KEYED, ORDER, apply_texts, wait_until

PERSISTED = PublishStatus.PERSISTED
TENANTS, BUSES_EACH = 20, 5


@pytest.fixture
def tenants(settings: Settings, tmp_path: Path) -> tuple[str, str]:
    """Two tenants: both have orders, the second one has readings as well."""
    names = (f"{settings.tenant}-a", f"{settings.tenant}-b")
    for name, documents in zip(names, ([ORDER], [ORDER, KEYED]), strict=True):
        apply_texts(settings.of_tenant(name), tmp_path / name, *documents)
    return names


@pytest.fixture
def cluster(settings: Settings) -> Iterator[Cluster]:
    with Cluster(settings) as cluster:
        yield cluster


def order(number: str) -> dict[str, str]:
    return {"order_id": number}


def threads() -> int:
    """Count the threads of this process, those of librdkafka included."""
    return len(list(Path("/proc/self/task").iterdir()))


def test_tenants_share_a_connection_and_nothing_else(
    cluster: Cluster, tenants: tuple[str, str]
) -> None:
    first, second = (cluster.bus(name) for name in tenants)
    with first.subscribe(EVENT) as orders, second.subscribe(EVENT) as other_orders:
        for bus, names in ((first, ["A-1", "A-2"]), (second, ["B-1"])):
            assert [one.status for one in bus.publish_many(EVENT, map(order, names))] == [
                PERSISTED
            ] * len(names)
        assert [next(orders).payload["order_id"] for _ in range(2)] == ["A-1", "A-2"]
        assert next(other_orders).payload["order_id"] == "B-1"
    assert (order_ids(first), order_ids(second)) == (["A-1", "A-2"], ["B-1"])
    assert second.publish(READING, {"sensor": "s", "value": 1}).status is PERSISTED
    with pytest.raises(UnknownStreamError, match=tenants[0]):
        first.publish(READING, {"sensor": "s", "value": 1})


def test_a_bus_says_who_publishes(cluster: Cluster, tenants: tuple[str, str]) -> None:
    tenant = tenants[0]
    cluster.bus(tenant).publish(EVENT, order("A-1"))
    named = cluster.bus(tenant, source="urn:shop", created_by="Mary")
    named.publish(EVENT, order("A-2"))
    events = list(named.subscribe(EVENT, follow=False))
    assert [event.payload["CreatedById"] for event in events] == ["platform-events", "Mary"]
    assert (cluster.bus(tenant).settings.source, named.settings.source) == (
        "platform-events",
        "urn:shop",
    )


def test_asyncio(cluster: Cluster, tenants: tuple[str, str]) -> None:
    async def run() -> list[str]:
        async with cluster.async_bus(tenants[0]) as first, cluster.async_bus(tenants[1]) as second:
            await second.publish(EVENT, order("B-1"))
            await first.publish(EVENT, order("A-1"))
            subscription = await first.subscribe(EVENT, Start.EARLIEST, follow=False)
            return [event.payload["order_id"] async for event in subscription]

    assert asyncio.run(run()) == ["A-1"]


class Doubt:
    """Makes what a bus publishes doubtful, and asking about it last until it is told to end."""

    def __init__(self, bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> None:
        bus.publish(EVENT, order("before"))
        voucher = bus.publishing().find(EVENT).voucher
        ask = voucher._look
        self._answer = threading.Event()
        self.is_asked = threading.Event()

        def ask_late() -> PlatformEventsError | None:
            self.is_asked.set()
            assert self._answer.wait(60)
            return ask()

        monkeypatch.setattr(voucher, "learn", lambda: None)
        monkeypatch.setattr(voucher, "_look", ask_late)
        voucher.sure_until = -math.inf

    def end(self) -> None:
        self._answer.set()


class TestDoubt:
    def test_of_one_bus_keeps_no_outcome_from_another(
        self, cluster: Cluster, tenants: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = (cluster.bus(name) for name in tenants)
        doubt = Doubt(first, monkeypatch)
        doubtful = [first.submit(EVENT, order(str(number))) for number in range(10)]
        assert doubt.is_asked.wait(60)
        assert second.submit(EVENT, order("B-1")).result(60).status is PERSISTED
        assert not any(future.done() for future in doubtful)
        doubt.end()
        assert {future.result(60).status for future in doubtful} == {PERSISTED}

    @pytest.mark.parametrize("closes", ["bus", "cluster"])
    def test_is_settled_before_a_close_ends(
        self,
        cluster: Cluster,
        tenants: tuple[str, str],
        monkeypatch: pytest.MonkeyPatch,
        closes: str,
    ) -> None:
        bus = cluster.bus(tenants[0])
        doubt = Doubt(bus, monkeypatch)
        doubtful = [bus.submit(EVENT, order(str(number))) for number in range(10)]
        assert doubt.is_asked.wait(60)
        closing = threading.Thread(target=(bus if closes == "bus" else cluster).close)
        closing.start()
        with pytest.raises(TimeoutError):
            doubtful[0].result(0.1)
        doubt.end()
        closing.join(60)
        assert {future.result(0).status for future in doubtful} == {PERSISTED}


class TestClosing:
    def test_a_bus_leaves_the_connection_to_the_others(
        self, cluster: Cluster, tenants: tuple[str, str]
    ) -> None:
        first, second = (cluster.bus(name) for name in tenants)
        second.publish(EVENT, order("B-1"))
        futures = [first.submit(EVENT, order(str(number))) for number in range(500)]
        following = first.subscribe(EVENT)
        first.close()
        first.close()
        assert {future.result(0).status for future in futures} == {PERSISTED}
        assert following.closed
        with pytest.raises(ClosedError, match="the bus is closed; make a new one, or a new Clus"):
            first.publish(EVENT, order("late"))
        assert second.publish(EVENT, order("B-2")).status is PERSISTED
        assert len(order_ids(cluster.bus(tenants[0]))) == 500

    def test_a_closed_bus_is_no_longer_followed(
        self, cluster: Cluster, tenants: tuple[str, str]
    ) -> None:
        for _ in range(3):
            with cluster.bus(tenants[0]) as bus:
                bus.publish(EVENT, order("A-1"))
        follower = cluster._connection._follower
        assert follower is not None
        wait_until(lambda: follower._followed == ())
        watch = cluster._connection.clients.watch
        assert not list(watch._watched)

    def test_dropped_buses_are_let_go(self, cluster: Cluster, tenants: tuple[str, str]) -> None:
        clients = cluster._connection.clients
        buses = [cluster.bus(tenants[number % 2]) for number in range(20)]
        for bus in buses:
            bus.publish(EVENT, order("A-1"))
            next(iter(bus.subscribe(EVENT, Start.EARLIEST)))
        futures = [bus.submit(EVENT, order("A-2")) for bus in buses]
        follower = cluster._connection._follower
        assert follower is not None
        assert len(follower._followed) == 20
        publishers = [weakref.ref(bus.publishing()) for bus in buses]
        del buses, bus
        gc.collect()
        wait_until(lambda: follower._followed == ())
        assert {future.result(60).status for future in futures} == {PERSISTED}
        del futures

        def are_gone() -> bool:
            gc.collect()
            return not any(publisher() for publisher in publishers)

        wait_until(are_gone)
        assert not list(clients.watch._watched)
        kept = cluster.bus(tenants[0])
        kept.publish(EVENT, order("A-3"))
        assert kept.publishing()._outbox.limit == cluster.settings.publish_buffer

    def test_a_dropped_bus_keeps_its_futures(
        self, cluster: Cluster, tenants: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bus = cluster.bus(tenants[0])
        doubt = Doubt(bus, monkeypatch)
        future = bus.submit(EVENT, order("A-1"))
        assert doubt.is_asked.wait(60)
        follower, other = cluster._connection._follower, cluster.bus(tenants[1])
        assert follower is not None
        looks: list[None] = []
        other.publish(EVENT, order("B-1"))
        follower._followed[-1].after_look = lambda: looks.append(None)
        del bus
        gc.collect()
        enough = len(looks) + 3
        wait_until(lambda: len(looks) >= enough)
        assert len(follower._followed) == 2
        doubt.end()
        assert future.result(60).status is PERSISTED
        wait_until(lambda: len(follower._followed) == 1)

    def test_a_cluster_closes_its_buses(self, settings: Settings, tenants: tuple[str, str]) -> None:
        with Cluster(settings) as cluster:
            buses = [cluster.bus(name) for name in tenants]
            futures = [bus.submit(EVENT, order(str(n))) for n in range(200) for bus in buses]
            following = buses[0].subscribe(EVENT)
        assert {future.result(0).status for future in futures} == {PERSISTED}
        assert following.closed
        for bus in buses:
            with pytest.raises(ClosedError):
                bus.publish(EVENT, order("late"))
            bus.close()
        with pytest.raises(ClosedError, match="make a new EventBus or Cluster"):
            cluster.bus(tenants[0])
        cluster.close()

    def test_the_tail_ends_although_the_cluster_does_not_answer_a_question(
        self, settings: Settings, tenants: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster = Cluster(settings.model_copy(update={"close_timeout": 0.1}))
        bus = cluster.bus(tenants[0])
        bus.publish(EVENT, order("A-1"))
        clients = cluster._connection.clients
        admin, tail = clients.admin, clients.tail
        is_asked, answer, describe = threading.Event(), threading.Event(), admin.describe_each

        def describe_late(*arguments: Any, **options: Any) -> Any:
            is_asked.set()
            assert answer.wait(60)
            return describe(*arguments, **options)

        monkeypatch.setattr(admin, "describe_each", describe_late)
        assert is_asked.wait(60)
        cluster.close()
        assert not tail._thread.is_alive()
        assert admin._client is not None
        answer.set()
        wait_until(lambda: admin._client is None)
        cluster.close()

    def test_the_threads_end_with_the_cluster(
        self, settings: Settings, tenants: tuple[str, str]
    ) -> None:
        before = threads()
        with Cluster(settings) as cluster:
            for name in tenants:
                cluster.bus(name).publish(EVENT, order("A-1"))
            assert threads() > before
        wait_until(lambda: threads() <= before)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("linger", 20),
        ("kafka", {"client.id": "x"}),
        ("publish_buffer", 1024),
        ("settings", Settings()),
    ],
)
def test_what_belongs_to_the_connection_takes_another_cluster(option: str, value: Any) -> None:
    for make in (Cluster().bus, Cluster().async_bus):
        with pytest.raises(UsageError, match=f"^{option} belongs to the connection.*another Clus"):
            make("shop", **{option: value})


def test_other_mistakes_are_told() -> None:
    with pytest.raises(UsageError, match="no 'sorce': a bus of a Cluster takes tenant, source"):
        Cluster().bus("shop", sorce="x")
    with pytest.raises(UsageError, match="give it to bus"):
        Cluster(tenant="shop")
    with pytest.raises(UsageError, match="not both"):
        Cluster(Settings(), linger=20)
    with pytest.raises(ConfigurationError, match="tenant 'Shop' is not allowed"):
        Cluster().bus("Shop")
    with pytest.raises(ConfigurationError, match="'created_by'"):
        Cluster().bus("shop", created_by="")
    assert Cluster(linger=20).bus("shop").settings.linger == 20


def test_a_hundred_idle_buses_take_few_threads(settings: Settings, tmp_path: Path) -> None:
    """Each publishes and follows a catalog of its own; then nothing happens."""
    names = [f"{settings.tenant}-{number}" for number in range(TENANTS)]
    each = [settings.of_tenant(name) for name in names]
    try:
        for one in each:
            apply_texts(one, tmp_path / "schemas", ORDER)
        before = threads()
        with Cluster(settings) as cluster:
            buses = [cluster.bus(name) for name in names * BUSES_EACH]
            for bus in buses:
                assert bus.publish(EVENT, order("A-1")).status is PERSISTED
            wait_until(lambda: threads() - before < 20)
            apply_texts(each[-1], tmp_path / "more", ORDER, KEYED)
            wait_until(lambda: buses[-1].catalog.cached(READING) is not None)
            assert threads() - before < 20
    finally:
        with Admin(settings) as admin:
            admin.delete(
                *(one.namespace.topic(name) for one in each for name in (EVENT, READING)),
                *(one.namespace.catalog for one in each),
            )


def test_buses_that_begin_at_the_same_time_share_the_connection(
    cluster: Cluster, tenants: tuple[str, str]
) -> None:
    results: list[PublishStatus] = []

    def publish(name: str) -> None:
        results.append(cluster.bus(name).publish(EVENT, order("A-1")).status)

    workers = [threading.Thread(target=publish, args=(name,)) for name in tenants * 5]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert results == [PERSISTED] * 10
    assert isinstance(cluster.bus(tenants[0]), EventBus)
