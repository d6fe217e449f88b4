"""What becomes of one member record: into the channel, filtered out, or set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from platform_events.bus.decoding import with_identity
from platform_events.bus.headers import (
    DEAD_LETTER_REASON,
    ID,
    ORIGIN,
    SCHEMA,
    RecordHeaders,
    find_header,
    schema_guid,
)
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import UnknownSchemaError
from platform_events.names import stream_path
from platform_events.replay import LowWaterMark, StreamIdentity, encode_offset_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.catalog.state import Feed
    from platform_events.channels.positions import Place
    from platform_events.kafka.reader import Record

_LONGEST_REASON = 1_000
OutHeaders: TypeAlias = "list[tuple[str, str | bytes | None]]"


class SetAside(Exception):  # noqa: N818 - not a failure of the router
    """A record does not go into the channel but into its dead-letter topic; the text is why."""


def _accept(_: bytes) -> bool:
    return True


class Sieve:
    """Judges the records of one member, each by the schema that it was written with.

    Without a filter nothing is decoded: a body passes as it is, and only a record whose schema is
    unknown is set aside.
    """

    def __init__(self, feed: Feed, catalog: Catalog) -> None:
        self._filter = feed.filter
        self._catalog = catalog
        self._writers: dict[bytes | None, tuple[bytes, Callable[[bytes], bool]]] = {}

    def judge(self, headers: RecordHeaders, body: bytes | None) -> bytes | None:
        """Return the name of a record's type if it passes, None if it does not.

        Raises:
            SetAside: it cannot be decoded.
            BrokerError: the catalog cannot be asked for its schema.
        """
        if len(headers) > 1 and headers[1][0] == SCHEMA:
            header = headers[1][1]
        else:
            header = find_header(headers, SCHEMA)
        type_, passes = self._writers.get(header) or self._find_writer(header)
        if body is None:
            raise SetAside("it has no body (a tombstone)")
        try:
            return type_ if passes(body) else None
        except ValueError as error:
            raise SetAside(str(error)) from error

    def _find_writer(self, header: bytes | None) -> tuple[bytes, Callable[[bytes], bool]]:
        guid = schema_guid(header)
        if guid is None:
            raise SetAside(f"no header {SCHEMA} names the schema it was written with")
        try:
            schema = self._catalog.schema(schema_id_from_guid(guid))
        except UnknownSchemaError as error:
            raise SetAside(str(error)) from error
        passes: Callable[[bytes], bool] = _accept
        if self._filter:
            from platform_events.definitions.filters import FilterError, compile_filter

            try:
                passes = compile_filter(self._filter, schema)
            except FilterError as error:
                raise SetAside(f"the filter does not fit schema {schema.id}: {error}") from error
        self._writers[header] = writer = (schema.name.encode(), passes)
        return writer


class Stamp:
    """Makes the headers with which the records of one place go into the channel."""

    def __init__(self, place: Place, definition: int, identity: StreamIdentity) -> None:
        self._identity = identity
        self._prefix = f"{stream_path(place.event)} {definition} {place.partition}".encode()
        self._tag = identity.tags[0]
        self._is_total = identity.partitions == 1

    def mark(self, record: Record, headers: RecordHeaders, type_: bytes) -> OutHeaders:
        """Return a record's headers with its origin behind them, and its identity among them.

        Args:
            record: as it was read.
            headers: its own.
            type_: name of the record of its schema.
        """
        if not headers or headers[0][0] != ID:
            headers = with_identity(headers, type_, record, self._identity)
        return [*headers, (ORIGIN, self._origin(record))]

    def mark_dead(self, record: Record, headers: RecordHeaders, reason: str) -> OutHeaders:
        """Return the headers with which a record is set aside."""
        text = reason.encode(errors="replace")[:_LONGEST_REASON]
        return [*headers, (ORIGIN, self._origin(record)), (DEAD_LETTER_REASON, text)]

    def _origin(self, record: Record) -> bytes:
        """Return the header's text: stream, definition, partition, offset, time, replay ID."""
        offset, (_, time_ms) = record.offset(), record.timestamp()
        if self._is_total:
            replay_id = encode_offset_text(offset + 1, self._tag)
        else:
            replay_id = str(self._identity.time_id(time_ms - LowWaterMark.MARGIN_MS)).encode()
        return b"%b %d %d %b" % (self._prefix, offset, time_ms, replay_id)
