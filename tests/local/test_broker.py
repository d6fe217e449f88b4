"""A whole embedded cluster: its life, its errors, its settings."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from platform_events.errors import LocalBrokerError, UsageError
from platform_events.kafka.local import LocalKafka
from platform_events.kafka.local.artifacts import find_runtime
from platform_events.kafka.local.network import BrokerProbe
from tests.support import free_port

pytestmark = pytest.mark.end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUIET = {"log_level": 0, "reconnect.backoff.max.ms": 200}


def admin(kafka: LocalKafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers, **QUIET})


def create_topic(kafka: LocalKafka, **config: str) -> str:
    topic = f"topic-{uuid.uuid4().hex}"
    client = admin(kafka)  # the call is dropped with its client
    client.create_topics([NewTopic(topic, 1, config=config)])[topic].result(30)
    return topic


def send(bootstrap_servers: str, topic: str, value: bytes, **config: object) -> KafkaError | None:
    """Publish one record and return the error of its delivery."""
    reports: list[KafkaError | None] = []
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "delivery.timeout.ms": 20_000, **QUIET, **config}
    )
    producer.produce(topic, value, on_delivery=lambda error, _: reports.append(error))
    producer.flush(30)
    return reports[0]


def read_first(kafka: LocalKafka, topic: str) -> bytes | None:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "unused", **QUIET}
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(20)
        return None if message is None or message.error() else message.value()
    finally:
        consumer.close()


@pytest.fixture(scope="module")
def secured() -> Iterator[LocalKafka]:
    with LocalKafka(users={"alice": "right", "bob": "it's {} = 1;"}) as kafka:
        yield kafka


def test_a_temporary_cluster_can_be_killed_and_paused_and_leaves_nothing(
    is_alive: Callable[[int], bool],
) -> None:
    threads = set(threading.enumerate())
    kafka = LocalKafka()
    kafka.start()
    address, pids, directory = kafka.bootstrap_servers, kafka.pids, kafka.data_dir
    assert list(pids) == [1]
    assert is_alive(pids[1])
    assert kafka.sasl_bootstrap_servers is None
    assert kafka.log_files == (directory / "kafka-1.log",)
    assert "started" in kafka.log_files[0].read_text()
    topic = create_topic(kafka)
    assert send(address, topic, b"before") is None
    with pytest.raises(UsageError, match="started already"):
        kafka.start()
    kafka.check()

    kafka.pause()
    timeout = {"delivery.timeout.ms": 500, "request.timeout.ms": 400}
    error = send(address, topic, b"unheard", **timeout)
    assert error is not None
    assert error.code() == KafkaError._MSG_TIMED_OUT
    kafka.resume()
    assert send(address, topic, b"heard") is None

    kafka.kill()
    assert not is_alive(pids[1])
    assert kafka.pids == {}
    kafka.check()  # it was asked for
    for action in (kafka.kill, kafka.pause, kafka.resume):
        with pytest.raises(UsageError, match="broker 1 does not run"):
            action()

    kafka.restart()
    assert kafka.bootstrap_servers == address
    assert kafka.pids[1] != pids[1]
    assert read_first(kafka, topic) == b"before"
    with pytest.raises(UsageError, match="no started broker 2"):
        kafka.kill(2)

    (pid,) = kafka.pids.values()
    kafka.stop()
    kafka.stop()
    kafka.check()
    assert not is_alive(pid)
    assert kafka.pids == {}
    assert not directory.exists()
    assert set(threading.enumerate()) <= threads


def test_kept_data_survives_other_ports_and_a_clean_stop(tmp_path: Path) -> None:
    directory = tmp_path / "näme, with=odd #characters"
    port = free_port()
    with LocalKafka(data_dir=directory, port=port) as kafka:
        assert kafka.bootstrap_servers == f"127.0.0.1:{port}"
        cluster_id = kafka.cluster_id
        assert admin(kafka).list_topics(timeout=20).cluster_id == cluster_id
        topic = create_topic(kafka)
        assert send(kafka.bootstrap_servers, topic, b"kept") is None
        with pytest.raises(LocalBrokerError, match=f"in use by process {os.getpid()}: stop"):
            LocalKafka(data_dir=directory).start()
    assert "shut down completed" in kafka.log_files[0].read_text()

    with pytest.raises(LocalBrokerError, match="a cluster with 1 broker, not 3 brokers"):
        LocalKafka(data_dir=directory, brokers=3).start()

    with LocalKafka(data_dir=directory) as kafka:
        assert kafka.cluster_id == cluster_id
        assert kafka.bootstrap_servers != f"127.0.0.1:{port}"
        assert read_first(kafka, topic) == b"kept"

    marker = directory / "cluster.json"
    marker.write_text(marker.read_text().replace(cluster_id, "A" * 22))
    with pytest.raises(LocalBrokerError, match=f"belongs to node 1 of cluster {cluster_id}"):
        LocalKafka(data_dir=directory).start()
    marker.write_text("{")
    with pytest.raises(LocalBrokerError, match="damaged"):
        LocalKafka(data_dir=directory).start()


def test_a_broker_that_ends_by_itself_is_noticed(
    eventually: Callable[[Callable[[], bool], str], None],
) -> None:
    with LocalKafka() as kafka:
        os.kill(kafka.pids[1], signal.SIGKILL)
        eventually(lambda: not kafka.pids, "it does not end")
        with pytest.raises(LocalBrokerError, match=r"broker 1 .* ended by itself") as caught:
            kafka.check()
    log = kafka.log_files[0]
    assert str(log) in str(caught.value)
    assert log.exists()
    assert not (kafka.data_dir / "node-1").exists()
    shutil.rmtree(kafka.data_dir)


def test_the_settings_that_tests_rely_on(
    secured: LocalKafka, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    client = admin(secured)
    resource = ConfigResource(ResourceType.BROKER, "1")
    config = client.describe_configs([resource])[resource].result(20)
    found = {name: entry.value for name, entry in config.items()}
    wanted = {
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.min.session.timeout.ms": "1000",
        "group.consumer.min.heartbeat.interval.ms": "200",
        "group.share.min.session.timeout.ms": "1000",
        "group.share.min.heartbeat.interval.ms": "200",
        "log.retention.check.interval.ms": "1000",
        "auto.create.topics.enable": "false",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    error = send(secured.bootstrap_servers, "mistyped", b"x", **{"message.timeout.ms": 5000})
    assert error is not None

    topic = create_topic(secured, **{"retention.ms": "1", "segment.ms": "1"})
    assert send(secured.bootstrap_servers, topic, b"short-lived") is None
    consumer = Consumer({"bootstrap.servers": secured.bootstrap_servers, "group.id": "g", **QUIET})
    try:
        eventually(
            lambda: consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20) == (1, 1),
            "retention does not remove the record",
        )
    finally:
        consumer.close()


def test_another_cluster_at_the_same_address_is_told_apart(
    secured: LocalKafka, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    address = secured.bootstrap_servers
    for cluster_id in (None, secured.cluster_id):
        probe = BrokerProbe(address, cluster_id)
        eventually(lambda probe=probe: probe.list_brokers() == {1}, "the broker is not found")
    assert BrokerProbe(address, "A" * 22).list_brokers() == frozenset()


def test_share_groups_work(secured: LocalKafka) -> None:
    confluent_kafka = pytest.importorskip("confluent_kafka")
    if not hasattr(confluent_kafka, "ShareConsumer"):
        pytest.skip("this confluent-kafka has no ShareConsumer")
    topic, group = create_topic(secured), f"share-{uuid.uuid4().hex}"
    assert send(secured.bootstrap_servers, topic, b"shared") is None
    start = ConfigResource(
        ResourceType.GROUP,
        group,
        incremental_configs=[
            ConfigEntry(
                "share.auto.offset.reset",
                "earliest",
                incremental_operation=AlterConfigOpType.SET,
            )
        ],
    )
    client = admin(secured)
    client.incremental_alter_configs([start])[start].result(20)
    consumer = confluent_kafka.ShareConsumer(
        {"bootstrap.servers": secured.bootstrap_servers, "group.id": group, **QUIET}
    )
    try:
        consumer.subscribe([topic])
        values: list[bytes] = []
        for _ in range(30):
            values += [message.value() for message in consumer.poll(1)]
            if values:
                break
        assert values == [b"shared"]
    finally:
        consumer.close()


def login(name: str, password: str) -> dict[str, object]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": name,
        "sasl.password": password,
    }


def test_a_wrong_password_is_an_authentication_failure(secured: LocalKafka) -> None:
    assert secured.sasl_bootstrap_servers is not None
    errors: list[int] = []
    client = AdminClient(
        {
            "bootstrap.servers": secured.sasl_bootstrap_servers,
            "error_cb": lambda error: errors.append(error.code()),
            **login("alice", "wrong"),
            **QUIET,
        }
    )
    with pytest.raises(KafkaException):
        client.list_topics(timeout=2)
    client.poll(0)
    assert KafkaError._AUTHENTICATION in errors


@pytest.mark.parametrize(("name", "password"), [("alice", "right"), ("bob", "it's {} = 1;")])
def test_a_topic_without_acl_is_not_writable(secured: LocalKafka, name: str, password: str) -> None:
    assert secured.sasl_bootstrap_servers is not None
    topic = create_topic(secured)
    error = send(secured.sasl_bootstrap_servers, topic, b"x", **login(name, password))
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert send(secured.bootstrap_servers, topic, b"x") is None


def test_an_unpacked_kafka_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Java's cache, which does not fit these paths, would be tried in vain, slowly.
    monkeypatch.delenv("JDK_JAVA_OPTIONS", raising=False)
    libs = tmp_path / "kafka" / "libs"
    libs.mkdir(parents=True)
    for jar in find_runtime().class_path.split(os.pathsep):
        (libs / Path(jar).name).symlink_to(jar)
    with LocalKafka(kafka_home=tmp_path / "kafka") as kafka:
        assert admin(kafka).list_topics(timeout=20).cluster_id == kafka.cluster_id
