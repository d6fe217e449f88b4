"""Making a subscription: its journal and the record in it that says what it is.

Who makes the topic is the one who writes the record. No transaction is needed for that, which a
worker may not be allowed to use.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.errors import BrokerError, BrokerTimeoutError, SubscriptionConflictError
from platform_events.kafka.producer import MAX_BATCH_BYTES
from platform_events.kafka.reader import read_range
from platform_events.names import stream_path
from platform_events.workers.journal import (
    SUBSCRIPTION_KEY,
    Control,
    PartitionJournal,
    control_record,
    subscription_record,
)
from platform_events.workers.log import JournalWriter

if TYPE_CHECKING:
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.clients import Clients
    from platform_events.settings import Settings
    from platform_events.workers.documents import JournalRecord
    from platform_events.workers.journal import SubscriptionRecord

_CONFIG = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(MAX_BATCH_BYTES),
    # What is superseded goes only from closed segments, and each start of a worker reads the rest.
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(24 * 3_600_000),
}
_LOOK_AGAIN = 0.05
"""Seconds."""


def ensure_journal(
    settings: Settings, clients: Clients, wanted: SubscriptionRecord, partitions: int
) -> SubscriptionRecord:
    """Make a subscription unless it is there, and return what it is.

    Args:
        settings: which cluster and tenant.
        clients: of that cluster.
        wanted: what it is to be.
        partitions: of its stream; the journal has as many at least.

    Raises:
        SubscriptionConflictError: one of that name is there, for another stream or in another
            order, or made by a newer version.
        BrokerError: the cluster cannot be asked, or does not allow it.
    """
    admin = clients.admin
    topic = settings.namespace.journal(wanted.name)
    is_ours = False
    if admin.describe_one(topic) is None:
        is_ours = admin.create(topic, partitions, settings.replication_factor, _config_of(settings))
    found = admin.await_topic(topic)
    subscription = _settle(settings, clients, topic, wanted, is_ours=is_ours)
    _refuse_another(subscription, wanted)
    if found.partitions < partitions:
        grow_journal(settings, clients, topic, partitions)
    clients.producer.learn_partitions(topic, partitions)
    return subscription


def grow_journal(settings: Settings, clients: Clients, topic: str, partitions: int) -> None:
    """Add the partitions that a stream gained; what was commanded is in force there too.

    Raises:
        BrokerError: the cluster does not allow it.
    """
    admin = clients.admin
    present = admin.await_topic(topic).partitions
    if present >= partitions:
        return
    try:
        admin.grow(topic, partitions)
    except BrokerError as error:
        # Another process was faster.
        if error.kafka_code != "INVALID_PARTITIONS":
            raise
    clients.producer.learn_partitions(topic, partitions)
    copied = Control()
    while (control := _read_first(settings, admin, topic).control) != copied:
        # Seeks are for the partitions that were there.
        record = control_record(replace(control, seek=None))
        _write(settings, clients, topic, dict.fromkeys(range(present, partitions), record))
        copied = control


def read_subscription(settings: Settings, admin: Admin, topic: str) -> SubscriptionRecord | None:
    """Return what the subscription of a journal is; None if that is not written yet.

    Raises:
        SubscriptionConflictError: a newer version made it.
        BrokerError: the journal cannot be read.
    """
    journal = _read_first(settings, admin, topic, until_subscription=True)
    why = journal.why_unreadable(SUBSCRIPTION_KEY)
    if why:
        name = settings.namespace.subscription_of(topic) or topic
        raise SubscriptionConflictError(name, f"subscription {name}: {why}")
    return journal.subscription


def _read_first(
    settings: Settings, admin: Admin, topic: str, *, until_subscription: bool = False
) -> PartitionJournal:
    """Return the fold of the first partition, or of its beginning with the subscription's record.

    That is the first record, and letters with all their events may come behind it.
    """
    marks = admin.watermarks({topic: 1})[topic]
    journal = PartitionJournal(0)
    with closing(read_range(settings, topic, marks, promptly=True)) as records:
        for record in records:
            journal.fold(record)
            if until_subscription and record.key() == SUBSCRIPTION_KEY.encode():
                break
    return journal


def _settle(
    settings: Settings, clients: Clients, topic: str, wanted: SubscriptionRecord, *, is_ours: bool
) -> SubscriptionRecord:
    """Return the subscription's record; write it, if nobody else does.

    Args:
        settings: which cluster.
        clients: of that cluster.
        topic: the journal.
        wanted: what to write.
        is_ours: this process made the topic; else whoever did writes it, unless that one has ended.
    """
    deadline = time.monotonic() + (0 if is_ours else settings.request_timeout)
    is_written = False
    while (found := read_subscription(settings, clients.admin, topic)) is None:
        if time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)
        elif is_written:
            raise BrokerTimeoutError(
                f"making subscription {wanted.name}: its record does not appear in {topic}; try "
                "again"
            )
        else:
            _write(settings, clients, topic, {0: subscription_record(wanted)})
            is_written = True
            deadline = time.monotonic() + settings.request_timeout
    return found


def _write(
    settings: Settings, clients: Clients, topic: str, records: dict[int, JournalRecord]
) -> None:
    writer = JournalWriter(clients.producer, topic)
    try:
        for partition, record in records.items():
            writer.write(partition, record)
        writer.flush()
    finally:
        writer.close(settings.close_timeout)


def _refuse_another(found: SubscriptionRecord, wanted: SubscriptionRecord) -> None:
    if found.stream != wanted.stream:
        difference = f"reads {stream_path(found.stream)}, not {stream_path(wanted.stream)}"
    elif found.order != wanted.order:
        difference = f'was made with order="{found.order}", not "{wanted.order}"'
    else:
        return
    raise SubscriptionConflictError(
        wanted.name,
        f"subscription {wanted.name} {difference}: give the worker another name, or delete it "
        f"with platform-events subscriptions delete {wanted.name}",
    )


def _config_of(settings: Settings) -> dict[str, str]:
    if settings.min_insync_replicas is None:
        return _CONFIG
    return {**_CONFIG, "min.insync.replicas": str(settings.min_insync_replicas)}
