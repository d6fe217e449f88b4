"""Publishing: payload in, one result out."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.bus.models import as_mapping
from platform_events.bus.starts import find_stream, identify
from platform_events.bus.values import EventIds, EventMessage, PublishResult, PublishStatus
from platform_events.definitions.model import EventDefinition
from platform_events.envelope import ID, fixed_headers, header_bytes, user_headers
from platform_events.errors import EventTooLargeError, PlatformEventsError, UsageError
from platform_events.kafka.producer import MAX_RECORD_BYTES, Delivery, RecordProducer
from platform_events.names import stream_name, stream_path
from platform_events.payloads.codec import PayloadEncoder
from platform_events.replay import LowWaterMark, StreamIdentity, encode_offset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_events.catalog.live import Catalog
    from platform_events.catalog.state import Entry
    from platform_events.envelope import Headers, UserHeaders
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.watch import TopicWatch
    from platform_events.replay import ReplayId
    from platform_events.settings import Settings

MAX_EVENT_ID = 36
"""Characters of an event ID, as Pub/Sub API clients expect."""
_SERVE_EVERY = 256
"""Events queued between two looks at what was delivered."""


class Target:
    """Where events of one definition go, and how."""

    def __init__(self, entry: Entry, topic_name: str, admin: Admin, watch: TopicWatch,
                 settings: Settings) -> None:  # fmt: skip
        definition = entry.active
        assert isinstance(definition, EventDefinition)
        stream = find_stream(entry, topic_name, admin)
        self.entry = entry
        self.name = entry.name
        self.topic = topic_name
        self.doing = f"publishing to {stream_path(entry.name)}"
        self.watched = watch.add(stream.topic)
        self.encode = PayloadEncoder(definition.schema.parsed).encode
        self.key = definition.partition_key
        self.key_default = _key_default(definition)
        self.headers = fixed_headers(entry.name, settings.source, definition.schema.id)
        self.header_bytes = header_bytes(self.headers) + len(ID)
        self._cluster_id = admin.cluster_id()
        self._identity = stream.identity
        self._topic = stream.topic

    @property
    def identity(self) -> StreamIdentity:
        """The stream's identity now: its topic may have grown or been made again."""
        topic = self.watched.topic
        if topic is not self._topic:
            self._topic = topic
            self._identity = identify(self.entry, topic, self._cluster_id).identity
        return self._identity


class PendingEvent(Delivery):
    """One event on its way."""

    __slots__ = ("event_id", "target")

    def __init__(self, producer: RecordProducer, target: Target, event_id: bytes) -> None:
        super().__init__(producer)
        self.target = target
        self.event_id = event_id

    def result(self) -> PublishResult:
        """Return the outcome once it is settled: the one place where a result is made."""
        event_id = self.event_id.decode()
        if self.in_log:
            identity = self.target.identity
            replay_id: ReplayId | None = None
            # A stream that has just grown may not be known as grown yet, but partition 1 tells.
            if identity.partitions == 1 and self.partition == 0 and self.offset >= 0:
                replay_id = encode_offset(self.offset + 1, identity.tags[0])
            elif self.offset >= 0:
                replay_id = identity.time_id(self.append_time_ms - LowWaterMark.MARGIN_MS)
            return PublishResult(PublishStatus.PERSISTED, event_id, replay_id)
        error = self.producer.explain(self, self.target.doing)
        unknown = self.in_log is None
        status = PublishStatus.UNKNOWN if unknown else PublishStatus.NOT_PERSISTED
        return PublishResult(status, event_id, None, error)


class SubmittedEvent(PendingEvent):
    """One event on its way whose outcome goes to a future."""

    __slots__ = ("future", "settled_events")
    OVERHEAD = 2_600
    """More than other deliveries: a future has a lock and a condition (measured)."""

    def __init__(self, producer: RecordProducer, target: Target, event_id: bytes,
                 settled_events: deque[SubmittedEvent]) -> None:  # fmt: skip
        super().__init__(producer, target, event_id)
        self.settled_events = settled_events
        self.future: Future[PublishResult] = Future()
        self.future.set_running_or_notify_cancel()

    def __call__(self, error: Any, message: Any) -> None:
        """Take the outcome; the future is resolved after, since its callbacks may publish."""
        super().__call__(error, message)
        self.settled_events.append(self)
        self.producer.request_background(urgent=False)

    def refuse(self, error: PlatformEventsError) -> None:
        """Settle an event that never left this process."""
        super().refuse(error)
        self.settled_events.append(self)


