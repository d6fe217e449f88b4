"""Making a subscription: once, whoever tries at the same time, and never as something else."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from platform_events.bus.bus import EventBus
from platform_events.errors import SubscriptionConflictError
from platform_events.kafka.clients import Clients
from platform_events.settings import Settings
from platform_events.workers.creation import ensure_journal, read_subscription
from platform_events.workers.documents import JournalRecord
from platform_events.workers.journal import (
    Control,
    Seek,
    SubscriptionRecord,
    control_record,
    subscription_record,
)
from tests.channels.stored import read_topic
from tests.support import wait_until
from tests.workers.journals import (
    NAME,
    READINGS,
    journal_of,
    letter,
    read,
    subscribe,
    subscription,
    write,
    write_letters,
)

RACERS = 6


def subscriptions_in(settings: Settings) -> int:
    rows = read_topic(settings, journal_of(settings))
    assert all(row.key != b"subscription" for part in rows[1:] for row in part)
    return sum(row.key == b"subscription" for row in rows[0])


def test_many_at_once_make_one_subscription(bus: EventBus) -> None:
    """Each asks for another start; all go on with what one of them wrote."""
    wanted = [subscription(bus, READINGS, start=f"{n}", offsets=(n, n, n)) for n in range(RACERS)]
    ready = threading.Barrier(RACERS)

    def race(one: SubscriptionRecord) -> SubscriptionRecord:
        clients = Clients(bus.settings)
        try:
            ready.wait()
            return ensure_journal(bus.settings, clients, one, 3)
        finally:
            clients.close()

    with ThreadPoolExecutor(RACERS) as threads:
        found = list(threads.map(race, wanted))
    assert len({one.start for one in found}) == 1
    assert found[0] in wanted
    assert subscriptions_in(bus.settings) == 1
    assert subscribe(bus, READINGS) == found[0]


def test_who_finds_a_journal_without_a_word_writes_it_after_a_while(
    settings: Settings, bus: EventBus
) -> None:
    """The process that made the topic was killed before it wrote."""
    bus.admin.create(journal_of(settings), 1, 1, {"cleanup.policy": "compact"})
    hasty = Settings(
        bootstrap_servers=settings.bootstrap_servers, tenant=settings.tenant, request_timeout=1
    )
    wanted = subscription(bus)
    assert ensure_journal(hasty, bus.clients, wanted, 1) == wanted
    assert subscriptions_in(settings) == 1


def test_who_finds_a_journal_without_a_word_waits_for_its_maker(
    settings: Settings, bus: EventBus
) -> None:
    bus.admin.create(journal_of(settings), 1, 1, {"cleanup.policy": "compact"})
    theirs = subscription(bus, start="earliest")
    late = threading.Timer(1, write, (bus, (0, subscription_record(theirs))))
    late.start()
    assert subscribe(bus) == theirs
    late.join()
    assert subscriptions_in(settings) == 1


def test_another_stream_and_another_order_are_refused(bus: EventBus) -> None:
    subscribe(bus)
    with pytest.raises(SubscriptionConflictError, match="reads /event/Order_Placed__e, not") as one:
        subscribe(bus, READINGS)
    assert one.value.subscription == NAME
    with pytest.raises(SubscriptionConflictError, match='order="key", not "none": give the worker'):
        subscribe(bus, order="none")
    # What was refused has changed nothing, and a start counts only once.
    assert len(read(bus)) == 1
    assert subscribe(bus, start="earliest").start == "latest"


def test_what_a_newer_version_made_is_refused(bus: EventBus) -> None:
    bus.admin.create(journal_of(bus.settings), 1, 1, {"cleanup.policy": "compact"})
    write(bus, (0, JournalRecord(b"subscription", json.dumps({"version": 2}).encode())))
    with pytest.raises(SubscriptionConflictError, match=r"newer version.*run that version"):
        subscribe(bus)


def test_the_journal_is_compacted_and_has_the_partitions_of_the_stream(bus: EventBus) -> None:
    subscribe(bus, READINGS)
    topic = journal_of(bus.settings)
    assert bus.admin.configs([topic])[topic]["cleanup.policy"] == "compact"
    assert bus.admin.await_topic(topic).partitions == 3
    assert read_subscription(bus.settings, bus.admin, topic) == subscription(bus, READINGS)


def test_a_journal_grows_with_its_stream_and_stays_paused(bus: EventBus) -> None:
    wanted = subscribe(bus)
    write_letters(bus, letter(1))
    write(bus, (0, control_record(Control(3, paused=True, seek=Seek(2, 7, "t")))))
    ready = threading.Barrier(RACERS)

    def grow(_: int) -> None:
        ready.wait()
        ensure_journal(bus.settings, bus.clients, wanted, 4)

    with ThreadPoolExecutor(RACERS) as threads:
        list(threads.map(grow, range(RACERS)))
    wait_until(lambda: len(read(bus)) == 4)
    first, *added = read(bus)
    assert first.control == Control(3, paused=True, seek=Seek(2, 7, "t"))
    assert [journal.control for journal in added] == [Control(3, paused=True)] * 3
    assert list(first.letters) == ["0-1"]
    ensure_journal(bus.settings, bus.clients, wanted, 2)
    assert len(read(bus)) == 4
