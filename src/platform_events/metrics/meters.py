"""The numbers of one process: what it published, delivered, routed and handled, and how it is.

Hot paths add for many events at once; what changes by itself is asked for when somebody looks.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STATES = ("taking over", "catching up", "live", "fenced", "broken")
"""What a channel partition's state can be."""
OUTCOMES = ("ok", "failed", "retried", "rejected", "dead_lettered")
"""What can come of a handler's attempt at an event."""
Thing = TypeVar("Thing")
BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds of the seconds that publishing takes."""
_PERSISTED = "PERSISTED"


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a channel is behind one member, in this process's partitions."""

    events: int
    """Records that are not judged yet, an upper bound."""
    seconds: float | None
    """Age of the oldest of them, about; None if it is not known."""

    def __add__(self, other: Lag) -> Lag:
        """Return the lag of both together."""
        known = [each.seconds for each in (self, other) if each.seconds is not None]
        return Lag(self.events + other.events, max(known) if len(known) == 2 else None)


@dataclass(frozen=True, slots=True)
class FeedReport:
    """How feeding one partition of a channel goes."""

    channel: str
    partition: int
    state: str
    lags: Mapping[str, Lag]
    """By member, where they are known."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """How a worker's subscription is doing, in this process's partitions."""

    subscription: str
    in_flight: int
    """Events in handlers."""
    lag_events: int
    """Events that are not handled yet, an upper bound."""
    lag_seconds: float | None
    """Age of the oldest of them; 0 without any, None if it is not known."""
    time_to_loss_seconds: float | None
    """Until retention may remove the oldest of them; None without any, or if it is not known."""
    dead_letters: int
    """Dead letters that wait to be redriven or discarded."""
    holes: int
    """Events that are not handled yet, with later ones of their partition handled."""

    def __add__(self, other: WorkerReport) -> WorkerReport:
        """Return how both are doing together; they are of one subscription."""
        ages = [each.lag_seconds for each in (self, other) if each.lag_seconds is not None]
        left = [
            one
            for one in (self.time_to_loss_seconds, other.time_to_loss_seconds)
            if one is not None
        ]
        return WorkerReport(
            self.subscription,
            self.in_flight + other.in_flight,
            self.lag_events + other.lag_events,
            max(ages) if len(ages) == 2 else None,
            min(left, default=None),
            self.dead_letters + other.dead_letters,
            self.holes + other.holes,
        )


class Loop(Protocol):
    """A long-running process's loop."""

    @property
    def loop_age(self) -> float:
        """Seconds since it last came round."""


class Cluster(Protocol):
    """A connection to a cluster."""

    @property
    def is_up(self) -> bool | None:
        """Whether a broker answers, by the last that is known; None if nothing is."""


class Feeds(Protocol):
    """Who feeds channels."""

    def reports(self) -> list[FeedReport]:
        """Return how it goes."""


class Workers(Protocol):
    """Who handles the events of a subscription."""

    def report(self) -> WorkerReport:
        """Return how it goes."""


class PublishMeter:
    """What became of one event's publishing. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        """The last is for what takes longer than any bound."""
        self._seconds = 0.0

    def add(self, persisted: int, others: Iterable[str], seconds: float) -> None:
        """Count events whose outcome is known.

        Args:
            persisted: how many are.
            others: the statuses of those that are not.
            seconds: from publishing to the outcome; of several events, that of the first.
        """
        failed = list(others)
        number = persisted + len(failed)
        with self._lock:
            self._outcomes[_PERSISTED] += persisted
            self._outcomes.update(failed)
            self._buckets[bisect_left(BUCKETS, seconds)] += number
            self._seconds += seconds * number

    def read(self) -> tuple[dict[str, int], list[int], float]:
        """Return a consistent look: events by status, by bucket, and the seconds of all."""
        with self._lock:
            return dict(self._outcomes), list(self._buckets), self._seconds


class Registered(Generic[Thing]):
    """Things that are known here as long as somebody else keeps them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: WeakSet[Thing] = WeakSet()

    def add(self, thing: Thing) -> None:
        """Know this one too from now on."""
        with self._lock:
            self._things.add(thing)

    def all(self) -> list[Thing]:
        """Return those that are left."""
        with self._lock:
            return list(self._things)


class Meters:
    """All numbers of this process. Thread-safe."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again, as in a forked child: what its parent counted is the parent's."""
        self._lock = threading.Lock()
        self.published: dict[str, PublishMeter] = {}
        """By event."""
        self.delivered: Counter[str] = Counter()
        """Events handed out, by stream."""
        self.routed: Counter[tuple[str, str, str]] = Counter()
        """Member records by channel, member and result."""
        self.handled: Counter[tuple[str, str]] = Counter()
        """Attempts of handlers at events, by subscription and outcome."""
        self.clusters: Registered[Cluster] = Registered()
        self.feeds: Registered[Feeds] = Registered()
        self.loops: Registered[Loop] = Registered()
        self.workers: Registered[Workers] = Registered()

    def publishing(self, event: str) -> PublishMeter:
        """Return the meter of an event, always the same."""
        return self.published.setdefault(event, PublishMeter())

    def deliver(self, stream: str, number: int) -> None:
        """Count events that were handed out."""
        if number > 0:
            with self._lock:
                self.delivered[stream] += number

    def route(self, channel: str, member: str, results: Mapping[str, int]) -> None:
        """Count member records that were judged for good, by result."""
        with self._lock:
            for result, number in results.items():
                if number:
                    self.routed[channel, member, result] += number

    def handle(self, subscription: str, outcomes: Mapping[str, int]) -> None:
        """Count what came of a subscription's events, by outcome."""
        with self._lock:
            for outcome, number in outcomes.items():
                if number:
                    self.handled[subscription, outcome] += number


METERS = Meters()
"""Those of this process."""
os.register_at_fork(after_in_child=METERS.clear)
