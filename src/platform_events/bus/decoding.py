"""From records to events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from platform_events.bus.event import Event, Payload
from platform_events.envelope import (
    ID,
    SCHEMA,
    TYPE,
    RecordHeaders,
    UnreadableError,
    Writers,
    find_header,
    plain_writer,
    with_identity,
)
from platform_events.errors import CatalogCorruptError, UndecodableRecordError
from platform_events.names import stream_name
from platform_events.payloads.codec import PayloadDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.event import Run
    from platform_events.bus.models import Convert, Models
    from platform_events.catalog.live import Catalog
    from platform_events.definitions.schema import Schema
    from platform_events.kafka.reader import Record


class Writer:
    """How records are decoded that were written with one schema."""

    def __init__(self, schema: Schema, convert: Convert | None) -> None:
        self.type = schema.name.encode()
        """The event's name, as headers have it."""
        self.type_header = (TYPE, self.type)
        self.convert = convert
        """Makes an instance of the event's model of a payload."""
        self.decode = PayloadDecoder(schema.parsed).decode
        self.read: Callable[[Any], Any] = self.decode if convert is None else self._read_model
        """From a body to what an event has; raises whatever goes wrong."""

    def _read_model(self, body: Any) -> Any:
        assert self.convert is not None
        return self.convert(self.decode(body))


class EventDecoder(Generic[Payload]):
    """Decodes the records of one stream, each with the schema that it was written with."""

    def __init__(self, stream: str, catalog: Catalog, models: Models | None) -> None:
        self._stream = stream
        self._models = models
        self.writers: Writers[Writer] = Writers(stream_name(stream), catalog, self._make_writer)

    def decode(self, records: Sequence[Record], run: Run, events: list[Event[Payload]]) -> None:
        """Add the events of records to a list, up to one that cannot be decoded.

        Args:
            records: which follow each other in one partition.
            run: what they have in common.
            events: gets one for each record before that one.

        Raises:
            UndecodableRecordError: it is no event, or its schema is not in the catalog.
            BrokerError: its schema could not be asked for.
        """
        known = self.writers.known
        append = events.append
        for record in records:
            headers: Any = record.headers()
            try:
                # Most records have our own layout; what has not is looked at more closely.
                (id_name, event_id), (schema_name, schema), type_header = headers[:3]
                writer = known[schema]
                if (
                    type_header != writer.type_header
                    or id_name != ID
                    or schema_name != SCHEMA
                    or not event_id
                ):
                    event = self._decode_any(record, run)
                else:
                    event = Event(
                        writer.read(record.value()),
                        headers,
                        record.offset(),
                        record.timestamp()[1],
                        run,
                    )
            except Exception:  # noqa: BLE001 - the next line raises what is wrong
                event = self._decode_any(record, run)
            append(event)

    def _decode_any(self, record: Record, run: Run) -> Event[Payload]:
        """Return the event of a record of any layout, or raise what is wrong with it."""
        headers: RecordHeaders = record.headers() or ()
        header = plain = plain_writer(headers)
        if plain is None:
            header = find_header(headers, SCHEMA)
        try:
            writer = self.writers.known.get(header) or self.writers.find(header)
        except (UnreadableError, CatalogCorruptError) as error:
            raise self._undecodable(record, str(error)) from error
        body = record.value()
        if body is None:
            raise self._undecodable(record, "it has no body (a tombstone)")
        try:
            payload: Any = writer.decode(body)
        except ValueError as error:
            raise self._undecodable(record, str(error)) from error
        if writer.convert is not None:
            try:
                payload = writer.convert(payload)
            except Exception as error:
                raise self._undecodable(record, f"the model does not take it: {error}") from error
        offset = record.offset()
        if plain is None:
            headers = with_identity(headers, writer.type, run.identity, run.partition, offset)
        return Event(payload, headers, offset, record.timestamp()[1], run)

    def _make_writer(self, schema: Schema) -> Writer:
        convert = None if self._models is None else self._models.converter(schema.name)
        return Writer(schema, convert)

    def _undecodable(self, record: Record, reason: str) -> UndecodableRecordError:
        return UndecodableRecordError(self._stream, record.partition(), record.offset(), reason)
