"""The ways to have a function called for each event of a stream, at least once each.

A way is a function `handle(target, tally, waits)`: it reads the stream from its beginning as the
only member of a new group and tells `tally` the ID of each event that was handled, until that has
all. The handler does nothing else, or waits 5 ms before. What is handled is committed, as each
library documents it for handling at least once; the modules say how.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, cast

from benchmarks.rivals.base import Elapsed, Stopwatch

if TYPE_CHECKING:
    from benchmarks.rivals.base import Target

Handler = Literal["noop", "wait"]
HANDLERS: dict[Handler, str] = {"noop": "a handler that does nothing", "wait": "a handler of 5 ms"}
"""What each is called."""
WAIT_SECONDS = 0.005
"""What a handler that waits gives to `asyncio.sleep`."""
OWN = "worker"
BARE = "bare"


class Tally:
    """What was handled, and what that took from the first handler's start until the last one's end.

    Args:
        count: how many events are to be handled.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.ids: list[str] = []
        self.took = Elapsed(0.0, 0.0)
        self._watch = Stopwatch()
        self._is_running = False

    def begin(self) -> None:
        """Note that a handler begins."""
        if not self._is_running:
            self._is_running = True
            self._watch.start()

    def note(self, event_id: str) -> bool:
        """Note that an event was handled; return whether all are."""
        ids = self.ids
        ids.append(event_id)
        if len(ids) < self.count:
            return False
        if len(ids) == self.count:
            self.took = self._watch.read()
        return True


class Arrivals(Tally):
    """Notes when events were handled too. The first one says that the stream is followed."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.times: dict[str, int] = {}
        """By event ID, on the monotonic clock, in nanoseconds."""

    def note(self, event_id: str) -> bool:
        """Note that an event was handled; return whether all are."""
        self.times[event_id] = time.monotonic_ns()
        if not self.ids:
            print("ready", flush=True)
        return super().note(event_id)


class Handle(Protocol):
    """Handles events until the tally has all."""

    def __call__(self, target: Target, tally: Tally, waits: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the comparison."""

    label: str
    """What tables call it."""
    module: str
    """Module under `benchmarks.workers`, imported in the measuring process only."""
    function: str = "handle"
    share: float = 1.0
    """Part of the events that it gets for a handler that does nothing, since it is slow."""
    is_concurrent: bool = False
    """Whether handlers that wait do so beside each other."""

    def handle(self) -> Handle:
        """Import and return its function."""
        module = import_module(f"benchmarks.workers.{self.module}")
        return cast("Handle", getattr(module, self.function))


WAYS = {
    OWN: Way("platform-events, Worker", "own", is_concurrent=True),
    BARE: Way("confluent-kafka + fastavro, by hand", "bare"),
    "faststream": Way("FastStream", "faststream", share=0.1),
    "faststream-first": Way(
        "FastStream, at most once", "faststream", "handle_first", 0.1, is_concurrent=True
    ),
    "aiokafka": Way("aiokafka + fastavro, by hand", "aiokafka"),
}
"""In the order in which they take their turns."""
