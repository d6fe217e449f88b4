"""Feeding one partition of a channel, whatever its definition becomes and whatever goes wrong."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from platform_events.channels.backfill import PositionGone
from platform_events.channels.isolation import Isolation
from platform_events.channels.states import Claim, FeedState
from platform_events.channels.takeover import OutdatedCatalog, Takeover
from platform_events.channels.topics import Changed, TopicsInUse
from platform_events.channels.transfer import Transfer
from platform_events.channels.transfer_loop import TransferLoop
from platform_events.errors import (
    AuthorizationError,
    FencedError,
    PlatformEventsError,
    RecordRejectedError,
)
from platform_events.kafka.producer import MAX_BATCH_BYTES, ORIGIN_ROOM
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.metrics.meters import FeedReport
from platform_events.partition_tasks import PartitionTask

if TYPE_CHECKING:
    from platform_events.catalog.state import Entry, Feeding
    from platform_events.channels.context import FeederContext
    from platform_events.channels.states import State

_TRANSACTION_TIMEOUT_MS = 30_000
_logger = logging.getLogger("platform_events")


class Feeder:
    """The work on one partition of a channel. `task` does it, and runs it until it is stopped.

    Whatever goes wrong, it says so and begins again from what is committed.
    """

    def __init__(self, context: FeederContext, entry: Entry, partition: int) -> None:
        self._context = context
        self._entry = entry
        self._partition = partition
        self._topic = context.settings.namespace.topic(entry.name)
        self._label = f"{entry.name}[{partition}]"
        self.task = PartitionTask(f"feed-{self._label}", self)
        self.refusal: AuthorizationError | None = None
        """What this process may not do, so that the partition is not fed."""
        self._state: State = "taking over"
        self._loop: TransferLoop | None = None
        """What is being fed now; None while that is not known."""
        self._isolation = Isolation()
        self._isolated: Feeding | None = None
        """How the channel was fed when this was learnt; other records are others' business."""
        self._findings = 0
        """How much of it was known when the transfer began."""

    def redefine(self, entry: Entry) -> None:
        """Feed by another definition from the next transaction on."""
        if entry is not self._entry:
            self._entry = entry
            self.task.wake()

    def report(self) -> FeedReport:
        """Return how feeding goes; any thread may ask."""
        loop, state = self._loop, self._state
        lags = loop.lags(is_live=state == "live") if loop else {}
        return FeedReport(self._entry.name, self._partition, state, lags)

    def claim(self) -> Claim:
        """Ask whether this process leads the partition, by saying so to the group."""
        self._loop = None
        return self._declare("taking over")

    def run(self) -> None:
        """Take the partition over and feed it until something ends that."""
        with TransactionalProducer(
            self._context.settings,
            self._context.settings.namespace.feeder(self._entry.name, self._partition),
            f"feeding {self._label}",
            timeout_ms=_TRANSACTION_TIMEOUT_MS,
            max_bytes=MAX_BATCH_BYTES + ORIGIN_ROOM,
        ) as producer:
            while True:
                self.task.check()
                entry = self._entry
                try:
                    self._feed(entry, producer)
                except Changed:
                    _logger.info("%s: resumes: the definition or a topic changed", self._label)
                except PositionGone:
                    _logger.info("%s: a position or a topic is gone", self._label)
                    self.task.pause()
                except OutdatedCatalog as error:
                    self._read_on(entry, error)

    def failed(self, error: Exception) -> bool:
        """Say what ended a round; return whether the next one can wait."""
        if isinstance(error, FencedError):
            # The next round asks first whether this process still leads.
            _logger.info("%s: %s", self._label, error)
            self._declare("fenced")
        elif isinstance(error, RecordRejectedError) and self._isolation.findings > self._findings:
            # It will be found when the transaction is done again.
            _logger.warning("%s: a record cannot be written: %s", self._label, error)
            return False
        elif isinstance(error, PlatformEventsError):
            self.refusal = error if isinstance(error, AuthorizationError) else None
            self._break(str(error))
        else:
            _logger.error("%s: feeding failed", self._label, exc_info=error)
            self._break(f"{type(error).__name__}: {error}")
        return True

    def wake(self) -> None:
        """Have what is to be done looked at soon; any thread may call it."""
        loop = self._loop
        if loop is not None:
            loop.wake()

    def _feed(self, entry: Entry, producer: TransactionalProducer) -> None:
        """Feed by one definition, until there is something else to do."""
        takeover = Takeover(self._context, entry)
        if entry.feeding != self._isolated:
            self._isolation, self._isolated = Isolation(), entry.feeding
        self._findings = self._isolation.findings
        with TopicsInUse(self._context.watch, takeover.topics.all) as topics:

            def check() -> None:
                self.task.check()
                newest = self._entry
                if newest is not entry and _shape(newest) != _shape(entry):
                    raise Changed
                topics.check()

            fed = takeover.resume(self._partition, check)
            transfer = Transfer(producer, fed, self._isolation)
            transfer.begin()
            self._loop = TransferLoop(
                self._context, transfer, topics.partitions, check, self._tell_state
            )
            self._loop.run()

    def _read_on(self, entry: Entry, reason: OutdatedCatalog) -> None:
        """Take the definition that the catalog has by now; say so if it has no other."""
        self.task.check()
        self._context.catalog.refresh()
        newer = self._context.catalog.cached(entry.name) or entry
        if newer.feeding != entry.feeding:
            self._entry = newer
        else:
            self._break(str(reason))
            self.task.pause()

    def _tell_state(self, state: State) -> None:
        if state == "live":
            self.refusal = None
            self.task.succeed()
        self._declare(state)

    def _break(self, reason: str) -> None:
        _logger.warning("%s: not fed, tries again: %s", self._label, reason)
        self._declare("broken", reason)

    def _declare(self, state: State, detail: str = "") -> Claim:
        statement = FeedState(self._context.name, state, int(time.time() * 1000), detail)
        with self.task.unless_stopped():
            self._state = state
            return self._context.statements.put((self._topic, self._partition), statement)


def _shape(entry: Entry) -> tuple[Feeding | None, int]:
    """Return what feeding has to follow."""
    assert entry.active is not None
    return entry.feeding, entry.active.partitions
