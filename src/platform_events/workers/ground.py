"""What a worker stands on in the cluster: its stream, its subscription, its journal, its seat."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_events.bus.decoding import EventDecoder
from platform_events.bus.event import Run
from platform_events.bus.models import Models
from platform_events.bus.recovery import Recovery
from platform_events.bus.starts import find_stream, resolve_start
from platform_events.envelope import ID, SCHEMA, TYPE, find_header, header_schema_id
from platform_events.errors import UndecodableRecordError
from platform_events.kafka.members import Member, choose_protocol
from platform_events.workers.dead_letter import Letter, letter_record, letter_tombstone
from platform_events.workers.journal import (
    SavedPosition,
    SubscriptionRecord,
    position_record,
    redrive_tombstone,
)
from platform_events.workers.lanes import Item
from platform_events.workers.letterbox import Letterbox
from platform_events.workers.log import JournalReader, JournalWriter, ensure_journal, read_letters
from platform_events.workers.partitions import memory_of
from platform_events.workers.policy import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import Stream
    from platform_events.errors import BrokerError
    from platform_events.kafka.members import Protocol
    from platform_events.kafka.reader import Record
    from platform_events.workers.lanes import Assignment
    from platform_events.workers.outcomes import Failure
    from platform_events.workers.partitions import OwnedPartition
    from platform_events.workers.worker import Worker

_SAFETY_MS = 5_000
"""Append times may go back by that much when a leader changes."""


@dataclass(frozen=True, slots=True)
class RedrivenRecord:
    """An event's record as it was in its stream, from its dead letter."""

    stream_topic: str
    letter: Letter
    body: bytes | None
    own_headers: list[tuple[str, bytes | None]]

    def topic(self) -> str:
        """Return the stream's topic."""
        return self.stream_topic

    def partition(self) -> int:
        """Return the partition's number."""
        return self.letter.partition

    def offset(self) -> int:
        """Return the position in the stream."""
        return self.letter.offset

    def key(self) -> bytes | None:
        """Return the key."""
        return self.letter.key

    def value(self) -> bytes | None:
        """Return the body."""
        return self.body

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the event's own headers."""
        return self.own_headers

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the timestamp, and ms since the epoch."""
        return 2, self.letter.stored_ms


class _TimedRun(Run):
    """A run of a stream with several partitions, of which nobody knows the others' positions."""

    __slots__ = ()

    def vector_id(self, offset: int) -> Any:  # noqa: ARG002 - no offset tells where others are
        return self.identity.time_id(self.time_ms)


