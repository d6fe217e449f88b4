"""What fills windows: readers of Kafka, in threads.

The event loop owns windows and feeds, and of each feed one thread at a time owns the reader. The
loop asks for one batch, which comes back encoded, with one wake-up, and asks for the next one when
the window is short. Nobody waits in a thread for what is newest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from operator import methodcaller
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from platform_events.bus.position import Position
from platform_events.errors import BrokerError
from platform_events.kafka.live import LiveReader
from platform_events.kafka.reader import MAX_BATCH, Batch
from platform_events.service.blocks import ENOUGH_BYTES, Block, BlockEncoder
from platform_events.service.turns import PLACES, Turns
from platform_events.service.windows import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from platform_events.bus.recovery import Recovery
    from platform_events.bus.starts import Stream
    from platform_events.kafka.reader import Record
    from platform_events.service.tenants import Tenant
    from platform_events.service.windows import Window

Answer = TypeVar("Answer")
_SLICE = 0.2
"""Seconds that a thread waits for records at a time, where a reader is behind."""
_SPARE_THREADS = 8
"""Besides one for each reader that is behind."""
_NEAR = 1_000
"""Lag, in offsets, with which a reader begins at the tail, without a client of its own."""
_AGAIN_AFTER = 1.0
"""Seconds from a failure of the cluster's to the next try."""
_IDLE_AFTER = 5.0
"""Seconds after which a reader is closed from which nothing more is wanted: what comes meanwhile
waits in its memory."""
_partition_of = methodcaller("partition")
_logger = logging.getLogger("platform_events.service")


class Fed(NamedTuple):
    """What one reading gives."""

    blocks: list[Block]
    end: Place
    is_lost: bool
    """Whether the log does not have the end any more, or not yet."""


