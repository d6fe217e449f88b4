"""Where a subscription begins: the one place where a start becomes offsets, or a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.bus.event import EPOCH
from platform_events.bus.values import Start
from platform_events.errors import UnknownStreamError, UsageError
from platform_events.names import stream_path
from platform_events.replay import (
    OffsetPosition,
    ReplayExpiredError,
    ReplayId,
    StreamIdentity,
    TimePosition,
    check_retained,
    locate,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.catalog.state import Entry
    from platform_events.kafka.admin import Admin, Topic

OnExpired: TypeAlias = Literal["fail", "earliest", "latest"]
StartPoint: TypeAlias = "Start | ReplayId | bytes | str | datetime | None"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as it is at one moment."""

    name: str
    topic: Topic
    identity: StreamIdentity

    @property
    def path(self) -> str:
        """`/event/Name`."""
        return stream_path(self.name)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to begin reading a stream. Lists have one offset for each partition."""

    offsets: list[int]
    """The first to read."""
    ends: list[int]
    """The ends as they were when this was settled."""
    time_ms: int = 0
    """A time from which reading on misses nothing, if one is known, ms since the epoch."""


def identify(entry: Entry, topic: Topic, cluster_id: str) -> Stream:
    """Return the stream whose topic is `topic` now."""
    former = tuple(known for known in entry.topic_ids if known != topic.topic_id)
    identity = StreamIdentity(cluster_id, topic.topic_id, topic.partitions, former)
    return Stream(entry.name, topic, identity)


def find_stream(entry: Entry, topic_name: str, admin: Admin) -> Stream:
    """Return the stream of an active entry.

    Raises:
        UnknownStreamError: its topic is gone.
        BrokerError: the cluster cannot be asked.
    """
    topic = admin.describe_one(topic_name, expected=True)
    if topic is None:
        raise UnknownStreamError(
            stream_path(entry.name),
            f"{entry.name} is in the catalog but its topic {topic_name} is gone; "
            "platform-events apply makes it again",
        )
    return identify(entry, topic, admin.cluster_id())


def resolve_end(until: StartPoint, stream: Stream, admin: Admin) -> list[int]:
    """Return the offset of each partition at which to stop, as it is now; None is the end.

    Raises:
        ReplayError: the verdict on a replay ID, but for EXPIRED.
        UsageError: `until` is none of the forms, or a replay ID that is a time: seconds before its
            event, so that a subscriber misses nothing.
        BrokerError: the cluster cannot be asked.
    """
    if until is None:
        until = Start.LATEST
    if isinstance(until, (str, bytes)) and not (isinstance(until, str) and Start.named(until)):
        replay_id = ReplayId.parse(until, stream.path)
        if isinstance(locate(replay_id, stream.path, stream.identity), TimePosition):
            raise UsageError(
                f"{replay_id} is no end: in a stream of several partitions the replay ID of a "
                "publish result, or one that was cut, is a time; give that of an event that was "
                "read"
            )
    return resolve_start(until, stream, admin, on_expired="earliest").offsets


def resolve_start(
    start: StartPoint, stream: Stream, admin: Admin, on_expired: OnExpired
) -> Beginning:
    """Return where a subscription with this start begins.

    Raises:
        ReplayError: the verdict on a replay ID, unless `on_expired` settles it.
        UsageError: `start` is none of the forms.
        BrokerError: the cluster cannot be asked.
    """
    topic = stream.topic
    marks = admin.watermarks({topic.name: topic.partitions})[topic.name]
    return resolve_between(start, stream, marks, admin, on_expired)


def resolve_between(
    start: StartPoint,
    stream: Stream,
    marks: Sequence[tuple[int, int]],
    admin: Admin,
    on_expired: OnExpired,
) -> Beginning:
    """Return the same for one who has asked already where each partition begins and ends.

    Args:
        start: where to begin.
        stream: of which stream.
        marks: first and end offset of each partition.
        admin: is asked only where a time begins.
        on_expired: what to do when events after the start are past retention.

    Raises:
        ReplayError, UsageError, BrokerError: as `resolve_start`.
    """
    if isinstance(start, str):
        start = Start.named(start) or start
    topic = stream.topic
    ends = [end for _, end in marks]
    if start is Start.LATEST:
        return Beginning(ends, ends)
    if start is Start.EARLIEST:
        return Beginning([first for first, _ in marks], ends)
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise UsageError("a time needs a time zone, such as datetime.now(UTC)")
        # The next whole millisecond: appended at or after it is appended at or after `start`.
        time_ms = max(-((EPOCH - start) // timedelta(milliseconds=1)), 0)
        return Beginning(admin.offsets_since(topic.name, marks, time_ms), ends)
    if not isinstance(start, (str, bytes)):
        raise UsageError(f"{start!r} is neither latest, earliest, a replay ID nor a datetime")
    replay_id = ReplayId.parse(start, stream.path)
    position = locate(replay_id, stream.path, stream.identity)
    if isinstance(position, TimePosition):
        time_ms = position.time_ms
        return Beginning(admin.offsets_since(topic.name, marks, time_ms), ends, time_ms)
    known_time = replay_id.value if replay_id.vector() else 0
    offsets = settle(position, replay_id, stream, marks, on_expired)
    return Beginning(offsets, ends, known_time)


def settle(
    position: OffsetPosition,
    replay_id: ReplayId | None,
    stream: Stream,
    marks: Sequence[tuple[int, int]],
    on_expired: OnExpired,
) -> list[int]:
    """Return the offsets to read on at, after the verdict on `position`.

    Raises:
        ReplayFutureError: the log is shorter.
        ReplayExpiredError: events are gone, and `on_expired` is `fail`.
    """
    try:
        check_retained(position, replay_id, stream.path, stream.identity, marks)
    except ReplayExpiredError:
        if on_expired == "fail":
            raise
        if on_expired == "latest":
            return [end for _, end in marks]
    return [max(offset, first) for offset, (first, _) in zip(position.offsets, marks, strict=True)]
