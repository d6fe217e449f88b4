"""From a record to an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from platform_events.bus.values import Event, Payload, VectorPosition
from platform_events.envelope import (
    ORIGIN,
    SCHEMA,
    RecordHeaders,
    UnreadableError,
    Writers,
    find_header,
    plain_writer,
    with_identity,
)
from platform_events.errors import CatalogCorruptError, UndecodableRecordError
from platform_events.names import is_channel_name, stream_name
from platform_events.payloads.codec import PayloadDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.models import Convert, Models
    from platform_events.catalog.live import Catalog
    from platform_events.definitions.schema import Schema
    from platform_events.kafka.reader import Record
    from platform_events.replay import ReplayId, StreamIdentity

Writer: TypeAlias = "tuple[str, bytes, Callable[[bytes], Any], Convert | None]"
"""A schema's ID, its record's name, how a body becomes a payload, and that an instance of the
event's model."""


class EventDecoder(Generic[Payload]):
    """Decodes the records of one stream, each with the schema that it was written with."""

    def __init__(self, stream: str, catalog: Catalog, models: Models | None) -> None:
        self._stream = stream
        self._models = models
        name = stream_name(stream)
        self._is_channel = is_channel_name(name)
        self.writers: Writers[Writer] = Writers(name, catalog, self._make_writer)
        self._known = self.writers.known

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
        header = plain = plain_writer(headers)
        if plain is None:
            header = find_header(headers, SCHEMA)
        try:
            schema_id, type_, decode, convert = self._known.get(header) or self.writers.find(header)
        except (UnreadableError, CatalogCorruptError) as error:
            raise self._undecodable(record, str(error)) from error
        body = record.value()
        if body is None:
            raise self._undecodable(record, "it has no body (a tombstone)")
        try:
            payload = decode(body)
        except ValueError as error:
            raise self._undecodable(record, str(error)) from error
        if convert is not None:
            try:
                payload = convert(payload)
            except Exception as error:
                raise self._undecodable(record, f"the model does not take it: {error}") from error
        if plain is None:
            headers = with_identity(headers, type_, identity, record.partition(), record.offset())
        origin = None
        if self._is_channel and headers[-1][0] == ORIGIN:
            origin = headers[-1][1]
        return Event(
            self._stream, payload, schema_id, headers, record.timestamp()[1], replay, origin
        )

    def _make_writer(self, schema: Schema) -> Writer:
        convert = None if self._models is None else self._models.converter(schema.name)
        decode = PayloadDecoder(schema.parsed).decode
        return schema.id, schema.name.encode(), decode, convert

    def _undecodable(self, record: Record, reason: str) -> UndecodableRecordError:
        return UndecodableRecordError(self._stream, record.partition(), record.offset(), reason)
