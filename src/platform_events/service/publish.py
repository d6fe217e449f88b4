"""Publish and PublishStream: events that clients have encoded."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from platform_events.bus.encoded import Batch
from platform_events.bus.values import PublishStatus
from platform_events.definitions.model import ChannelDefinition, EventDefinition
from platform_events.errors import (
    ClosedError,
    EventTooLargeError,
    PayloadError,
    PlatformEventsError,
    UnknownSchemaError,
    UsageError,
)
from platform_events.service.calls import parse
from platform_events.service.errors import (
    CANNOT_PUBLISH,
    PUBLISH_COUNT_INVALID,
    PUBLISH_TOPIC_EMPTY,
    CallError,
)
from platform_events.service.foreign import ForeignPayloads
from platform_events.service.messages import PUBLISH, Error, PublishRequest, PublishResponse
from platform_events.service.publish_stream import PublishStream
from platform_events.wording import one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.state import Entry
    from platform_events.service.access import Session
    from platform_events.service.calls import Call
    from platform_events.service.tenants import Tenant, Tenants

Answer = TypeVar("Answer")
_NOWHERE = bytes(10)
"""Replay ID of what has none: clients read 8 bytes of it, whatever the error says (tried)."""
_THREADS = 4
"""Threads that one tenant's publishing takes at a time: they wait when the bus's buffer is full,
and others have to be left for other calls."""
_OF_CLIENTS = (EventTooLargeError, PayloadError, UnknownSchemaError, UsageError)
"""Errors that are the client's own, which it is told; others may name what it must not know."""
_LONGEST_TEXT = 500
"""Characters of an event's error: clients take answers of a few megabytes."""


class Publishing:
    """Stores clients' events, and answers with one result for each.

    Args:
        tenants: whose.
    """

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._threads: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_THREADS)
        )
        self._answers: set[asyncio.Task[bytes]] = set()
        self._streams: set[PublishStream] = set()
        self._is_draining = False

    async def publish(self, call: Call, request: bytes) -> bytes:
        """Return the `PublishResponse` to one request."""
        asked = parse(PublishRequest, request, PUBLISH_COUNT_INVALID)
        if not asked.topic_name:
            raise CallError(PUBLISH_TOPIC_EMPTY, "The topic name can't be blank.")
        return await asyncio.shield(self._begin(call, asked.topic_name, asked, asyncio.Event()))

    async def publish_stream(self, call: Call) -> None:
        """Answer request after request."""
        stream = PublishStream(call, partial(self._begin, call))
        self._streams.add(stream)
        if self._is_draining:
            stream.stop()
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    async def drain(self) -> None:
        """Have streams end once what is under way is answered, also those that come later."""
        self._is_draining = True
        for stream in self._streams:
            stream.stop()

    def _begin(
        self, call: Call, topic: str, request: Any, sent: asyncio.Event
    ) -> asyncio.Task[bytes]:
        """Publish a request's events in a task of its own, and return that.

        It goes on when the caller is gone: what was sent has results, which are counted.

        Args:
            call: whose.
            topic: where to.
            request: a `PublishRequest`.
            sent: set when no event has to be sent any more.
        """
        if not request.events:
            raise CallError(PUBLISH_COUNT_INVALID, "A request has at least one event.")
        answer = asyncio.create_task(self._answer(call, topic, request, sent))
        self._answers.add(answer)
        answer.add_done_callback(self._end)
        return answer

    def _end(self, answer: asyncio.Task[bytes]) -> None:
        self._answers.discard(answer)
        if not answer.cancelled():
            # Perhaps nobody waits for it any more: then nobody else takes its exception.
            answer.exception()

    async def _answer(self, call: Call, topic: str, request: Any, sent: asyncio.Event) -> bytes:
        loop, settled = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The loop may be closed by then.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settled.set)

        try:
            tenant = await self._tenants.of(call.session)
            entry = await _event(tenant, topic, call.session)
            outcome = await self._run(tenant, partial(_send, tenant, entry, request.events, wake))
            if outcome is None:
                doubt = await _refresh(tenant)
                entry = await _event(tenant, topic, call.session)
                send = partial(_send_known, tenant, entry, request.events, wake, doubt)
                outcome = await self._run(tenant, send)
        finally:
            sent.set()
        assert isinstance(entry.active, EventDefinition)
        response = PublishResponse(schema_id=entry.active.schema.id, rpc_id=call.rpc_id)
        given_ids = [event.id for event in request.events]
        # Answers to many events are waited for at a time, and payloads are not needed any more.
        del request
        if isinstance(outcome, Batch):
            await settled.wait()
        return await self._run(tenant, partial(_fill, response, outcome, given_ids))

    async def _run(self, tenant: Tenant, work: Callable[[], Answer]) -> Answer:
        async with self._threads[tenant.name]:
            return await tenant.run(work)


