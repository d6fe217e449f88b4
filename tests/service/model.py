"""A stream in memory, with readers that do as `Reading` does, and threads that a test steps."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from platform_events.bus.event import Run
from platform_events.bus.starts import Stream
from platform_events.kafka.admin import Topic
from platform_events.replay import ReplayId, StreamIdentity, locate
from platform_events.service import feeds as feeds_module
from platform_events.service import streams as streams_module
from platform_events.service.blocks import Block
from platform_events.service.feeds import Fed
from platform_events.service.streams import OpenStream
from platform_events.service.turns import Turns
from platform_events.service.windows import Cursor, Place

_EVENT = struct.Struct(">HI")
PATH = "/event/A__e"


@dataclass
class Log:
    """Offsets of the events of each partition, with gaps as transaction markers leave them."""

    events: list[list[int]]
    ends: list[int]
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def append(self, partition: int, count: int, gap: int) -> None:
        for _ in range(count):
            self.events[partition].append(self.ends[partition])
            self.ends[partition] += 1
        self.ends[partition] += gap
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class Threads:
    """In place of `Feeds`: work is done, and what came of it told, when a test says so."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.jobs: list[Callable[[], None]] = []

    def run(
        self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Any], None]
    ) -> None:
        def do() -> None:
            answer = work()
            self.jobs.append(lambda: done(answer))

        self.jobs.append(do)

    def begin_close(self, reading: Any) -> None:
        self.jobs.append(reading.close)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.jobs.append(call)

    def step(self, number: int = 0) -> bool:
        """Do one of the jobs; return whether there was any."""
        if not self.jobs:
            return False
        self.jobs.pop(number % len(self.jobs))()
        return True


