"""Replay IDs: where one event is in one stream, as bytes that clients keep and send back.

One partition: 8 bytes big-endian `offset + 1`, which is the offset to read next, then a 2-byte
tag of the stream. Several partitions: 8 bytes of time in ms, another tag of the stream, then the
next offset of each partition as unsigned LEB128 numbers. The time is one from which reading on
misses nothing, so that the first 8 bytes alone still resume, at least once. A result of publishing
to several partitions has the time and the tag only.

Existing Pub/Sub API clients read the first 8 bytes as an integer below 2^53 and often send only
those back; 8 bytes and a zero tag are therefore accepted without the identity check.
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_VALUE = 2**53
"""The first 8 bytes stay below it, because clients hold them in a double."""
_MAX_BYTES = 16 * 1024
_FIRST_TIME = 2**40
"""As ms since the epoch this is November 2004; no partition's offset comes near it. It tells the
two meanings of 8 untagged bytes apart in a stream that grew from one partition to several."""
_VALUE_AND_TAG = struct.Struct(">QH")
_pack = _VALUE_AND_TAG.pack
_UNTAGGED = 8
_TAGGED = _VALUE_AND_TAG.size
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_VARINT_BITS = 7
_VARINT_MORE = 0x80
_MAX_VARINT_SHIFT = 63


class ReplayId(bytes):
    """An opaque position in a stream; `str()` is its text form, base64url without padding."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: bytes | str, stream: str = "") -> ReplayId:
        """Read a replay ID given as bytes or as text.

        Raises:
            ReplayCorruptedError: it is neither; `stream` only names the stream in the message.
        """
        if isinstance(value, str):
            if len(value) > 2 * _MAX_BYTES:
                raise _corrupted(stream, None, f"{len(value):,} characters are too many")
            try:
                padded = value.encode("ascii") + b"=" * (-len(value) % 4)
                value = base64.b64decode(padded, altchars=b"-_", validate=True)
            except (ValueError, binascii.Error):
                raise _corrupted(stream, None, f"{value[:40]!r} is not base64url text") from None
        if len(value) > _MAX_BYTES:
            raise _corrupted(stream, None, f"{len(value):,} bytes are too many")
        replay_id = cls(value)
        if len(value) not in (_UNTAGGED, _TAGGED) and len(value) < _TAGGED + 2:
            raise _corrupted(
                stream, replay_id, f"{len(value)} bytes; {_UNTAGGED} or {_TAGGED} are the fewest"
            )
        if replay_id.value >= MAX_VALUE:
            raise _corrupted(stream, replay_id, "its number is out of range")
        replay_id.vector(stream)
        return replay_id

    @property
    def value(self) -> int:
        """The first 8 bytes: next offset of a one-partition stream, otherwise time in ms."""
        return int.from_bytes(self[:_UNTAGGED], "big")

    @property
    def tag(self) -> int:
        """The stream's tag; 0 when it was cut off."""
        return int.from_bytes(self[_UNTAGGED:_TAGGED], "big")

    def vector(self, stream: str = "") -> tuple[int, ...]:
        """Return the next offset of each partition; empty for the forms without one."""
        offsets, number, shift = [], 0, 0
        for byte in self[_TAGGED:]:
            number |= (byte & ~_VARINT_MORE) << shift
            if byte & _VARINT_MORE:
                shift += _VARINT_BITS
                if shift >= _MAX_VARINT_SHIFT:
                    raise _corrupted(stream, self, "an offset in it is out of range")
            else:
                offsets.append(number)
                number, shift = 0, 0
        if shift:
            raise _corrupted(stream, self, "it is cut off")
        return tuple(offsets)

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(self).rstrip(b"=").decode("ascii")

    def __repr__(self) -> str:
        return f"ReplayId({str(self)!r})"


class ReplayError(PlatformEventsError):
    """A subscriber cannot read on from this replay ID. Raised before any event is delivered."""

    def __init__(self, stream: str, replay_id: ReplayId | None, message: str) -> None:
        self.stream = stream
        self.replay_id = replay_id
        super().__init__(message)


