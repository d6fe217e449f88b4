"""Subscribing: one stream's events, in order, from a start that was settled before."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Iterator
from operator import length_hint
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias

from platform_events.bus import lifetime
from platform_events.bus.starts import OnExpired, Stream, identify, settle
from platform_events.bus.values import Event, Payload, VectorPosition
from platform_events.errors import (
    BrokerError,
    ClosedError,
    StreamDeletedError,
    StreamRecreatedError,
    UndecodableRecordError,
    UsageError,
)
from platform_events.kafka.reader import END_SLICE, MAX_BATCH, Batch, TopicReader
from platform_events.metrics.meters import METERS
from platform_events.replay import LowWaterMark, OffsetPosition, ReplayId, encode_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.decoding import EventDecoder
    from platform_events.catalog.live import Catalog
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.reader import Record
    from platform_events.kafka.watch import TopicWatch
    from platform_events.settings import Settings

OnUndecodable: TypeAlias = Literal["fail", "skip"]
_SLICE = 0.2
"""Seconds of waiting between two looks at whether the stream still exists and is wanted."""
_FOREVER = 3600.0
_logger = logging.getLogger("platform_events")


class Subscription(Iterator[Event[Payload]], Generic[Payload]):
    """An iterator over one stream. Use it from one thread; `close()` may come from any.

    `next()` raises, besides `StopIteration` at the end when not following:

    - `UndecodableRecordError` for one record; the next `next()` goes on after it.
    - `ReplayExpiredError` when retention overtook it (and `on_expired` is `fail`).
    - `StreamDeletedError`, `StreamRecreatedError` within seconds after that happened.
    - `BrokerError` when the cluster refuses; while it is only away, a following one waits.
    - `ClosedError` after `close()`.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        admin: Admin,
        watch: TopicWatch,
        stream: Stream,
        decoder: EventDecoder[Payload],
        offsets: Sequence[int],
        time_ms: int,
        ends: Sequence[int] | None,
        on_expired: OnExpired,
        on_undecodable: OnUndecodable,
        guard: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._admin = admin
        self._watch = watch
        self._stream = stream
        self._decoder = decoder
        self._on_expired = on_expired
        self._skip_undecodable = on_undecodable == "skip"
        self._guard = guard
        self._delivered = tuple(offsets)
        self._low_water = LowWaterMark(len(self._delivered), time_ms)
        self._ends = ends
        self._records: Iterator[Record] = iter(())
        self._reached: dict[int, int] = {}
        self._at_end: tuple[int, ...] = ()
        self._trouble: Batch | None = None
        self._events: Iterator[Event[Payload]] = iter(())
        self._counting = threading.Lock()
        self._handed = 0
        """Events that were decoded together, and are not counted as delivered yet."""
        self._failure: Exception | None = None
        self._last: Event[Payload] | None = None
        self._silent = 0.0
        """Seconds of reading in which nothing came."""
        self._closed = False
        self._forked = False
        self.ended = False
        """Whether everything up to the end was handed out; never when following."""
        lifetime.register(self)
        self._watched = watch.add(stream.topic)
        self._reader = TopicReader(settings, stream.topic.name, dict(enumerate(offsets)))

    @property
    def position(self) -> ReplayId:
        """Subscribing with it as start goes on after the last event handed out."""
        if self._last is not None:
            return self._last.replay_id
        return self._stream.identity.position_id(self._delivered, self._low_water.time_ms)

    def __iter__(self) -> Subscription[Payload]:
        return self

    def __next__(self) -> Event[Payload]:
        while True:
            for event in self._events:
                self._last = event
                return event
            self._fill(None)
            if self.ended:
                raise StopIteration

    def take(self, size: int, timeout: float) -> list[Event[Payload]]:
        """Return up to `size` events, waiting at most `timeout` seconds for the first.

        An empty list says that none came in time, or, with `ended`, that none will come.
        Raises as `next()` does.
        """
        batch = list(itertools.islice(self._events, size))
        while len(batch) < size:
            try:
                if not self._fill(0 if batch else timeout):
                    break
            except Exception as error:
                if not batch:
                    raise
                self._failure = error
                break
            batch += itertools.islice(self._events, size - len(batch))
        if batch:
            self._last = batch[-1]
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

    @property
    def closed(self) -> bool:
        """Whether `close()` was called, or the bus was closed."""
        return self._closed

    def close(self) -> None:
        """Stop reading. A waiting `next()` in another thread raises `ClosedError`."""
        if not self._closed and not self._forked:
            self._closed = True
            self._count_delivered()
            self._events = iter(())
            self._release()

    def _release(self) -> None:
        self._watch.remove(self._watched)
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
        self._count_delivered()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self._decode(self._records):
            self._check()
            if self._trouble is not None:
                # Only now: the records beside it are handed out, the position is after them.
                trouble, self._trouble = self._trouble, None
                self._recover(trouble)
            if self._ends is not None and self._finished(self._ends):
                self._look()
                self.ended = True
                self._release()
                return False
            self._check_progress()
            began = time.monotonic()
            slice_ = _SLICE if self._ends is None else END_SLICE
            batch = self._reader.read(MAX_BATCH, max(0, min(slice_, deadline - began)))
            if batch.records or batch.ends:
                self._silent = 0.0
                self._decoder.writers.take()
            else:
                self._silent += time.monotonic() - began
            if batch.out_of_range or batch.topic_missing:
                self._trouble = batch
            self._records = iter(batch.records)
            self._reached = batch.ends
            self._at_end = tuple(batch.ends)
            if self._ends is not None and not batch:
                self._reached = self._reader.positions()
                if any(offset > self._delivered[one] for one, offset in self._reached.items()):
                    self._silent = 0.0
            if not batch and time.monotonic() >= deadline:
                return False
        # What was decoded while another thread closed it is not handed out.
        self._check_open()
        return True

    def _count_delivered(self) -> None:
        with self._counting:
            handed, self._handed = self._handed - length_hint(self._events), 0
        METERS.deliver(self._stream.path, handed)

    def _check_open(self) -> None:
        if self._closed:
            self._events = iter(())
            raise ClosedError("the subscription is closed; subscribe again after its position")

    def _check_progress(self) -> None:
        """Raise when the end was asked for and the cluster is away: it would never be reached."""
        if self._ends is not None and self._silent > self._settings.request_timeout:
            self._silent = 0.0
            self._reader.raise_unreachable()

    def _decode(self, records: Iterator[Record]) -> bool:
        """Decode up to the first record that fails; return whether events are ready."""
        ready: list[Event[Payload]] = []
        identity = self._stream.identity
        decode = self._decoder.decode
        several = identity.partitions > 1
        time_ms = self._low_water.time_ms
        tag = identity.tags[0]
        ends = self._ends
        delivered = list(self._delivered)
        replay: ReplayId | VectorPosition
        for record in records:
            partition, offset = record.partition(), record.offset()
            if ends is not None and offset >= ends[partition]:
                delivered[partition] = max(delivered[partition], ends[partition])
                continue
            before = delivered[partition]
            delivered[partition] = offset + 1
            if several:
                self._low_water.deliver(partition, record.timestamp()[1])
                replay = VectorPosition(identity, tuple(delivered), time_ms)
            else:
                replay = encode_offset(offset + 1, tag)
            try:
                ready.append(decode(record, identity, replay))
            except UndecodableRecordError as error:
                if self._skip_undecodable:
                    _logger.warning("skipped: %s", error)
                    continue
                self._failure = error
                break
            except BrokerError as error:
                # The record is sound, its schema could not be asked for: it comes next.
                delivered[partition] = before
                self._records = itertools.chain([record], records)
                self._failure = error
                break
        else:
            for partition, offset in self._reached.items():
                # Markers and aborted records end after the last record.
                delivered[partition] = max(delivered[partition], offset)
            for partition in self._at_end:
                self._low_water.reach_end(partition)
            self._reached = {}
            self._at_end = ()
        self._delivered = tuple(delivered)
        with self._counting:
            self._events = iter(ready)
            self._handed = len(ready)
        if not ready and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return bool(ready)

    def _finished(self, ends: Sequence[int]) -> bool:
        return all(offset >= end for offset, end in zip(self._delivered, ends, strict=False))

    def _check(self) -> None:
        """Raise what has become of the stream or of this subscription."""
        self._check_open()
        self._guard()
        watched = self._watched
        if watched.recreated:
            raise StreamRecreatedError(
                self._stream.path,
                f"{self._stream.path} was deleted and created again; its old events are gone, "
                "subscribe again from earliest",
            )
        if watched.deleted:
            raise StreamDeletedError(
                self._stream.path,
                f"{self._stream.path}: its topic {watched.topic.name} was deleted; "
                "platform-events apply makes it again, without its events",
            )
        if watched.topic.partitions > len(self._delivered) and self._ends is None:
            self._grow(watched.topic.partitions)

    def _look(self) -> None:
        """Ask the cluster what has become of the stream, and raise it."""
        self._watch.look([self._watched])
        while self._watched.doubtful:
            time.sleep(_SLICE)
            self._watch.look([self._watched])
        self._check()

    def _recover(self, batch: Batch) -> None:
        """Go on after the log no longer has the position, or raise the verdict on it.

        Following, it waits for a cluster that is away.
        """
        while True:
            try:
                self._look()
                if batch.out_of_range:
                    self._reposition()
            except BrokerError as error:
                if self._ends is not None or not error.retriable:
                    raise
                _logger.warning("%s: waiting: %s", self._stream.path, error)
                time.sleep(_SLICE)
            else:
                return

    def _reposition(self) -> None:
        topic = self._stream.topic
        marks = self._admin.watermarks({topic.name: len(self._delivered)})[topic.name]
        offsets = settle(
            OffsetPosition(self._delivered), self.position, self._stream, marks, self._on_expired
        )
        self._delivered = tuple(offsets)
        self._reader.seek(dict(enumerate(offsets)))

    def _grow(self, partitions: int) -> None:
        """Read the partitions that the stream gained, from their beginning."""
        added = partitions - len(self._delivered)
        entry = self._catalog.entry(self._stream.name)
        self._stream = identify(entry, self._watched.topic, self._admin.cluster_id())
        self._delivered += (0,) * added
        self._low_water = LowWaterMark(partitions, self._low_water.time_ms)
        self._last = None
        self._reader.seek(dict(enumerate(self._delivered)))
