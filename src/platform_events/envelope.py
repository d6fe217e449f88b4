"""What a record says beside its payload: event ID, type, writer's schema, origin. Both ways.

Headers are those of CloudEvents' Kafka binary mode, and the schema ID is as Confluent's clients
read it. Sources: CloudEvents Kafka protocol binding 1.0, section 3.2; Confluent's header schema ID
format (the byte 1, then the 16 bytes of a schema GUID).
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from platform_events.definitions.schema import GUID_BYTES, guid_from_schema_id, schema_id_from_guid
from platform_events.errors import BrokerTimeoutError, UnknownSchemaError, UsageError
from platform_events.names import stream_name, stream_path
from platform_events.replay import LowWaterMark, ReplayError, ReplayId, encode_offset_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.definitions.schema import Schema
    from platform_events.replay import StreamIdentity

ID = "ce_id"
TYPE = "ce_type"
SCHEMA = "__value_schema_id"
ORIGIN = "ce_origin"
"""In a channel, the last header: where the event was first stored."""
DEAD_LETTER_REASON = "ce_deadletterreason"
"""After the origin of a record that was dead-lettered: why."""
_SCHEMA_MAGIC = b"\x01"
_RESERVED_PREFIX = "ce_"
_RESERVED = frozenset({"content-type", SCHEMA, "__key_schema_id"})
_PLAIN = 3
"""How many headers readers look for; in records that the bus wrote they are the first."""
_MOST_REFUSALS = 1_000
"""Schemas remembered as not found: other software may name any number of them."""

Headers: TypeAlias = "list[tuple[str, bytes | None]]"
RecordHeaders: TypeAlias = "Sequence[tuple[str, bytes | None]]"
UserHeaders: TypeAlias = Mapping[str, str | bytes | None]
Known = TypeVar("Known")
"""What a reader keeps of one writer's schema, such as a decoder."""


def fixed_headers(event_name: str, source: str, schema_id: str) -> Headers:
    """Return the headers that all events of one definition share.

    `ce_id` goes before them: readers look for it, the schema and the type in every record, so
    these three come first.
    """
    return [
        (SCHEMA, _SCHEMA_MAGIC + guid_from_schema_id(schema_id)),
        (TYPE, event_name.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("content-type", b"application/avro"),
    ]


def find_header(headers: RecordHeaders, name: str) -> bytes | None:
    """Return the first header of that name, None if there is none, or none with a value."""
    for found, value in headers:
        if found == name:
            return value
    return None


def plain_writer(headers: RecordHeaders) -> bytes | None:
    """Return the header of the writer's schema if the headers are as the bus writes them.

    None: they have to be looked through, and event ID or type may be missing.
    """
    if len(headers) < _PLAIN:
        return None
    # Routers ask this of each record: to take pair by pair is faster than by a slice.
    id_name, event_id = headers[0]
    schema_name, schema = headers[1]
    type_name, type_ = headers[2]
    if schema_name == SCHEMA and id_name == ID and type_name == TYPE and event_id and type_:
        return schema
    return None


def header_schema_id(header: bytes) -> str:
    """Return the schema ID in the header of a writer's schema, which `Writers` knows."""
    return schema_id_from_guid(header[1:])


def user_headers(headers: UserHeaders | None) -> Headers:
    """Return the publisher's own headers as Kafka takes them.

    Raises:
        UsageError: it is no mapping, a name is not text or is taken, or a value is neither text,
            bytes nor None.
    """
    if not headers:
        return []
    if not isinstance(headers, Mapping):
        raise UsageError(
            f"headers must be a mapping of names to values, not {type(headers).__name__}"
        )
    result: Headers = []
    for name, value in headers.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"header name {name!r} must be text")
        if _is_reserved(name):
            raise UsageError(f"header {name!r} is set by the bus; choose another name")
        if value is not None and not isinstance(value, (str, bytes)):
            raise UsageError(
                f"header {name!r} must be text, bytes or None, not {type(value).__name__}"
            )
        try:
            name.encode()
            result.append((name, value.encode() if isinstance(value, str) else value))
        except UnicodeEncodeError:
            raise UsageError(f"header {name!r} has text that is not Unicode") from None
    return result


def header_bytes(headers: Headers) -> int:
    """Return how many bytes the headers have."""
    return sum(len(name) + len(value or b"") for name, value in headers)


def without_reserved(headers: RecordHeaders) -> dict[str, bytes | None]:
    """Return the publisher's own headers of a record."""
    return {name: value for name, value in headers if not _is_reserved(name)}


def _is_reserved(name: str) -> bool:
    return name.startswith(_RESERVED_PREFIX) or name in _RESERVED


