"""Feeding one partition of a channel: take over, catch up, follow."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from platform_events.channels.backfill import PositionGone, catch_up
from platform_events.channels.isolation import Isolation
from platform_events.channels.merge import in_order
from platform_events.channels.states import Claim, FeedState, Progress
from platform_events.channels.takeover import OutdatedCatalog, Takeover
from platform_events.errors import (
    AuthorizationError,
    BrokerError,
    FencedError,
    PlatformEventsError,
    RecordRejectedError,
)
from platform_events.kafka.producer import MAX_BATCH_BYTES, ORIGIN_ROOM
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.metrics.meters import FeedReport, Lag

if TYPE_CHECKING:
    from platform_events.catalog.positions import Place
    from platform_events.catalog.state import Entry, Feeding
    from platform_events.channels.context import FeederContext
    from platform_events.channels.members import Source
    from platform_events.channels.states import State
    from platform_events.channels.transfer import Transfer
    from platform_events.kafka.tail import Attachment
    from platform_events.kafka.watch import Watched

_TRANSACTION_TIMEOUT_MS = 30_000
_NEARLY_LIVE = 1_000
"""Lag, in records, with which following begins."""
_PROGRESS_SECONDS = 1.0
"""Positions that moved without a record for subscribers are committed this often."""
_KEEP_SECONDS = 24 * 3600.0
"""All positions are committed this often: Kafka forgets those of a silent group after a week."""
_IDLE_SECONDS = 5.0
"""Seconds between two looks at the members' topics when nothing happens."""
_TURN_SECONDS = 2.0
"""After so long catching up lets another channel partition go first, if one waits."""
_SLICE = 0.2
"""Seconds of waiting between two looks at whether to stop."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_logger = logging.getLogger("platform_events")


class _Stopped(Exception):  # noqa: N818
    """This process is to stop feeding the partition."""


class _Changed(Exception):  # noqa: N818
    """There is another definition, or something about the topics has changed."""


class _TurnOver(Exception):  # noqa: N818
    """Another channel partition is to catch up first."""


class Feeder:
    """Feeds one partition of a channel, in a thread of its own, until it is stopped.

    Whatever goes wrong, it says so and begins again from what is committed.
    """

    def __init__(self, context: FeederContext, entry: Entry, partition: int) -> None:
        self._context = context
        self._entry = entry
        self._partition = partition
        self._topic = context.settings.namespace.topic(entry.name)
        self._label = f"{entry.name}[{partition}]"
        self._stopping = threading.Event()
        self._attachment: Attachment | None = None
        self._nudge = threading.Event()
        self.refusal: AuthorizationError | None = None
        """What this process may not do, so that the partition is not fed."""
        self._state: State = "taking over"
        self._transfer: Transfer | None = None
        """What is being fed now; None while that is not known."""
        self._ends: dict[Place, int] = {}
        """Of the members, when they were last asked for."""
        self._watched: list[tuple[Watched, int]] = []
        """The topics in use, and how many partitions each had."""
        self._isolation = Isolation()
        self._isolated: Feeding | None = None
        """How the channel was fed when this was learnt; other records are others' business."""
        self._failures = 0
        self._kept = time.monotonic()
        self._starts: dict[Place, int] = {}
        """Where catching up began, while it lasts."""
        self._thread = threading.Thread(target=self._run, name=f"feed-{self._label}", daemon=True)
        self._thread.start()

    def redefine(self, entry: Entry) -> None:
        """Feed by another definition from the next transaction on."""
        if entry is not self._entry:
            self._entry = entry
            self._wake()

    def stop(self) -> None:
        """Begin to stop: what is under way is committed, or given up."""
        self._stopping.set()
        self._wake()

    def join(self, timeout: float) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def report(self) -> FeedReport:
        """Return how feeding goes; any thread may ask."""
        transfer, attachment = self._transfer, self._attachment
        lags: dict[str, Lag] = {}
        for source in transfer.sources if transfer else ():
            lag = self._lag(source, attachment)
            before = lags.get(source.place.event)
            lags[source.place.event] = before + lag if before else lag
        return FeedReport(self._entry.name, self._partition, self._state, lags)

    def _lag(self, source: Source, attachment: Attachment | None) -> Lag:
        key = (source.topic, source.place.partition)
        end = self._ends.get(source.place, 0)
        oldest_ms = source.judged_ms
        if attachment is not None:
            end = max(end, self._context.tail.read_up_to(key))
            if self._state == "live":
                oldest_ms = attachment.oldest_ms(key)
        events = max(end - source.offset, 0)
        if not events or oldest_ms is None:
            # Live, they are on their way here.
            return Lag(events, 0.0 if not events or self._state == "live" else None)
        return Lag(events, max(time.time() - oldest_ms / 1000, 0.0))

    def _wake(self) -> None:
        self._nudge.set()
        attachment = self._attachment
        if attachment is not None:
            attachment.wake()

    def _run(self) -> None:
        while not self._stopping.is_set():
            findings = self._isolation.findings
            try:
                self._lead()
            except _Stopped:
                return
            except FencedError as error:
                # The next try asks first whether this process still leads.
                _logger.info("%s: %s", self._label, error)
                self._declare("fenced")
                self._pause()
            except RecordRejectedError as error:
                if self._isolation.findings == findings:
                    self._fail(str(error))
                else:
                    # It will be found when the transaction is done again.
                    _logger.warning("%s: a record cannot be written: %s", self._label, error)
            except PlatformEventsError as error:
                self.refusal = error if isinstance(error, AuthorizationError) else None
                self._fail(str(error))
            except Exception as error:
                _logger.exception("%s: feeding failed", self._label)
                self._fail(f"{type(error).__name__}: {error}")
            finally:
                self._transfer = None
                self._unwatch()
                self._end_progress()

    def _fail(self, reason: str) -> None:
        _logger.warning("%s: not fed, tries again: %s", self._label, reason)
        self._declare("broken", reason)
        self._pause()

    def _pause(self) -> None:
        pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        self._nudge.wait(pause)
        self._nudge.clear()

    def _declare(self, state: State, detail: str = "") -> Claim:
        self._state = state
        statement = FeedState(self._context.name, state, int(time.time() * 1000), detail)
        return self._context.statements.put((self._topic, self._partition), statement)

    def _claim(self) -> bool:
        """Return whether this process leads the partition now, by the word of the group."""
        claim = self._declare("taking over")
        while (is_ours := claim.wait(_SLICE)) is None:
            if self._stopping.is_set():
                raise _Stopped
        return is_ours

    def _lead(self) -> None:
        """Take the partition over and feed it until something ends that."""
        if not self._claim():
            # Partitions change hands just now; that takes no longer each time.
            self._nudge.wait(_FIRST_PAUSE)
            self._nudge.clear()
            return
        with TransactionalProducer(
            self._context.settings,
            self._context.settings.namespace.feeder(self._entry.name, self._partition),
            f"feeding {self._label}",
            timeout_ms=_TRANSACTION_TIMEOUT_MS,
            max_bytes=MAX_BATCH_BYTES + ORIGIN_ROOM,
        ) as producer:
            while True:
                entry = self._entry
                try:
                    self._feed(self._resume(entry, producer), entry)
                except _Changed:
                    _logger.info("%s: resumes: the definition or a topic changed", self._label)
                except PositionGone:
                    self._end_progress()
                    _logger.info("%s: a position or a topic is gone", self._label)
                    self._pause()
                except OutdatedCatalog as error:
                    if self._stopping.is_set():
                        raise _Stopped from error
                    self._context.catalog.refresh()
                    newer = self._context.catalog.cached(entry.name) or entry
                    if newer.feeding == entry.feeding:
                        self._fail(str(error))
                    else:
                        self._entry = newer

    def _resume(self, entry: Entry, producer: TransactionalProducer) -> Transfer:
        takeover = Takeover(self._context, entry)
        if entry.feeding != self._isolated:
            self._isolation, self._isolated = Isolation(), entry.feeding
        self._end_progress()
        self._unwatch()
        self._watched = [
            (self._context.watch.add(topic), topic.partitions) for topic in takeover.topics.all
        ]
        return takeover.resume(
            self._partition, producer, self._isolation, lambda: self._check(entry)
        )

    def _unwatch(self) -> None:
        for watched, _ in self._watched:
            self._context.watch.remove(watched)
        self._watched = []

    def _feed(self, transfer: Transfer, entry: Entry) -> None:
        """Move records until stopped, or until there is another definition."""
        self._transfer = transfer
        try:
            while True:
                self._keep(transfer)
                ends = self._ask_ends(transfer)
                lag = sum(max(ends[source.place] - source.offset, 0) for source in transfer.sources)
                try:
                    if lag > _NEARLY_LIVE:
                        self._declare("catching up")
                        self._catch_up(transfer, entry, ends)
                    else:
                        self._follow(transfer, entry)
                except _TurnOver:
                    transfer.commit()
        except (_Changed, _Stopped):
            transfer.commit()
            raise
        except FencedError:
            raise
        except BaseException:
            # If this fails as well, the next owner does it, or the cluster in time.
            with suppress(BrokerError):
                transfer.abort()
            raise

    def _ask_ends(self, transfer: Transfer) -> dict[Place, int]:
        counts = {watched.topic.name: partitions for watched, partitions in self._watched}
        marks = self._context.admin.watermarks(counts)
        self._ends = {
            source.place: marks[source.topic][source.place.partition][1]
            for source in transfer.sources
        }
        return self._ends

    def _catch_up(self, transfer: Transfer, entry: Entry, ends: dict[Place, int]) -> None:
        if all(source.offset >= ends[source.place] for source in transfer.sources):
            return
        semaphore = self._context.catching_up
        with semaphore.acquired(lambda: self._check(entry)):
            began = time.monotonic()
            before = sum(source.offset for source in transfer.sources)

            def check() -> None:
                self._check(entry)
                is_over = semaphore.is_contended and time.monotonic() - began > _TURN_SECONDS
                # Each turn achieves something, however long its consumers take to begin.
                if is_over and sum(source.offset for source in transfer.sources) > before:
                    raise _TurnOver

            catch_up(
                self._context.settings,
                transfer,
                ends,
                check,
                lambda: self._show_progress(transfer, ends),
            )

    def _show_progress(self, transfer: Transfer, ends: dict[Place, int]) -> None:
        done = total = 0
        for source in transfer.sources:
            start = self._starts.setdefault(source.place, source.offset)
            done += source.offset - start
            total += max(ends[source.place], source.offset) - start
        self._tell(Progress(done, total))

    def _end_progress(self) -> None:
        if self._starts:
            self._starts = {}
            self._tell(None)

    def _tell(self, progress: Progress | None) -> None:
        try:
            self._context.on_progress(self._entry.name, self._partition, progress)
        except Exception:
            _logger.exception("%s: its progress cannot be shown", self._label)

    def _follow(self, transfer: Transfer, entry: Entry) -> None:
        """Move what arrives, until this lags too far."""
        sources = {(source.topic, source.place.partition): source for source in transfer.sources}
        ends = self._ask_ends(transfer)
        attachment = self._attachment = self._context.tail.attach(
            {key: ends[source.place] for key, source in sources.items()}
        )
        try:
            starts = {sources[key].place: start for key, start in attachment.starts.items()}
            self._catch_up(transfer, entry, starts)
            self._end_progress()
            self.refusal = None
            self._declare("live")
            self._failures = 0
            progress_since = time.monotonic()
            while not attachment.ended:
                self._check(entry)
                idle = _PROGRESS_SECONDS if transfer.has_progress else _IDLE_SECONDS
                runs, reached = attachment.take(idle)
                transfer.take()
                for key, records in in_order(runs):
                    transfer.forward(sources[key], records)
                for key, end in reached.items():
                    sources[key].advance(end)
                now = time.monotonic()
                if transfer.has_records or now - progress_since > _PROGRESS_SECONDS:
                    transfer.commit()
                    progress_since = now
                self._keep(transfer)
            _logger.info("%s: reads by itself: %s", self._label, attachment.ended)
        finally:
            self._attachment = None
            self._context.tail.detach(attachment)

    def _keep(self, transfer: Transfer) -> None:
        """Commit all positions, if it is time."""
        if time.monotonic() - self._kept > _KEEP_SECONDS:
            transfer.commit(everything=True)
            self._kept = time.monotonic()

    def _check(self, entry: Entry) -> None:
        """Raise if something else is to be done than feeding by this entry."""
        if self._stopping.is_set():
            raise _Stopped
        newest = self._entry
        if newest is not entry and _shape(newest) != _shape(entry):
            raise _Changed
        for watched, partitions in self._watched:
            # Resuming finds out what it means.
            if watched.deleted or watched.recreated:
                raise PositionGone
            if watched.topic.partitions != partitions:
                raise _Changed


def _shape(entry: Entry) -> tuple[Feeding | None, int]:
    """Return what feeding has to follow."""
    assert entry.active is not None
    return entry.feeding, entry.active.partitions
