"""Moving member records into one channel partition, in transactions with the members' offsets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_events.channels.isolation import FORMS
from platform_events.channels.members import DeadLettered, checked
from platform_events.envelope import (
    DEAD_LETTER_REASON,
    ORIGIN,
    SCHEMA,
    find_header,
    plain_writer,
    with_identity,
)
from platform_events.errors import RecordRejectedError
from platform_events.kafka.offsets import Committed
from platform_events.metrics.meters import METERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.catalog.positions import Checkpoint, Place
    from platform_events.channels.isolation import Isolation
    from platform_events.channels.members import Source
    from platform_events.envelope import RecordHeaders
    from platform_events.kafka.reader import Record
    from platform_events.kafka.transactions import TransactionalProducer

_MOST_RECORDS = 5_000
_MOST_BYTES = 8 * 1024 * 1024
_MOST_JUDGED = 50_000
_LONGEST_SECONDS = 0.5
"""A transaction is committed when it has as much as one of these. Subscribers see it only then."""
_LONGEST_REASON = 1_000
_PIECE = 500
"""Records between two looks at whether the transaction has enough."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of one channel partition go."""

    channel: str
    """Its name."""
    topic: str
    """The channel's."""
    partition: int
    dead_letters: str
    """Topic for what cannot be decoded or written."""
    group: Any
    """Token of the group that keeps the positions."""

    @property
    def label(self) -> str:
        """The channel partition, for the log."""
        return f"{self.channel}[{self.partition}]"


@dataclass(frozen=True, slots=True)
class FedPartition:
    """One channel partition under one definition: where records go, and where they come from."""

    destination: Destination
    checkpoint: Checkpoint
    """Which definition is in force, and from which offset in the channel on."""
    sources: Sequence[Source]
    """What feeds it, each where the last commit ended or retention begins."""
    expired: Sequence[tuple[str, int]]
    """Members' events that retention removed before they were judged: names and how many."""


