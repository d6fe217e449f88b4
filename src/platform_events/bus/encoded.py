"""Publishing what somebody else encoded: batch by batch, without a thread that waits for outcomes.

For servers: they judge what clients send, and have many calls under way at a time.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from platform_events.bus.pending import PendingEvent, count
from platform_events.envelope import user_headers
from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_events.bus.target import Target
    from platform_events.bus.values import EncodedMessage, EventIds, PublishResult
    from platform_events.kafka.outbox import Outbox

_FEW = 64 * 1024
"""Bytes under way above which what comes lingers with it: many small batches take the Kafka client
twice the time of a few large ones (tried)."""


class BatchedEvent(PendingEvent):
    """One event of a batch on its way."""

    __slots__ = ("batch",)

    def __init__(self, outbox: Outbox, target: Target, event_id: bytes, began: float,
                 batch: Batch) -> None:  # fmt: skip
        super().__init__(outbox, target, event_id, began)
        self.batch = batch

    def __call__(self, error: Any, message: Any) -> None:
        """Take the outcome."""
        was_given_up = self.settled
        super().__call__(error, message)
        if not was_given_up:
            self.batch.settle_one()

    def give_up(self, error: PlatformEventsError) -> None:
        """Settle an event without a report of its own."""
        was_given_up = self.settled
        super().give_up(error)
        # A bus that closes gives it up, and who sends it is refused after that.
        if not was_given_up:
            self.batch.settle_one()


class Batch:
    """Events that were published together.

    Args:
        when_settled: called once, when the outcomes of all are known.
    """

    def __init__(self, when_settled: Callable[[], None]) -> None:
        self.events: list[BatchedEvent] = []
        self._when_settled = when_settled
        # Deliveries are counted by the thread that serves them, refusals by the one that sends:
        # a counter of Python's own needs no lock.
        self._settled = itertools.count(1)
        self._last = 0

    def settle_one(self) -> None:
        """Note that the outcome of one event more is known."""
        if next(self._settled) == self._last:
            self._when_settled()

    def seal(self) -> None:
        """Note that it has all its events."""
        self._last = len(self.events) + 1
        self.settle_one()

    def results(self) -> list[PublishResult]:
        """Return one result for each event, in order, once all are settled.

        In doubt it asks the cluster, and waits.
        """
        results = [event.result() for event in self.events]
        if results:
            count(self.events[0], results)
        return results


class EncodedSender:
    """Publishes encoded payloads to all events of one tenant. Thread-safe.

    Args:
        outbox: through which.
        find: returns where events of a name go now, and raises if there is no such event.
        event_ids: gives IDs to events without one.
    """

    def __init__(self, outbox: Outbox, find: Callable[[str], Target], event_ids: EventIds) -> None:
        self._outbox = outbox
        self._find = find
        self._event_ids = event_ids
        self._batches: set[Batch] = set()

    def submit(
        self,
        event: str,
        messages: Iterable[EncodedMessage | PlatformEventsError],
        when_settled: Callable[[], None],
    ) -> Batch:
        """Queue events in order, waiting while the buffer is full; the outcomes come later.

        Args:
            event: name of the event definition.
            messages: the events; an error stands for one that was refused before.
            when_settled: called once all outcomes are known, perhaps before this returns, by
                whatever thread learns of them. It must be quick, publish nothing and raise nothing.

        Raises:
            UnknownStreamError: there is no such event.
            BrokerError: the cluster cannot be asked about the event; nothing was sent.
        """
        target, began = self._find(event), time.monotonic()

        def end() -> None:
            self._forget(batch)
            when_settled()

        batch = Batch(end)
        self._batches.add(batch)
        if self._outbox.under_way < _FEW:
            self._outbox.producer.pressing.add(batch)
        try:
            for message in messages:
                self._send(target, message, batch, began)
        except BaseException:
            self._forget(batch)
            raise
        batch.seal()
        self._outbox.producer.request_background(urgent=False)
        return batch

    @property
    def is_sending(self) -> bool:
        """Whether there are batches whose outcomes are not all known."""
        return bool(self._batches)

    def under_way(self) -> list[BatchedEvent]:
        """Return the events of all batches whose outcomes are not all known."""
        return [event for batch in self._batches.copy() for event in batch.events.copy()]

    def _forget(self, batch: Batch) -> None:
        self._batches.discard(batch)
        self._outbox.producer.pressing.discard(batch)

    def _send(
        self,
        target: Target,
        message: EncodedMessage | PlatformEventsError,
        batch: Batch,
        began: float,
    ) -> None:
        try:
            if isinstance(message, PlatformEventsError):
                raise message
            event_id = self._event_ids.given(message.event_id)
            headers = user_headers(message.headers)
        except PlatformEventsError as error:
            refused = BatchedEvent(self._outbox, target, self._event_ids(), began, batch)
            batch.events.append(refused)
            refused.refuse(error)
            return
        event = BatchedEvent(self._outbox, target, event_id, began, batch)
        batch.events.append(event)
        envelope, key_of = target.foreign(message.schema)
        key = None if key_of is None else key_of(message.body)
        event.send(message.body, key, envelope, headers)
