"""From a record to an event."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Generic

from platform_events.bus.headers import (
    ID,
    ORIGIN,
    SCHEMA,
    TYPE,
    Headers,
    RecordHeaders,
    find_header,
    schema_guid,
)
from platform_events.bus.values import Event, Payload, VectorPosition
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import (
    CatalogCorruptError,
    UndecodableRecordError,
    UnknownSchemaError,
)
from platform_events.names import is_channel_name, stream_name
from platform_events.payloads.codec import PayloadDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.kafka.reader import Record
    from platform_events.replay import ReplayId, StreamIdentity


class EventDecoder(Generic[Payload]):
    """Decodes the records of one stream, each with the schema that it was written with."""

    def __init__(
        self, stream: str, catalog: Catalog, convert: Callable[[dict[str, Any]], Payload] | None
    ) -> None:
        self._stream = stream
        self._catalog = catalog
        self._convert = convert
        self._is_channel = is_channel_name(stream_name(stream))
        self._writers: dict[bytes | None, tuple[str, bytes, Callable[[bytes], Any]]] = {}

    def decode(
        self,
        record: Record,
        identity: StreamIdentity,
        replay: ReplayId | VectorPosition,
    ) -> Event[Payload]:
        """Return the event.

        Args:
            record: as it was read.
            identity: of the stream that it was read from.
            replay: where to read on after it.

        Raises:
            UndecodableRecordError: it is not an event, or its schema is not in the catalog.
        """
        headers: RecordHeaders = record.headers() or ()
        if len(headers) > 1 and headers[1][0] == SCHEMA:
            header = headers[1][1]
        else:
            header = find_header(headers, SCHEMA)
        writer = self._writers.get(header)
        if writer is None:
            writer = self._find_writer(record, headers)
        schema_id, type_, decode = writer
        body = record.value()
        if body is None:
            raise self._undecodable(record, "it has no body (a tombstone)")
        try:
            payload = decode(body)
        except ValueError as error:
            raise self._undecodable(record, str(error)) from error
        if self._convert is not None:
            try:
                payload = self._convert(payload)
            except Exception as error:
                raise self._undecodable(record, f"the model does not take it: {error}") from error
        if headers[0][0] != ID:
            headers = with_identity(headers, type_, record, identity)
        origin = None
        if self._is_channel and headers[-1][0] == ORIGIN:
            origin = headers[-1][1]
        return Event(
            self._stream, payload, schema_id, headers, record.timestamp()[1], replay, origin
        )

    def _find_writer(
        self, record: Record, headers: RecordHeaders
    ) -> tuple[str, bytes, Callable[[bytes], Any]]:
        header = find_header(headers, SCHEMA)
        guid = schema_guid(header)
        if guid is None:
            raise self._undecodable(
                record, f"no header {SCHEMA} names the schema it was written with"
            )
        try:
            schema = self._catalog.schema(schema_id_from_guid(guid))
        except (UnknownSchemaError, CatalogCorruptError) as error:
            raise self._undecodable(record, str(error)) from error
        writer = (schema.id, schema.name.encode(), PayloadDecoder(schema.parsed).decode)
        self._writers[header] = writer
        return writer

    def _undecodable(self, record: Record, reason: str) -> UndecodableRecordError:
        return UndecodableRecordError(self._stream, record.partition(), record.offset(), reason)


def with_identity(
    headers: RecordHeaders, type_: bytes, record: Record, identity: StreamIdentity
) -> RecordHeaders:
    """Return the headers with an event ID and a type, which other software may have left out.

    The ID follows from the position, so that reading the record again gives the same.
    """
    added: Headers = []
    if not find_header(headers, ID):
        position = (
            f"{identity.cluster_id}/{identity.topic_id}/{record.partition()}/{record.offset()}"
        )
        added.append((ID, str(uuid.uuid5(uuid.NAMESPACE_OID, position)).encode()))
    if not find_header(headers, TYPE):
        added.append((TYPE, type_))
    return [*added, *headers]
