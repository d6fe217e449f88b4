"""Moving member records into one channel partition, in transactions with the members' offsets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.bus.headers import DEAD_LETTER_REASON, ID, ORIGIN, SCHEMA, find_header
from platform_events.catalog.positions import Mark, Place, Position
from platform_events.channels.members import SetAside, Sieve, Stamp
from platform_events.errors import RecordRejectedError
from platform_events.kafka.offsets import Committed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.bus.headers import RecordHeaders
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
_FORMS = 3
"""A record is set aside whole, or else without its body, or else only with where it came from."""


class Source:
    """One partition of a member, and how far it has come."""

    def __init__(
        self, place: Place, topic: str, position: Position, sieve: Sieve, stamp: Stamp
    ) -> None:
        self.place = place
        self.topic = topic
        self.sieve = sieve
        self.stamp = stamp
        self.offset = position.offset
        """The next record to judge."""
        self.passed = position.mark.passed
        self.filtered = position.mark.filtered
        self.set_aside = position.mark.set_aside
        self.expired = position.mark.expired
        self.has_moved = False
        """Whether what is committed is older than this."""

    def advance(self, offset: int) -> None:
        """Note that everything before `offset` was judged, or is no record."""
        if offset > self.offset:
            self.offset = offset
            self.has_moved = True


@dataclass(slots=True)
class Caution:
    """What was learnt from transactions that a broker refused because of some record in them."""

    until: dict[Place, int] = field(default_factory=dict)
    """Up to these offsets each record has a transaction of its own, so that the one is found."""
    refused: dict[tuple[Place, int], int] = field(default_factory=dict)
    """Records that were refused alone, and how often."""
    reason: str = ""
    """Why, the last time."""
    findings: int = 0
    """How often something was learnt with which the next try will be another one."""

    def learn(self, single: tuple[Place, int] | None, sources: Sequence[Source], why: str) -> None:
        """Take it that a transaction was refused.

        Args:
            single: the only record in it; None if there were several.
            sources: how far they had come with it.
            why: the broker's reason.
        """
        self.reason = why
        if single is not None:
            self.refused[single] = self.refused.get(single, 0) + 1
            self.findings += self.refused[single] < _FORMS
            return
        until = {source.place: source.offset for source in sources}
        self.findings += any(self.until.get(place, 0) < offset for place, offset in until.items())
        self.until |= until


class Transfer:
    """The transactions of one channel partition under one definition. Use it from one thread.

    Args:
        producer: fences all others for this channel partition.
        group: token of the group that keeps the positions.
        topic: the channel's.
        partition: of the channel.
        dead_letters: topic for what cannot be decoded or written.
        definition: number of the definition in force.
        at: offset in the channel from which on it holds.
        sources: what feeds the partition.
        caution: what is known of records that cannot be written; it is added to.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        group: Any,
        topic: str,
        partition: int,
        dead_letters: str,
        definition: int,
        at: int,
        sources: Sequence[Source],
        caution: Caution,
    ) -> None:
        self._producer = producer
        self._group = group
        self._topic = topic
        self._partition = partition
        self._dead_letters = dead_letters
        self._definition = definition
        self._at = at
        self.sources = sources
        self._caution = caution
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
        return self._judged > 0 or any(source.has_moved for source in self.sources)

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
                if self._caution.until:
                    self._forward_carefully(source, piece)
                else:
                    self._forward(source, piece)
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

    def retry_schemas(self) -> None:
        """Ask again for unknown schemas: what comes next may have been written since."""
        for source in self.sources:
            source.sieve.retry()

    def _forward(self, source: Source, records: Sequence[Record]) -> None:
        # The router's inner loop: a call for each record is felt here.
        writers, find_writer = source.sieve.writers, source.sieve.find_writer
        stamp, produce = source.stamp, self._producer.produce
        topic, partition = self._topic, self._partition
        for record in records:
            offset = record.offset()
            if offset < source.offset:
                continue
            headers: RecordHeaders = record.headers() or ()
            body = record.value()
            try:
                if len(headers) > 1 and headers[1][0] == SCHEMA:
                    header = headers[1][1]
                else:
                    header = find_header(headers, SCHEMA)
                type_, passes = writers.get(header) or find_writer(header)
                if body is None:
                    raise SetAside("it has no body (a tombstone)")  # noqa: TRY301
                if passes is not None and not passes(body):
                    source.filtered += 1
                else:
                    if not self._is_open:
                        self._open()
                    if not headers or headers[0][0] != ID:
                        headers = stamp.identify(record, headers, type_)
                    marked = [*headers, (ORIGIN, stamp.origin(record))]
                    if not produce(topic, body, record.key(), partition, marked):
                        raise SetAside("it is larger than the channel takes")  # noqa: TRY301
                    source.passed += 1
                    self._records += 1
                    self._bytes += len(body)
            except (SetAside, ValueError) as reason:
                self._set_aside(source, record, str(reason))
            source.offset = offset + 1
            source.has_moved = True
            self._judged += 1

    def _forward_carefully(self, source: Source, records: Sequence[Record]) -> None:
        """Give each record that may be refused a transaction of its own."""
        caution, place = self._caution, source.place
        for record in records:
            offset = record.offset()
            is_suspect = offset < caution.until.get(place, 0)
            if is_suspect or self._single is not None:
                if self._is_open:
                    self.commit()
                self._single = (place, offset) if is_suspect else None
            if (place, offset) in caution.refused and offset >= source.offset:
                self._set_aside(source, record, caution.reason)
                source.advance(offset + 1)
            else:
                self._forward(source, (record,))

    def commit(self, *, everything: bool = False) -> None:
        """Make what was moved visible, together with the positions behind it.

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
            positions = [self._position(source) for source in moved]
            if everything:
                positions.append(self._standing())
            self._producer.send_offsets(positions, self._group)
            self._producer.commit()
        except RecordRejectedError as error:
            self._learn(error)
            raise
        for source in moved:
            source.has_moved = False
        self._is_open = False
        self._single = None
        self._records = self._bytes = self._judged = 0
        until = self._caution.until
        if all(source.offset >= until.get(source.place, 0) for source in self.sources):
            until.clear()

    def abort(self) -> None:
        """Give up what is not committed."""
        if self._is_open:
            self._is_open = False
            self._producer.abort()

    def _learn(self, error: RecordRejectedError) -> None:
        if not self._is_refused:
            self._is_refused = True
            self._caution.learn(self._single, self.sources, str(error))

    def _open(self) -> None:
        if not self._is_open:
            self._producer.begin()
            self._is_open = True
            self._began = time.monotonic()

    def _set_aside(self, source: Source, record: Record, reason: str) -> None:
        """Write a record into the dead-letter topic, as much of it as that takes."""
        text = reason.encode(errors="replace")[:_LONGEST_REASON]
        why: list[tuple[str, bytes | None]] = [
            (ORIGIN, source.stamp.origin(record)),
            (DEAD_LETTER_REASON, text),
        ]
        marked = [*(record.headers() or ()), *why]
        forms = [
            (record.value(), record.key(), marked),
            (None, record.key(), marked),
            (None, None, why),
        ]
        self._open()
        refusals = self._caution.refused.get((source.place, record.offset()), 0)
        for body, key, headers in forms[min(refusals, _FORMS - 1) :]:
            if self._producer.produce(self._dead_letters, body, key, 0, headers):
                break
        source.set_aside += 1
        self._records += 1
        self._bytes += len(record.value() or b"")

    def _standing(self) -> Committed:
        """Return what is committed for the channel partition itself: where its definition holds."""
        mark = Mark(self._definition, self._at)
        return Committed(self._topic, self._partition, self._at, mark.to_text())

    def _position(self, source: Source) -> Committed:
        mark = Mark(
            self._definition,
            self._at,
            source.passed,
            source.filtered,
            source.set_aside,
            source.expired,
        )
        return Committed(source.topic, source.place.partition, source.offset, mark.to_text())
