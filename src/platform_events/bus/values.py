"""What goes into and comes out of the bus."""

from __future__ import annotations

import enum
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from platform_events.definitions.schema import Schema
    from platform_events.envelope import UserHeaders
    from platform_events.errors import PlatformEventsError
    from platform_events.replay import ReplayId

MAX_EVENT_ID = 36
"""Characters of an event ID, as Pub/Sub API clients expect."""
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


@dataclass(slots=True)
class EncodedMessage:
    """A payload that somebody else encoded. Not frozen, for speed; treat it as a value."""

    body: bytes
    """Its bare Avro body, found to be one of the schema."""
    schema: Schema
    """What it was encoded with, of whatever version of the event."""
    event_id: str | None = None
    """At most 36 characters; None: a new UUID."""
    headers: UserHeaders | None = None
    """Of the publisher's own: names to text, bytes or None."""


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

    def given(self, event_id: str | None) -> bytes:
        """Return the ID that a publisher gave, None makes a new one.

        Raises:
            UsageError: it cannot be one.
        """
        if event_id is None:
            return self()
        text = str(event_id)
        if not 0 < len(text) <= MAX_EVENT_ID or not text.isprintable():
            raise UsageError(
                f"event ID {text!r} must have 1 to {MAX_EVENT_ID} printable characters"
            )
        return text.encode()

    def _make(self, count: int) -> list[bytes]:
        random = bytearray(os.urandom(16 * count))
        random[6::16] = random[6::16].translate(self._VERSION)
        random[8::16] = random[8::16].translate(self._VARIANT)
        digits = random.hex().encode()
        return [b"%s-%s-%s-%s-%s" % fields for fields in self._FIELDS.iter_unpack(digits)]