class Model:
    """An `OpenStream` over a log, and who reads in it.

    Args:
        partitions: of the stream.
        choose: returns a number up to one that is given, for whatever may go either way.
        near: lag up to which a reader is live.
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        partitions: int,
        choose: Callable[[int], int],
        places: int = 2,
        near: int = 5,
    ) -> None:
        self.log = Log([[] for _ in range(partitions)], [0] * partitions)
        self.choose = choose
        self.near = near
        self.threads = Threads(places)
        self.readers: list[ModelReader] = []
        self.opened = 0
        """Readers that had a client of their own."""
        patch.setattr(feeds_module, "Reading", self._reading)
        patch.setattr(streams_module, "Recovery", lambda *_: SimpleNamespace(close=lambda: None))
        topic = Topic("t", "uuid", partitions, 1)
        identity = StreamIdentity("cluster", "uuid", partitions)
        self.stream = Stream("A__e", topic, identity)
        bus: Any = SimpleNamespace(
            admin=SimpleNamespace(watermarks=self._watermarks),
            clients=SimpleNamespace(admin=None, watch=None),
        )
        tenant: Any = SimpleNamespace(name="t", bus=bus, catalog=None)
        threads: Any = self.threads
        questions: Any = None
        entry: Any = None
        self.open = OpenStream(tenant, entry, self.stream, threads, questions)

    def _watermarks(self, topics: Any) -> Any:
        return {"t": [(0, end) for end in self.log.ends]}

    def _reading(self, tenant: Any, stream: Any, recovery: Any, place: Place, ends: Any) -> Any:
        return ModelReading(self, place)

    def subscribe(self, offsets: tuple[int, ...]) -> ModelReader:
        """Begin to read at a place."""
        reader = ModelReader(self, Place(offsets))
        self.open.place(reader.cursor, list(self.log.ends))
        return reader.begin()

    def subscribe_at_end(self) -> ModelReader | None:
        """Begin to read with the latest, if a live window is there."""
        ends = list(self.log.ends)
        reader = ModelReader(self, Place(tuple(ends)))
        if not self.open._windows.join_end(reader.cursor, ends):
            self.readers.remove(reader)
            self.open.readers.discard(reader)
            return None
        assert all(at >= end for at, end in zip(reader.cursor.place.offsets, ends, strict=True))
        return reader.begin()

    def happen(self) -> None:
        """Do something, whatever is chosen."""
        choose, readers, log = self.choose, self.readers, self.log
        step = choose(9)
        if step == 0:
            log.append(choose(len(log.ends) - 1), 1 + choose(9), choose(1))
        elif step == 1 and len(readers) < 6:
            self._begin_somewhere()
        elif step == 2 and readers and choose(1):
            readers[choose(len(readers) - 1)].leave()
        elif step == 3:
            for feed in list(self.open._feed_of.values()):
                feed._idle_since -= 10.0
                feed.look()
        elif step <= 6 and readers:
            readers[choose(len(readers) - 1)].take(1 + choose(9), 6 * choose(9))
        else:
            self.threads.step(choose(20))

    def _begin_somewhere(self) -> None:
        kind = self.choose(2)
        if kind == 0:
            self.subscribe((0,) * len(self.log.ends))
        elif kind == 1:
            self.subscribe(tuple(self.choose(end) for end in self.log.ends))
        elif self.subscribe_at_end() is None:
            self.subscribe(tuple(self.log.ends))

    def settle(self) -> None:
        """Do what is to be done until every reader has everything."""
        while True:
            taken = [reader.take(100, 10_000) for reader in self.readers]
            if not any(taken) and not self.threads.step():
                return


class ModelReading:
    """Does as `Reading` does: own client while behind, then what is newest."""

    def __init__(self, model: Model, place: Place) -> None:
        self._model = model
        self._offsets = list(place.offsets)
        self._time_ms = place.time_ms
        self.is_closed = False
        self.reads_by_itself = self._lag > model.near
        model.opened += self.reads_by_itself

    @property
    def _lag(self) -> int:
        return sum(self._model.log.ends) - sum(self._offsets)

    @property
    def _place(self) -> Place:
        return Place(tuple(self._offsets), self._time_ms if len(self._offsets) > 1 else 0)

    def call_when_ready(self, callback: Callable[[], None]) -> bool:
        if self.reads_by_itself or self._lag:
            return False
        self._model.log.waiting.append(callback)
        return True

    def read(self) -> Fed:
        blocks: list[Block] = []
        if self.is_closed:
            return Fed([], self._place, is_lost=False)
        choose = self._model.choose
        for _ in range(1 + choose(3)):
            self._read_of(choose(len(self._offsets) - 1), blocks, knows_end=bool(choose(1)))
        if not blocks:
            # It comes to every partition in the end, and knows of every end.
            for partition in range(len(self._offsets)):
                self._read_of(partition, blocks, knows_end=True)
        if not choose(2):
            self._time_ms += 1
        if self.reads_by_itself and self._lag <= self._model.near:
            self.reads_by_itself = False
        return Fed(blocks, self._place, is_lost=False)

    def close(self) -> None:
        self.is_closed = True

    def _read_of(self, partition: int, blocks: list[Block], *, knows_end: bool) -> None:
        events = self._model.log.events[partition]
        first = bisect_left(events, self._offsets[partition])
        chosen = events[first : first + 1 + self._model.choose(6)]
        if chosen:
            blocks.append(self._block(partition, chosen))
            self._offsets[partition] = chosen[-1] + 1
        if first + len(chosen) == len(events) and knows_end:
            self._offsets[partition] = self._model.log.ends[partition]

    def _block(self, partition: int, offsets: list[int]) -> Block:
        stream = self._model.stream
        run = Run(PATH, stream.identity, partition, tuple(self._offsets), self._time_ms)
        encoded = b"".join(_EVENT.pack(partition, offset) for offset in offsets)
        ends = array("q", range(_EVENT.size, _EVENT.size * len(offsets) + 1, _EVENT.size))
        return Block(run, array("q", offsets), encoded, ends)


class ModelReader:
    """Who reads, and checks that every event comes once and in order."""

    on_expired: Any = "fail"

    def __init__(self, model: Model, place: Place) -> None:
        self._model = model
        self.cursor = Cursor(place, lambda: None)
        self._next: list[int] = []
        """Index of the next event of each partition."""
        self.replay_ids: list[ReplayId] = []
        model.readers.append(self)
        model.open.readers.add(self)

    def begin(self) -> ModelReader:
        self._next = self._indices(self.cursor.place.offsets)
        return self

    def take(self, events: int, size: int) -> int:
        """Take and check what comes next; return how much it was."""
        if self.cursor.is_stranded:
            self._model.open.place(self.cursor)
        taken = self.cursor.take(events, size)
        self._model.open.demand(self.cursor)
        if taken is None:
            return 0
        pieces = list(_EVENT.iter_unpack(b"".join(taken.encoded)))
        assert len(pieces) == taken.count <= events
        assert taken.count == 1 or taken.count * _EVENT.size <= size
        for partition, offset in pieces:
            expected = self._model.log.events[partition][self._next[partition]]
            assert offset == expected, "lost, doubled or out of order"
            self._next[partition] += 1
        position = locate(taken.replay_id, PATH, self._model.stream.identity)
        assert self._indices(position.offsets) == self._next  # type: ignore[union-attr]
        assert self._indices(self.cursor.place.offsets) == self._next
        self.replay_ids.append(taken.replay_id)
        return taken.count

    def leave(self) -> None:
        self._model.readers.remove(self)
        self._model.open.leave(self)

    def fail(self, error: Exception) -> None:
        raise error

    @property
    def has_all(self) -> bool:
        return self._next == [len(events) for events in self._model.log.events]

    def _indices(self, offsets: Any) -> list[int]:
        return [
            bisect_left(events, at)
            for events, at in zip(self._model.log.events, offsets, strict=True)
        ]
