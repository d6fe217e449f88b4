"""Publishing: payload in, one result out."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from platform_events.bus.doubts import Doubts
from platform_events.bus.encoded import EncodedSender
from platform_events.bus.models import as_mapping
from platform_events.bus.pending import PendingEvent, SubmittedEvent, count
from platform_events.bus.starts import find_stream, identify
from platform_events.bus.target import Target, key_bytes
from platform_events.bus.values import EventIds, EventMessage, PublishResult
from platform_events.bus.vouching import Voucher, own_entry
from platform_events.envelope import user_headers
from platform_events.errors import PlatformEventsError, UsageError
from platform_events.kafka.outbox import Outbox
from platform_events.names import stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from platform_events.catalog.live import Catalog
    from platform_events.envelope import Headers, UserHeaders
    from platform_events.kafka.clients import Clients
    from platform_events.settings import Settings

_SERVE_EVERY = 256
"""Events queued between two looks at what was delivered."""
_SERVE_WITHIN = 0.05
"""Seconds between two such looks where events come slowly."""


class Publisher:
    """Publishes to all events of one tenant through a shared producer. Thread-safe."""

    def __init__(self, settings: Settings, catalog: Catalog, clients: Clients) -> None:
        self._settings = settings
        self._created_by = settings.created_by
        self._catalog = catalog
        self._admin = clients.admin
        self._watch = clients.watch
        self._targets: dict[str, Target] = {}
        self._finding: dict[str, threading.Lock] = {}
        """One for each event: a topic that is described slowly holds up no others."""
        self._new_id = EventIds()
        self._submitted: set[SubmittedEvent] = set()
        """Those whose futures have no result yet."""
        self._settled: deque[SubmittedEvent] = deque()
        self._doubts = Doubts(self._resolve)
        self._producer = clients.producer
        self._outbox = Outbox(self._producer)
        self.encoded = EncodedSender(self._outbox, self.find, self._new_id)
        """Publishes what others have encoded."""
        self._producer.after_serving(self._resolve_futures)

    def find(self, event: str) -> Target:
        """Return where events of this name go now.

        Raises:
            UsageError: it names a channel, or nothing that could be an event.
            UnknownStreamError: there is no such event.
            BrokerError: the cluster cannot be asked.
        """
        name = stream_name(event)
        target = self._targets.get(name)
        if target is None or not self._is_current(target):
            self._catalog.refuse_channel(name)
            with self._finding.setdefault(name, threading.Lock()):
                target = self._targets.get(name)
                if target is None or not self._is_current(target):
                    old, target = target, self._follow(name, target)
                    self._targets[name] = target
                    if old is not None:
                        # Whoever is using it has nobody else to tell that.
                        old.is_outdated = True
        return target

    def _is_current(self, target: Target) -> bool:
        """Whether events still go here, by what the catalog says and the topic is."""
        return self._catalog.current(target.entry) is target.entry and not target.has_moved

    def _follow(self, name: str, old: Target | None) -> Target:
        if old is not None and not self._catalog.is_read:
            entry = old.entry
        else:
            entry = self._catalog.entry(name)
        watched = None
        is_there = old is not None and not (old.watched.deleted or old.voucher.is_wrong)
        if old is not None and old.entry is entry and is_there:
            # The watch has seen that it grew, or was made again.
            watched = old.watched
            stream = identify(entry, watched.topic, self._admin.cluster_id())
        else:
            topic = self._settings.namespace.topic(entry.name)
            stream = find_stream(entry, topic, self._admin)
        entry = own_entry(entry, stream.topic, self._catalog)
        if watched is None:
            watched = self._watch.add(stream.topic)
            if old is not None:
                self._watch.remove(old.watched)
        voucher = Voucher(stream.topic, watched, entry, self._catalog, self._admin)
        return Target(entry, stream, watched, voucher, self._settings.source)

    def publish(
        self, event: str, message: EventMessage, headers: UserHeaders | None
    ) -> PublishResult:
        """Publish one event and wait for its outcome."""
        target = self.find(event)
        event_id = self._new_id.given(message.event_id)
        pending = PendingEvent(self._outbox, target, event_id, time.monotonic())
        self._send(pending, message.payload, user_headers(headers) + user_headers(message.headers))
        self._outbox.wait_for(pending)
        result = pending.result()
        count(pending, [result])
        return result

    def publish_many(
        self, event: str, payloads: Iterable[Any], headers: UserHeaders | None
    ) -> list[PublishResult]:
        """Publish events in order and wait for all outcomes."""
        results: list[PublishResult] = []
        try:
            for settled in self.publish_chunks(event, payloads, headers):
                results += settled
        except Exception as error:
            _hand_over(error, results)
            raise
        return results

    def publish_chunks(
        self, event: str, payloads: Iterable[Any], headers: UserHeaders | None
    ) -> Iterator[list[PublishResult]]:
        """Publish events in order; yield their results in order, some at a time.

        A mistake of the call raises at once. What `payloads` raises passes after the results of
        the events before it.
        """
        target, common = self.find(event), user_headers(headers)
        pending: deque[PendingEvent] = deque()
        return self._finish(self._send_all(target, payloads, common, pending), pending)

    def _send_all(
        self, target: Target, payloads: Iterable[Any], common: Headers, pending: deque[PendingEvent]
    ) -> Iterator[list[PublishResult]]:
        producer, outbox, catalog = self._producer, self._outbox, self._catalog
        new_id = self._new_id
        revision = -1
        gone: PlatformEventsError | None = None
        served_at = time.monotonic()
        most = max(self._settings.publish_buffer // PendingEvent.OVERHEAD, _SERVE_EVERY)
        for number, payload in enumerate(payloads, 1):
            now = time.monotonic()
            if (target.is_outdated or catalog.revision != revision) and gone is None:
                revision = catalog.revision
                try:
                    target = self.find(target.name)
                except PlatformEventsError as error:
                    gone = error
            if isinstance(payload, EventMessage):
                one = self._begin(target, payload, common, gone, now)
            else:
                one = PendingEvent(outbox, target, new_id(), now)
                if gone is None:
                    self._send(one, payload, common)
                else:
                    one.refuse(gone)
            pending.append(one)
            if number % _SERVE_EVERY == 0 or now - served_at > _SERVE_WITHIN:
                producer.serve()
                served_at = now
                if pending[0].settled:
                    yield _take_settled(pending)
                elif len(pending) > most:
                    # Settled events that wait for the first one are in no buffer.
                    outbox.wait_for(pending[0])
                    yield _take_settled(pending)

    def _finish(
        self, sending: Iterator[list[PublishResult]], pending: deque[PendingEvent]
    ) -> Iterator[list[PublishResult]]:
        try:
            yield from sending
        except Exception:
            yield from self._wait_for_all(pending)
            raise
        yield from self._wait_for_all(pending)

    def _wait_for_all(self, pending: deque[PendingEvent]) -> Iterator[list[PublishResult]]:
        while pending:
            if not pending[0].settled:
                self._outbox.wait_for(pending[0])
            yield _take_settled(pending)

    def submit(
        self, event: str, message: EventMessage, headers: UserHeaders | None = None, *, urgent: bool
    ) -> Future[PublishResult]:
        """Queue one event, waiting while the buffer is full; the outcome comes later."""
        target = self.find(event)
        all_headers = user_headers(headers) + user_headers(message.headers)
        event_id = self._new_id.given(message.event_id)
        pending = SubmittedEvent(self._outbox, target, event_id, self._settled)
        self._submitted.add(pending)
        try:
            self._send(pending, message.payload, all_headers)
        except BaseException:
            self._submitted.discard(pending)
            raise
        self._producer.request_background(urgent=urgent)
        if pending.settled:
            # Refused: after a close nobody else would resolve it.
            self._resolve_futures()
        return pending.future

    def learn(self) -> None:
        """Take what catalog and watch say now as proof for events, or against them."""
        for target in list(self._targets.values()):
            target.voucher.learn()
            target.is_outdated = not self._is_current(target)

    def is_ready(self, event: str) -> bool:
        """Whether `submit` to this event would not wait."""
        name = stream_name(event)
        target = self._targets.get(name)
        return target is not None and self._is_current(target) and self._outbox.has_room()

    def stop(self) -> None:
        """Send nothing more; what is on its way goes on."""
        self._outbox.stop()

    def close(self, timeout: float) -> None:
        """Send nothing more, and leave the producer to others.

        What is on its way is waited for, at most `timeout` seconds; the rest becomes UNKNOWN.
        """
        self._outbox.close(timeout, lambda: [*self._submitted, *self.encoded.under_way()])
        self._producer.forget(self._resolve_futures)
        self._resolve_futures()
        self._doubts.wait()
        self._unwatch()

    def let_go(self) -> bool:
        """Leave the producer to others if nobody can use this any more, without waiting.

        Returns:
            Whether that is done: not before all futures have their results, and batches theirs.
        """
        if self._submitted or self.encoded.is_sending:
            return False
        self._outbox.leave()
        self._producer.forget(self._resolve_futures)
        self._unwatch()
        return True

    def _unwatch(self) -> None:
        for target in self._targets.values():
            self._watch.remove(target.watched)

    def _begin(
        self,
        target: Target,
        message: EventMessage,
        common: Headers,
        gone: PlatformEventsError | None,
        began: float,
    ) -> PendingEvent:
        try:
            if gone is not None:
                raise gone
            event_id = self._new_id.given(message.event_id)
            headers = user_headers(message.headers)
        except PlatformEventsError as error:
            given = str(message.event_id or "").encode(errors="replace")
            refused = PendingEvent(self._outbox, target, given or self._new_id(), began)
            refused.refuse(error)
            return refused
        pending = PendingEvent(self._outbox, target, event_id, began)
        self._send(pending, message.payload, common + headers if headers else common)
        return pending

    def _send(self, pending: PendingEvent, payload: Any, headers: Headers) -> None:
        target = pending.target
        try:
            if type(payload) is not dict:
                payload = as_mapping(payload, target.fields)
            fields = {
                "CreatedDate": time.time_ns() // 1_000_000,
                "CreatedById": self._created_by,
                **payload,
            }
            body = target.encode(fields)
        except PlatformEventsError as error:
            pending.refuse(error)
            return
        key = None
        if target.key is not None:
            key = key_bytes(fields.get(target.key, target.key_default))
        pending.send(body, key, target.envelope, headers)

    def _resolve_futures(self) -> None:
        """Resolve what is settled. This does not ask: the thread that calls it serves all buses."""
        while self._settled:
            try:
                event = self._settled.popleft()
            except IndexError:
                break
            if event.is_in_doubt:
                self._doubts.add(event)
            else:
                self._resolve(event)
        if self._producer.client is None:
            # All is settled, and who closes goes on to end what doubts are asked with.
            self._doubts.wait()

    def _resolve(self, event: SubmittedEvent) -> None:
        try:
            result = event.result()
            count(event, [result])
        finally:
            self._submitted.discard(event)
        event.future.set_result(result)


def message_of(payload: Any, event_id: str | None) -> EventMessage:
    """Return a payload as a message; one that is a message already keeps what it says.

    Raises:
        UsageError: it has an event ID and another one is given.
    """
    if not isinstance(payload, EventMessage):
        return EventMessage(payload, event_id)
    if event_id is not None and payload.event_id is not None:
        raise UsageError("give the event ID with the call or in its EventMessage, not both")
    return payload if event_id is None else replace(payload, event_id=event_id)


def _take_settled(pending: deque[PendingEvent]) -> list[PublishResult]:
    """Return the results of the first events, up to one whose outcome is not known."""
    first = pending[0]
    results: list[PublishResult] = []
    while pending and pending[0].settled:
        results.append(pending.popleft().result())
    count(first, results)
    return results


def _hand_over(error: Exception, results: list[PublishResult]) -> None:
    """Let an error tell what became of the events before it."""
    error.add_note(
        f"platform-events: publish_many had taken {len(results)} payloads before; what became of "
        "them is in the error's publish_results"
    )
    with suppress(AttributeError):
        error.publish_results = results  # type: ignore[attr-defined]
