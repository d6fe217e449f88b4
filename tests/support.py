"""What several test modules share: definitions from YAML text, raw Kafka access, waiting."""

from __future__ import annotations

import os
import random
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options
from platform_events.catalog.plan import Plan
from platform_events.definitions.model import Definitions
from platform_events.errors import LocalBrokerError
from platform_events.files.loader import load_definitions
from platform_events.kafka.admin import Admin
from platform_events.kafka.local.network import reserve_port
from platform_events.settings import Settings

ORDER = """
event: Order_Placed__e
fields:
  - {name: order_id, type: string}
  - {name: amount, type: double, default: 0.0}
  - {name: note, type: string, optional: true}
"""
KEYED = """
event: Reading_Taken__e
partitions: 3
partition_key: sensor
fields:
  - {name: sensor, type: string}
  - {name: value, type: long}
"""


def load(directory: Path, *documents: str, project: str | None = None) -> Definitions:
    """Load definitions given as YAML texts, from a directory that holds nothing else."""
    for old in (*directory.glob("*.yaml"), *directory.glob("channels/*.yaml")):
        old.unlink()
    (directory / "channels").mkdir(parents=True, exist_ok=True)
    if project is not None:
        (directory / "project.yaml").write_text(f"project: {project}\n")
    for number, document in enumerate(documents):
        text = textwrap.dedent(document)
        folder = directory / "channels" if text.lstrip().startswith("channel:") else directory
        (folder / f"definition{number}.yaml").write_text(text)
    return load_definitions(directory)


def apply_texts(
    settings: Settings, directory: Path, *documents: str, project: str | None = None, **allow: Any
) -> Plan:
    """Apply definitions given as YAML texts."""
    definitions = load(directory, *documents, project=project)
    return apply(settings, definitions, plan_options(settings, **allow), retired_for=0.5)


PATIENCE = 60.0
"""Seconds that nothing takes unless it is broken, however busy the machine is."""


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait for something that happens elsewhere; fail if it does not.

    Many conditions cost a client of their own, so what takes longer is asked about less often.
    """
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.3)


def is_alive(pid: int) -> bool:
    """Whether a process exists that is neither gone nor a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if not sys.platform.startswith("linux"):
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def free_port() -> int:
    """Return a port that stays free: no other test, embedded broker or client takes it."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 12_000 + 200 * (worker % 30)
    for port in random.sample(range(first, first + 200), 200):
        with suppress(LocalBrokerError), ExitStack() as reserved:
            return reserve_port(reserved, port)
    raise AssertionError("no port is free")


def free_ports(count: int) -> list[int]:
    """Return ports that stay free, each another one."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def topic_of(settings: Settings, name: str) -> str:
    return settings.namespace.topic(name)


def admin_client(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.bootstrap_servers})


def delete_before(settings: Settings, name: str, offsets: list[int]) -> None:
    """Remove the oldest records of a stream, as retention does."""
    client = admin_client(settings)
    request = [
        TopicPartition(topic_of(settings, name), partition, offset)
        for partition, offset in enumerate(offsets)
    ]
    for future in client.delete_records(request).values():
        future.result()


def delete_topic(settings: Settings, name: str) -> None:
    """Delete a stream's topic by hand, and return when the broker knows it no more."""
    delete_by_hand(settings, topic_of(settings, name))


def delete_by_hand(settings: Settings, topic: str) -> None:
    client = admin_client(settings)
    client.delete_topics([topic])[topic].result()
    with Admin(settings) as admin:
        wait_until(lambda: admin.describe_one(topic) is None)


def produce_to(settings: Settings, topic: str, key: bytes, value: bytes) -> None:
    """Write a keyed record as other software would."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    producer.produce(topic, value, key)
    assert producer.flush(10) == 0


def produce_raw(
    settings: Settings, name: str, value: bytes | None, headers: Any = None, **config: Any
) -> int:
    """Write a record as other software would; return its offset."""
    outcomes: list[tuple[KafkaError | None, Message]] = []
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, **config})
    producer.produce(
        topic_of(settings, name),
        value,
        headers=headers,
        on_delivery=lambda error, message: outcomes.append((error, message)),
    )
    producer.flush(10)
    error, message = outcomes[0]
    assert error is None, error
    offset = message.offset()
    assert offset is not None
    return offset


def produce_many(settings: Settings, name: str, count: int, headers: Any) -> None:
    """Write records as other software would, all at once, with bodies that are none."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for _ in range(count):
        producer.produce(topic_of(settings, name), b"x", headers=headers)
    assert producer.flush(10) == 0


def consume_raw(settings: Settings, name: str, count: int) -> list[Message]:
    """Read the first records of a stream's first partition with a bare client."""
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": "raw-test-reader"}
    )
    consumer.assign([TopicPartition(topic_of(settings, name), 0, 0)])
    messages: list[Message] = []
    deadline = time.monotonic() + 20
    while len(messages) < count and time.monotonic() < deadline:
        messages += consumer.consume(count - len(messages), 0.2)
    consumer.close()
    assert len(messages) == count
    return messages


@contextmanager
def open_bus(settings: Settings) -> Iterator[EventBus]:
    with EventBus(settings) as bus:
        yield bus
