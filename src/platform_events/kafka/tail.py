"""The newest records of many topics, for many readers, with one consumer.

A consumer costs five threads, eight descriptors and a share of the broker, so what is read live is
read once. A reader that lags too far is let go and catches up with a reader of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, TopicPartition

from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health
from platform_events.kafka.reader import MAX_BATCH, Record, is_transient, make_consumer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from platform_events.settings import Settings

Partition: TypeAlias = "tuple[str, int]"
"""Topic and number."""
Run: TypeAlias = "tuple[Partition, list[Record]]"
"""Records of one partition, in order."""
MAX_WAITING = 20_000
"""Records that wait for one reader at most."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""Bytes that wait for one reader at most."""
_RECORD_OVERHEAD = 1_000
"""Bytes of a record besides its body: headers, and the client's and our objects (estimated)."""
_SLICE = 0.05
"""Seconds of waiting between two looks at whether the tail was closed, for which that waits."""
_FETCH_WAIT_MS = 100
"""How long a fetch waits at the broker when nothing is new. Partitions that a reader comes for are
in the next fetch only, and librdkafka has one at a time; its own 500 ms would be their delay."""
_logger = logging.getLogger("platform_events")


class Attachment:
    """One reader's place at the tail. It ends by lagging too far, and when something is wrong."""

    def __init__(self, starts: Mapping[Partition, int], *, crosses_markers: bool = False) -> None:
        self.starts = dict(starts)
        """The first offset of each partition that comes from here; earlier ones may come too."""
        self.crosses_markers = crosses_markers
        """Whether ends are told with the records before them, not only once they are all."""
        self.ended = ""
        """Why nothing more comes, in words: the reader lagged too far, or Kafka's reason."""
        self._runs: deque[Run] = deque()
        self._ends: dict[Partition, int] = {}
        self._records = 0
        self._bytes = 0
        self._is_woken = False
        self._arrived = threading.Condition()
        self._callbacks: list[Callable[[], None]] = []

    def take(self, timeout: float) -> tuple[list[Run], dict[Partition, int]]:
        """Return what has arrived, in the order of arrival; wait up to `timeout` seconds.

        Returns:
            Records, and the ends that were reached after them: an end may lie after transaction
            markers, which are no records.
        """
        with self._arrived:
            if not (self._runs or self.ended or self._is_woken):
                self._arrived.wait(timeout)
            self._is_woken = False
            runs = list(self._runs)
            self._runs.clear()
            self._records = self._bytes = 0
            ends, self._ends = self._ends, {}
        return runs, ends

    def oldest_ms(self, key: Partition) -> int | None:
        """Return the append time of the first record of a partition that waits, if one does."""
        with self._arrived:
            for place, records in self._runs:
                if place == key:
                    return records[0].timestamp()[1]
        return None

    def wake(self) -> None:
        """Let a waiting `take` return, or the next one."""
        with self._arrived:
            self._is_woken = True
            self._tell()

    def call_when_ready(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called, once, by whoever makes `take` return next.

        It is called with locks held: it has to return at once, and must not use tail or attachment.

        Returns:
            Whether it will be; if not, `take` returns at once.
        """
        with self._arrived:
            if self._runs or self.ended or self._is_woken:
                return False
            self._callbacks.append(callback)
            return True

    def put(self, run: Run, size: int) -> bool:
        """Add records; return whether they had room."""
        with self._arrived:
            # An end that was reached before them is none any more.
            self._ends.pop(run[0], None)
            self._records += len(run[1])
            self._bytes += size
            if self._records > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
                # They are read again, so no end has been reached either.
                self._runs.clear()
                self._ends.clear()
                self._end("it lagged too far")
            else:
                self._runs.append(run)
                self._tell()
            return not self.ended

    def reach(self, key: Partition, end: int) -> None:
        """Note that everything before an offset has been put; that wakes nobody."""
        with self._arrived:
            self._ends[key] = end

    def end(self, reason: str) -> None:
        """Say that nothing more comes."""
        with self._arrived:
            self._end(reason)

    def _end(self, reason: str) -> None:
        self.ended = reason
        self._tell()

    def _tell(self) -> None:
        self._arrived.notify()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _logger.exception("a reader of the newest records cannot be told")


class Tail:
    """Reads the newest records of whatever partitions its readers want. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._health = Health(settings.bootstrap_servers)
        self._consumer: Consumer = make_consumer(
            settings, self._health, fetch_wait_max_ms=_FETCH_WAIT_MS
        )
        protect(self)
        self._lock = threading.Lock()
        self._next: dict[Partition, int] = {}
        self._fresh: dict[Partition, int] = {}
        """Partitions that the consumer does not have yet. Its own thread gives them to it: another
        one waits until the consumer has waited for records (tried)."""
        self._heard: set[Partition] = set()
        """Partitions of which the consumer has said something."""
        self._at_end: dict[Partition, int] = {}
        """Ends of partitions of which nothing has come since."""
        self._abandoned: deque[Attachment] = deque()
        """Places of readers that nobody holds any more."""
        self._readers: dict[Partition, set[Attachment]] = {}
        self._closed = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="platform-events-tail", daemon=True)
        self._thread.start()

    def attach(self, ends: Mapping[Partition, int], *, crosses_markers: bool = False) -> Attachment:
        """Begin to read these partitions for one more reader.

        Args:
            ends: where to begin with partitions that are not read yet: their ends.
            crosses_markers: tell at once how far it is behind the transaction marker after the
                last record; the end of a partition is told half a second after that.

        Returns:
            The attachment; its `starts` say from which offsets on nothing is missing.
        """
        with self._lock:
            for key, end in ends.items():
                if key not in self._next:
                    self._next[key] = self._fresh[key] = end
            starts = {key: self._next[key] for key in ends}
            attachment = Attachment(starts, crosses_markers=crosses_markers)
            for key in ends:
                self._readers.setdefault(key, set()).add(attachment)
                if key in self._at_end:
                    attachment.reach(key, self._at_end[key])
            self._wanted.set()
        return attachment

    def read_up_to(self, key: Partition) -> int:
        """Return the offset after the last record of a partition that came here, 0 if none did.

        It is not asked of the client: `get_watermark_offsets` never came back beside `consume`
        (tried, with its cached values too).
        """
        return self._next.get(key, 0)

    def is_reading(self, key: Partition) -> bool:
        """Whether a partition is fetched already, and not only asked for."""
        return key in self._heard

    def abandon(self, attachment: Attachment) -> None:
        """Stop reading for a reader soon. It takes no lock: a garbage collector may call it."""
        self._abandoned.append(attachment)

    def detach(self, attachment: Attachment) -> None:
        """Stop reading for a reader. Doing it again does nothing."""
        with self._lock:
            self._detach(attachment)
            self._wanted.set()

    def close(self) -> None:
        """End the consumer."""
        self._closed.set()
        self._wanted.set()
        self._thread.join()
        self._consumer.close()

    def _detach(self, attachment: Attachment) -> None:
        for key in attachment.starts:
            self._readers.get(key, set()).discard(attachment)

    def _reassign(self) -> None:
        """Begin to read what readers have come for, stop reading what has none left.

        Only here, where no record is in hand: it would come before those that a new reader of its
        partition begins with.
        """
        while self._abandoned:
            self._detach(self._abandoned.popleft())
        idle = [key for key, readers in self._readers.items() if not readers]
        for key in idle:
            del self._readers[key], self._next[key]
            self._heard.discard(key)
            self._at_end.pop(key, None)
        dropped = [key for key in idle if self._fresh.pop(key, None) is None]
        if dropped:
            self._consumer.incremental_unassign([TopicPartition(*key) for key in dropped])
        if self._fresh:
            self._consumer.incremental_assign(
                [TopicPartition(*key, offset) for key, offset in self._fresh.items()]
            )
            self._fresh.clear()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._lock:
                    self._reassign()
                    is_idle = not self._readers
                if is_idle:
                    self._wanted.wait()
                    self._wanted.clear()
                    continue
                # One first: a large number would wait for the whole time-out.
                messages = self._consumer.consume(1, _SLICE)
                if messages:
                    messages += self._consumer.consume(MAX_BATCH - 1, 0)
                    self._hand_out(messages)
            except Exception as error:
                _logger.exception("reading the newest records failed; it goes on")
                self._send_away(str(error))

    def _send_away(self, reason: str) -> None:
        """Have every reader read by itself what it may have missed; whatever fails, go on."""
        try:
            self._end_all(reason)
        except Exception:
            _logger.exception("readers of the newest records cannot be sent away; it goes on")
            self._closed.wait(_SLICE)

    def _hand_out(self, messages: list[Any]) -> None:
        crossing: set[Partition] = set()
        with self._lock:
            for (topic, partition, is_error), group in groupby(messages, _key):
                if is_error:
                    self._note(group)
                    continue
                key = (topic, partition)
                readers = self._readers.get(key)
                if readers is None:
                    continue
                records: list[Record] = list(group)
                size = 0
                for record in records:
                    # Converted here, once: the client frees its own form with the first question,
                    # and two readers that ask at the same time end the process (tried).
                    record.headers()
                    size += len(record.value() or b"") + _RECORD_OVERHEAD
                self._heard.add(key)
                self._at_end.pop(key, None)
                self._next[key] = max(self._next[key], records[-1].offset() + 1)
                if any(reader.crosses_markers for reader in readers):
                    crossing.add(key)
                for reader in [one for one in readers if not one.put((key, records), size)]:
                    self._detach(reader)
            if crossing:
                self._cross_markers(crossing)
            self._reassign()

    def _cross_markers(self, keys: Iterable[Partition]) -> None:
        """Tell how far the client is, now that everything up to there is handed out."""
        for one in self._consumer.position([TopicPartition(*key) for key in keys]):
            key = (one.topic, one.partition)
            for reader in self._readers.get(key, ()):
                if reader.crosses_markers and one.offset >= 0:
                    reader.reach(key, one.offset)
                    reader.wake()

    def _end_all(self, reason: str) -> None:
        """Send every reader away, to read by itself what it may have missed."""
        with self._lock:
            for attachment in set().union(*self._readers.values()):
                attachment.end(reason)
                self._detach(attachment)
            self._reassign()

    def _note(self, messages: Iterable[Any]) -> None:
        for message in messages:
            error = message.error()
            key = (message.topic(), message.partition())
            readers = list(self._readers.get(key, ()))
            if error.code() == KafkaError._PARTITION_EOF:
                self._heard.add(key)
                if key in self._readers:
                    self._at_end[key] = message.offset()
                for reader in readers:
                    reader.reach(key, message.offset())
            elif not is_transient(error):
                # Its own reader finds out what is wrong, and whether it is for good.
                for reader in readers:
                    reader.end(error.str())
                    self._detach(reader)


def _key(message: Any) -> tuple[str, int, bool]:
    return message.topic(), message.partition(), message.error() is not None
