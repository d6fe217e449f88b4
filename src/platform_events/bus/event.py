"""One event as a subscriber gets it. What few ask for is worked out when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from platform_events.envelope import (
    ID,
    ORIGIN,
    SCHEMA,
    TYPE,
    Origin,
    find_header,
    header_schema_id,
    without_reserved,
)
from platform_events.names import is_channel_name, stream_name
from platform_events.replay import encode_offset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.envelope import RecordHeaders
    from platform_events.replay import ReplayId, StreamIdentity

Payload = TypeVar("Payload")
"""A subscriber's payloads: `dict[str, Any]`, or the model that it asked for."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Run:
    """What events have in common that follow each other in one partition.

    Args:
        stream: path of the stream they were read from.
        identity: of that stream.
        partition: which.
        offsets: the next offset of each partition before them. While they are handed out, only
            that of their own partition changes, so each event's position follows from its offset.
        time_ms: a time from which reading on misses nothing, ms since the epoch.
    """

    __slots__ = ("identity", "offset_tag", "offsets", "partition", "stream", "time_ms")

    def __init__(
        self,
        stream: str,
        identity: StreamIdentity,
        partition: int,
        offsets: Sequence[int],
        time_ms: int,
    ) -> None:
        self.stream = stream
        self.identity = identity
        self.partition = partition
        self.offsets = offsets
        self.time_ms = time_ms
        self.offset_tag = identity.tags[0] if identity.partitions == 1 else None
        """Of replay IDs, where they are offsets."""

    def replay_id(self, offset: int) -> ReplayId:
        """Return the ID after which what follows the record at `offset` is read."""
        tag = self.offset_tag
        return self.vector_id(offset) if tag is None else encode_offset(offset + 1, tag)

    def vector_id(self, offset: int) -> ReplayId:
        """Return the ID after which what follows the record at `offset` is read.

        It is for streams of several partitions; others have `offset_tag`.
        """
        offsets = list(self.offsets)
        offsets[self.partition] = offset + 1
        return self.identity.position_id(offsets, self.time_ms)


class Event(Generic[Payload]):
    """One event as a subscriber gets it.

    It is a value: it can be kept, pickled and compared. Two are equal if they were read at the same
    place of the same stream, as the same payload.
    """

    __slots__ = ("_headers", "_offset", "_run", "_stored_ms", "payload")

    def __init__(
        self, payload: Payload, headers: RecordHeaders, offset: int, stored_ms: int, run: Run
    ) -> None:
        self.payload = payload
        """Its fields: a dict, or an instance of the subscription's `model`."""
        self._headers = headers
        self._offset = offset
        self._stored_ms = stored_ms
        self._run = run

    @property
    def stream(self) -> str:
        """Path of the stream it was read from, such as `/event/Order_Placed__e`."""
        return self._run.stream

    @property
    def schema_id(self) -> str:
        """The schema that it was written with."""
        return header_schema_id(find_header(self._headers, SCHEMA) or b"")

    @property
    def event_id(self) -> str:
        """Identifies the event message; the key for de-duplication."""
        headers = self._headers
        name, value = headers[0]
        if name != ID:
            value = find_header(headers, ID)
        return (value or b"").decode(errors="replace")

    @property
    def type(self) -> str:
        """Name of its event definition."""
        return (find_header(self._headers, TYPE) or b"").decode(errors="replace")

    @property
    def replay_id(self) -> ReplayId:
        """Subscribing with it as start goes on after this event."""
        return self._run.replay_id(self._offset)

    @property
    def headers(self) -> dict[str, bytes | None]:
        """The publisher's own headers. Kafka knows headers without a value: None."""
        return without_reserved(self._headers)

    @property
    def origin(self) -> Origin | None:
        """In a custom channel: where the event was first stored."""
        name, value = self._headers[-1]
        if name != ORIGIN or not is_channel_name(stream_name(self.stream)):
            return None
        return Origin.parse(value)

    @property
    def published_at(self) -> datetime:
        """When the broker first stored it, UTC, to the millisecond."""
        origin = self.origin
        stored_ms = self._stored_ms if origin is None else origin.appended_ms
        return EPOCH + timedelta(milliseconds=stored_ms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return self._place == other._place and bool(self.payload == other.payload)

    def __hash__(self) -> int:
        return hash(self._place)

    @property
    def _place(self) -> tuple[str, str, int, int]:
        run = self._run
        return run.identity.cluster_id, run.identity.topic_id, run.partition, self._offset

    def __repr__(self) -> str:
        return f"Event({self.stream} {self.replay_id} {self.event_id} {self.payload!r})"