class Reading:
    """A reader of one stream, from a place on. One thread uses it at a time; any may close it.

    Args:
        tenant: whose stream.
        stream: which.
        recovery: knows what becomes of it.
        place: where to begin.
        ends: of the partitions, a moment ago.
    """

    def __init__(
        self,
        tenant: Tenant,
        stream: Stream,
        recovery: Recovery,
        place: Place,
        ends: Mapping[int, int],
    ) -> None:
        bus = tenant.bus
        clients = bus.clients
        self._recovery = recovery
        self._position = Position(stream, place.offsets, place.time_ms, None)
        self._is_total = stream.identity.partitions == 1
        self._encoder = BlockEncoder(stream.path, tenant.catalog)
        self._runs: deque[tuple[int, list[Record]]] = deque()
        """What was read of each partition and is not encoded yet, the last record first."""
        self._ends: Mapping[int, int] = {}
        """Ends that were reached after that."""
        self._is_out_of_range = False
        self._is_doubtful = False
        """Whether the cluster has to be asked what has become of the topic."""
        offsets = dict(enumerate(place.offsets))
        self._reader = LiveReader(
            bus.settings, clients.admin, clients.tail, stream.topic.name, offsets, ends
        )

    @property
    def reads_by_itself(self) -> bool:
        """Whether it has a client of its own, because it is behind."""
        return self._reader.reads_by_itself

    def read(self) -> Fed:
        """Return what comes next, soon; perhaps nothing.

        Raises:
            BrokerError: the cluster cannot be asked, or does not let us read. Reading again goes
                on where this was.
            StreamDeletedError, StreamRecreatedError: the topic is gone.
        """
        if self._is_doubtful and not self._runs:
            self._recovery.look()
            self._is_doubtful = False
            if self._is_out_of_range:
                return Fed([], self._place(), is_lost=True)
        if not self._runs:
            self._take(self._reader.read(MAX_BATCH, _SLICE if self.reads_by_itself else 0.0))
        blocks = self._encode()
        if not self._runs:
            self._position.reach_ends(self._ends)
            self._ends = {}
        elif not blocks and self._encoder.failure is not None:
            raise self._encoder.failure
        return Fed(blocks, self._place(), is_lost=False)

    def call_when_ready(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called, once and in another thread, when `read` may have something.

        Returns:
            Whether it will be. If not, `read` may have something now.
        """
        if self._runs or self._is_doubtful:
            return False
        return self._reader.call_when_ready(callback)

    def close(self) -> None:
        """End the reader."""
        self._reader.close()

    def _place(self) -> Place:
        time_ms = 0 if self._is_total else self._position.time_ms
        return Place(tuple(self._position.offsets), time_ms)

    def _take(self, batch: Batch) -> None:
        """Take what was read, for being encoded."""
        if batch.records or batch.ends:
            self._encoder.writers.take()
        self._position.begin_batch()
        self._ends = batch.ends
        self._is_out_of_range = bool(batch.out_of_range)
        self._is_doubtful = self._is_out_of_range or batch.topic_missing
        records, batch.records = batch.records, []
        if self._is_total:
            runs = [(0, records)] if records else []
        else:
            runs = [(partition, list(run)) for partition, run in groupby(records, _partition_of)]
        for _, run in runs:
            run.reverse()
        self._runs.extend(runs)

    def _encode(self) -> list[Block]:
        """Encode enough of what was taken, up to a record whose schema cannot be asked for."""
        blocks: list[Block] = []
        size = 0
        while self._runs and size < ENOUGH_BYTES:
            partition, records = self._runs[0]
            last = records[0]
            block = self._encoder.encode(self._position.run(partition), records)
            if block is not None:
                blocks.append(block)
                size += block.size
            if records:
                # Up to the one that is left; what lies between was no event.
                self._position.cross(partition, records[-1].offset())
                break
            self._position.take(partition, last)
            self._runs.popleft()
        return blocks


class FedStream(Protocol):
    """Whose windows are fed. For the event loop."""

    tenant: Tenant
    stream: Stream
    recovery: Recovery

    def advance(self, feed: Feed, fed: Fed) -> None:
        """Take what a feed has read."""

    def fail(self, feed: Feed, error: Exception) -> None:
        """Take that a feed cannot read any more."""


class Feeds:
    """The threads in which readers work, and their turns. For the event loop."""

    def __init__(self) -> None:
        self.turns = Turns(PLACES)
        self._threads = ThreadPoolExecutor(PLACES + _SPARE_THREADS, "platform-events-feeds")
        self._loop = asyncio.get_running_loop()

    def run(
        self,
        work: Callable[[], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Do work in a thread, and call one of the others in the loop with what came of it."""

        def do() -> None:
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 - handed over
                self._tell(failed, error)
            else:
                self._tell(done, answer)

        # Once closed, whoever asks is closed too.
        with suppress(RuntimeError):
            self._threads.submit(do)

    def begin_close(self, reading: Reading) -> None:
        """Close a reader in a thread: it may wait for one that reads with it."""
        try:
            self._threads.submit(_close, reading)
        except RuntimeError:
            _close(reading)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something in the loop after some seconds."""
        self._loop.call_later(seconds, call)

    async def close(self) -> None:
        """Wait until all readers are closed that were to be."""
        await asyncio.to_thread(self._threads.shutdown)

    def _tell(self, call: Callable[[Answer], None], answer: Answer) -> None:
        # The loop may be closed before the last reader has come back.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, answer)


class Feed:
    """Fills one window, as far as it is wanted. For the event loop.

    Args:
        feeds: the threads.
        stream: whose window.
        window: which.
        ends: the stream's, a moment ago; None if they are not known.
    """

    def __init__(
        self,
        feeds: Feeds,
        stream: FedStream,
        window: Window,
        ends: Sequence[int] | None,
    ) -> None:
        self._feeds = feeds
        self._stream = stream
        self.window = window
        self._ends = ends
        self._reading: Reading | None = None
        self._is_busy = False
        """Whether a batch was asked for that has not come."""
        self._idle_since = time.monotonic()
        self._is_closed = False

    def want(self) -> None:
        """Have the next batch appended; does nothing while it is under way."""
        if self._is_busy or self._is_closed:
            return
        self._is_busy = True
        reading = self._reading
        if reading is None:
            self._begin()
        elif not reading.call_when_ready(self._read):
            self._read()

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True
        self._suspend()

    def look(self) -> None:
        """Close a reader from which nothing is wanted, if that is for long or others wait."""
        if self._is_busy or self._reading is None:
            return
        turns = self._feeds.turns
        is_in_the_way = turns.has(self) and turns.is_full
        if is_in_the_way or time.monotonic() - self._idle_since > _IDLE_AFTER:
            self._suspend()

    def _begin(self) -> None:
        if self._ends is not None:
            self._begin_between(self._ends)
            return
        topic = self._stream.stream.topic
        admin = self._stream.tenant.bus.admin

        def ask() -> list[int]:
            marks = admin.watermarks({topic.name: topic.partitions})[topic.name]
            return [end for _, end in marks]

        self._feeds.run(ask, self._begin_between, self._fail)

    def _begin_between(self, ends: Sequence[int]) -> None:
        if self._is_closed:
            return
        self._ends = ends
        offsets = self.window.end.offsets
        lag = sum(max(0, end - at) for end, at in zip(ends, offsets, strict=False))
        if lag <= _NEAR:
            self._open()
        else:
            self._feeds.turns.ask(self, self._open)

    def _open(self) -> None:
        stream, place = self._stream, self.window.end
        ends = dict(enumerate(self._ends or ()))
        # They are old by the time when this is opened again.
        self._ends = None
        tenant, source, recovery = stream.tenant, stream.stream, stream.recovery
        self._feeds.run(
            lambda: Reading(tenant, source, recovery, place, ends), self._opened, self._fail
        )

    def _opened(self, reading: Reading) -> None:
        if self._is_closed:
            self._feeds.begin_close(reading)
            return
        self._reading = reading
        self._is_busy = False
        self._mind_turn()
        self.want()

    def _read(self) -> None:
        reading = self._reading
        if reading is not None:
            self._feeds.run(reading.read, self._take, self._fail)

    def _take(self, fed: Fed) -> None:
        if self._is_closed:
            return
        self._is_busy = False
        self._idle_since = time.monotonic()
        self._mind_turn()
        # Reading goes on at the end that this sets, by a new reader perhaps.
        self._stream.advance(self, fed)

    def _mind_turn(self) -> None:
        """Give way to others if it is their turn; a reader may have fallen behind just now."""
        turns = self._feeds.turns
        if self._reading is None or not self._reading.reads_by_itself:
            turns.leave(self)
        elif turns.is_over(self) or not turns.take(self):
            self._suspend()
        self.window.is_live = self._reading is not None and not self._reading.reads_by_itself

    def _suspend(self) -> None:
        reading, self._reading = self._reading, None
        self._ends = None
        self.window.is_live = False
        self._feeds.turns.leave(self)
        if reading is not None:
            self._feeds.begin_close(reading)

    def _fail(self, error: Exception) -> None:
        if self._is_closed:
            return
        if isinstance(error, BrokerError) and error.retriable:
            _logger.warning("%s: waiting: %s", self._stream.stream.path, error)
            self._feeds.later(_AGAIN_AFTER, self._try_again)
        else:
            self._stream.fail(self, error)

    def _try_again(self) -> None:
        self._is_busy = False
        if self._reading is None:
            self._feeds.turns.leave(self)
            self._ends = None
        self.want()


def _close(reading: Reading) -> None:
    try:
        reading.close()
    except Exception:
        _logger.exception("a reader cannot be closed")
