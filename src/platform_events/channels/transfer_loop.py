"""Feeding a channel partition under one definition: catch up, then follow."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from platform_events.channels.backfill import catch_up
from platform_events.channels.merge import in_order
from platform_events.channels.states import Progress
from platform_events.channels.topics import Changed
from platform_events.errors import BrokerError, FencedError
from platform_events.metrics.meters import Lag
from platform_events.partition_tasks import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.catalog.positions import Place
    from platform_events.channels.context import FeederContext
    from platform_events.channels.members import Source
    from platform_events.channels.states import State
    from platform_events.channels.transfer import Transfer
    from platform_events.kafka.tail import Attachment

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
_logger = logging.getLogger("platform_events")


class _TurnOver(Exception):  # noqa: N818
    """Another channel partition is to catch up first."""


class TransferLoop:
    """Moves records into a channel partition until there is something else to do.

    Args:
        context: what it works with.
        transfer: what it moves, begun.
        partitions: how many each topic in use has.
        check: is called between batches; what it raises ends the loop.
        on_state: is told when catching up and when live.
    """

    def __init__(
        self,
        context: FeederContext,
        transfer: Transfer,
        partitions: Mapping[str, int],
        check: Callable[[], None],
        on_state: Callable[[State], None],
    ) -> None:
        self._context = context
        self._transfer = transfer
        self._partitions = partitions
        self._check = check
        self._on_state = on_state
        self._progress = _ProgressReport(context, transfer)
        self._attachment: Attachment | None = None
        self._ends: dict[Place, int] = {}
        """Of the members, when they were last asked for."""
        self._kept = time.monotonic()

    def wake(self) -> None:
        """Let it call `check` soon; any thread may do it."""
        attachment = self._attachment
        if attachment is not None:
            attachment.wake()

    def lags(self, *, is_live: bool) -> dict[str, Lag]:
        """Return how far the channel partition is behind each member; any thread may ask."""
        attachment = self._attachment
        lags: dict[str, Lag] = {}
        for source in self._transfer.sources:
            lag = self._lag(source, attachment, is_live=is_live)
            before = lags.get(source.place.event)
            lags[source.place.event] = before + lag if before else lag
        return lags

    def _lag(self, source: Source, attachment: Attachment | None, *, is_live: bool) -> Lag:
        key = (source.topic, source.place.partition)
        end = self._ends.get(source.place, 0)
        oldest_ms = source.judged_ms
        if attachment is not None:
            end = max(end, self._context.tail.read_up_to(key))
            if is_live:
                oldest_ms = attachment.oldest_ms(key)
        events = max(end - source.offset, 0)
        if not events or oldest_ms is None:
            # Live, they are on their way here.
            return Lag(events, 0.0 if not events or is_live else None)
        return Lag(events, max(time.time() - oldest_ms / 1000, 0.0))

    def run(self) -> None:
        """Move records; what is under way at the end is committed, or else given up.

        Raises:
            Stopped, Changed: `check` did.
            PositionGone: the same, or a member's log does not have the position.
            FencedError: another process leads the channel partition now.
            RecordRejectedError: a record is refused; it will be found when this is done again.
            BrokerError: the cluster cannot be asked, or the transaction failed.
        """
        transfer = self._transfer
        try:
            while True:
                self._keep()
                ends = self._ask_ends()
                lag = sum(max(ends[source.place] - source.offset, 0) for source in transfer.sources)
                try:
                    if lag > _NEARLY_LIVE:
                        self._on_state("catching up")
                        self._catch_up(ends)
                    else:
                        self._follow()
                except _TurnOver:
                    transfer.commit()
        except (Changed, Stopped):
            transfer.commit()
            raise
        except FencedError:
            raise
        except BaseException:
            # If this fails as well, the next owner does it, or the cluster in time.
            with suppress(BrokerError):
                transfer.abort()
            raise
        finally:
            self._progress.end()

    def _ask_ends(self) -> dict[Place, int]:
        marks = self._context.admin.watermarks(self._partitions)
        self._ends = {
            source.place: marks[source.topic][source.place.partition][1]
            for source in self._transfer.sources
        }
        return self._ends

    def _catch_up(self, ends: Mapping[Place, int]) -> None:
        sources = self._transfer.sources
        if all(source.offset >= ends[source.place] for source in sources):
            return
        semaphore = self._context.catching_up
        with semaphore.acquired(self._check):
            began = time.monotonic()
            before = sum(source.offset for source in sources)

            def check() -> None:
                self._check()
                is_over = semaphore.is_contended and time.monotonic() - began > _TURN_SECONDS
                # Each turn achieves something, however long its consumers take to begin.
                if is_over and sum(source.offset for source in sources) > before:
                    raise _TurnOver

            catch_up(
                self._context.settings,
                self._transfer,
                ends,
                check,
                lambda: self._progress.show(ends),
            )

    def _follow(self) -> None:
        """Move what arrives, until this lags too far."""
        transfer = self._transfer
        sources = {(source.topic, source.place.partition): source for source in transfer.sources}
        ends = self._ask_ends()
        attachment = self._attachment = self._context.tail.attach(
            {key: ends[source.place] for key, source in sources.items()}
        )
        try:
            starts = {sources[key].place: start for key, start in attachment.starts.items()}
            self._catch_up(starts)
            self._progress.end()
            self._on_state("live")
            progress_since = time.monotonic()
            while not attachment.ended:
                self._check()
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
                self._keep()
            _logger.info("%s: reads by itself: %s", transfer.destination.label, attachment.ended)
        finally:
            self._attachment = None
            self._context.tail.detach(attachment)

    def _keep(self) -> None:
        """Commit all positions, if it is time."""
        if time.monotonic() - self._kept > _KEEP_SECONDS:
            self._transfer.commit(everything=True)
            self._kept = time.monotonic()


class _ProgressReport:
    """Tells how far catching up is, from its first step to its end."""

    def __init__(self, context: FeederContext, transfer: Transfer) -> None:
        self._context = context
        self._transfer = transfer
        self._starts: dict[Place, int] = {}
        """Where catching up began, while it lasts."""

    def show(self, ends: Mapping[Place, int]) -> None:
        done = total = 0
        for source in self._transfer.sources:
            start = self._starts.setdefault(source.place, source.offset)
            done += source.offset - start
            total += max(ends[source.place], source.offset) - start
        self._tell(Progress(done, total))

    def end(self) -> None:
        if self._starts:
            self._starts = {}
            self._tell(None)

    def _tell(self, progress: Progress | None) -> None:
        place = self._transfer.destination
        try:
            self._context.on_progress(place.channel, place.partition, progress)
        except Exception:
            _logger.exception("%s: its progress cannot be shown", place.label)
