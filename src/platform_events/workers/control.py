"""Commands to a subscription, from any process, whether or not its workers run.

A command is one record in every partition of the journal, written in one transaction. Two at once
are one after the other: opening a transaction ends the other's, which is then begun again.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.bus.starts import find_stream, resolve_start
from platform_events.errors import (
    BrokerError,
    BrokerTimeoutError,
    FencedError,
    SubscriptionConflictError,
    UnknownStreamError,
    UnknownSubscriptionError,
)
from platform_events.kafka.ledger import FencedWriter, await_readable
from platform_events.kafka.offsets import GroupOffsets, read_committed
from platform_events.names import check_subscription, stream_path
from platform_events.workers.creation import grow_journal, read_subscription
from platform_events.workers.holes import decode
from platform_events.workers.journal import (
    CONTROL_KEY,
    Control,
    RedriveRequest,
    Seek,
    control_record,
    redrive_record,
)
from platform_events.workers.log import (
    load,
    subscription_in,
    unfinished_subscription,
    unknown_subscription,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import StartPoint, Stream
    from platform_events.workers.documents import JournalRecord
    from platform_events.workers.journal import PartitionJournal, SubscriptionRecord

    Compose = Callable[[int, Sequence[PartitionJournal]], list[tuple[int, JournalRecord]]]
    """From a generation and what is in force to the records of a command."""

_TRANSACTION_TIMEOUT_MS = 10_000
"""After that what a command that was killed had begun holds nobody up any more."""
_ATTEMPTS = 10
_LONGEST_PAUSE = 0.5
"""Seconds before a command is given once more."""
_LOOK_AGAIN = 0.2
"""Seconds."""
_LEAVE_SECONDS = 10.0
"""In which workers of a subscription that is deleted have to end."""


def seek(bus: EventBus, name: str, start: StartPoint) -> int:
    """Have a subscription go on elsewhere. What was handled there before is handled again.

    Args:
        bus: of the tenant.
        name: the subscription's.
        start: as `EventBus.subscribe` takes it. Past retention it is the earliest that is there.

    Returns:
        The generation of this command, which `pending_partitions` takes.

    Raises:
        UnknownSubscriptionError: there is no such subscription, or its stream is gone.
        SubscriptionConflictError: a newer version wrote its journal.
        ReplayError: the verdict on a replay ID.
        UsageError: `name` or `start` is none of the forms.
        BrokerTimeoutError: whether the command is in force is not known.
        BrokerError: it is not.
    """
    topic = bus.settings.namespace.journal(check_subscription(name))
    stream = _find_stream(bus, find_subscription(bus, name))
    offsets = resolve_start(start, stream, bus.admin, on_expired="earliest").offsets
    grow_journal(bus.settings, bus.clients, topic, len(offsets))

    def compose(
        generation: int, journals: Sequence[PartitionJournal]
    ) -> list[tuple[int, JournalRecord]]:
        return [
            (
                journal.partition,
                control_record(
                    replace(
                        _in_force(journals),
                        generation=generation,
                        seek=Seek(generation, offset, stream.topic.topic_id),
                    )
                ),
            )
            for journal, offset in zip(journals, offsets, strict=False)
        ]

    return _command(bus, name, compose)


def pause(bus: EventBus, name: str) -> int:
    """Have no more of a subscription's events handled until it is resumed.

    Returns and raises as `seek`.
    """
    return _command(bus, name, lambda *given: _switch(*given, paused=True))


def resume(bus: EventBus, name: str) -> int:
    """Have a subscription's events handled again, and go on with keys that were stopped.

    Their letters are redriven, those of each partition in the order of their events.

    Returns and raises as `seek`.
    """

    def compose(
        generation: int, journals: Sequence[PartitionJournal]
    ) -> list[tuple[int, JournalRecord]]:
        now_ms = time.time_ns() // 1_000_000
        requests = [
            (
                journal.partition,
                redrive_record(RedriveRequest(letter.id, letter.version, now_ms)),
            )
            for journal in journals
            for letter in sorted(journal.letters.values(), key=lambda letter: letter.offset)
            if (letter.stops_key or letter.status == "parked")
            and journal.requested(letter.id) is None
        ]
        return [*_switch(generation, journals, paused=False), *requests]

    return _command(bus, name, compose)


def delete(bus: EventBus, name: str) -> None:
    """Delete a subscription: its workers end, its position and its dead letters are gone.

    What was interrupted is finished by doing it again.

    Raises:
        UnknownSubscriptionError: there is no such subscription.
        BrokerTimeoutError: workers do not end, or the cluster does not answer; do it again.
        BrokerError: the cluster does not allow it.
    """
    namespace = bus.settings.namespace
    _command(
        bus,
        name,
        lambda generation, journals: [
            (one.partition, control_record(Control(generation, deleted=True))) for one in journals
        ],
        deletes=True,
    )
    _delete_group(bus, name)
    bus.admin.delete(namespace.journal(name))


def pending_partitions(
    bus: EventBus, name: str, generation: int, timeout: float = 0.0
) -> list[int]:
    """Return the partitions whose owners have not applied a command, or that nobody owns.

    Args:
        bus: of the tenant.
        name: the subscription's.
        generation: of the command.
        timeout: seconds to wait until there are none.

    Raises:
        UnknownSubscriptionError: there is no such subscription.
        BrokerError: the cluster cannot be asked.
    """
    namespace = bus.settings.namespace
    stream_topic = namespace.topic(find_subscription(bus, name).stream)
    journal = bus.admin.describe_one(namespace.journal(name))
    places = [(stream_topic, one) for one in range(journal.partitions if journal else 0)]
    deadline = time.monotonic() + timeout
    with GroupOffsets(bus.settings, namespace.worker(name)) as offsets:
        while True:
            found = offsets.read(places)
            pending = [
                place[1]
                for place in places
                if place not in found
                or decode(found[place].offset, found[place].metadata).generation < generation
            ]
            if not pending or time.monotonic() >= deadline:
                return pending
            time.sleep(_LOOK_AGAIN)


def find_subscription(bus: EventBus, name: str) -> SubscriptionRecord:
    """Return what a subscription is.

    Raises:
        UnknownSubscriptionError: there is none of that name, or it was not made completely.
        SubscriptionConflictError: a newer version made it.
        UsageError: `name` cannot name a subscription.
        BrokerError: the cluster cannot be asked.
    """
    topic = bus.settings.namespace.journal(check_subscription(name))
    if bus.admin.describe_one(topic) is None:
        raise unknown_subscription(bus.settings, bus.admin, name)
    found = read_subscription(bus.settings, bus.admin, topic)
    if found is None:
        raise unfinished_subscription(name)
    return found


def _find_stream(bus: EventBus, subscription: SubscriptionRecord) -> Stream:
    try:
        entry = bus.catalog.entry(subscription.stream)
        return find_stream(entry, bus.settings.namespace.topic(subscription.stream), bus.admin)
    except UnknownStreamError as error:
        raise UnknownSubscriptionError(
            subscription.name,
            f"the stream of subscription {subscription.name} is gone: "
            f"{stream_path(subscription.stream)}; apply it again, or delete the subscription with "
            f"platform-events subscriptions delete {subscription.name}",
        ) from error


def _command(bus: EventBus, name: str, compose: Compose, *, deletes: bool = False) -> int:
    """Write the records of a command and return its generation."""
    settings, admin = bus.settings, bus.admin
    topic = settings.namespace.journal(check_subscription(name))
    if admin.describe_one(topic) is None:
        raise unknown_subscription(bus.settings, bus.admin, name)
    doing = f"commanding subscription {name}"
    for _ in range(_ATTEMPTS):
        try:
            with FencedWriter(settings, topic, doing, _TRANSACTION_TIMEOUT_MS) as writer:
                journals = load(settings, admin, topic, settled=True)
                if not deletes:
                    _check(name, journals)
                generation = 1 + _last_generation(bus, name, journals)
                records = compose(generation, journals)
                writer.write((partition, one.key, one.value) for partition, one in records)
        except FencedError:
            time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - not a secret
        else:
            await_readable(settings, admin, topic, len(journals))
            return generation
    raise FencedError(f"{doing}: too many commands at once; try again")


def _check(name: str, journals: Sequence[PartitionJournal]) -> None:
    """Refuse to add to what is not known."""
    subscription_in(name, journals)
    for journal in journals:
        why = journal.why_unreadable(CONTROL_KEY)
        if why:
            raise SubscriptionConflictError(name, f"subscription {name}: {why}")
    if _in_force(journals).deleted:
        raise UnknownSubscriptionError(
            name,
            f"subscription {name} is being deleted; platform-events subscriptions delete {name} "
            "finishes what was interrupted",
        )


def _in_force(journals: Sequence[PartitionJournal]) -> Control:
    return max((journal.control for journal in journals), key=lambda control: control.generation)


def _last_generation(bus: EventBus, name: str, journals: Sequence[PartitionJournal]) -> int:
    """Return the highest generation so far, though the journal may be another one by now."""
    namespace = bus.settings.namespace
    subscription = journals[0].subscription
    applied: list[int] = []
    if subscription is not None:
        stream_topic = namespace.topic(subscription.stream)
        places = [(stream_topic, journal.partition) for journal in journals]
        committed = read_committed(bus.settings, namespace.worker(name), places).values()
        applied = [decode(one.offset, one.metadata).generation for one in committed]
    return max((*applied, _in_force(journals).generation))


def _switch(
    generation: int, journals: Sequence[PartitionJournal], *, paused: bool
) -> list[tuple[int, JournalRecord]]:
    """Return the records that pause or resume; a seek that is in force stays so."""
    return [
        (
            journal.partition,
            control_record(replace(journal.control, generation=generation, paused=paused)),
        )
        for journal in journals
    ]


def _delete_group(bus: EventBus, name: str) -> None:
    """Delete the group when all its members have left it."""
    group = bus.settings.namespace.worker(name)
    deadline = time.monotonic() + _LEAVE_SECONDS
    while True:
        members = bus.admin.members(group)
        if not members:
            try:
                bus.admin.delete_group(group)
            except BrokerError as error:
                # One came meanwhile.
                if error.kafka_code != "NON_EMPTY_GROUP":
                    raise
            else:
                return
        if time.monotonic() >= deadline:
            raise BrokerTimeoutError(
                f"deleting subscription {name}: {len(members)} of its workers are still there "
                f"{_LEAVE_SECONDS:g} s after they were told to end; stop them and delete it again"
            )
        time.sleep(_LOOK_AGAIN)
