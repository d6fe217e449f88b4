"""What the event loop leaves for the thread that talks to Kafka."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Hashable

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.lanes import Assignment, Item
    from platform_events.workers.outcomes import Failure

Settled: TypeAlias = Callable[[], None]
"""To be called in the loop, once something is stored."""
NO_THREADS = (
    "handlers that have timed out and do not return keep all its threads, so no other one can "
    "begin: give what they call a time-out of its own, and restart it"
)
"""What is in the way of a worker without `has_threads`."""


class Desk:
    """The loop writes, the other thread takes."""

    def __init__(self) -> None:
        self.letters: deque[tuple[Item, Failure, Settled]] = deque()
        """Events that become dead letters, and why."""
        self.redriven: deque[tuple[Item, Letter]] = deque()
        """Dead letters that were handled."""
        self.let_go: deque[tuple[Item, Letter, Settled]] = deque()
        """Dead letters that are not handled now, since their key is stopped again."""
        self.outdated: deque[Item] = deque()
        """Events that were handled, and may have dead letters of before."""
        self.kept: deque[tuple[Assignment, Hashable]] = deque()
        """Stopped keys that could not go on, since events of theirs were being parked."""
        self.stop: Exception | None = None
        """Why the worker is to end, if what became of an event says so."""
        self.counts: Counter[str] = Counter()
        """What became of attempts on events, by outcome."""
        self.has_threads = True
        """Whether there is a thread for a handler, or will be one when those that run return."""
        self.in_flight = 0
        """Events that handlers have now."""
