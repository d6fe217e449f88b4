"""Subscribing: one stream's events, in order, from a start that was settled before."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from operator import length_hint, methodcaller
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias

from platform_events.bus import lifetime
from platform_events.bus.event import Event, Payload
from platform_events.errors import BrokerError, ClosedError, UndecodableRecordError, UsageError
from platform_events.kafka.reader import END_SLICE, MAX_BATCH, Batch, TopicReader
from platform_events.metrics.meters import METERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.decoding import EventDecoder
    from platform_events.bus.position import Position
    from platform_events.bus.recovery import Recovery
    from platform_events.kafka.live import LiveReader
    from platform_events.kafka.reader import Record
    from platform_events.replay import ReplayId

OnUndecodable: TypeAlias = Literal["fail", "skip"]
_SLICE = 0.2
"""Seconds of waiting between two looks at whether the stream still exists and is wanted."""
_FOREVER = 3600.0
_partition_of = methodcaller("partition")
_logger = logging.getLogger("platform_events")


class _Ready(Generic[Payload]):
    """Events that were decoded together, and are handed out one after the other."""

    __slots__ = ("_counted", "_events", "iterator")

    def __init__(self, events: list[Event[Payload]]) -> None:
        self._events = events
        self.iterator = iter(events)
        self._counted = 0

    @property
    def last(self) -> Event[Payload] | None:
        """The last one that was handed out."""
        handed = len(self._events) - length_hint(self.iterator)
        return self._events[handed - 1] if handed else None

    @property
    def is_left(self) -> bool:
        """Whether some were not handed out."""
        return length_hint(self.iterator) > 0

    def count(self) -> int:
        """Return how many were handed out since this was asked."""
        before = self._counted
        self._counted = len(self._events) - length_hint(self.iterator)
        return self._counted - before

    def discard(self) -> None:
        """Hand out no more; whoever holds the iterator gets nothing."""
        left = len(list(self.iterator))
        del self._events[len(self._events) - left :]


class Subscription(Iterator[Event[Payload]], Generic[Payload]):
    """An iterator over one stream. Use it from one thread; `close()` may come from any.

    `next()` and `for` raise, besides the end when not following:

    - `UndecodableRecordError` for one record; the next `next()`, or `for`, goes on after it.
    - `ReplayExpiredError` when retention overtook it (and `on_expired` is `fail`).
    - `StreamDeletedError`, `StreamRecreatedError` within seconds after that happened.
    - `BrokerError` when the cluster refuses; while it is only away, a following one waits.
    - `ClosedError` after `close()`.

    `iter()` gives a generator, which such an error ends; a new one goes on where it was.

    Args:
        reader: of the stream's topic, at the position: one that follows, or one that has ends.
        position: where it begins and ends.
        decoder: of its records.
        recovery: knows what becomes of the stream.
        patience: seconds without an answer after which a cluster counts as unreachable if the end
            is waited for.
        skip_undecodable: whether records that cannot be decoded are logged and passed over.
        guard: raises if the bus cannot be used any more.
    """

    def __init__(
        self,
        reader: TopicReader | LiveReader,
        position: Position,
        decoder: EventDecoder[Payload],
        recovery: Recovery,
        *,
        patience: float,
        skip_undecodable: bool,
        guard: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._position = position
        self._decoder = decoder
        self._recovery = recovery
        self._patience = patience
        self._skip_undecodable = skip_undecodable
        self._guard = guard
        self._runs: deque[tuple[int, Sequence[Record]]] = deque()
        """What was read and not decoded yet."""
        self._batch = Batch()
        """What else was noticed with it, and counts once it is decoded."""
        self._counting = threading.Lock()
        self._ready: _Ready[Payload] = _Ready([])
        self._last: Event[Payload] | None = None
        """The last event of those that were ready before."""
        self._failure: Exception | None = None
        """What comes after the events that are ready."""
        self._silent = 0.0
        """Seconds of reading in which nothing came."""
        self._closed = False
        self._forked = False
        self.ended = False
        """Whether everything up to the end was handed out; never when following."""
        lifetime.register(self)

    @property
    def position(self) -> ReplayId:
        """Subscribing with it as start goes on after the last event handed out."""
        last = self._ready.last or self._last
        return self._position.replay_id() if last is None else last.replay_id

    def __iter__(self) -> Iterator[Event[Payload]]:  # noqa: PYI034 - generators are faster
        while True:
            yield from self._ready.iterator
            self._fill(None)
            if self.ended:
                return

    def __next__(self) -> Event[Payload]:
        while True:
            for event in self._ready.iterator:
                return event
            self._fill(None)
            if self.ended:
                raise StopIteration

    def take(self, size: int, timeout: float) -> list[Event[Payload]]:
        """Return up to `size` events, waiting at most `timeout` seconds for the first.

        An empty list says that none came in time, or, with `ended`, that none will come.
        Raises as `next()` does.
        """
        batch = list(itertools.islice(self._ready.iterator, size))
        while len(batch) < size:
            try:
                if not self._fill(0 if batch else timeout):
                    break
            except Exception as error:
                if not batch:
                    raise
                self._failure = error
                break
            batch += itertools.islice(self._ready.iterator, size - len(batch))
        return batch

    def batches(self, size: int) -> Iterator[list[Event[Payload]]]:
        """Yield lists of 1 to `size` events; each waits for its first event only.

        Raises:
            UsageError: `size` is less than 1.
        """
        if size < 1:
            raise UsageError(f"a batch has at least 1 event, not {size}")
        while not self.ended:
            batch = self.take(size, _FOREVER)
            if batch:
                yield batch

    def call_when_ready(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called, once and in another thread, when `take` may have something.

        It has to return at once, and must not use this subscription.

        Returns:
            Whether it will be. If not, `take` may have something now, or is to be asked later.
        """
        reader = self._reader
        if isinstance(reader, TopicReader) or self._ready.is_left or self._runs or self._failure:
            return False
        return reader.call_when_ready(callback)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called, or the bus was closed."""
        return self._closed

    def close(self) -> None:
        """Stop reading. A waiting `next()` in another thread raises `ClosedError`."""
        if not self._closed and not self._forked:
            self._closed = True
            self._ready.discard()
            self._count_delivered()
            self._release()

    def _release(self) -> None:
        self._recovery.close()
        self._reader.close()

    def abandon(self) -> None:
        """Note that this process is a fork, in which the subscription cannot be used."""
        self._forked = True

    def __enter__(self) -> Subscription[Payload]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self, timeout: float | None) -> bool:
        """Make more events ready, waiting at most `timeout` seconds; return whether some are.

        It raises what comes next in the stream, and sets `ended` when nothing does.
        """
        self._check_open()
        if self._ready.is_left:
            # Whoever asks had an iterator over what was ready before.
            return True
        self._count_delivered()
        self._raise_failure()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self._decode():
            self._raise_failure()
            self._check()
            self._recover()
            if self._position.is_finished:
                self._recovery.look()
                self.ended = True
                self._release()
                return False
            self._check_progress()
            if not self._read(deadline) and time.monotonic() >= deadline:
                return False
        # What was decoded while another thread closed it is not handed out.
        self._check_open()
        return True

    def _read(self, deadline: float) -> bool:
        """Read what comes next, until a deadline; return whether there was anything."""
        reader = self._reader
        to_end = isinstance(reader, TopicReader)
        began = time.monotonic()
        slice_ = END_SLICE if to_end else _SLICE
        batch = self._batch = reader.read(MAX_BATCH, max(0, min(slice_, deadline - began)))
        if batch.records or batch.ends:
            self._silent = 0.0
            self._decoder.writers.take()
        else:
            self._silent += time.monotonic() - began
        # Not kept: what was decoded gives its memory back before more is read.
        records, batch.records = batch.records, []
        if records:
            self._position.begin_batch()
            if len(self._position.offsets) == 1:
                self._runs.append((0, records))
            else:
                runs = groupby(records, _partition_of)
                self._runs += [(partition, list(run)) for partition, run in runs]
            return True
        if isinstance(reader, TopicReader) and not batch:
            for partition, offset in reader.positions().items():
                if offset > self._position.offsets[partition]:
                    self._position.cross(partition, offset)
                    self._silent = 0.0
        return bool(batch)

    def _decode(self) -> bool:
        """Decode what was read, up to the first record that fails; return whether events are ready.

        The failure comes after them.
        """
        events: list[Event[Payload]] = []
        while self._runs and self._failure is None:
            self._decode_run(*self._runs.popleft(), events)
        if not self._runs:
            self._position.reach_ends(self._batch.ends)
            self._batch.ends = {}
        if events:
            with self._counting:
                self._last = self._ready.last or self._last
                self._ready = _Ready(events)
        return bool(events)

    def _decode_run(
        self, partition: int, records: Sequence[Record], events: list[Event[Payload]]
    ) -> None:
        position = self._position
        run = position.run(partition)
        while records and self._failure is None:
            wanted = position.before_end(partition, records)
            if not wanted:
                position.finish(partition)
                return
            before = len(events)
            try:
                self._decoder.decode(wanted, run, events)
                done = len(wanted)
            except UndecodableRecordError as error:
                done = len(events) - before + 1
                if self._skip_undecodable:
                    _logger.warning("skipped: %s", error)
                else:
                    self._failure = error
            except BrokerError as error:
                # The record is sound, its schema could not be asked for: it comes next.
                done = len(events) - before
                self._failure = error
            if done:
                position.take(partition, wanted[done - 1])
            records = records[done:]
        if records:
            self._runs.appendleft((partition, records))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _count_delivered(self) -> None:
        with self._counting:
            handed = self._ready.count()
        METERS.deliver(self._recovery.stream.path, handed)

    def _check_open(self) -> None:
        if self._closed:
            self._ready.discard()
            raise ClosedError("the subscription is closed; subscribe again after its position")

    def _check_progress(self) -> None:
        """Raise when the end was asked for and the cluster is away: it would never be reached."""
        if isinstance(self._reader, TopicReader) and self._silent > self._patience:
            self._silent = 0.0
            self._reader.raise_unreachable()

    def _check(self) -> None:
        """Raise what has become of the stream or of this subscription."""
        self._check_open()
        self._guard()
        self._recovery.check()
        if self._recovery.has_grown and self._position.ends is None:
            self._position.grow(self._recovery.grow())
            self._ready, self._last = _Ready([]), None
            self._seek()

    def _recover(self) -> None:
        """Go on after the log no longer had the position, or raise the verdict on it."""
        batch = self._batch
        if not (batch.out_of_range or batch.topic_missing):
            return
        offsets = self._recovery.settle(
            self._position, self._check, out_of_range=bool(batch.out_of_range)
        )
        # Not before: whoever asks again after the verdict gets it again.
        self._batch = Batch()
        if offsets is not None:
            self._position.move(offsets)
            self._seek()

    def _seek(self) -> None:
        self._reader.seek(dict(enumerate(self._position.offsets)))
