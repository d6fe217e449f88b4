"""Three brokers that die one at a time: leaders and coordinators move, and nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.faults.documents import ALL, DOCUMENTS, NAMES, WIDE, assert_exactly_once
from tests.faults.processes import GENEROUS, Fleet, publishing
from tests.support import ORDER, admin_client, apply_texts, topic_of, wait_until

pytestmark = pytest.mark.timeout(600)

BROKERS = (1, 2, 3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalKafka]:
    with LocalKafka(brokers=3) as cluster:
        yield cluster


@pytest.fixture
def settings(cluster: LocalKafka, tenant: str) -> Settings:
    return Settings(
        bootstrap_servers=cluster.bootstrap_servers,
        tenant=tenant,
        replication_factor=3,
        min_insync_replicas=2,
    )


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    return admin_client(settings)


def await_more(settings: Settings, count: int) -> None:
    """Wait until the channel has so many records more; a broker that is down does not answer."""
    place = TopicPartition(topic_of(settings, ALL), 0)
    seen: list[int] = []

    def has_more() -> bool:
        # A new one each time: one that has asked a broker before keeps to it for long.
        client = admin_client(settings)
        request = client.list_offsets(
            {place: OffsetSpec.latest()},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=2,
        )
        with suppress(KafkaException, TimeoutError):
            seen.append(int(request[place].result(3).offset))
        return len(seen) > 1 and seen[-1] >= seen[0] + count

    wait_until(has_more, GENEROUS)


def group_coordinator(settings: Settings, group: str) -> int:
    """Return the broker that keeps a group's offsets, once it is known."""
    found: list[int] = []

    def is_known() -> bool:
        client = admin_client(settings)
        request = client.describe_consumer_groups([group], request_timeout=2)
        with suppress(KafkaException, TimeoutError):
            found.append(int(request[group].result(3).coordinator.id))
        return bool(found)

    wait_until(is_known, GENEROUS)
    return found[0]


def log_leader(admin: AdminClient, topic: str) -> int:
    """Return the broker that leads a topic's first partition."""
    return int(admin.list_topics(topic, timeout=20).topics[topic].partitions[0].leader)


def await_in_sync(admin: AdminClient) -> None:
    """Wait until every partition of every topic is on all brokers."""

    def in_sync() -> bool:
        try:
            topics = admin.list_topics(timeout=20).topics.values()
        except KafkaException:
            return False
        return all(
            sorted(part.isrs) == [*BROKERS]
            for topic in topics
            for part in topic.partitions.values()
        )

    wait_until(in_sync, GENEROUS)


def test_what_one_broker_has_just_made_the_others_are_not_asked_too_early(
    settings: Settings,
) -> None:
    """Ask with several clients, which talk to whichever broker they like."""
    with ExitStack() as opened:
        maker, *others = (opened.enter_context(Admin(settings)) for _ in range(4))
        for topic in (f"topic-{number}" for number in range(15)):
            maker.create(topic, 1, 3, {})
            made = maker.await_topic(topic)
            for other in others:
                assert other.describe_one(topic, expected=True) == made
                assert other.configs([topic])[topic]["cleanup.policy"] == "delete"
                assert other.watermarks({topic: 1}) == {topic: [(0, 0)]}


def test_the_embedded_cluster_outlives_one(
    cluster: LocalKafka, settings: Settings, admin: AdminClient, bus: EventBus, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path / "schemas", ORDER)
    assert len(cluster.bootstrap_servers.split(",")) == len(set(cluster.pids.values())) == 3
    bus.publish("Order_Placed__e", {"order_id": "before"})
    leader = log_leader(admin, topic_of(settings, "Order_Placed__e"))
    cluster.kill(leader)
    assert sorted([*cluster.pids, leader]) == [*BROKERS]
    bus.publish("Order_Placed__e", {"order_id": "without it"})
    cluster.restart(leader)
    assert set(cluster.pids) == {*BROKERS}
    await_in_sync(admin)


def test_a_paused_broker_does_not_keep_a_cluster_from_stopping() -> None:
    with LocalKafka(brokers=3) as cluster:
        cluster.pause(2)
    assert not cluster.pids


def test_brokers_are_killed_one_at_a_time(
    cluster: LocalKafka,
    settings: Settings,
    admin: AdminClient,
    bus: EventBus,
    fleet: Fleet,
    source: random.Random,
    tmp_path: Path,
) -> None:
    apply_texts(settings, tmp_path / "schemas", *DOCUMENTS)
    fleet.start(), fleet.start()
    namespace = settings.namespace
    with publishing(bus, NAMES, source) as publisher:
        await_more(settings, 1_000)
        await_in_sync(admin)
        victims = (
            lambda: group_coordinator(settings, namespace.routers),
            lambda: group_coordinator(settings, namespace.positions(ALL)),
            lambda: log_leader(admin, topic_of(settings, ALL)),
            lambda: log_leader(admin, topic_of(settings, "A__e")),
        )
        killed = []
        for find in victims:
            killed.append(find())
            kill(cluster, settings, killed[-1])
            await_in_sync(admin)
        for number in {*BROKERS} - {*killed}:
            # Whatever else it led or coordinated, such as transactions.
            kill(cluster, settings, number)
            await_in_sync(admin)
    assert assert_exactly_once(settings, bus) >= publisher.count
    for name in (*NAMES, ALL, WIDE):
        assert_replicated(admin, topic_of(settings, name))


def kill(cluster: LocalKafka, settings: Settings, number: int) -> None:
    """End a broker as a power cut does, and start it again after channels went on without it."""
    cluster.kill(number)
    await_more(settings, 500)
    cluster.restart(number)
    await_more(settings, 500)


def assert_replicated(admin: AdminClient, topic: str) -> None:
    for part in admin.list_topics(topic, timeout=20).topics[topic].partitions.values():
        assert sorted(part.replicas) == [*BROKERS]
