"""Routers in threads, what they say, and how far they are, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import read_catalog
from platform_events.catalog.live import Catalog
from platform_events.catalog.positions import Checkpoint
from platform_events.channels.feeder import Feeder
from platform_events.channels.router import Router
from platform_events.channels.states import State
from platform_events.channels.status import ChannelStatus, channel_statuses
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.support import PATIENCE, admin_client, topic_of, wait_until

Define: TypeAlias = Callable[..., None]
"""Applies definitions given as YAML texts: the fixture `define`."""


class RunningRouter:
    """A router in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.states: list[tuple[str, int, State, str]] = []
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._router = Router(settings, lambda *state: self.states.append(state))
        self._thread = threading.Thread(target=self._run, name="router")
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    @property
    def catalog(self) -> Catalog:
        """What the router knows of the definitions."""
        return self._router._catalog

    @property
    def feeders(self) -> dict[tuple[str, int], Feeder]:
        """Those of the channel partitions that the router has, by topic and number."""
        return self._router._tasks.works()

    @property
    def unsaid(self) -> set[tuple[str, int]]:
        """Channel partitions of which something is to be said to others."""
        return set(self._router._statements._waiting)

    def leads(self, channel: str, partition: int = 0) -> bool:
        """Whether this router was the last of which it is known that it feeds a partition."""
        return self.state(channel, partition) == "live"

    def state(self, channel: str, partition: int = 0) -> str:
        known = [one[2] for one in self.states if one[:2] == (channel, partition)]
        return known[-1] if known else ""

    def _run(self) -> None:
        try:
            self._router.run(self._stop)
        except BaseException as error:
            self._failure = error
            raise


StartRouter: TypeAlias = Callable[[], RunningRouter]


@contextmanager
def routing(settings: Settings) -> Iterator[RunningRouter]:
    router = RunningRouter(settings)
    try:
        yield router
    finally:
        router.stop()


def route_once(settings: Settings, *names: str) -> None:
    """Route until these channels are caught up, then stop."""
    with routing(settings):
        await_caught_up(settings, *names)


def status_of(settings: Settings, name: str) -> ChannelStatus:
    """Return what any process can learn about a channel."""
    with Admin(settings) as admin:
        state = read_catalog(settings, admin)
        topics = {topic_of(settings, one): one for one in state.entries}
        described = admin.describe(topics)
        counts = {topic: found.partitions for topic, found in described.items() if found}
        return channel_statuses(settings, admin, [state.entries[name]], counts)[name]


def starts_of(settings: Settings, name: str, event: str) -> tuple[int, ...]:
    """Return where a channel began to read the partitions of a member, as applied now."""
    with Admin(settings) as admin:
        feeding = read_catalog(settings, admin).entries[name].feeding
    assert feeding is not None
    return next(feed.starts for feed in feeding.feeds if feed.event == event)


def await_caught_up(settings: Settings, *names: str, seconds: float = PATIENCE) -> None:
    """Wait until everything that the members have now is judged."""
    for name in names:
        try:
            wait_until(lambda name=name: is_caught_up(settings, name), seconds)  # type: ignore[misc]
        except AssertionError:
            raise AssertionError(f"{name} is stuck: {status_of(settings, name)}") from None


def is_caught_up(settings: Settings, name: str) -> bool:
    status = status_of(settings, name)
    return all(
        member.lag == 0 and member.definition == status.definition for member in status.members
    )


def positions(settings: Settings, name: str) -> dict[tuple[str, int], tuple[int, Checkpoint]]:
    """Return the committed positions of a channel: event and partition to offset and checkpoint."""
    # Not with an AdminClient: librdkafka crashes in it while a coordinator is loading.
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": settings.namespace.positions(name),
            # As they are: under load there is no moment at which no transaction is open.
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        topics = consumer.list_topics(timeout=20).topics
        own = [
            TopicPartition(topic, number)
            for topic, described in topics.items()
            if topic.startswith(topic_of(settings, ""))
            for number in described.partitions
        ]
        committed = consumer.committed(own, timeout=20)
    finally:
        consumer.close()
    found = {}
    for one in committed:
        checkpoint = Checkpoint.parse(one.metadata or "")
        if one.offset >= 0 and checkpoint is not None:
            found[one.topic.rpartition(".")[2], one.partition] = (one.offset, checkpoint)
    return found


def change_point(settings: Settings, name: str, definition: int) -> dict[int, list[int]]:
    """Wait until a definition holds everywhere; return from which offsets of the channel on."""
    partitions = len(log_ends(settings, topic_of(settings, name)))

    def known() -> list[int] | None:
        status = status_of(settings, name)
        checkpoints = positions(settings, name)
        members = [member.event for member in status.members]
        ats: dict[int, int] = {}
        for (event, partition), (_, checkpoint) in checkpoints.items():
            if event in members and checkpoint.definition >= definition:
                ats[partition if partitions > 1 else 0] = checkpoint.at
        return [ats[number] for number in range(partitions)] if len(ats) == partitions else None

    wait_until(lambda: known() is not None)
    ats = known()
    assert ats is not None
    return {definition: ats}


def log_ends(settings: Settings, topic: str) -> list[int]:
    """Return the end of each partition, as a committed reader sees it; wait for a broker."""
    client = admin_client(settings)
    found: list[int] = []

    def ask() -> bool:
        try:
            count = len(client.list_topics(topic, timeout=20).topics[topic].partitions)
            futures = client.list_offsets(
                {TopicPartition(topic, number): OffsetSpec.latest() for number in range(count)},
                isolation_level=IsolationLevel.READ_COMMITTED,
            )
            ends = {one.partition: future.result(20).offset for one, future in futures.items()}
        except KafkaException:
            return False
        found[:] = [ends[number] for number in range(count)]
        return count > 0

    wait_until(ask)
    return found


def commit_positions(
    settings: Settings, name: str, commits: Mapping[tuple[str, int], tuple[int, str]]
) -> None:
    """Commit as a feeder of a channel: by event and partition an offset and its metadata."""
    group = settings.namespace.positions(name)
    consumer = Consumer({"bootstrap.servers": settings.bootstrap_servers, "group.id": group})
    offsets = [
        TopicPartition(topic_of(settings, event), partition, offset, metadata)
        for (event, partition), (offset, metadata) in commits.items()
    ]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def forget_positions(settings: Settings, name: str) -> None:
    """Delete a channel's positions, as Kafka does after a week without a commit."""
    group = settings.namespace.positions(name)
    client = admin_client(settings)
    client.delete_consumer_groups([group])[group].result(20)


def configure(settings: Settings, topic: str, **config: Any) -> None:
    resource = ConfigResource(
        ResourceType.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry(
                key.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET
            )
            for key, value in config.items()
        ],
    )
    client: AdminClient = admin_client(settings)
    client.incremental_alter_configs([resource])[resource].result(20)


def transactional(settings: Settings, name: str) -> Producer:
    """Return a producer of other software that writes in transactions."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "transactional.id": f"{settings.tenant}-{name}",
        }
    )
    producer.init_transactions(20)
    return producer


def publish(bus: EventBus, event: str, numbers: Sequence[int], **more: Any) -> None:
    """Publish one event for each number; each has to be stored."""
    for result in bus.publish_many(event, ({"n": number, **more} for number in numbers)):
        assert result.error is None, result.error