class Publisher:
    """Publishes to all events of one tenant through one producer. Thread-safe."""

    def __init__(
        self, settings: Settings, catalog: Catalog, admin: Admin, watch: TopicWatch
    ) -> None:
        self._settings = settings
        self._created_by = settings.created_by
        self._catalog = catalog
        self._admin = admin
        self._watch = watch
        self._targets: dict[str, Target] = {}
        self._finding = threading.Lock()
        self._new_id = EventIds()
        self._settled: deque[SubmittedEvent] = deque()
        self._producer = RecordProducer(settings)
        self._producer.after_serving(self._resolve_futures)

    def find(self, event: str) -> Target:
        """Return where events of this name go now.

        Raises:
            UsageError: it names a channel, or nothing that could be an event.
            UnknownStreamError: there is no such event.
            BrokerError: the cluster cannot be asked.
        """
        name = stream_name(event)
        self._catalog.refuse_channel(name)
        entry = self._catalog.entry(name)
        target = self._targets.get(name)
        if target is None or target.entry is not entry or target.watched.deleted:
            with self._finding:
                old = self._targets.get(name)
                if old is not None and old is not target:
                    return old
                if old is not None:
                    del self._targets[name]
                    self._watch.remove(old.watched)
                topic = self._settings.namespace.topic(name)
                target = Target(entry, topic, self._admin, self._watch, self._settings)
                self._targets[name] = target
        return target

    def publish(self, event: str, message: EventMessage) -> PublishResult:
        """Publish one event and wait for its outcome."""
        target = self.find(event)
        pending = PendingEvent(self._producer, target, self._event_id(message))
        self._send(pending, message.payload, user_headers(message.headers))
        self._producer.wait_for(pending)
        return pending.result()

    def publish_many(
        self, event: str, payloads: Iterable[Any], headers: UserHeaders | None
    ) -> list[PublishResult]:
        """Publish events in order and wait for all outcomes."""
        target = self.find(event)
        common = user_headers(headers)
        producer = self._producer
        new_id = self._new_id
        results: list[PublishResult] = []
        pending: deque[PendingEvent] = deque()
        for number, payload in enumerate(payloads, 1):
            if type(payload) is EventMessage:
                one = self._begin(target, payload, common)
            else:
                one = PendingEvent(producer, target, new_id())
                self._send(one, payload, common)
            pending.append(one)
            if number % _SERVE_EVERY == 0:
                producer.serve()
                while pending and pending[0].settled:
                    results.append(pending.popleft().result())
        while pending:
            first = pending.popleft()
            if not first.settled:
                producer.wait_for(first)
            results.append(first.result())
        return results

    def submit(self, event: str, message: EventMessage, *, urgent: bool) -> Future[PublishResult]:
        """Queue one event, waiting while the buffer is full; the outcome comes later."""
        target = self.find(event)
        headers = user_headers(message.headers)
        pending = SubmittedEvent(self._producer, target, self._event_id(message), self._settled)
        self._send(pending, message.payload, headers)
        self._producer.request_background(urgent=urgent)
        if pending.settled:
            # Refused: after a close nobody else would resolve it.
            self._resolve_futures()
        return pending.future

    def is_ready(self, event: str) -> bool:
        """Whether `submit` to this event would not wait."""
        name = stream_name(event)
        target = self._targets.get(name)
        return (
            target is not None
            and target.entry is self._catalog.cached(name)
            and not target.watched.deleted
            and self._producer.has_room()
        )

    def close(self, timeout: float) -> None:
        """Wait for what is on its way, at most `timeout` seconds; the rest becomes UNKNOWN."""
        self._producer.close(timeout)

    def _begin(self, target: Target, message: EventMessage, common: Headers) -> PendingEvent:
        try:
            event_id = self._event_id(message)
            headers = user_headers(message.headers)
        except UsageError as error:
            given = str(message.event_id or "").encode(errors="replace")
            refused = PendingEvent(self._producer, target, given or self._new_id())
            refused.refuse(error)
            return refused
        pending = PendingEvent(self._producer, target, event_id)
        self._send(pending, message.payload, common + headers if headers else common)
        return pending

    def _event_id(self, message: EventMessage) -> bytes:
        if message.event_id is None:
            return self._new_id()
        event_id = str(message.event_id)
        if not 0 < len(event_id) <= MAX_EVENT_ID or not event_id.isprintable():
            raise UsageError(
                f"event ID {event_id!r} must have 1 to {MAX_EVENT_ID} printable characters"
            )
        return event_id.encode()

    def _send(self, pending: PendingEvent, payload: Any, headers: Headers) -> None:
        target = pending.target
        try:
            if type(payload) is not dict:
                payload = as_mapping(payload)
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
            key = _key_bytes(fields.get(target.key, target.key_default))
        event_id = pending.event_id
        size = target.header_bytes + len(event_id)
        if headers:
            size += header_bytes(headers)
        total = len(body) + size + (len(key) if key else 0)
        if total > MAX_RECORD_BYTES:
            pending.refuse(EventTooLargeError(total, MAX_RECORD_BYTES))
            return
        self._producer.send(
            target.topic, body, key, [(ID, event_id), *target.headers, *headers], size, pending
        )

    def _resolve_futures(self) -> None:
        while True:
            try:
                event = self._settled.popleft()
            except IndexError:
                return
            event.future.set_result(event.result())


def _key_bytes(value: Any) -> bytes:
    """Return the UTF-8 of a key's text; members of enums that are text or numbers count as such."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int):
        return b"%d" % value
    return str(value).encode()


def _key_default(definition: EventDefinition) -> Any:
    for field in definition.schema.parsed["fields"]:
        if field["name"] == definition.partition_key and "default" in field:
            of_uuid = isinstance(field["type"], dict) and field["type"].get("logicalType") == "uuid"
            return UUID(field["default"]) if of_uuid else field["default"]
    return None
