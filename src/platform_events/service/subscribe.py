"""Subscribe: events of one stream, as many as were asked for."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from platform_events.bus.event import EPOCH
from platform_events.bus.starts import Beginning, OnExpired, resolve_between
from platform_events.bus.values import Start
from platform_events.errors import PlatformEventsError
from platform_events.service.calls import parse
from platform_events.service.errors import (
    FETCH_INVALID,
    REPLAY_MISSING,
    SUBSCRIPTION_INTERNAL,
    TOPIC_EMPTY,
    CallError,
    call_error,
)
from platform_events.service.feeds import Feeds
from platform_events.service.messages import CUSTOM, EARLIEST, LATEST, FetchRequest
from platform_events.service.refusals import HeldRefusals, Refusals
from platform_events.service.streams import OpenStream, StreamQuestions
from platform_events.service.subscriber import IDLE_SECONDS, Subscriber, check_number, draining
from platform_events.service.windows import Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from platform_events.bus.starts import StartPoint
    from platform_events.catalog.state import Entry
    from platform_events.service.calls import Call
    from platform_events.service.streams import Found
    from platform_events.service.tenants import Tenant, Tenants

_LOOK_EVERY = 1.0
"""Seconds between two looks at what becomes of streams and readers."""
_DRAIN_SECONDS = 1.0
"""How long subscribers that do not read are waited for. They lose nothing but the last response."""


class Subscribing:
    """Answers Subscribe. For the event loop.

    Args:
        tenants: whose streams.
    """

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._questions = StreamQuestions()
        self._refusals = Refusals()
        self._held: HeldRefusals[CallError] = HeldRefusals()
        self._feeds: Feeds | None = None
        self._current: dict[tuple[str, str], OpenStream] = {}
        """By tenant and name."""
        self._streams: set[OpenStream] = set()
        """Those, and some that were made again since they were opened."""
        self._subscribers: set[Subscriber] = set()
        self._waits: set[asyncio.Timeout] = set()
        """Of calls that wait for something else than their events."""
        self._looking: asyncio.TimerHandle | None = None
        self._is_draining = False

    async def subscribe(self, call: Call) -> None:
        """Send events until the client has ended its side, or the call fails.

        It never ends well by itself: some clients stop for good then (tried).
        """
        async with self._until_draining():
            first = await _first(call)
        if first is None:
            return
        asked = _question(call, first)
        answer = self._held.answer(asked)
        if answer is not None:
            raise answer.again()
        topic = ""
        subscriber: Subscriber | None = None
        try:
            request = parse(FetchRequest, first, FETCH_INVALID)
            topic = request.topic_name
            async with self._until_draining():
                subscriber = await self._begin(call, request)
            await subscriber.serve()
        except PlatformEventsError as error:
            failure = call_error(error, SUBSCRIPTION_INTERNAL, topic)
            await self._hold_back(call, asked, topic, subscriber, failure)
            raise failure from error
        except CallError as error:
            await self._hold_back(call, asked, topic, subscriber, error)
            raise
        finally:
            if subscriber is not None:
                self._end(subscriber)

    async def drain(self) -> None:
        """Take no more subscribers; return when those there are know where to go on elsewhere.

        Each is sent a last response with `latest_replay_id`, then its call fails.
        """
        self._is_draining = True
        for subscriber in self._subscribers:
            subscriber.drain()
        for wait in self._waits:
            wait.reschedule(0)
        ended = [subscriber.ended for subscriber in self._subscribers]
        if ended:
            await asyncio.wait(ended, timeout=_DRAIN_SECONDS)
        for subscriber in self._subscribers:
            subscriber.cut_off()

    async def close(self) -> None:
        """End the readers, once no call is left."""
        self._is_draining = True
        if self._looking is not None:
            self._looking.cancel()
        for stream in self._streams:
            stream.close()
        self._streams.clear()
        self._current.clear()
        if self._feeds is not None:
            await self._feeds.close()

    async def _begin(self, call: Call, request: Any) -> Subscriber:
        """Return a subscriber that has its place in the stream.

        Raises:
            CallError, PlatformEventsError: it is refused, or cannot be settled.
        """
        if not request.topic_name:
            raise CallError(TOPIC_EMPTY, "The topic name can't be blank in the first request.")
        check_number(request)
        on_expired = _on_expired(call)
        start = _start(call, request)
        tenant = await self._tenants.of(call.session)
        entry = await tenant.entry(request.topic_name, call.session, "subscribe")
        found = await self._questions.find(tenant, entry)
        admin = tenant.bus.admin
        beginning: Beginning = await tenant.run(
            lambda: resolve_between(start, found.stream, found.marks, admin, on_expired)
        )
        stream = self._open(tenant, entry, found)
        time_ms = beginning.time_ms if found.stream.identity.partitions > 1 else 0
        place = Place(tuple(beginning.offsets), time_ms)
        subscriber = Subscriber(call, stream, place, request, on_expired)
        self._subscribers.add(subscriber)
        stream.readers.add(subscriber)
        try:
            if start is Start.LATEST:
                await stream.place_at_end(subscriber.cursor, beginning.ends)
            else:
                stream.place(subscriber.cursor, beginning.ends)
        except BaseException:
            self._end(subscriber)
            raise
        return subscriber

    def _open(self, tenant: Tenant, entry: Entry, found: Found) -> OpenStream:
        key = tenant.name, entry.name
        stream = self._current.get(key)
        identity = found.stream.identity
        if stream is None or stream.stream.identity.topic_id != identity.topic_id:
            if self._feeds is None:
                self._feeds = Feeds()
            stream = OpenStream(tenant, entry, found.stream, self._feeds, self._questions)
            self._current[key] = stream
            self._streams.add(stream)
            self._look_later()
        elif identity.partitions > stream.stream.identity.partitions:
            stream.renew(found.stream)
        return stream

    def _end(self, subscriber: Subscriber) -> None:
        subscriber.end()
        self._subscribers.discard(subscriber)
        stream = subscriber.stream
        stream.leave(subscriber)
        if not stream.readers and stream in self._streams:
            stream.close()
            self._streams.discard(stream)
            for key in [key for key, one in self._current.items() if one is stream]:
                del self._current[key]

    def _look_later(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._looking = None
        for stream in list(self._streams):
            stream.look()
        if self._streams:
            self._look_later()

    async def _hold_back(
        self,
        call: Call,
        asked: Hashable,
        topic: str,
        subscriber: Subscriber | None,
        failure: CallError,
    ) -> None:
        """Wait before a refusal that is not the first: some clients ask again at once, for ever."""
        is_refused = subscriber is None and failure.code is not SUBSCRIPTION_INTERNAL
        if is_refused and not self._is_draining:
            session = call.session
            delay = self._refusals.delay((session.tenant, session.principal, topic[:100]))
            with self._held.holding(asked, failure.again()):
                async with self._until_draining():
                    await asyncio.sleep(delay)

    @asynccontextmanager
    async def _until_draining(self) -> AsyncIterator[None]:
        """Wait for something within this, but not when the service ends.

        Raises:
            CallError: it ends.
        """
        if self._is_draining:
            raise draining()
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            raise draining() from None


async def _first(call: Call) -> bytes | None:
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await call.read()
    except TimeoutError:
        raise CallError(FETCH_INVALID, "No FetchRequest came.") from None


def _question(call: Call, first: bytes) -> Hashable:
    """Return what a call asks for, and who does: the same has the same answer, for a while."""
    session = call.session
    metadata = call.metadata("pe-start-time"), call.metadata("pe-on-expired")
    return session.tenant, session.principal, hashlib.sha256(first).digest(), *metadata


def _start(call: Call, request: Any) -> StartPoint:
    """Return where a first request wants to begin.

    The time in the metadata counts unless a replay ID is given: clients that connect again with one
    send the same metadata as before.
    """
    preset = request.replay_preset
    if preset not in (LATEST, EARLIEST, CUSTOM):
        raise CallError(FETCH_INVALID, f"There is no replay preset {preset}.")
    if preset == CUSTOM:
        if not request.replay_id:
            raise CallError(
                REPLAY_MISSING,
                "Replay ID validation failed. With the replay preset CUSTOM give a replay ID.",
            )
        return bytes(request.replay_id)
    text = call.metadata("pe-start-time")
    if text:
        try:
            return _time(text)
        except (ValueError, OverflowError):
            raise CallError(
                FETCH_INVALID,
                "pe-start-time is a time in ISO 8601 with a zone, such as 2026-01-31T12:00:00Z, or "
                f"milliseconds since 1970, not {text[:50]!r}.",
            ) from None
    return Start.LATEST if preset == LATEST else Start.EARLIEST


def _time(text: str) -> datetime:
    if text.isascii() and text.isdigit():
        return EPOCH + timedelta(milliseconds=int(text))
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(text)
    return time


def _on_expired(call: Call) -> OnExpired:
    text = call.metadata("pe-on-expired") or "fail"
    for word in get_args(OnExpired):
        if text == word:
            return word  # type: ignore[no-any-return]
    raise CallError(FETCH_INVALID, f"pe-on-expired is fail, earliest or latest, not {text[:50]!r}.")
