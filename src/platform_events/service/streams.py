"""A stream that somebody is subscribed to: its windows, what fills them, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from platform_events.bus.recovery import Recovery
from platform_events.bus.starts import OnExpired, Stream, find_stream, settle
from platform_events.errors import BrokerError, PlatformEventsError, StreamRecreatedError
from platform_events.replay import OffsetPosition
from platform_events.service.feeds import Feed
from platform_events.service.questions import SharedQuestions
from platform_events.service.windows import Place, Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.catalog.state import Entry
    from platform_events.replay import ReplayId
    from platform_events.service.feeds import Fed, Feeds
    from platform_events.service.tenants import Tenant
    from platform_events.service.windows import Cursor, Window

_PAUSE = 0.2
"""Seconds between two looks at a log that does not have what is read."""
_NEAR_SECONDS = 0.2
"""How long a subscriber to the latest waits for a live window to come there."""
_NEAR_LOOK = 0.01
_logger = logging.getLogger("platform_events.service")


@dataclass(frozen=True, slots=True)
class Found:
    """A stream as the cluster has just described it."""

    stream: Stream
    marks: list[tuple[int, int]]
    """First and end offset of each partition."""

    @property
    def ends(self) -> list[int]:
        """The end of each partition."""
        return [end for _, end in self.marks]


class StreamQuestions:
    """Asks the cluster about streams, once for all who want to know at the same time."""

    def __init__(self) -> None:
        self._questions: SharedQuestions[Found] = SharedQuestions()

    async def find(self, tenant: Tenant, entry: Entry) -> Found:
        """Return what there is now.

        Raises:
            UnknownStreamError: its topic is gone.
            BrokerError: the cluster cannot be asked.
        """
        bus = tenant.bus

        def ask() -> Found:
            admin = bus.admin
            stream = find_stream(entry, bus.settings.namespace.topic(entry.name), admin)
            topic = stream.topic
            return Found(stream, admin.watermarks({topic.name: topic.partitions})[topic.name])

        return await self._questions.ask((tenant.name, entry.name), lambda: tenant.run(ask))


class Reader(Protocol):
    """Who reads a stream."""

    cursor: Cursor
    on_expired: OnExpired

    def fail(self, error: Exception) -> None:
        """Take that it cannot read on."""


class OpenStream:
    """The windows of one stream, and who reads in them. For the event loop.

    Args:
        tenant: whose stream.
        entry: of the catalog.
        stream: which, as it is now.
        feeds: fill windows.
        questions: about streams.
    """

    def __init__(
        self,
        tenant: Tenant,
        entry: Entry,
        stream: Stream,
        feeds: Feeds,
        questions: StreamQuestions,
    ) -> None:
        self.tenant = tenant
        self.stream = stream
        clients = tenant.bus.clients
        # What is past retention is settled for each reader by itself.
        self.recovery = Recovery(stream, clients.admin, clients.watch, tenant.catalog, "fail")
        self.readers: set[Reader] = set()
        self._entry = entry
        self._feeds = feeds
        self._questions = questions
        self._windows = Windows()
        self._feed_of: dict[Window, Feed] = {}
        self._growing: asyncio.Task[None] | None = None

    def place(self, cursor: Cursor, ends: Sequence[int] | None = None) -> None:
        """Put a cursor that is stranded where it can read on.

        Args:
            cursor: which.
            ends: of the stream, a moment ago; None if they are not known.
        """
        left = cursor.window
        cursor.move(_with_all(cursor.place, self.stream))
        if not self._windows.join(cursor):
            window = self._windows.open(cursor)
            self._feed_of[window] = Feed(self._feeds, self, window, ends)
        self._drop_if_empty(left)
        self.demand(cursor)

    async def place_at_end(self, cursor: Cursor, ends: Sequence[int]) -> None:
        """Put a new cursor to the stream's end, which was found a moment ago."""
        deadline = asyncio.get_running_loop().time() + _NEAR_SECONDS
        while not self._windows.join_end(cursor, ends):
            # To read by itself from a place that a live window is about to pass takes a client.
            if (
                self._windows.join(cursor)
                or not self._windows.is_near(ends)
                or asyncio.get_running_loop().time() > deadline
            ):
                break
            await asyncio.sleep(_NEAR_LOOK)
        if cursor.window is None:
            self.place(cursor, ends)

    async def place_again(self, reader: Reader) -> None:
        """Put a reader's cursor that is stranded where it can read on, if need be elsewhere.

        Raises:
            ReplayExpiredError, ReplayFutureError: the log does not have its place, and `on_expired`
                does not settle that.
            StreamRecreatedError: it is another log.
            UnknownStreamError: it is gone.
            BrokerError: the cluster refuses.
        """
        cursor = reader.cursor
        ends = None
        while cursor.is_lost:
            left = cursor.window
            await asyncio.sleep(_PAUSE)
            try:
                found = await self._questions.find(self.tenant, self._entry)
            except BrokerError as error:
                if not error.retriable:
                    raise
                _logger.warning("%s: waiting: %s", self.stream.path, error)
                continue
            ends = found.ends
            cursor.move(self._settle(reader, found))
            self._drop_if_empty(left)
        if cursor.is_stranded:
            self.place(cursor, ends)

    def demand(self, cursor: Cursor) -> None:
        """Have more read if little is left for a cursor."""
        window = cursor.window
        if window is not None and window.is_fed and window.is_short_for(cursor):
            self._feed_of[window].want()

    def replay_id(self, cursor: Cursor) -> ReplayId:
        """Return the ID after which what a cursor has not taken is read."""
        place = _with_all(cursor.place, self.stream)
        return self.stream.identity.position_id(place.offsets, place.time_ms)

    def leave(self, reader: Reader) -> None:
        """Let a reader go."""
        self.readers.discard(reader)
        left = reader.cursor.window
        reader.cursor.leave()
        self._drop_if_empty(left)

    def advance(self, feed: Feed, fed: Fed) -> None:
        """See `FedStream`."""
        window = feed.window
        window.append(fed.blocks, fed.end)
        if fed.is_lost:
            self._stop(window, is_lost=True)
            return
        # Those who were too slow have left it.
        self._drop_if_empty(window)
        superfluous = self._windows.superfluous(window)
        if superfluous is not None:
            self._stop(superfluous)
        if window.is_fed and window.is_short:
            feed.want()

    def fail(self, feed: Feed, error: Exception) -> None:
        """See `FedStream`."""
        if isinstance(error, BrokerError):
            readers = [one for one in self.readers if one.cursor.window is feed.window]
        else:
            readers = list(self.readers)
        self._stop(feed.window)
        for reader in readers:
            reader.fail(error)

    def look(self) -> None:
        """Take notice of what has become of the stream; call it at times."""
        try:
            self.recovery.check()
        except PlatformEventsError as error:
            for reader in self.readers:
                reader.fail(error)
            return
        if self.recovery.has_grown and self._growing is None:
            self._growing = asyncio.create_task(self._grow())
        for feed in list(self._feed_of.values()):
            feed.look()

    def renew(self, stream: Stream) -> None:
        """Go on with the partitions that the stream has gained, from their beginning."""
        self.stream = stream
        for window in self._windows:
            self._stop(window)

    def close(self) -> None:
        """Stop reading and watching; whoever reads has left."""
        if self._growing is not None:
            self._growing.cancel()
        for feed in self._feed_of.values():
            feed.close()
        self.recovery.close()

    async def _grow(self) -> None:
        try:
            stream = await self.tenant.run(self.recovery.grow)
            if stream.identity.partitions > self.stream.identity.partitions:
                self.renew(stream)
        except PlatformEventsError as error:
            _logger.warning("%s: its new partitions wait: %s", self.stream.path, error)
        finally:
            self._growing = None

    def _settle(self, reader: Reader, found: Found) -> Place:
        place = _with_all(reader.cursor.place, found.stream)
        if found.stream.identity.topic_id != self.stream.identity.topic_id:
            raise StreamRecreatedError(
                self.stream.path,
                f"{self.stream.path} was deleted and created again; its old events are gone, "
                "subscribe again from earliest",
            )
        settled = settle(
            OffsetPosition(place.offsets),
            self.replay_id(reader.cursor),
            found.stream,
            found.marks,
            reader.on_expired,
        )
        return Place(tuple(settled), place.time_ms)

    def _stop(self, window: Window, *, is_lost: bool = False) -> None:
        feed = self._feed_of.pop(window, None)
        if feed is not None:
            feed.close()
        window.stop(is_lost=is_lost)
        self._drop_if_empty(window)

    def _drop_if_empty(self, window: Window | None) -> None:
        if window is None or window.cursors or window.is_dropped:
            return
        feed = self._feed_of.pop(window, None)
        if feed is not None:
            feed.close()
        self._windows.drop(window)


def _with_all(place: Place, stream: Stream) -> Place:
    """Return a place with the partitions that the stream gained since, which begin at 0."""
    missing = stream.identity.partitions - len(place.offsets)
    return Place(place.offsets + (0,) * missing, place.time_ms) if missing > 0 else place