class ReplayExpiredError(ReplayError):
    """Events after this position were removed by retention (or by an operator)."""

    code = "EXPIRED"

    def __init__(
        self, stream: str, replay_id: ReplayId | None, earliest: ReplayId, lost: int
    ) -> None:
        self.earliest = earliest
        """Resuming after this ID delivers the oldest event still there."""
        self.lost = lost
        """How many events are gone at most; transaction markers count too."""
        super().__init__(
            stream,
            replay_id,
            f"{stream}: up to {lost:,} events after replay ID {replay_id} are past retention; "
            f"resume after {earliest}, or choose on_expired earliest or latest",
        )


class ReplayRecreatedError(ReplayError):
    """The stream was deleted and created again after this ID was given out."""

    code = "RECREATED"


class ReplayWrongStreamError(ReplayError):
    """The ID was given out by another stream or another cluster."""

    code = "WRONG_STREAM"


class ReplayFutureError(ReplayError):
    """The log ends before this position: it was truncated, or the ID was made up."""

    code = "FUTURE"


class ReplayCorruptedError(ReplayError):
    """These bytes or this text are not a replay ID."""

    code = "CORRUPTED"


@dataclass(frozen=True)
class StreamIdentity:
    """Whose offsets these are: a topic's name may be reused, its ID never is."""

    cluster_id: str
    topic_id: str
    """Kafka's topic UUID."""
    partitions: int
    former_topic_ids: tuple[str, ...] = ()
    """Topic UUIDs that the stream had before it was deleted and created again."""

    @cached_property
    def tags(self) -> tuple[int, int]:
        """The tag of offsets and the tag of times."""
        return _tags(self.cluster_id, self.topic_id)

    @property
    def former_tags(self) -> frozenset[int]:
        """All tags of the stream's former topics."""
        return frozenset(
            tag for former in self.former_topic_ids for tag in _tags(self.cluster_id, former)
        )

    def position_id(self, offsets: Sequence[int], time_ms: int = 0) -> ReplayId:
        """Return the ID after which `offsets`, the next one of each partition, are read.

        Args:
            offsets: one number for each partition.
            time_ms: a time from which reading on misses nothing, ms since the epoch; only
                streams of several partitions carry it.
        """
        offset_tag, time_tag = self.tags
        if self.partitions == 1:
            return encode_offset(offsets[0], offset_tag)
        return ReplayId(_pack(time_ms, time_tag) + _varints(offsets))

    def time_id(self, time_ms: int) -> ReplayId:
        """Return the ID after which everything appended at or after `time_ms` is read."""
        return ReplayId(_pack(max(time_ms, 0), self.tags[1]))


def encode_offset(next_offset: int, tag: int) -> ReplayId:
    """Return the ID of a one-partition stream after which `next_offset` is read."""
    return ReplayId(_pack(next_offset, tag))


def encode_offset_bytes(next_offset: int, tag: int) -> bytes:
    """Return the bytes of `encode_offset`, in a third of the time."""
    return _pack(next_offset, tag)


def encode_offset_text(next_offset: int, tag: int) -> bytes:
    """Return the text form of `encode_offset`, in a fifth of the time of `str()`."""
    padded = binascii.b2a_base64(_pack(next_offset, tag), newline=False)
    return padded.translate(_URL_SAFE, b"=")


@dataclass(frozen=True, slots=True)
class OffsetPosition:
    """Read on at exactly these offsets, one for each partition."""

    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TimePosition:
    """Read on with the first record appended at or after this time, ms since the epoch."""

    time_ms: int


Position: TypeAlias = OffsetPosition | TimePosition


def locate(replay_id: ReplayId, stream: str, identity: StreamIdentity) -> Position:
    """Tell where in `stream` a subscriber that saved `replay_id` reads on.

    Raises:
        ReplayWrongStreamError: another stream or cluster gave it out.
        ReplayRecreatedError: this stream did, before it was deleted and created again.
        ReplayCorruptedError: it has more partitions than the stream.
    """
    offset_tag, time_tag = identity.tags
    vector = replay_id.vector(stream)
    if replay_id.tag in identity.former_tags and replay_id.tag not in (offset_tag, time_tag):
        raise ReplayRecreatedError(
            stream,
            replay_id,
            f"{stream}: replay ID {replay_id} is from before the stream was deleted and created "
            "again; its events are gone, start from earliest",
        )
    if replay_id.tag not in (0, offset_tag, time_tag):
        raise ReplayWrongStreamError(
            stream,
            replay_id,
            f"{stream}: replay ID {replay_id} was given out by another stream or cluster",
        )
    if len(vector) > identity.partitions or (vector and replay_id.tag == offset_tag):
        raise _corrupted(
            stream,
            replay_id,
            f"it has {len(vector)} offsets, the stream has {identity.partitions} partitions",
        )
    missing = (0,) * (identity.partitions - max(len(vector), 1))
    if vector:
        return OffsetPosition(vector + missing)
    if replay_id.tag == time_tag or (
        replay_id.tag == 0 and identity.partitions > 1 and replay_id.value >= _FIRST_TIME
    ):
        return TimePosition(replay_id.value)
    return OffsetPosition((replay_id.value, *missing))


