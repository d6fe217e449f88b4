"""Members of groups that note what they are told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from confluent_kafka import Producer

from platform_events.errors import BrokerError
from platform_events.kafka.admin import Admin
from platform_events.kafka.groups import Protocol
from platform_events.kafka.members import Member
from platform_events.kafka.offsets import read_committed
from platform_events.settings import Settings
from tests.support import PATIENCE

GROUP = "seats"


class Seat:
    """A member, and what it was told."""

    def __init__(
        self,
        settings: Settings,
        topic: str,
        protocol: Protocol,
        *,
        client_id: str = "one",
        begins: bool = True,
        **options: Any,
    ) -> None:
        self.topic = topic
        self.owned: set[int] = set()
        self.lost: list[int] = []
        self.outcomes: list[dict[int, str]] = []
        """For each commit what Kafka said of its partitions; empty text if it took it."""
        self.offsets: dict[int, list[int]] = {}
        self.ends: dict[int, int] = {}
        self.out_of_range: set[int] = set()
        self.topic_missing = False
        self.errors: list[BrokerError] = []
        self.on_assigned: Callable[[list[int]], None] = lambda _: None
        self.on_revoked: Callable[[list[int]], None] = lambda _: None
        self.on_lost: Callable[[list[int]], None] = lambda _: None
        self.on_committed: Callable[[dict[int, str]], None] = lambda _: None
        self._begins = begins
        self.member = Member(
            settings, group_of(settings), client_id, topic, protocol=protocol,
            on_assigned=self._gain, on_revoked=self._give, on_lost=self._lose,
            on_committed=self._note, **options,
        )  # fmt: skip

    def read(self, timeout: float = 0.02) -> list[tuple[int, int]]:
        """Read once; return partition and offset of each record."""
        try:
            batch = self.member.read(500, timeout)
        except BrokerError as error:
            self.errors.append(error)
            return []
        found = [(record.partition(), record.offset()) for record in batch.records]
        for partition, offset in found:
            self.offsets.setdefault(partition, []).append(offset)
        self.ends |= batch.ends
        self.out_of_range |= batch.out_of_range
        self.topic_missing |= batch.topic_missing
        return found

    def begin(self, partition: int, offset: int) -> None:
        self.offsets[partition] = []
        self.ends.pop(partition, None)
        self.out_of_range.discard(partition)
        self.member.begin(partition, offset)

    def commit(self, positions: dict[int, tuple[int, str]]) -> dict[int, str]:
        """Commit, and return the outcome."""
        before = len(self.outcomes)
        assert self.member.commit(positions)
        until(lambda: len(self.outcomes) > before, self)
        return self.outcomes[-1]

    def _gain(self, partitions: list[int]) -> None:
        self.owned.update(partitions)
        if self._begins:
            for partition in partitions:
                self.begin(partition, 0)
        self.on_assigned(partitions)

    def _give(self, partitions: list[int]) -> None:
        self.owned.difference_update(partitions)
        self.on_revoked(partitions)

    def _lose(self, partitions: list[int]) -> None:
        self.owned.difference_update(partitions)
        self.lost += partitions
        self.on_lost(partitions)

    def _note(self, outcomes: dict[int, BrokerError | None]) -> None:
        self.outcomes.append(
            {one: error.kafka_code if error else "" for one, error in outcomes.items()}
        )
        self.on_committed(self.outcomes[-1])


@contextmanager
def seated(*args: Any, **options: Any) -> Iterator[Seat]:
    """Take a seat for the length of a `with`."""
    seat = Seat(*args, **options)
    try:
        yield seat
    finally:
        seat.member.close(10)


def until(condition: Callable[[], Any], *seats: Seat) -> None:
    """Have members read until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, [(vars(seat)) for seat in seats]
        for seat in seats:
            seat.read()


def group_of(settings: Settings) -> str:
    return f"{settings.tenant}-{GROUP}"


def committed(settings: Settings, topic: str, partitions: int = 4) -> dict[int, tuple[int, str]]:
    """Return what the group has committed."""
    found = read_committed(settings, group_of(settings), [(topic, n) for n in range(partitions)])
    return {one.partition: (one.offset, one.metadata) for one in found.values()}


def members_of(settings: Settings) -> set[str]:
    """Return who is in the group, by all that its coordinator knows."""
    with Admin(settings) as admin:
        return {member.client_id for member in admin.members(group_of(settings))}


def make_topic(settings: Settings, partitions: int = 4) -> str:
    name = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(name, partitions, 1, {})
        admin.await_topic(name)
    return name


def produce(settings: Settings, topic: str, count: int, partitions: int = 4) -> None:
    """Write as many records to each partition."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 5})
    for number in range(count):
        for partition in range(partitions):
            with suppress(BufferError):
                producer.produce(topic, b"%d" % number, partition=partition)
    assert producer.flush(30) == 0


def sit(bootstrap_servers: str, tenant: str, topic: str, protocol: Protocol) -> None:
    """Take a static member's seat, say so, and stay until killed."""
    settings = Settings(bootstrap_servers=bootstrap_servers, tenant=tenant)
    with seated(settings, topic, protocol, instance_id="kept") as seat:
        until(lambda: seat.owned, seat)
        print("seated", flush=True)
        until(lambda: False, seat)


if __name__ == "__main__":
    sit(*sys.argv[1:])  # type: ignore[arg-type]