class Ground:
    """A worker's stream and subscription, and the clients that it uses. For one thread.

    Making it waits for nothing but the cluster.

    Args:
        app: the worker.
        bus: of its tenant.
        instance_id: makes its process a static member of the group.

    Raises:
        UnknownStreamError: there is no such stream yet.
        SubscriptionConflictError: the subscription is of another stream or order.
        UsageError: handlers do not fit the stream.
        BrokerError: the cluster cannot be asked, or does not allow it.
    """

    def __init__(self, app: Worker, bus: EventBus, instance_id: str | None) -> None:
        self._app = app
        self._bus = bus
        self._instance_id = instance_id
        self._settings = settings = bus.settings
        admin = bus.admin
        entry = bus.catalog.entry(app.stream)
        self.stream: Stream = find_stream(entry, settings.namespace.topic(app.stream), admin)
        app.handlers.check_stream(entry, app.on_unhandled)
        self._recovery = Recovery(self.stream, admin, bus.watch, bus.catalog, "earliest")
        self._journal_topic = settings.namespace.journal(app.name)
        self.subscription = self._subscribe()
        self.group = settings.namespace.worker(app.name)
        self.protocol: Protocol = choose_protocol(settings, self.group, app.group_protocol)
        self.client_id = str(
            settings.kafka.get("client.id") or f"worker@{socket.gethostname()}:{os.getpid()}"
        )
        models = app.handlers.models()
        self.decoder: EventDecoder[Any] = EventDecoder(
            self.stream.path, bus.catalog, None if models is None else Models(models)
        )
        self.reader = JournalReader(settings, self._journal_topic)
        self.letterbox = Letterbox(JournalWriter(bus.producer, self._journal_topic))
        self.timeout = settings.request_timeout

    def take_seat(
        self,
        on_assigned: Callable[[list[int]], None],
        on_revoked: Callable[[list[int]], None],
        on_lost: Callable[[list[int]], None],
        on_committed: Callable[[dict[int, BrokerError | None]], None],
    ) -> Member:
        """Return this process's seat in the group."""
        return Member(
            self._settings,
            self.group,
            self.client_id,
            self.stream.topic.name,
            protocol=self.protocol,
            instance_id=self._instance_id,
            on_assigned=on_assigned,
            on_revoked=on_revoked,
            on_lost=on_lost,
            on_committed=on_committed,
        )

    def check(self) -> None:
        """Raise what has become of the stream; take the partitions that it gained.

        Raises:
            StreamDeletedError, StreamRecreatedError: its topic is gone.
            BrokerError: the cluster cannot be asked.
        """
        self._recovery.check()
        if self._recovery.has_grown:
            self.stream = self._recovery.grow()
            self.subscription = self._subscribe()

    def marks(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the end of a partition of the stream."""
        topic = self.stream.topic
        return self._bus.admin.watermarks({topic.name: topic.partitions})[topic.name][partition]

    def run(self, partition: int, records: Sequence[Record]) -> Run:
        """Return what the events of records that follow each other have in common."""
        identity, path = self.stream.identity, self.stream.path
        if identity.partitions == 1:
            return Run(path, identity, partition, (0,), 0)
        earliest_ms = min(record.timestamp()[1] for record in records)
        return _TimedRun(path, identity, partition, (), max(earliest_ms - _SAFETY_MS, 0))

    def post_letter(
        self, item: Item, failure: Failure, on_stored: Callable[[], None]
    ) -> Letter:
        """Have a dead letter written; return it."""
        letter = self._letter(item, failure)
        record, partition = item.record, letter.partition
        post = self.letterbox.post
        stored = letter_record(letter, record.value(), record.headers())
        if item.letter is None:
            post(partition, stored, on_stored)
        else:
            post(partition, stored)
            post(partition, redrive_tombstone(letter.id), on_stored)
        return letter

    def remove_letter(self, letter: Letter, on_stored: Callable[[], None]) -> None:
        """Have a dead letter removed that was handled."""
        self.letterbox.post(letter.partition, letter_tombstone(letter.id))
        self.drop_request(letter.partition, letter.id, on_stored)

    def drop_request(
        self, partition: int, id_: str, on_stored: Callable[[], None] = lambda: None
    ) -> None:
        """Have a request to redrive a letter removed."""
        self.letterbox.post(partition, redrive_tombstone(id_), on_stored)

    def load_letters(self, letters: Sequence[Letter], assignment: Assignment) -> list[Item]:
        """Return what is to be handled of dead letters."""
        topic = self.stream.topic.name
        found = read_letters(self._settings, self._journal_topic, letters)
        items = []
        for letter in letters:
            stored = found.get(letter.id)
            if stored is None:
                continue
            record = RedrivenRecord(topic, letter, stored.body, list(stored.headers))
            events: list[Any] = []
            error: UndecodableRecordError | None = None
            try:
                self.decoder.decode([record], self.run(letter.partition, [record]), events)
            except UndecodableRecordError as refusal:
                error = refusal
            event = events[0] if events else None
            items.append(
                Item(record, letter.offset, event, assignment, memory_of(record), error, letter)
            )
        return items

    def save_position(self, owned: OwnedPartition, now: float) -> None:
        """Have the position of a partition written into the journal."""
        checkpoint = owned.checkpoint(now)
        owned.saved_at = now
        saved = SavedPosition(
            checkpoint.offset, checkpoint.metadata, self.stream.topic.topic_id, _now_ms()
        )
        self.letterbox.post(owned.number, position_record(saved))

    def close(self) -> None:
        """End what was begun, but for the seat."""
        self._recovery.close()
        self.reader.close()
        self.letterbox.close()

    def _subscribe(self) -> SubscriptionRecord:
        """Return the record of the subscription, made now or before."""
        app, admin = self._app, self._bus.admin
        beginning = resolve_start(app.start, self.stream, admin, on_expired="earliest")
        wanted = SubscriptionRecord(
            app.name,
            app.stream,
            self.stream.topic.topic_id,
            app.order,
            str(app.start),
            tuple(beginning.offsets),
            _now_ms(),
        )
        return ensure_journal(self._settings, admin, wanted, self.stream.topic.partitions)

    def _letter(self, item: Item, failure: Failure) -> Letter:
        record, event, former = item.record, item.event, item.letter
        headers = record.headers() or ()
        partition = item.assignment.partition
        known = former or self.reader.journal(partition).letters.get(f"{partition}-{item.offset}")
        if event is not None:
            event_id, type_, schema_id = event.event_id, event.type, event.schema_id
        else:
            event_id = (find_header(headers, ID) or b"").decode(errors="replace")
            type_ = (find_header(headers, TYPE) or b"").decode(errors="replace")
            schema_id = header_schema_id(find_header(headers, SCHEMA) or b"")
        run = self.run(partition, [record])
        return Letter(
            partition,
            item.offset,
            known.version + 1 if known is not None else 1,
            "parked" if failure.reason is Reason.PARKED else "dead",
            failure.stops_key,
            failure.reason.value,
            failure.message,
            failure.attempts,
            failure.first_failure_ms,
            failure.last_failure_ms,
            type_,
            event_id,
            schema_id,
            str(run.replay_id(item.offset)),
            record.timestamp()[1],
            record.key(),
            record.value() is not None,
            failure.traceback,
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