def check_retained(
    position: OffsetPosition,
    replay_id: ReplayId | None,
    stream: str,
    identity: StreamIdentity,
    watermarks: Sequence[tuple[int, int]],
) -> None:
    """Check that the log still has, and already has, everything from `position` on.

    Args:
        position: where to read on.
        replay_id: the ID it came from, for the error.
        stream: the stream's path, for the error.
        identity: of the stream now.
        watermarks: first offset still there and end offset of each partition.

    Raises:
        ReplayFutureError: a partition's log ends before its offset.
        ReplayExpiredError: a partition's log begins after its offset.
    """
    for partition, (offset, (_, end)) in enumerate(zip(position.offsets, watermarks, strict=True)):
        if offset > end:
            raise ReplayFutureError(
                stream,
                replay_id,
                f"{stream}: replay ID {replay_id} is {offset - end:,} events past the end of "
                f"partition {partition}; the log was truncated, or the ID was made up",
            )
    starts = [
        max(offset, mark[0]) for offset, mark in zip(position.offsets, watermarks, strict=True)
    ]
    lost = sum(starts) - sum(position.offsets)
    if lost:
        raise ReplayExpiredError(stream, replay_id, identity.position_id(starts), lost)


class LowWaterMark:
    """A time from which reading a stream of several partitions on misses nothing.

    The lowest append time delivered last over the partitions that are not at their end, less a
    margin for clocks of several brokers and for records on their way. It never decreases.
    """

    MARGIN_MS = 5_000

    def __init__(self, partitions: int, start_ms: int = 0) -> None:
        self._delivered = [0] * partitions
        self._at_end = [False] * partitions
        self._latest = 0
        self._mark = start_ms

    def deliver(self, partition: int, append_time_ms: int) -> None:
        """Note that an event of `partition` was handed out."""
        self._delivered[partition] = append_time_ms
        self._at_end[partition] = False
        self._latest = max(self._latest, append_time_ms)

    def reach_end(self, partition: int) -> None:
        """Note that everything in `partition` was handed out."""
        self._at_end[partition] = True

    @property
    def time_ms(self) -> int:
        """The mark, ms since the epoch."""
        pending = [
            time for time, at_end in zip(self._delivered, self._at_end, strict=True) if not at_end
        ]
        self._mark = max(self._mark, (min(pending) if pending else self._latest) - self.MARGIN_MS)
        return self._mark


def _tags(cluster_id: str, topic_id: str) -> tuple[int, int]:
    identity = f"{cluster_id}/{topic_id}".encode()
    tags: list[int] = []
    for purpose in (b"offset", b"time"):
        tag = int.from_bytes(blake2b(identity, digest_size=2, person=purpose).digest(), "big")
        while tag == 0 or tag in tags:
            tag = (tag + 1) & 0xFFFF
        tags.append(tag)
    return tags[0], tags[1]


def _varints(numbers: Iterable[int]) -> bytes:
    encoded = bytearray()
    for remaining in numbers:
        while remaining >= _VARINT_MORE:
            encoded.append(remaining & ~_VARINT_MORE & 0xFF | _VARINT_MORE)
            remaining >>= _VARINT_BITS  # noqa: PLW2901 - consumes the number
        encoded.append(remaining)
    return bytes(encoded)


def _corrupted(stream: str, replay_id: ReplayId | None, reason: str) -> ReplayCorruptedError:
    where = f"{stream}: " if stream else ""
    return ReplayCorruptedError(
        stream, replay_id, f"{where}not a replay ID: {reason}; pass one exactly as it was received"
    )
