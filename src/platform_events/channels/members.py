"""Members: what becomes of their records, with which headers they go on, and how far they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from platform_events.bus.decoding import with_identity
from platform_events.bus.headers import SCHEMA, RecordHeaders, schema_guid
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import BrokerTimeoutError, UnknownSchemaError
from platform_events.kafka.offsets import Committed
from platform_events.names import stream_path
from platform_events.replay import LowWaterMark, StreamIdentity, encode_offset_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.catalog.positions import Checkpoint, Place, Position
    from platform_events.catalog.state import Feed
    from platform_events.kafka.reader import Record


class DeadLettered(Exception):  # noqa: N818 - not a failure of the router
    """A record does not go into the channel but into its dead-letter topic; the text is why."""


Writer: TypeAlias = "tuple[bytes, Callable[[bytes], bool] | None]"
"""Of the records that one schema wrote: the name of their type, and whether a body passes. None:
every body does, and none is looked into."""


class MemberFilter:
    """Judges the records of one member, each by the schema that it was written with."""

    def __init__(self, feed: Feed, catalog: Catalog) -> None:
        self._event = feed.event
        self._filter = feed.filter
        self._catalog = catalog
        self.writers: dict[bytes | None, Writer] = {}
        """By the header that names the schema, as far as they were found."""
        self._refusals: dict[bytes, str] = {}
        """Why there is none, by the header."""

    def find_writer(self, header: bytes | None) -> Writer:
        """Return how to judge the records with this header.

        Raises:
            DeadLettered: they cannot be decoded.
            BrokerError: the catalog cannot be asked for the schema.
        """
        guid = schema_guid(header)
        if guid is None:
            raise DeadLettered(f"no header {SCHEMA} names the schema it was written with")
        assert header is not None
        if header in self._refusals:
            raise DeadLettered(self._refusals[header])
        try:
            self.writers[header] = writer = self._make_writer(guid)
        except DeadLettered as reason:
            self._refusals[header] = str(reason)
            raise
        return writer

    def retry(self) -> None:
        """Ask again for schemas that were not found.

        Call it before records that may have been written since: their schemas were applied first.
        Asking for each record would let a flood of foreign ones hold the channel up.
        """
        self._refusals.clear()

    def _make_writer(self, guid: bytes) -> Writer:
        try:
            schema = self._catalog.schema(schema_id_from_guid(guid))
        except UnknownSchemaError as error:
            # One that was lost, or is being written again, does not know the member either.
            if not (self._catalog.is_read and self._catalog.cached(self._event)):
                raise BrokerTimeoutError(
                    "the catalog is away, so schemas are not known; apply if it was lost"
                ) from error
            raise DeadLettered(str(error)) from error
        passes = None
        if self._filter:
            from platform_events.filters import FilterError, compile_filter

            try:
                passes = compile_filter(self._filter, schema)
            except FilterError as error:
                raise DeadLettered(
                    f"the filter does not fit schema {schema.id}: {error}"
                ) from error
        return schema.name.encode(), passes


class Stamp:
    """Says in headers where the records of one place come from."""

    def __init__(self, place: Place, definition: int, identity: StreamIdentity) -> None:
        self._identity = identity
        self._prefix = f"{stream_path(place.event)} {definition} {place.partition}".encode()
        self._tag = identity.tags[0]
        self._is_total = identity.partitions == 1

    def origin(self, record: Record) -> bytes:
        """Return the header's text: stream, definition, partition, offset, time, replay ID."""
        offset, (_, time_ms) = record.offset(), record.timestamp()
        if self._is_total:
            replay_id = encode_offset_text(offset + 1, self._tag)
        else:
            replay_id = str(self._identity.time_id(time_ms - LowWaterMark.MARGIN_MS)).encode()
        return b"%b %d %d %b" % (self._prefix, offset, time_ms, replay_id)

    def identify(self, record: Record, headers: RecordHeaders, type_: bytes) -> RecordHeaders:
        """Return headers with the event ID and type that other software left out.

        The ID is the one that subscribers of the member see, so it stays the same.
        """
        return with_identity(headers, type_, record, self._identity)


class Source:
    """One partition of a member, and how far it has come."""

    def __init__(
        self, place: Place, topic: str, position: Position, filter_: MemberFilter, stamp: Stamp
    ) -> None:
        self.place = place
        self.topic = topic
        self.filter = filter_
        self.stamp = stamp
        self.offset = position.offset
        """The next record to judge."""
        self.passed = position.checkpoint.passed
        self.filtered = position.checkpoint.filtered
        self.dead_lettered = position.checkpoint.dead_lettered
        self.expired = position.checkpoint.expired
        self.has_moved = False
        """Whether what is committed is older than this."""

    def advance(self, offset: int) -> None:
        """Note that everything before `offset` was judged, or is no record."""
        if offset > self.offset:
            self.offset = offset
            self.has_moved = True

    def position(self, channel: Checkpoint) -> Committed:
        """Return what to commit under the definition that is in force by the channel's own."""
        checkpoint = replace(
            channel,
            passed=self.passed,
            filtered=self.filtered,
            dead_lettered=self.dead_lettered,
            expired=self.expired,
        )
        return Committed(self.topic, self.place.partition, self.offset, checkpoint.to_text())
