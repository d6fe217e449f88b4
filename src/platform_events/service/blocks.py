"""Records of a stream, judged and encoded once for all who subscribe to it."""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING

from platform_events.envelope import (
    ID,
    SCHEMA,
    UnreadableError,
    Writers,
    find_header,
    fixed_headers,
    plain_writer,
    with_identity,
    without_reserved,
)
from platform_events.errors import BrokerError, CatalogCorruptError, UndecodableRecordError
from platform_events.names import stream_name
from platform_events.payloads.codec import PayloadWalk
from platform_events.replay import encode_offset_bytes
from platform_events.service.frames import event_field, header_field, schema_field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.event import Run
    from platform_events.catalog.live import Catalog
    from platform_events.definitions.schema import Schema
    from platform_events.envelope import RecordHeaders
    from platform_events.kafka.reader import Record

_OF_THE_BUS = [ID, *(name for name, _ in fixed_headers("", "", "A" * 22))]
"""The names of the headers of an event without any of its publisher's own."""
_COUNT = len(_OF_THE_BUS)
_OVERHEAD = 700
ENOUGH_BYTES = 1024 * 1024
"""Of encoded events that are handed over together. Few that were compressed can be hundreds of
megabytes."""
"""Bytes of a block besides its events (measured)."""
_OF_EVENT = 16
"""Bytes of an event besides its encoding."""
_logger = logging.getLogger("platform_events.service")


class Block:
    """Events that follow each other in one partition, encoded.

    Args:
        run: what they have in common.
        offsets: of each; there is one at least.
        encoded: all of them as fields of a `FetchResponse`.
        ends: where in that each event ends.
    """

    __slots__ = ("encoded", "ends", "offsets", "run")

    def __init__(
        self, run: Run, offsets: Sequence[int], encoded: bytes, ends: Sequence[int]
    ) -> None:
        self.run = run
        self.offsets = offsets
        self.encoded = encoded
        self.ends = ends

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.encoded) + _OF_EVENT * len(self.offsets) + _OVERHEAD

    def below(self, offset: int) -> int:
        """Return how many of its events lie before an offset of its partition."""
        return bisect_left(self.offsets, offset)


class _Writer:
    """How records are encoded that were written with one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self.type = schema.name.encode()
        self.field = schema_field(schema.id)

    @cached_property
    def check(self) -> Callable[[bytes], None]:
        """Raises `ValueError` for a body that is no payload of the schema."""
        return PayloadWalk(self._schema.parsed).check


class BlockEncoder:
    """Encodes the records of one stream. Use it from one thread at a time.

    Args:
        stream: its path.
        catalog: knows the schemas.
    """

    def __init__(self, stream: str, catalog: Catalog) -> None:
        self._stream = stream
        self.writers: Writers[_Writer] = Writers(stream_name(stream), catalog, _Writer)
        self.failure: BrokerError | None = None
        """Why a schema could not be asked for, the last time that records were encoded."""

    def encode(self, run: Run, records: list[Record]) -> Block | None:
        """Return the events of records; None if there are none.

        What cannot be decoded is logged and left out.

        Args:
            run: what the records have in common.
            records: which follow each other in one partition, the last one first. Each is taken
                out once it is encoded, and freed: a batch of their headers is much to a garbage
                collector. What is left comes after enough for one block, or after a schema that
                could not be asked for.
        """
        self.failure = None
        known = self.writers.known
        parts: list[bytes] = []
        offsets, ends = array("q"), array("q")
        end, tag = 0, run.offset_tag
        writer: _Writer | None = None
        alike: RecordHeaders | None = None
        """What the bus wrote into the record before, besides the event ID: mostly the same."""
        while records and end < ENOUGH_BYTES:
            record = records[-1]
            headers: RecordHeaders = record.headers() or ()
            offset, payload = record.offset(), record.value()
            own = b""
            if headers[1:_COUNT] != alike or headers[0][0] != ID or not headers[0][1]:
                writer = known.get(plain_writer(headers))
                names = [name for name, _ in headers[:_COUNT]]
                alike = headers[1:_COUNT] if writer and names == _OF_THE_BUS else None
                own = _own_headers(headers)
            elif len(headers) > _COUNT:
                own = _own_headers(headers[_COUNT:])
            if writer is None or payload is None:
                alike = None
                try:
                    found = self._judge(record, run)
                except BrokerError as error:
                    self.failure = error
                    break
                if found is None:
                    records.pop()
                    continue
                writer, headers, payload = found
            event_id = headers[0][1] or b""
            encoded = event_field(
                event_id if event_id.isascii() else _as_text(event_id),
                writer.field,
                payload,
                own,
                run.vector_id(offset) if tag is None else encode_offset_bytes(offset + 1, tag),
            )
            records.pop()
            parts.append(encoded)
            offsets.append(offset)
            end += len(encoded)
            ends.append(end)
        return Block(run, offsets, b"".join(parts), ends) if parts else None

    def _judge(self, record: Record, run: Run) -> tuple[_Writer, RecordHeaders, bytes] | None:
        """Return how a record of any layout is encoded: its writer, headers and body.

        The first header is the event ID. None: it cannot be decoded.
        """
        headers: RecordHeaders = record.headers() or ()
        header = find_header(headers, SCHEMA)
        try:
            writer = self.writers.known.get(header) or self.writers.find(header)
            body = record.value()
            if body is None:
                raise UnreadableError("it has no body (a tombstone)")
            if plain_writer(headers) is None:
                writer.check(body)
        except (ValueError, CatalogCorruptError) as error:
            place = run.partition, record.offset()
            _logger.warning("skipped: %s", UndecodableRecordError(self._stream, *place, str(error)))
            return None
        headers = with_identity(headers, writer.type, run.identity, run.partition, record.offset())
        return writer, [(ID, find_header(headers, ID)), *headers], body


def _own_headers(headers: RecordHeaders) -> bytes:
    """Return the publisher's own headers as fields."""
    own = without_reserved(headers)
    return b"".join(header_field(name, value) for name, value in own.items())


def _as_text(event_id: bytes) -> bytes:
    """Return an event ID of other software as UTF-8: clients refuse a response with other text."""
    return event_id.decode(errors="replace").encode()
