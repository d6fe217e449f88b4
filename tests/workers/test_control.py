"""Commands to a subscription: what is in force after them, whoever gives them and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.errors import (
    BrokerTimeoutError,
    SubscriptionConflictError,
    UnknownSubscriptionError,
    UsageError,
)
from platform_events.kafka.ledger import FencedWriter
from platform_events.kafka.offsets import read_committed
from platform_events.replay import ReplayFutureError, ReplayId
from platform_events.workers import control as commands
from platform_events.workers.control import (
    delete,
    find_subscription,
    pause,
    pending_partitions,
    resume,
    seek,
)
from platform_events.workers.documents import JournalRecord
from platform_events.workers.holes import Saved, encode
from platform_events.workers.journal import Control, RedriveRequest, Seek, redrive_record
from tests.support import delete_before, delete_by_hand, delete_topic, topic_of, wait_until
from tests.workers.journals import (
    NAME,
    ORDERS,
    READINGS,
    journal_of,
    letter,
    read,
    subscribe,
    write,
    write_letters,
)

SENSORS = ("a", "b", "c", "d", "e", "f")


def publish_readings(bus: EventBus, count: int) -> list[ReplayId]:
    """Publish one reading of each sensor `count` times; return what a reader was given."""
    payloads = [{"sensor": one, "value": n} for n in range(count) for one in SENSORS]
    bus.publish_many(READINGS, payloads)
    return [event.replay_id for event in bus.subscribe(READINGS, follow=False)]


def controls(bus: EventBus) -> list[Control]:
    return [journal.control for journal in read(bus)]


def seeks(bus: EventBus) -> list[int]:
    return [one.seek.offset for one in controls(bus) if one.seek is not None]


def ends(bus: EventBus, stream: str, partitions: int) -> list[int]:
    topic = topic_of(bus.settings, stream)
    return [end for _, end in bus.admin.watermarks({topic: partitions})[topic]]


def commit(bus: EventBus, stream: str, generations: dict[int, int]) -> None:
    """Commit what an owner does that has applied these generations in its partitions."""
    consumer = Consumer(
        {
            "bootstrap.servers": bus.settings.bootstrap_servers,
            "group.id": bus.settings.namespace.worker(NAME),
        }
    )
    topic = topic_of(bus.settings, stream)
    positions = [
        TopicPartition(topic, partition, 0, encode(0, Saved(generation))[0])
        for partition, generation in generations.items()
    ]
    consumer.commit(offsets=positions, asynchronous=False)
    consumer.close()


@contextmanager
def member(bus: EventBus, stream: str) -> Iterator[Consumer]:
    """Be a member of the subscription's group."""
    consumer = Consumer(
        {
            "bootstrap.servers": bus.settings.bootstrap_servers,
            "group.id": bus.settings.namespace.worker(NAME),
            "session.timeout.ms": 6_000,
        }
    )
    consumer.subscribe([topic_of(bus.settings, stream)])
    wait_until(lambda: consumer.poll(0.1) is None and bool(consumer.assignment()))
    try:
        yield consumer
    finally:
        consumer.close()


def test_a_seek_is_one_offset_for_each_partition(bus: EventBus) -> None:
    subscribed = subscribe(bus, READINGS)
    replay_ids = publish_readings(bus, 10)
    last = ends(bus, READINGS, 3)
    vector = list(replay_ids[30].vector())
    before = datetime.now(UTC) - timedelta(hours=1)
    starts = [
        (Start.EARLIEST, [0, 0, 0]),
        ("latest", last),
        (replay_ids[30], vector),
        (str(replay_ids[30]), vector),
        (before, [0, 0, 0]),
    ]
    for generation, (start, expected) in enumerate(starts, 1):
        assert seek(bus, NAME, start) == generation
        assert controls(bus) == [
            Control(generation, seek=Seek(generation, offset, subscribed.topic_id))
            for offset in expected
        ]