async def _event(tenant: Tenant, topic: str, session: Session) -> Entry:
    """Return the event that a topic is.

    Raises:
        CallError: there is none, or nothing of the kind may be published to it.
    """
    entry = await tenant.entry(topic, session, "publish")
    if isinstance(entry.active, ChannelDefinition):
        names = [member.event for member in entry.active.members]
        members = [name for name in names if session.may("publish", name)]
        raise CallError(
            CANNOT_PUBLISH,
            f"{entry.name} is a channel: publish to "
            f"{one_of(members) if members else 'its member events'}, and the channel gets it.",
        )
    return entry


async def _refresh(tenant: Tenant) -> PlatformEventsError | None:
    """Know everything that was applied before this call; return why that cannot be, if so."""
    try:
        await tenant.refresh()
    except PlatformEventsError as error:
        return error
    return None


def _send(
    tenant: Tenant, entry: Entry, events: Any, wake: Callable[[], None]
) -> Batch | PlatformEventsError | None:
    """Send events whose schemas are all known, else none of them and return None."""
    if ForeignPayloads(entry, tenant.catalog.cached_schema).knows(events):
        return _send_known(tenant, entry, events, wake, None)
    return None


def _send_known(
    tenant: Tenant,
    entry: Entry,
    events: Any,
    wake: Callable[[], None],
    doubt: PlatformEventsError | None,
) -> Batch | PlatformEventsError:
    """Send events, all but those that are refused; return why none was sent, if so."""
    payloads = ForeignPayloads(entry, tenant.catalog.cached_schema, doubt)
    try:
        sender = tenant.bus.publishing().encoded
        return sender.submit(entry.name, map(payloads.take, events), wake)
    except PlatformEventsError as error:
        return error


def _fill(response: Any, outcome: Batch | PlatformEventsError, given_ids: list[str]) -> bytes:
    """Return a response, with the results of a batch, or of what was not sent at all."""
    add = response.results.add
    if not isinstance(outcome, Batch):
        text = _explain(outcome)
        for given_id in given_ids:
            add(replay_id=_NOWHERE, error=Error(code=PUBLISH, msg=text), correlation_key=given_id)
        return bytes(response.SerializeToString())
    for result, given_id in zip(outcome.results(), given_ids, strict=True):
        if result.status is PublishStatus.PERSISTED:
            add(replay_id=result.replay_id or _NOWHERE, correlation_key=result.event_id)
            continue
        assert result.error is not None
        is_unknown = result.status is PublishStatus.UNKNOWN
        text = _explain(result.error, result.event_id if is_unknown else "")
        add(replay_id=_NOWHERE, error=Error(code=PUBLISH, msg=text), correlation_key=given_id)
    return bytes(response.SerializeToString())


def _explain(error: PlatformEventsError, unknown_id: str = "") -> str:
    """Return what a client is told of an event that failed.

    Args:
        error: why.
        unknown_id: the ID of an event that may be stored; empty: it is certainly not.
    """
    if unknown_id:
        return (
            f"{error.code}: the event may be stored or not; publish it again with the ID "
            f"{unknown_id}, by which subscribers find duplicates"
        )
    if isinstance(error, _OF_CLIENTS):
        return error.line[:_LONGEST_TEXT]
    may_pass = error.retriable or isinstance(error, ClosedError)
    advice = "publish it again" if may_pass else "the service cannot take it now"
    return f"{error.code}: the event was not stored; {advice}"
