"""What goes into and comes out of the bus."""

from __future__ import annotations

import enum
import os
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from platform_events.envelope import ID, TYPE, Origin, find_header, without_reserved
from platform_events.replay import ReplayId

if TYPE_CHECKING:
    from platform_events.envelope import RecordHeaders, UserHeaders
    from platform_events.errors import PlatformEventsError
    from platform_events.replay import StreamIdentity

Payload = TypeVar("Payload")
"""A subscriber's payloads: `dict[str, Any]`, or the model that it asked for."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS_AT_ONCE = 256


class Start(enum.Enum):
    """Where a subscription begins, besides a replay ID or a time."""

    LATEST = "latest"
    """Only events published from now on."""
    EARLIEST = "earliest"
    """The oldest event still there."""

    @classmethod
    def named(cls, text: str) -> Start | None:
        """Return the start that a word means, None if it means none.

        Case does not matter; -1 and -2 are what CometD clients of Salesforce streams send.
        """
        return _STARTS.get(text.lower())


_STARTS = {start.value: start for start in Start} | {"-1": Start.LATEST, "-2": Start.EARLIEST}


class PublishStatus(enum.Enum):
    """What became of one event."""

    PERSISTED = "PERSISTED"
    """Stored on all in-sync replicas."""
    NOT_PERSISTED = "NOT_PERSISTED"
    """Certainly not stored: publishing it again cannot double it."""
    UNKNOWN = "UNKNOWN"
    """It may be stored: publish it again with the same event ID, consumers de-duplicate on it."""


@dataclass(slots=True)
class PublishResult:
    """The outcome of publishing one event. Not frozen, for speed; treat it as a value."""

    status: PublishStatus
    """What became of it."""
    event_id: str
    """The one that it was published with."""
    replay_id: ReplayId | None = None
    """Where it is, when PERSISTED. In a stream of several partitions it is a time. Rarely it is
    None: when the broker had it already from an attempt before and does not say where, or when
    the topic was made again meanwhile."""
    error: PlatformEventsError | None = None
    """Why, unless PERSISTED."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    """A payload with its own event ID and headers."""

    payload: Any
    """A mapping, a dataclass or a pydantic model."""
    event_id: str | None = None
    """At most 36 characters; None: a new UUID."""
    headers: UserHeaders | None = None
    """Of the publisher's own: names to text, bytes or None."""


class VectorPosition(NamedTuple):
    """A position in a stream of several partitions; encoded only where somebody asks for it."""

    identity: StreamIdentity
    offsets: tuple[int, ...]
    time_ms: int

    def encode(self) -> ReplayId:
        """Return it as a replay ID."""
        return self.identity.position_id(self.offsets, self.time_ms)


class Event(Generic[Payload]):
    """One event as a subscriber gets it."""

    __slots__ = (
        "_headers", "_origin", "_published_ms", "_replay", "payload", "schema_id", "stream",
    )  # fmt: skip

    def __init__(
        self,
        stream: str,
        payload: Payload,
        schema_id: str,
        headers: RecordHeaders,
        published_ms: int,
        replay: ReplayId | VectorPosition,
        origin: bytes | None = None,
    ) -> None:
        self.stream = stream
        """Path of the stream it was read from, such as `/event/Order_Placed__e`."""
        self.payload = payload
        """Its fields: a dict, or an instance of the subscription's `model`."""
        self.schema_id = schema_id
        """The schema that it was written with."""
        self._origin = origin
        self._headers = headers
        self._published_ms = published_ms
        self._replay = replay

    @property
    def event_id(self) -> str:
        """Identifies the event message; the key for de-duplication."""
        return (find_header(self._headers, ID) or b"").decode(errors="replace")

    @property
    def type(self) -> str:
        """Name of its event definition."""
        return (find_header(self._headers, TYPE) or b"").decode(errors="replace")

    @property
    def replay_id(self) -> ReplayId:
        """Subscribing with it as start goes on after this event."""
        replay = self._replay
        return replay if isinstance(replay, ReplayId) else replay.encode()

    @property
    def headers(self) -> dict[str, bytes | None]:
        """The publisher's own headers. Kafka knows headers without a value: None."""
        return without_reserved(self._headers)

    @property
    def origin(self) -> Origin | None:
        """In a custom channel: where the event was first stored."""
        return Origin.parse(self._origin)

    @property
    def published_at(self) -> datetime:
        """When the broker first stored it, UTC, to the millisecond."""
        origin = self.origin
        published_ms = self._published_ms if origin is None else origin.appended_ms
        return EPOCH + timedelta(milliseconds=published_ms)

    def __repr__(self) -> str:
        return f"Event({self.stream} {self.replay_id} {self.event_id} {self.payload!r})"


class EventIds:
    """New event IDs: random UUIDs (RFC 9562, version 4) as text in bytes, made many at a time.

    One call for the randomness of many, and no integers between, is five times as fast as
    `str(uuid.uuid4())`.
    """

    _FIELDS = struct.Struct("8s4s4s4s12s")
    _VERSION = bytes(byte & 0x0F | 0x40 for byte in range(256))
    _VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))

    def __init__(self) -> None:
        self._ready: list[bytes] = []

    def __call__(self) -> bytes:
        """Return a new one. Thread-safe: two threads never get the same."""
        try:
            return self._ready.pop()
        except IndexError:
            fresh = self._make(_IDS_AT_ONCE)
            last = fresh.pop()
            self._ready.extend(fresh)
            return last

    def _make(self, count: int) -> list[bytes]:
        random = bytearray(os.urandom(16 * count))
        random[6::16] = random[6::16].translate(self._VERSION)
        random[8::16] = random[8::16].translate(self._VARIANT)
        digits = random.hex().encode()
        return [b"%s-%s-%s-%s-%s" % fields for fields in self._FIELDS.iter_unpack(digits)]
