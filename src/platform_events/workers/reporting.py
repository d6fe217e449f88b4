"""How a worker is doing, told from what its process knows: nobody is asked when somebody looks."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.kafka.ends import LogEnds
from platform_events.metrics.meters import METERS, WorkerReport

if TYPE_CHECKING:
    from collections import Counter

    from platform_events.workers.app import WorkerApp
    from platform_events.workers.desk import Desk
    from platform_events.workers.ground import Ground
    from platform_events.workers.partitions import OwnedPartition

_REPORT_SECONDS = 1.0
"""Seconds between two reports."""
_ASK_SECONDS = 5.0
"""Seconds between two looks at how long the stream is."""


class Reporter:
    """Counts what a worker does, and knows how far behind it is. For one thread, but `report`.

    Args:
        app: the worker.
        ground: what it stands on.
        desk: where the event loop leaves its counts.
        owned: the partitions of this process, which changes them.
    """

    def __init__(
        self, app: WorkerApp, ground: Ground, desk: Desk, owned: dict[int, OwnedPartition]
    ) -> None:
        self._name = app.name
        self._ground = ground
        self._desk = desk
        self._owned = owned
        self._ends = LogEnds(ground.settings, ground.admin, ground.stream.topic.name)
        self._ask_at = 0.0
        self._counted: Counter[str] = desk.counts.copy()
        self._report = WorkerReport(app.name, 0, 0, 0.0, None, 0, 0)
        self._report_at = 0.0
        METERS.workers.add(self)

    def tick(self) -> None:
        """Count what was done since, and look at the stream now and then."""
        counts = self._desk.counts.copy()
        if counts != self._counted:
            METERS.handle(self._name, counts - self._counted)
            self._counted = counts
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + _ASK_SECONDS
            self._ends.want(list(self._owned))
        for partition, end in self._ends.take().items():
            owned = self._owned.get(partition)
            if owned is not None:
                owned.end = end
        if now >= self._report_at:
            self._report_at = now + _REPORT_SECONDS
            self._report = self._look()

    def report(self) -> WorkerReport:
        """Return how it went at the last tick, or up to a second before; any thread may ask."""
        return replace(self._report, in_flight=self._desk.in_flight)

    def _look(self) -> WorkerReport:
        """Return how it goes."""
        owned = [one for one in list(self._owned.values()) if one.is_open]
        backlogs = [one.backlog() for one in owned]
        oldest_ms = min((ms for events, ms in backlogs if events and ms), default=None)
        is_known = all(ms for events, ms in backlogs if events)
        now_ms = time.time_ns() / 1e6
        lag_events = sum(events for events, _ in backlogs)
        age: float | None = None
        if not lag_events:
            age = 0.0
        elif is_known and oldest_ms is not None:
            age = max(now_ms - oldest_ms, 0) / 1000
        left = None
        if oldest_ms is not None:
            left = max(oldest_ms + self._ground.retention_ms - now_ms, 0) / 1000
        reader = self._ground.reader
        return WorkerReport(
            self._name,
            self._desk.in_flight,
            lag_events,
            age,
            left,
            sum(len(reader.journal(one.number).letters) for one in owned),
            sum(one.progress.holes for one in owned),
        )
