"""One catalog's topic, read by a reader of its own and then through the tail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_events.kafka.reader import END_SLICE, MAX_BATCH, TopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.kafka.reader import Record
    from platform_events.kafka.tail import Attachment, Tail
    from platform_events.settings import Settings

_PATIENCE = 0.1
"""Seconds that the tail is waited for, which reads for others too; then it is quicker to read by
itself."""


class CatalogLog:
    """Reads the one partition of a catalog's topic from an offset on. Not thread-safe.

    It begins with a reader of its own, which costs five threads. `attach` goes on through the
    tail; when that lets it go, or is late, it reads by itself again from where it is.

    Args:
        settings: which cluster.
        topic: which.
        first: the offset to begin at.
        fold: is given what comes, in order.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        first: int,
        fold: Callable[[Sequence[Record]], None],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._key = (topic, 0)
        self._fold = fold
        self._position = first
        """Everything before was folded."""
        self._reader: TopicReader | None = TopicReader(settings, topic, {0: first})
        self._tail: Tail | None = None
        self._attachment: Attachment | None = None
        self._coming: Attachment | None = None
        """A place at the tail that is not used yet."""
        self._is_whole = False
        """Whether an end that was asked for has been reached, and the tail not left since."""
        self.is_adrift = False
        """Whether the tail was left, and no end has been reached since."""

    @property
    def is_attachable(self) -> bool:
        """Whether it is time to go on through the tail."""
        return self._is_whole and self._attachment is None

    def take(self, timeout: float) -> bool:
        """Fold what comes next; wait up to `timeout` seconds for it; return whether it came.

        Raises:
            BrokerError: the broker does not let us read.
        """
        attachment = self._attachment
        if attachment is None:
            return self._read(timeout)
        is_over = attachment.ended
        runs, ends = attachment.take(timeout)
        taken = [self._advance(records) for _, records in runs]
        self._position = max(self._position, ends.get(self._key, 0))
        if is_over:
            self._leave()
        return any(taken)

    def take_up_to(self, end: int) -> None:
        """Fold everything up to an offset that the partition has reached.

        Raises:
            BrokerError: it cannot be read, or nothing comes within the request time-out.
        """
        began = time.monotonic()
        while self._position < end:
            if self.take(END_SLICE):
                continue
            waited = time.monotonic() - began
            if self._attachment is not None and waited > _PATIENCE:
                self._leave()
            elif self._reader is not None and waited > self._settings.request_timeout:
                self._reader.raise_unreachable()
        self._is_whole, self.is_adrift = True, False

    def attach(self, tail: Tail) -> TopicReader | None:
        """Go on through the tail; return the reader, which is for the caller to close.

        None is returned while the tail does not read the partition yet, or is further than this has
        read: it has to be tried again. A partition that a consumer gains waits until the fetch
        under way is answered, and meanwhile what is written must be found here.
        """
        if self._coming is None:
            self._coming = tail.attach({self._key: self._position}, crosses_markers=True)
            self._tail = tail
        coming = self._coming
        if coming.ended:
            self._detach()
        elif tail.is_reading(self._key) and self._position >= coming.starts[self._key]:
            self._attachment, self._coming = coming, None
            spare, self._reader = self._reader, None
            return spare
        return None

    def close(self) -> None:
        """Stop reading."""
        self._detach()
        if self._reader is not None:
            self._reader.close()

    def _leave(self) -> None:
        # First: where no more clients can be made, this is tried again.
        self._reader = TopicReader(self._settings, self._topic, {0: self._position})
        self._detach()
        self._is_whole, self.is_adrift = False, True

    def _detach(self) -> None:
        attachment = self._attachment or self._coming
        if self._tail is not None and attachment is not None:
            self._tail.detach(attachment)
        self._tail = self._attachment = self._coming = None

    def _read(self, timeout: float) -> bool:
        assert self._reader is not None
        records = self._reader.read(MAX_BATCH, timeout).records
        is_new = self._advance(records)
        # The client's position crosses transaction markers, which are no records.
        self._position = max(self._position, self._reader.positions().get(0, 0))
        return is_new

    def _advance(self, records: Sequence[Record]) -> bool:
        """Fold the records that are new; the tail may have had some in hand that were read."""
        new = [record for record in records if record.offset() >= self._position]
        if new:
            self._fold(new)
            self._position = new[-1].offset() + 1
        return bool(new)