class Transfer:
    """The transactions of one channel partition under one definition. Use it from one thread.

    Args:
        producer: fences all others for this channel partition.
        fed: what is moved.
        isolation: what is known of records that cannot be written; it is added to.
    """

    def __init__(
        self, producer: TransactionalProducer, fed: FedPartition, isolation: Isolation
    ) -> None:
        self._producer = producer
        self._isolation = isolation
        self.destination = fed.destination
        self.sources = fed.sources
        self._checkpoint = fed.checkpoint
        self._expired = fed.expired
        self._is_open = False
        self._records = 0
        self._bytes = 0
        self._judged = 0
        self._began = 0.0
        self._single: tuple[Place, int] | None = None
        """The only record of this transaction, when it has to be alone."""
        self._is_refused = False

    @property
    def has_records(self) -> bool:
        """Whether subscribers wait for a commit."""
        return self._is_open

    @property
    def has_progress(self) -> bool:
        """Whether a commit would change anything."""
        return any(source.has_moved for source in self.sources)

    def begin(self) -> None:
        """Commit all positions, moved or not; raises as `commit`.

        So the definition holds from here on, and those of silent members are not forgotten.
        """
        self.commit(everything=True)
        for event, lost in self._expired:
            METERS.route(self.destination.channel, event, {"expired": lost})

    def forward(self, source: Source, records: Sequence[Record]) -> None:
        """Judge records of one source, in order; those that were judged before are passed over.

        It commits whenever a transaction has enough.

        Raises:
            RecordRejectedError: a record is refused; it will be found when this is done again.
            FencedError: another process leads the channel partition now.
            BrokerError: the transaction failed.
        """
        try:
            for begin in range(0, len(records), _PIECE):
                piece = records[begin : begin + _PIECE]
                if self._isolation.suspects:
                    self._forward_isolated(source, piece)
                else:
                    self._forward(source, piece)
                source.judged_ms = piece[-1].timestamp()[1]
                self.commit_if_full()
        except RecordRejectedError as error:
            self._learn(error)
            raise

    def commit_if_full(self) -> None:
        """Commit a transaction that has enough, or was open long enough; raises as `commit`."""
        if (
            self._records >= _MOST_RECORDS
            or self._bytes >= _MOST_BYTES
            or self._judged >= _MOST_JUDGED
            or (self._is_open and time.monotonic() - self._began > _LONGEST_SECONDS)
        ):
            self.commit()

    def take(self) -> None:
        """Note that records were taken now: their schemas were applied before."""
        for source in self.sources:
            source.writers.take()

    def _forward(self, source: Source, records: Sequence[Record]) -> None:
        # The router's inner loop: a call for each record is felt here.
        known, find_writer = source.writers.known, source.writers.find
        stamp, produce = source.stamp, self._producer.produce
        topic, partition = self.destination.topic, self.destination.partition
        begin = source.offset
        passed = size = 0
        for record in records:
            offset = record.offset()
            if offset < source.offset:
                continue
            headers: RecordHeaders = record.headers() or ()
            body = record.value()
            try:
                header = plain = plain_writer(headers)
                if plain is None:
                    header = find_header(headers, SCHEMA)
                type_, passes, walk = known.get(header) or find_writer(header)
                if body is None or plain is None:
                    body = checked(body, walk)
                if passes is not None and not passes(body):
                    source.filtered += 1
                else:
                    if not self._is_open:
                        self._open()
                    if plain is None:
                        headers = with_identity(
                            headers, type_, stamp.identity, source.place.partition, offset
                        )
                    marked = [*headers, (ORIGIN, stamp.origin(offset, record.timestamp()[1]))]
                    if not produce(topic, body, record.key(), partition, marked):
                        raise DeadLettered("it is larger than the channel takes")  # noqa: TRY301
                    passed += 1
                    size += len(body)
            except (DeadLettered, ValueError) as reason:
                self._dead_letter(source, record, str(reason))
            source.offset = offset + 1
        source.passed += passed
        self._records += passed
        self._bytes += size
        self._judged += source.offset - begin

    def _forward_isolated(self, source: Source, records: Sequence[Record]) -> None:
        """Give each record that may be refused a transaction of its own."""
        isolation, place = self._isolation, source.place
        for record in records:
            offset = record.offset()
            is_suspect = isolation.is_suspect(place, offset)
            if is_suspect or self._single is not None:
                if self._is_open:
                    self.commit()
                self._single = (place, offset) if is_suspect else None
            if (place, offset) in isolation.refusals and offset >= source.offset:
                self._dead_letter(source, record, isolation.reason)
                source.advance(offset + 1)
            else:
                self._forward(source, (record,))

    def commit(self, *, everything: bool = False) -> None:
        """Make what was moved visible, together with the positions after it.

        Args:
            everything: commit all positions, moved or not.

        Raises:
            FencedError: another process leads the channel partition now.
            RecordRejectedError: a record is refused; it will be found when this is done again.
            BrokerError: the transaction failed.
        """
        moved = [source for source in self.sources if everything or source.has_moved]
        if not moved and not everything:
            self._producer.serve()
            return
        self._open()
        try:
            positions = [source.position(self._checkpoint) for source in moved]
            if everything:
                positions.append(self._own_position())
            self._producer.send_offsets(positions, self.destination.group)
            self._producer.commit()
        except RecordRejectedError as error:
            self._learn(error)
            raise
        for source in moved:
            METERS.route(self.destination.channel, source.place.event, source.take_committed())
        self._is_open = False
        self._single = None
        self._records = self._bytes = self._judged = 0
        if not any(
            self._isolation.is_suspect(source.place, source.offset) for source in self.sources
        ):
            self._isolation.suspects.clear()

    def abort(self) -> None:
        """Give up what is not committed."""
        if self._is_open:
            self._is_open = False
            self._producer.abort()

    def _learn(self, error: RecordRejectedError) -> None:
        if not self._is_refused:
            self._is_refused = True
            offsets = {source.place: source.offset for source in self.sources}
            self._isolation.learn(self._single, offsets, str(error))

    def _open(self) -> None:
        if not self._is_open:
            self._producer.begin()
            self._is_open = True
            self._began = time.monotonic()

    def _dead_letter(self, source: Source, record: Record, reason: str) -> None:
        """Write a record into the dead-letter topic, as much of it as that takes."""
        text = reason.encode(errors="replace")[:_LONGEST_REASON]
        why: list[tuple[str, bytes | None]] = [
            (ORIGIN, source.stamp.origin(record.offset(), record.timestamp()[1])),
            (DEAD_LETTER_REASON, text),
        ]
        marked = [*(record.headers() or ()), *why]
        forms = [
            (record.value(), record.key(), marked),
            (None, record.key(), marked),
            (None, None, why),
        ]
        self._open()
        refusals = self._isolation.refusals.get((source.place, record.offset()), 0)
        for body, key, headers in forms[min(refusals, FORMS - 1) :]:
            if self._producer.produce(self.destination.dead_letters, body, key, 0, headers):
                break
        source.dead_lettered += 1
        self._records += 1
        self._bytes += len(record.value() or b"")

    def _own_position(self) -> Committed:
        """Return what is committed for the channel partition itself: where its definition holds."""
        place = self.destination
        return Committed(
            place.topic, place.partition, self._checkpoint.at, self._checkpoint.to_text()
        )