def test_a_seek_behind_retention_is_to_the_earliest(bus: EventBus) -> None:
    subscribe(bus)
    results = bus.publish_many(ORDERS, [{"order_id": f"A-{n}"} for n in range(10)])
    delete_before(bus.settings, ORDERS, [6])
    assert results[2].replay_id is not None
    seek(bus, NAME, results[2].replay_id)
    assert seeks(bus) == [6]


def test_a_seek_to_nowhere_changes_nothing(bus: EventBus) -> None:
    subscribe(bus)
    (result,) = bus.publish_many(ORDERS, [{"order_id": "A-1"}])
    assert result.replay_id is not None
    future = ReplayId((50).to_bytes(8, "big") + result.replay_id[8:])
    with pytest.raises(ReplayFutureError):
        seek(bus, NAME, future)
    with pytest.raises(UsageError, match="neither latest"):
        seek(bus, NAME, None)
    assert controls(bus) == [Control()]


def test_pausing_after_a_seek_that_nobody_has_applied_keeps_it(bus: EventBus) -> None:
    subscribe(bus)
    bus.publish_many(ORDERS, [{"order_id": "A-1"}] * 3)
    topic_id = find_subscription(bus, NAME).topic_id
    seek(bus, NAME, "latest")
    assert pause(bus, NAME) == 2
    assert controls(bus) == [Control(2, paused=True, seek=Seek(1, 3, topic_id))]
    seek(bus, NAME, "earliest")
    assert controls(bus) == [Control(3, paused=True, seek=Seek(3, 0, topic_id))]
    assert resume(bus, NAME) == 4
    assert controls(bus) == [Control(4, seek=Seek(3, 0, topic_id))]