def with_identity(
    headers: RecordHeaders, type_: bytes, identity: StreamIdentity, partition: int, offset: int
) -> RecordHeaders:
    """Return the headers with an event ID and a type, which other software may have left out.

    Args:
        headers: of the record.
        type_: the name of its schema's record.
        identity: of the stream that it was first stored in.
        partition: of that stream.
        offset: in that partition. The ID follows from it, so that reading the record again, or
            its copy in a channel, gives the same.
    """
    added: Headers = []
    if not find_header(headers, ID):
        position = f"{identity.cluster_id}/{identity.topic_id}/{partition}/{offset}"
        added.append((ID, str(uuid.uuid5(uuid.NAMESPACE_OID, position)).encode()))
    if not find_header(headers, TYPE):
        added.append((TYPE, type_))
    return [*added, *headers]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event of a channel was first stored."""

    stream: str
    """Path of the member's stream, such as `/event/Order_Placed__e`."""
    replay_id: ReplayId
    """In that stream. In one of several partitions it is a time, as in a `PublishResult`."""
    partition: int
    offset: int
    appended_ms: int
    """When the broker stored it there, ms since the epoch."""
    definition: int
    """Number of the channel's definition that let it in."""

    @classmethod
    def parse(cls, header: bytes | None) -> Origin | None:
        """Read the header's text as `Stamp` makes it; None for what other software wrote."""
        try:
            parts = (header or b"").decode().split(" ")
            stream, definition, partition, offset, appended_ms, replay_id = parts
            stream_name(stream)
            return cls(
                stream,
                ReplayId.parse(replay_id),
                int(partition),
                int(offset),
                int(appended_ms),
                int(definition),
            )
        except (ValueError, ReplayError, UsageError):
            return None


def find_origin(headers: RecordHeaders) -> Origin | None:
    """Return the origin that a router added to a record, None if none did."""
    for name, value in reversed(headers):
        if name == ORIGIN:
            return Origin.parse(value)
    return None


class Stamp:
    """Writes the origins of the records of one member partition.

    Args:
        event: the member.
        partition: of the member's stream.
        definition: number of the channel's definition.
        identity: of the member's stream.
    """

    def __init__(
        self, event: str, partition: int, definition: int, identity: StreamIdentity
    ) -> None:
        self.identity = identity
        self._prefix = f"{stream_path(event)} {definition} {partition}".encode()
        self._tag = identity.tags[0]
        self._is_total = identity.partitions == 1

    def origin(self, offset: int, append_time_ms: int) -> bytes:
        """Return the header's text: stream, definition, partition, offset, time, replay ID."""
        if self._is_total:
            replay_id = encode_offset_text(offset + 1, self._tag)
        else:
            time_ms = append_time_ms - LowWaterMark.MARGIN_MS
            replay_id = str(self.identity.time_id(time_ms)).encode()
        return b"%b %d %d %b" % (self._prefix, offset, append_time_ms, replay_id)


class UnreadableError(ValueError):
    """Records cannot be decoded because of who wrote them; the text is why, for people."""


class Schemas(Protocol):
    """Who is asked for schemas: the catalog."""

    @property
    def is_read(self) -> bool:
        """Whether it exists and was read to its end."""

    def cached(self, name: str) -> object | None:
        """Return what was last read of an event or channel, without asking."""

    def schema(self, schema_id: str, since: float, *, wait: bool) -> Schema:
        """Return a schema; raises `UnknownSchemaError` if at `since` there was none."""


class Writers(Generic[Known]):
    """What is known of those who wrote the records of one stream, by the header of their schema.

    It also remembers the schemas that were not found, until the next records are taken.

    Args:
        stream: name of the event or channel.
        schemas: who is asked.
        make: makes what is known of a schema; it may raise `UnreadableError`.
    """

    def __init__(self, stream: str, schemas: Schemas, make: Callable[[Schema], Known]) -> None:
        self._stream = stream
        self._schemas = schemas
        self._make = make
        self.known: dict[bytes | None, Known] = {}
        """By the header, as far as they were found. Look here first, without a call."""
        self._refusals: dict[bytes, tuple[float, str]] = {}
        """By the header: until when they were asked for, and why there is none."""
        self._taken = time.monotonic()

    def take(self) -> None:
        """Note that records were taken now: whatever schemas they name were applied before.

        What was not found for earlier records is asked for again, once; asking for each record
        would let a flood of foreign ones hold the reader up.
        """
        self._taken = time.monotonic()

    def find(self, header: bytes | None) -> Known:
        """Return what is known of the writer that a record's header names.

        Raises:
            UnreadableError: nothing is, so the record cannot be decoded.
            BrokerError: the catalog cannot be asked.
        """
        if header is None or len(header) != GUID_BYTES + 1 or header[:1] != _SCHEMA_MAGIC:
            raise UnreadableError(f"no header {SCHEMA} names the schema it was written with")
        refusal = self._refusals.get(header)
        if refusal is not None and refusal[0] >= self._taken:
            raise UnreadableError(refusal[1])
        schema_id = schema_id_from_guid(header[1:])
        try:
            # One that was asked for before does not hold up those who read what is known.
            schema = self._schemas.schema(schema_id, self._taken, wait=refusal is None)
        except UnknownSchemaError as error:
            # A catalog that was lost, or is being written again, does not know the stream either.
            if not (self._schemas.is_read and self._schemas.cached(self._stream)):
                raise BrokerTimeoutError(
                    "the catalog is away, so schemas are not known; apply if it was lost"
                ) from error
            raise self._refuse(header, self._taken, str(error)) from error
        try:
            known = self._make(schema)
        except UnreadableError as error:
            raise self._refuse(header, math.inf, str(error)) from error
        self._refusals.pop(header, None)
        self.known[header] = known
        return known

    def _refuse(self, header: bytes, until: float, reason: str) -> UnreadableError:
        if len(self._refusals) >= _MOST_REFUSALS:
            self._refusals.clear()
        self._refusals[header] = until, reason
        return UnreadableError(reason)
