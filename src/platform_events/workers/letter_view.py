"""Dead letters as people look at them: which ones, and what was in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from platform_events.bus.decoding import EventDecoder
from platform_events.bus.event import EPOCH, Event, Run
from platform_events.envelope import without_reserved
from platform_events.errors import UndecodableRecordError
from platform_events.names import stream_path
from platform_events.replay import ReplayError, ReplayId, StreamIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from platform_events.bus.bus import EventBus
    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.letter_reader import StoredLetter

ShownStatus: TypeAlias = Literal["dead", "redriving", "parked"]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant: those for which everything given here is so."""

    ids: Sequence[str] = ()
    """Any of these; none: all."""
    reason: str | None = None
    type: str | None = None
    """Name of the event's definition."""
    since: datetime | None = None
    """Failed last at or after it."""
    until: datetime | None = None
    """Failed last before it."""

    def passes(self, letter: Letter) -> bool:
        """Whether a letter is meant, its ID aside."""
        return (
            self.reason in (None, letter.reason)
            and self.type in (None, letter.type)
            and (self.since is None or letter.last_failure_ms >= _milliseconds(self.since))
            and (self.until is None or letter.last_failure_ms < _milliseconds(self.until))
        )


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A dead letter with its event."""

    owner: str
    """The subscription, or the channel whose router wrote it."""
    stream: str
    """Path of the stream that has the event at the letter's partition, offset and replay ID."""
    letter: Letter
    status: ShownStatus
    event: Event[dict[str, Any]] | None
    """None: it cannot be decoded. Its own replay ID is the letter's, where streams of several
    partitions have one that is a time."""
    body: bytes | None
    """As it was stored; None if the record was a tombstone."""
    headers: dict[str, bytes | None]
    """The publisher's own."""


class LetterDecoder:
    """Decodes the events in letters from one stream.

    Args:
        bus: of the tenant.
        stream: bare name of the stream.
        topic_id: UUID of the topic that it had.
    """

    def __init__(self, bus: EventBus, stream: str, topic_id: str) -> None:
        self._path = stream_path(stream)
        self._cluster_id = bus.admin.cluster_id()
        self._topic_id = topic_id
        self._decoder: EventDecoder[dict[str, Any]] = EventDecoder(self._path, bus.catalog, None)

    def show(self, stored: StoredLetter, owner: str, status: ShownStatus) -> ShownLetter:
        """Return a letter with its event.

        Raises:
            BrokerError: the event's schema cannot be asked for.
        """
        return ShownLetter(
            owner,
            self._path,
            stored.letter,
            status,
            self._decode(stored),
            stored.body,
            without_reserved(stored.event_headers),
        )

    def _decode(self, stored: StoredLetter) -> Event[dict[str, Any]] | None:
        events: list[Event[dict[str, Any]]] = []
        try:
            self._decoder.decode([stored], self._run(stored.letter), events)
        except UndecodableRecordError:
            return None
        return events[0]

    def _run(self, letter: Letter) -> Run:
        """Return what makes the event's replay ID the one that it had."""
        vector: tuple[int, ...] = ()
        time_ms, tag = 0, None
        try:
            replay_id = ReplayId.parse(letter.replay_id)
        except ReplayError:
            pass
        else:
            vector, time_ms, tag = replay_id.vector(), replay_id.value, replay_id.tag
        partitions = max(len(vector), letter.partition + 1)
        identity = StreamIdentity(self._cluster_id, self._topic_id, partitions)
        offsets = vector + (0,) * (partitions - len(vector))
        run = Run(self._path, identity, letter.partition, offsets, time_ms)
        if not vector and tag is not None:
            # Perhaps that of a topic which the stream had before.
            run.offset_tag = tag
        return run


def _milliseconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds() * 1000
