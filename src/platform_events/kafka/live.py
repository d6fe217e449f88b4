"""Following one topic: with a client of its own while it is behind, then through the tail."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from bisect import bisect_left
from collections import deque
from operator import methodcaller
from typing import TYPE_CHECKING

from platform_events.errors import BrokerError
from platform_events.kafka.reader import Batch, TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.kafka.admin import Admin
    from platform_events.kafka.reader import Record
    from platform_events.kafka.tail import Attachment, Run, Tail
    from platform_events.settings import Settings

_NEARLY_LIVE = 1_000
"""Lag, in offsets, with which a reader goes to the tail."""
_ASK_INTERVAL = 0.5
"""Seconds between two questions for the ends."""
_FAILED_INTERVAL = 30.0
"""The same after one that failed, which may have taken as long as a request may."""
_offset_of = methodcaller("offset")
_logger = logging.getLogger("platform_events")


class LiveReader:
    """Reads one topic from given offsets on, for ever.

    The tail of the process serves it, except while it is behind: then it reads by itself, since it
    must not hold the others up. It changes over at an exact offset. One thread reads at a time;
    `close()` may come from any.

    Args:
        settings: which cluster.
        admin: says where the ends are.
        tail: reads what is new, for the whole process.
        topic: which.
        offsets: where to begin in each partition.
        ends: of the partitions, a moment ago.
    """

    def __init__(
        self,
        settings: Settings,
        admin: Admin,
        tail: Tail,
        topic: str,
        offsets: Mapping[int, int],
        ends: Mapping[int, int],
    ) -> None:
        self._settings = settings
        self._tail = tail
        self._topic = topic
        self._admin = admin
        self._changing = threading.Lock()
        self._closed = False
        self._next = dict(offsets)
        """The next offset of each partition."""
        self._own: TopicReader | None = None
        """Reads while this is behind."""
        self._attachment: Attachment | None = None
        """A place at the tail, which may be taken before it is needed."""
        self._has_news = False
        """Whether something came since the ends were asked for."""
        self._ask_at = time.monotonic() + _ASK_INTERVAL
        self._waiting: deque[Run] = deque()
        """What came from the tail and was not handed over yet."""
        self._reached: Mapping[tuple[str, int], int] = {}
        """Ends that lie after that."""
        self._attach_near(ends)
        if not self._is_live:
            self._read_by_itself()

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Go on at these offsets of these partitions."""
        self._detach()
        self._next = dict(offsets)
        if self._own is None:
            self._read_by_itself()
        else:
            self._own.seek(offsets)

    def read(self, limit: int, timeout: float) -> Batch:
        """Return some `limit` records; wait up to `timeout` seconds for the first.

        Raises:
            BrokerError: the broker does not let us read, or another lasting failure.
        """
        own, attachment = self._own, self._attachment
        if own is not None:
            return self._catch_up(own, limit, timeout)
        if attachment is None:
            return Batch()
        if not self._waiting:
            runs, self._reached = attachment.take(timeout)
            self._waiting.extend(runs)
            if attachment.ended and not runs:
                # First: where no more clients can be made, this is tried again.
                self._read_by_itself()
                self._detach()
        return self._hand_over(limit)

    def call_when_ready(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called, once and in another thread, when `read` may have something.

        Returns:
            Whether it will be. If not, `read` may have something now.
        """
        attachment = self._attachment
        if self._own is not None or self._waiting or attachment is None:
            return False
        return attachment.call_when_ready(callback)

    @property
    def reads_by_itself(self) -> bool:
        """Whether it has a client of its own now, because it is behind."""
        return self._own is not None

    def close(self) -> None:
        """Stop reading. A read under way ends."""
        with self._changing:
            self._closed = True
            own, self._own = self._own, None
        self._detach()
        if own is not None:
            own.close()

    @property
    def _is_live(self) -> bool:
        """Whether the tail has everything from here on."""
        attachment = self._attachment
        return attachment is not None and all(
            self._next[partition] >= start for (_, partition), start in attachment.starts.items()
        )

    def _catch_up(self, own: TopicReader, limit: int, timeout: float) -> Batch:
        batch = own.read(limit, timeout)
        for record in batch.records if len(self._next) > 1 else batch.records[-1:]:
            self._next[record.partition()] = record.offset() + 1
        self._pass_ends(batch.ends)
        self._has_news = self._has_news or bool(batch)
        attachment = self._attachment
        if attachment is not None and attachment.ended:
            self._detach()
        elif attachment is not None:
            # The tail may begin after markers, which are no records.
            if len(batch.records) < limit:
                self._pass_ends(own.positions())
        elif self._has_news and len(batch.records) < limit:
            self._ask()
        if self._is_live:
            with self._changing:
                self._own = None
            own.close()
        return batch

    def _ask(self) -> None:
        """Go to the tail if this is hardly behind."""
        if time.monotonic() < self._ask_at:
            return
        self._has_news = False
        try:
            marks = self._admin.watermarks({self._topic: len(self._next)})[self._topic]
            self._attach_near({partition: end for partition, (_, end) in enumerate(marks)})
        except BrokerError as error:
            _logger.info("%s: reads by itself: %s", self._topic, error)
            self._ask_at = time.monotonic() + _FAILED_INTERVAL
        else:
            self._ask_at = time.monotonic() + _ASK_INTERVAL

    def _attach_near(self, ends: Mapping[int, int]) -> None:
        lag = sum(max(end - self._next.get(partition, 0), 0) for partition, end in ends.items())
        if lag > _NEARLY_LIVE or ends.keys() != self._next.keys():
            return
        with self._changing:
            if not self._closed:
                attachment = self._attachment = self._tail.attach(
                    {(self._topic, partition): end for partition, end in ends.items()}
                )
                # The tail keeps places, and nobody may close this.
                self._finalizer = weakref.finalize(self, self._tail.abandon, attachment)
                self._finalizer.atexit = False

    def _read_by_itself(self) -> None:
        with self._changing:
            if not self._closed:
                self._own = TopicReader(self._settings, self._topic, self._next)

    def _detach(self) -> None:
        with self._changing:
            attachment, self._attachment = self._attachment, None
        self._waiting.clear()
        self._reached = {}
        if attachment is not None:
            self._finalizer.detach()
            self._tail.detach(attachment)
            attachment.wake()

    def _hand_over(self, limit: int) -> Batch:
        batch = Batch()
        while self._waiting and len(batch.records) < limit:
            (_, partition), records = self._waiting.popleft()
            first = self._next[partition]
            if records[0].offset() < first:
                records = _from(records, first)
            if records:
                self._next[partition] = records[-1].offset() + 1
                batch.records += records
        if not self._waiting:
            batch.ends = {partition: end for (_, partition), end in self._reached.items()}
            self._reached = {}
            self._pass_ends(batch.ends)
        return batch

    def _pass_ends(self, ends: Mapping[int, int]) -> None:
        for partition, end in ends.items():
            self._next[partition] = max(self._next[partition], end)


def _from(records: list[Record], offset: int) -> list[Record]:
    """Return those of a partition's records that lie at or after an offset."""
    return records[bisect_left(records, offset, key=_offset_of) :]
