"""Writing into the journal until it is there: nothing that was not handled may be lost."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.errors import PlatformEventsError
    from platform_events.kafka.outbox import Delivery
    from platform_events.workers.documents import JournalRecord
    from platform_events.workers.log import JournalWriter

_AGAIN_SECONDS = 1.0
_logger = logging.getLogger("platform_events.worker")


@dataclass(slots=True)
class _Posting:
    partition: int
    record: JournalRecord
    on_stored: Callable[[], None]
    delivery: Delivery | None = None


class Letterbox:
    """Writes records in their order, and again what could not be written. For one thread.

    Args:
        writer: of the journal.
    """

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._waiting: deque[_Posting] = deque()
        self._under_way: deque[_Posting] = deque()
        self._again_at = 0.0
        self.failure: PlatformEventsError | None = None
        """Why the journal cannot be written, if that is so."""

    @property
    def is_empty(self) -> bool:
        """Whether everything is stored."""
        return not self._waiting and not self._under_way

    def post(
        self, partition: int, record: JournalRecord, on_stored: Callable[[], None] = lambda: None
    ) -> None:
        """Have a record written into a partition of the journal.

        Args:
            partition: which.
            record: what.
            on_stored: is called by `serve`, once it is there.
        """
        self._waiting.append(_Posting(partition, record, on_stored))

    def serve(self) -> None:
        """Send what waits, and take the outcomes that are known. It does not wait for any."""
        if self.is_empty:
            return
        now = time.monotonic()
        while self._waiting and now >= self._again_at and self._writer.has_room():
            posting = self._waiting.popleft()
            posting.delivery = self._writer.write(posting.partition, posting.record)
            self._under_way.append(posting)
        self._writer.settled()
        failed: list[_Posting] = []
        try:
            self._take_settled(now, failed)
        finally:
            # Whatever a callback raises, nothing that is not stored may be lost.
            self._waiting.extendleft(reversed(failed))

    def close(self, timeout: float) -> None:
        """Write no more; wait up to `timeout` seconds for what is on its way."""
        self._writer.close(timeout)

    def _take_settled(self, now: float, failed: list[_Posting]) -> None:
        """Take the outcomes that are known; what could not be written is added to `failed`."""
        while self._under_way and (delivery := self._under_way[0].delivery) and delivery.settled:
            posting = self._under_way.popleft()
            if delivery.in_log:
                self.failure = None
                posting.on_stored()
            else:
                self._note(self._writer.explain(delivery))
                self._again_at = now + _AGAIN_SECONDS
                failed.append(posting)

    def _note(self, error: PlatformEventsError | None) -> None:
        if error is not None and self.failure is None:
            _logger.error("a dead letter cannot be written, and its key waits: %s", error)
        self.failure = error or self.failure
