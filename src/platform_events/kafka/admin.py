"""Topics: what they are, where they begin and end, and how they are changed."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    TopicCollection,
)
from confluent_kafka import TopicPartition as Partition
from confluent_kafka.admin import (
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from platform_events.errors import (
    AuthorizationError,
    BrokerError,
    BrokerTimeoutError,
    BrokerUnreachableError,
)
from platform_events.kafka.asking import KNOWN_AFTER, POLL_INTERVAL
from platform_events.kafka.group_admin import GroupAdmin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from platform_events.settings import Settings

_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the cluster describes it."""

    name: str
    topic_id: str
    """Kafka's UUID of it; a topic of the same name made later has another."""
    partitions: int
    replication_factor: int


class Admin(GroupAdmin):
    """Administration of one cluster. Thread-safe. Every method raises a `BrokerError`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._deleted: set[str] = set()
        """UUIDs of topics that this deleted; a broker that has yet to hear of it still has them."""

    def describe(
        self, names: Iterable[str], *, expected: Iterable[str] = ()
    ) -> dict[str, Topic | None]:
        """Return each topic, or None where there is none of that name.

        Args:
            names: of any topics.
            expected: those of them that were made. One that is missing is looked for again for a
                while: not every broker knows at once what another has made.
        """
        topics = {}
        for name, found in self.describe_each(names, expected=expected).items():
            if isinstance(found, AuthorizationError):
                raise found
            topics[name] = found
        return topics

    def describe_each(
        self, names: Iterable[str], *, expected: Iterable[str] = ()
    ) -> dict[str, Topic | AuthorizationError | None]:
        """Return the same, with the error instead of a topic that may not be seen."""
        topics = self._describe(names)
        deadline = time.monotonic() + KNOWN_AFTER
        while missing := [name for name in expected if topics[name] is None]:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_INTERVAL)
            topics |= self._describe(missing)
        return topics

    def _describe(self, names: Iterable[str]) -> dict[str, Topic | AuthorizationError | None]:
        wanted = list(names)
        if not wanted:
            return {}
        futures = self._live().describe_topics(
            TopicCollection(wanted), request_timeout=self._timeout
        )
        topics: dict[str, Topic | AuthorizationError | None] = {}
        for name, future in futures.items():
            try:
                described = self._wait_or_none(future, f"describing topic {name}", _ABSENT)
            except AuthorizationError as error:
                topics[name] = error
                continue
            known = described is not None and str(described.topic_id) not in self._deleted
            topics[name] = _as_topic(name, described) if known else None
        return topics

    def describe_one(self, name: str, *, expected: bool = False) -> Topic | None:
        """Return the topic, or None if there is none of that name, as `describe` does."""
        return self.describe([name], expected=[name] if expected else ())[name]

    def names(self, prefix: str) -> list[str]:
        """Return the names of the topics that begin with `prefix`, in order, as far as one may."""
        found = self._list_topics(f"listing the topics {prefix}*")
        return sorted(name for name in found if name.startswith(prefix))

    def await_topic(self, name: str) -> Topic:
        """Return a topic that was just made, as soon as the cluster knows it.

        Raises:
            BrokerTimeoutError: it still does not know it after the request time-out.
        """
        deadline = time.monotonic() + self._timeout
        while (topic := self.describe_one(name, expected=True)) is None:
            if time.monotonic() >= deadline:
                raise BrokerTimeoutError(
                    f"topic {name} was made but the cluster does not know it yet; try again"
                )
        return topic

    def configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return all config values of each topic, defaults included."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}

        def ask() -> dict[str, dict[str, str]]:
            futures = self._live().describe_configs(resources, request_timeout=self._timeout)
            found = {}
            for resource, future in futures.items():
                entries = self._wait(future, f"reading the configuration of topic {resource.name}")
                found[resource.name] = {entry.name: entry.value for entry in entries.values()}
            return found

        return self._ask_until_settled(ask)

    def create(
        self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]
    ) -> bool:
        """Make a topic and return True; one of that name that is there already is left as it is."""
        topic = NewTopic(name, partitions, replication_factor, config=dict(config))
        created = self._live().create_topics([topic], request_timeout=self._timeout)[name]
        try:
            self._wait(created, f"creating topic {name}")
        except BrokerError as error:
            if error.kafka_code != "TOPIC_ALREADY_EXISTS":
                raise
            return False
        return True

    def configure(self, name: str, config: Mapping[str, str]) -> None:
        """Set these config values of a topic and leave its others.

        It returns when a broker tells them too, some milliseconds after the controller has taken
        them, or a second later.
        """
        self._alter(ResourceType.TOPIC, name, config, f"configuring topic {name}")
        self._await_known(lambda: self.configs([name])[name].items() >= config.items())

    def grow(self, name: str, partitions: int) -> None:
        """Raise a topic's number of partitions to `partitions`; return as `configure` does."""
        futures = self._live().create_partitions(
            [NewPartitions(name, partitions)], request_timeout=self._timeout
        )
        self._wait(futures[name], f"adding partitions to topic {name}")

        def has_grown() -> bool:
            topic = self.describe_one(name)
            return topic is not None and topic.partitions >= partitions

        self._await_known(has_grown)

    def _await_known(self, is_known: Callable[[], bool]) -> None:
        """Wait until brokers know what was changed, but not for long: the change is made."""
        deadline = time.monotonic() + KNOWN_AFTER
        with suppress(BrokerError):
            while not is_known() and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)

    def delete(self, *names: str) -> None:
        """Delete topics with their events in one request; those that are not there are fine.

        It returns as `configure` does.
        """
        gone = {topic.topic_id for topic in self.describe(names).values() if topic}
        futures = self._live().delete_topics(list(names), request_timeout=self._timeout)
        for name, future in futures.items():
            self._wait_or_none(future, f"deleting topic {name}", _ABSENT)

        def are_gone() -> bool:
            left = self.describe(names).values()
            return gone.isdisjoint(topic.topic_id for topic in left if topic)

        self._await_known(are_gone)
        self._deleted |= gone

    def delete_records(self, name: str, offsets: Sequence[int]) -> None:
        """Remove what lies below these offsets, one for each partition, as retention does."""
        futures = self._live().delete_records(
            [Partition(name, partition, offset) for partition, offset in enumerate(offsets)],
            request_timeout=self._timeout,
        )
        for future in futures.values():
            self._wait(future, f"removing events of topic {name}")

    def watermarks(self, topics: Mapping[str, int]) -> dict[str, list[tuple[int, int]]]:
        """Return first and end offset of each partition, for topic names to partition counts.

        The end is the last stable offset: what a subscriber can read up to now.
        """
        firsts = self._offsets(topics, OffsetSpec.earliest())
        ends = self._offsets(topics, OffsetSpec.latest())
        return {
            name: [(first, max(first, end)) for first, end in zip(found, ends[name], strict=True)]
            for name, found in firsts.items()
        }

    def stable_ends(self, names: Iterable[str]) -> dict[str, int | BrokerError]:
        """Return what a subscriber can read up to in partition 0 of each topic, or why not.

        It asks once, so that no topic has to wait for another one whose leader moves.
        """
        request = {Partition(name, 0): OffsetSpec.latest() for name in names}
        ends: dict[str, int | BrokerError] = {}
        for partition, outcome in self._ask_offsets(request, IsolationLevel.READ_COMMITTED):
            ends[partition.topic] = outcome
        return ends

    def log_ends(self, name: str, partitions: int) -> list[int]:
        """Return the offset after the last record of each partition, committed or not."""
        topics = {name: partitions}
        return self._offsets(topics, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)[name]

    def begin_log_ends(self, name: str, partitions: Iterable[int]) -> dict[int, Future[Any]]:
        """Ask for the same of some partitions, without waiting for the answers; see `LogEnds`."""
        request = {Partition(name, partition): OffsetSpec.latest() for partition in partitions}
        futures = self._live().list_offsets(
            request,
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=self._timeout,
        )
        return {partition.partition: future for partition, future in futures.items()}

    def offsets_since(self, name: str, marks: Sequence[tuple[int, int]], time_ms: int) -> list[int]:
        """Return each partition's first offset appended at or after a time, its end if none is.

        `marks` are its first and end offset.
        """
        found = self._offsets({name: len(marks)}, OffsetSpec.for_timestamp(time_ms))
        return [
            end if offset < 0 else max(offset, first)
            for offset, (first, end) in zip(found[name], marks, strict=True)
        ]

    def counts_since(
        self, watermarks: Mapping[str, Sequence[tuple[int, int]]], time_ms: int
    ) -> dict[str, int]:
        """Return how many offsets of each topic were appended at or after a time.

        `watermarks` are the first and end offset of each partition.
        """
        topics = {name: len(marks) for name, marks in watermarks.items()}
        found = self._offsets(topics, OffsetSpec.for_timestamp(time_ms))
        return {
            name: sum(
                end - max(offset, first) if 0 <= offset < end else 0
                for offset, (first, end) in zip(found[name], marks, strict=True)
            )
            for name, marks in watermarks.items()
        }

    def _offsets(
        self,
        topics: Mapping[str, int],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[str, list[int]]:
        """Return an offset of each partition, for topic names to partition counts."""
        request = {
            Partition(name, partition): spec
            for name, count in topics.items()
            for partition in range(count)
        }
        found = {name: [0] * count for name, count in topics.items()}
        if not request:
            return found

        def ask() -> dict[str, list[int]]:
            for partition, outcome in self._ask_offsets(request, isolation):
                if isinstance(outcome, BrokerError):
                    raise outcome
                found[partition.topic][partition.partition] = outcome
            return found

        return self._ask_until_settled(ask)

    def _ask_offsets(
        self, request: Mapping[Partition, OffsetSpec], isolation: IsolationLevel
    ) -> Iterator[tuple[Partition, int | BrokerError]]:
        """Yield the offset of each partition, or why there is none.

        All are asked for at once: what has no answer once one was waited for in vain fails as that.
        """
        if not request:
            return
        futures = self._live().list_offsets(
            dict(request), isolation_level=isolation, request_timeout=self._timeout
        )
        in_vain: BrokerError | None = None
        for partition, future in futures.items():
            doing = f"asking for the offsets of topic {partition.topic}"
            outcome: int | BrokerError
            if in_vain is not None and not future.done():
                yield partition, in_vain
                continue
            try:
                outcome = self._wait(future, doing).offset
            except BrokerError as error:
                outcome = error
                is_silence = isinstance(error, (BrokerTimeoutError, BrokerUnreachableError))
                if is_silence or not error.kafka_code:
                    in_vain = error
            if outcome == OFFSET_INVALID:
                # Without an error, while a leader moves (tried).
                outcome = BrokerTimeoutError(f"{doing}: no leader is known", "LEADER_NOT_AVAILABLE")
            yield partition, outcome


def _as_topic(name: str, described: Any) -> Topic:
    partitions = described.partitions
    return Topic(name, str(described.topic_id), len(partitions), len(partitions[0].replicas))