def test_commands_given_at_once_are_one_after_the_other(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    publish_readings(bus, 2)

    def command(number: int) -> int:
        if number % 3 == 0:
            return seek(bus, NAME, "latest" if number % 2 else "earliest")
        return pause(bus, NAME) if number % 3 == 1 else resume(bus, NAME)

    with ThreadPoolExecutor(3) as threads:
        generations = list(threads.map(command, range(9)))
    assert sorted(generations) == list(range(1, 10))
    found = controls(bus)
    last = generations.index(9)
    assert {one.generation for one in found} == {9}
    assert len({one.paused for one in found}) == 1
    if last % 3:
        assert found[0].paused is (last % 3 == 1)
    latest_seek = max(g for g, number in zip(generations, range(9), strict=True) if number % 3 == 0)
    assert {one.seek.generation for one in found if one.seek} == {latest_seek}


def test_what_a_killed_command_had_begun_is_undone_by_the_next(bus: EventBus) -> None:
    subscribe(bus)
    topic = journal_of(bus.settings)
    (before,) = bus.admin.log_ends(topic, 1)
    killed = FencedWriter(bus.settings, topic, "testing", 60_000)
    killed._producer.begin()
    killed._producer.produce(topic, b'{"version":1}', b"control", 0)
    wait_until(lambda: bus.admin.log_ends(topic, 1) > [before])
    assert pause(bus, NAME) == 1
    assert controls(bus) == [Control(1, paused=True)]
    killed.__exit__()


def test_resuming_redrives_what_was_stopped_in_order(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    stopped = letter(3, version=4, stops_key=True, key=b"a")
    parked = [letter(offset, status="parked", reason="parked", key=b"a") for offset in (5, 20, 9)]
    dead = letter(4)
    elsewhere = letter(1, 2, status="parked", reason="parked")
    write_letters(bus, *parked, dead, stopped, elsewhere)
    write(bus, (0, redrive_record(RedriveRequest("0-9", 1, 7))))
    resume(bus, NAME)
    first, second, third = read(bus)
    assert list(first.requests) == ["0-9", "0-3", "0-5", "0-20"]
    assert first.requests["0-9"].requested_ms == 7
    assert first.requested("0-3") is not None
    assert second.requests == {}
    assert list(third.requests) == ["2-1"]


def test_generations_go_on_where_owners_are_though_the_journal_is_lost(bus: EventBus) -> None:
    """An owner applies only what is newer than what it has committed."""
    subscribe(bus, READINGS)
    commit(bus, READINGS, {0: 4, 2: 11})
    assert pause(bus, NAME) == 12
    delete_by_hand(bus.settings, journal_of(bus.settings))
    subscribe(bus, READINGS)
    assert seek(bus, NAME, "latest") == 12


def test_what_is_not_applied_is_told(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    generation = pause(bus, NAME)
    assert pending_partitions(bus, NAME, generation) == [0, 1, 2]
    commit(bus, READINGS, {0: 1, 1: 0})
    assert pending_partitions(bus, NAME, generation) == [1, 2]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pending_partitions, bus, NAME, generation, 30)
        commit(bus, READINGS, {1: 1, 2: 3})
        assert waiting.result() == []


def test_a_seek_reaches_the_partitions_that_the_stream_gained(bus: EventBus) -> None:
    subscribe(bus)
    bus.admin.grow(topic_of(bus.settings, ORDERS), 3)
    pause(bus, NAME)
    bus.publish_many(ORDERS, [{"order_id": "A-1"}])
    seek(bus, NAME, "earliest")
    assert [(one.paused, one.seek is not None) for one in controls(bus)] == [(True, True)] * 3


def test_nothing_is_commanded_that_is_not_there(bus: EventBus) -> None:
    for command in (pause, resume, delete, lambda *given: seek(*given, "latest")):
        with pytest.raises(UnknownSubscriptionError, match="no subscription billing; it is made"):
            command(bus, NAME)
        with pytest.raises(UsageError, match="cannot name a subscription"):
            command(bus, "Billing")
    bus.admin.create(journal_of(bus.settings), 1, 1, {"cleanup.policy": "compact"})
    with pytest.raises(UnknownSubscriptionError):
        pause(bus, NAME)


def test_a_stream_that_is_gone_is_said(bus: EventBus) -> None:
    subscribe(bus)
    delete_topic(bus.settings, ORDERS)
    with pytest.raises(UnknownSubscriptionError, match="stream of subscription billing is gone"):
        seek(bus, NAME, "latest")
    assert pause(bus, NAME) == 1


def test_nothing_is_added_to_what_a_newer_version_commanded(bus: EventBus) -> None:
    subscribe(bus)
    newer = JournalRecord(b"control", json.dumps({"version": 2, "speed": 1}).encode())
    write(bus, (0, newer))
    with pytest.raises(SubscriptionConflictError, match="newer version"):
        resume(bus, NAME)
    delete(bus, NAME)
    assert bus.admin.describe_one(journal_of(bus.settings)) is None


def test_deleting_leaves_nothing(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    commit(bus, READINGS, {0: 4})
    delete(bus, NAME)
    assert bus.admin.describe_one(journal_of(bus.settings)) is None
    group = bus.settings.namespace.worker(NAME)
    assert read_committed(bus.settings, group, [(topic_of(bus.settings, READINGS), 0)]) == {}
    with pytest.raises(UnknownSubscriptionError):
        delete(bus, NAME)
    # The name is free, for any stream.
    assert subscribe(bus).stream == ORDERS


def test_deleting_waits_for_workers_and_is_finished_by_doing_it_again(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(bus)
    monkeypatch.setattr(commands, "_LEAVE_SECONDS", 0.5)
    with member(bus, ORDERS):
        with pytest.raises(BrokerTimeoutError, match="1 of its workers are still there"):
            delete(bus, NAME)
        assert [one.deleted for one in controls(bus)] == [True]
        with pytest.raises(UnknownSubscriptionError, match="is being deleted"):
            pause(bus, NAME)
        monkeypatch.setattr(commands, "_LEAVE_SECONDS", 60)
        threads = ThreadPoolExecutor(1)
        deletion = threads.submit(delete, bus, NAME)
        wait_until(lambda: controls(bus)[0].generation == 2)
        assert not deletion.done()
    deletion.result()
    threads.shutdown()
    assert bus.admin.describe_one(journal_of(bus.settings)) is None
