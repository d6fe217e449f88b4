"""What a worker stands on in the cluster: its stream, its subscription, its journal, its seat."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from platform_events.bus.decoding import EventDecoder
from platform_events.bus.event import Run
from platform_events.bus.recovery import Recovery
from platform_events.bus.starts import find_stream, resolve_start
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import UndecodableRecordError
from platform_events.kafka.members import Member
from platform_events.kafka.protocols import choose_protocol
from platform_events.workers.creation import ensure_journal, read_subscription
from platform_events.workers.dead_letter import (
    Letter,
    event_facts,
    letter_id,
    letter_record,
    letter_tombstone,
)
from platform_events.workers.journal import (
    SavedPosition,
    SubscriptionRecord,
    position_record,
    redrive_tombstone,
)
from platform_events.workers.lanes import Item
from platform_events.workers.letter_reader import read_letters
from platform_events.workers.letterbox import Letterbox
from platform_events.workers.log import JournalReader, JournalWriter
from platform_events.workers.partitions import memory_of
from platform_events.workers.policy import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import Stream
    from platform_events.errors import BrokerError
    from platform_events.kafka.groups import Protocol
    from platform_events.kafka.reader import Record
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.lanes import Assignment
    from platform_events.workers.outcomes import Failure
    from platform_events.workers.partitions import OwnedPartition

_SAFETY_MS = 5_000
"""Append times may go back by that much when a leader changes."""
_TOGETHER_MS = 1_000
"""Events that were stored within so much share a replay ID, where that is a time."""


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

    def __init__(self, app: WorkerApp, bus: EventBus, instance_id: str | None) -> None:
        self._app = app
        self._bus = bus
        self._instance_id = instance_id
        self.settings = settings = bus.settings
        self.admin = admin = bus.admin
        entry = bus.catalog.entry(app.stream_name)
        self.stream: Stream = find_stream(entry, settings.namespace.topic(app.stream_name), admin)
        app.handlers.check_stream(entry, [one.name for one in bus.catalog.known()])
        self._recovery = Recovery(self.stream, admin, bus.clients.watch, bus.catalog, "earliest")
        self.subscription = self._subscribe()
        self.group = settings.namespace.worker(app.name)
        self.protocol: Protocol = choose_protocol(admin, self.group, app.group_protocol)
        self.client_id = str(
            settings.kafka.get("client.id") or f"worker@{socket.gethostname()}:{os.getpid()}"
        )
        definition = entry.active
        assert definition is not None  # or the stream would not have been found
        self.retention_ms = definition.retention_ms
        members = [entry.name]
        if isinstance(definition, ChannelDefinition):
            members = [member.event for member in definition.members]
        self.decoder: EventDecoder[Any] = EventDecoder(
            self.stream.path, bus.catalog, app.handlers.models(members)
        )
        journal = settings.namespace.journal(app.name)
        self.reader = JournalReader(settings, admin, journal)
        self.letterbox = Letterbox(JournalWriter(bus.clients.producer, journal))
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
            self.settings,
            self.group,
            self.client_id,
            self.stream.topic.name,
            protocol=self.protocol,
            or_classic=self._app.group_protocol == "auto",
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

    def look(self) -> None:
        """Ask the cluster what has become of the stream; raise as `check` does."""
        self._recovery.look()

    def marks(self) -> list[tuple[int, int]]:
        """Return the first offset and the end of each partition of the stream."""
        topic = self.stream.topic
        return self.admin.watermarks({topic.name: topic.partitions})[topic.name]

    def run(self, partition: int, records: Sequence[Record]) -> Run:
        """Return what the events of records that follow each other have in common."""
        identity, path = self.stream.identity, self.stream.path
        if identity.partitions == 1:
            return Run(path, identity, partition, (0,), 0)
        earliest_ms = min(record.timestamp()[1] for record in records)
        return _TimedRun(path, identity, partition, (), max(earliest_ms - _SAFETY_MS, 0))

    def decode(
        self,
        records: Sequence[Record],
        assignment: Assignment,
        items: list[Item],
        letter: Letter | None = None,
    ) -> None:
        """Add what is to be handled of records that follow each other in one partition.

        Args:
            records: whose.
            assignment: of that partition.
            items: gets one for each record, up to one whose schema could not be asked for.
            letter: the dead letter that the record comes from.

        Raises:
            BrokerError: the schema could not be asked for.
        """
        has_times = self.stream.identity.partitions > 1
        for one in in_runs(records) if has_times else [records] if records else []:
            self._decode(one, assignment, items, letter)

    def _decode(
        self,
        records: Sequence[Record],
        assignment: Assignment,
        items: list[Item],
        letter: Letter | None,
    ) -> None:
        run = self.run(assignment.partition, records)
        done = 0
        while done < len(records):
            left = records[done:]
            events: list[Any] = []
            failure: UndecodableRecordError | None = None
            try:
                self.decoder.decode(left, run, events)
            except UndecodableRecordError as error:
                failure = error
            finally:
                items += [
                    Item(
                        record, record.offset(), event, assignment, memory_of(record), None, letter
                    )
                    for record, event in zip(left, events, strict=False)
                ]
                done += len(events)
            if failure is not None:
                bad = records[done]
                items.append(
                    Item(bad, bad.offset(), None, assignment, memory_of(bad), failure, letter)
                )
                done += 1

    def post_letter(self, item: Item, failure: Failure, on_stored: Callable[[], None]) -> Letter:
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

    def remove_letter(self, letter: Letter, on_stored: Callable[[], None] = lambda: None) -> None:
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
        found = read_letters(self.settings, self.subscription, letters)
        items: list[Item] = []
        for letter in letters:
            if letter.id in found:
                self.decode([found[letter.id]], assignment, items, letter)
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
        self.letterbox.close(0)

    def _subscribe(self) -> SubscriptionRecord:
        """Return the record of the subscription, made now or before."""
        app, stream = self._app, self.stream
        journal = self.settings.namespace.journal(app.name)
        known = None
        if self.admin.describe_one(journal) is not None:
            known = read_subscription(self.settings, self.admin, journal)
        if known is None:
            # Only now: where it begins counts when it is made, and may be nowhere later.
            beginning = resolve_start(app.start, stream, self.admin, on_expired="earliest")
            offsets, start = tuple(beginning.offsets), str(app.start)
            known = SubscriptionRecord(
                app.name, app.stream_name, stream.topic.topic_id, app.order, start, offsets,
                _now_ms(),
            )  # fmt: skip
        wanted = replace(known, stream=app.stream_name, order=app.order)
        return ensure_journal(self.settings, self._bus.clients, wanted, stream.topic.partitions)

    def _letter(self, item: Item, failure: Failure) -> Letter:
        record, former = item.record, item.letter
        partition = item.assignment.partition
        letters = self.reader.journal(partition).letters
        known = former or letters.get(letter_id(partition, item.offset))
        event = item.event
        type_, event_id, schema_id = event_facts(record.headers() or ())
        if event is not None:
            # Of a record that other software wrote, they are made up when it is decoded.
            type_, event_id, schema_id = event.type, event.event_id, event.schema_id
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


def in_runs(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield records in groups that were stored together: one time then says where all of them are.

    Those of a backlog may be days apart, and reading on after the last one is not to begin with the
    first.
    """
    begin = 0
    times = [record.timestamp()[1] for record in records]
    for number, time_ms in enumerate(times):
        if abs(time_ms - times[begin]) > _TOGETHER_MS:
            yield records[begin:number]
            begin = number
    if records:
        yield records[begin:]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
