"""Events on their way, and what became of them."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from platform_events.bus.values import PublishResult, PublishStatus
from platform_events.envelope import ID, header_bytes
from platform_events.errors import EventTooLargeError
from platform_events.kafka.outbox import Delivery, Outbox
from platform_events.kafka.producer import MAX_RECORD_BYTES
from platform_events.replay import LowWaterMark, ReplayId, encode_offset

if TYPE_CHECKING:
    from collections import deque

    from platform_events.bus.target import Envelope, Target
    from platform_events.envelope import Headers
    from platform_events.errors import PlatformEventsError


class PendingEvent(Delivery):
    """One event on its way."""

    __slots__ = ("began", "event_id", "target")

    def __init__(self, outbox: Outbox, target: Target, event_id: bytes, began: float) -> None:
        super().__init__(outbox)
        self.target = target
        self.event_id = event_id
        self.began = began
        """When it was published, by `time.monotonic()`."""

    def send(self, body: bytes, key: bytes | None, envelope: Envelope, headers: Headers) -> None:
        """Queue the event's record, waiting while there is no room; refuse what is too large.

        Args:
            body: Avro's bytes.
            key: decides the partition; None leaves it open.
            envelope: of the schema that the body was encoded with.
            headers: of the publisher's own.
        """
        event_id = self.event_id
        size = envelope.size + len(event_id)
        if headers:
            size += header_bytes(headers)
        total = len(body) + size + (len(key) if key else 0)
        if total > MAX_RECORD_BYTES:
            self.refuse(EventTooLargeError(total, MAX_RECORD_BYTES))
            return
        self.outbox.send(
            self.target.topic, body, key, [(ID, event_id), *envelope.headers, *headers], size, self
        )

    @property
    def is_in_doubt(self) -> bool:
        """Whether `result` has to ask the cluster, of an event that is settled."""
        if not self.in_log:
            return False
        stamped, voucher = self.append_time_ms >= 0, self.target.voucher
        if stamped and self.told_at < voucher.sure_until:
            return False
        return not voucher.is_sure(self.told_at, stamped=stamped)

    def result(self) -> PublishResult:
        """Return the outcome once it is settled: the one place where a result is made."""
        event_id = self.event_id.decode()
        if self.in_log:
            voucher = self.target.voucher
            stamped = self.append_time_ms >= 0
            if not stamped or self.told_at >= voucher.sure_until:
                doubt = voucher.doubt(self.told_at, stamped=stamped)
                if doubt is not None:
                    return PublishResult(PublishStatus.UNKNOWN, event_id, None, doubt)
            target, offset = self.target, self.offset
            topic, latest = target.stream.topic, target.watched.topic
            replay_id: ReplayId | None = None
            # The broker may not say where it is. If the topic was made again meanwhile, it may be
            # in the one or in the other.
            if offset >= 0 and (latest is topic or latest.topic_id == topic.topic_id):
                # A stream that has just grown may not be known as grown yet; partition 1 tells.
                if target.offset_tag is not None and self.partition == 0:
                    replay_id = encode_offset(offset + 1, target.offset_tag)
                elif stamped:
                    time_ms = self.append_time_ms - LowWaterMark.MARGIN_MS
                    replay_id = target.identity.time_id(time_ms)
            return PublishResult(PublishStatus.PERSISTED, event_id, replay_id)
        error = self.outbox.explain(self, self.target.doing)
        unknown = self.in_log is None
        status = PublishStatus.UNKNOWN if unknown else PublishStatus.NOT_PERSISTED
        return PublishResult(status, event_id, None, error)


class SubmittedEvent(PendingEvent):
    """One event on its way whose outcome goes to a future."""

    __slots__ = ("future", "settled_events")
    OVERHEAD = 2_600
    """More than other deliveries: a future has a lock and a condition (measured)."""

    def __init__(self, outbox: Outbox, target: Target, event_id: bytes,
                 settled_events: deque[SubmittedEvent]) -> None:  # fmt: skip
        super().__init__(outbox, target, event_id, time.monotonic())
        self.settled_events = settled_events
        self.future: Future[PublishResult] = Future()
        self.future.set_running_or_notify_cancel()

    def __call__(self, error: Any, message: Any) -> None:
        """Take the outcome; the future is resolved after, since its callbacks may publish."""
        was_given_up = self.settled
        super().__call__(error, message)
        if not was_given_up:
            self.settled_events.append(self)
            self.outbox.producer.request_background(urgent=False)

    def give_up(self, error: PlatformEventsError) -> None:
        """Settle an event without a report of its own."""
        super().give_up(error)
        self.settled_events.append(self)


def count(first: PendingEvent, results: list[PublishResult]) -> None:
    """Count the results of events of one name, settled together, with the time of the first."""
    failed = [one.status.value for one in results if one.status is not PublishStatus.PERSISTED]
    first.target.meter.add(len(results) - len(failed), failed, first.told_at - first.began)
