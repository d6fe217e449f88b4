"""What happened while a test ran a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.workers.interceptors import Interceptor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.event import Event
    from platform_events.workers.context import Context
    from platform_events.workers.interceptors import Outcome


@dataclass(slots=True)
class Attempt:
    """One call of a handler."""

    events: tuple[Event[Any], ...]
    """What it was given: one event, or its list."""
    number: int
    """`context.attempt`: 1 for the first attempt since the event was delivered."""
    is_redrive: bool
    """Whether the event was a dead letter that was redriven."""
    process: int
    """Which of the worker's processes it was, from 1: faults make others follow."""
    error: Exception | None = None
    """What the handler raised."""
    is_over: bool = False
    """False: it still runs, or its process was ended before it did."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that failed for good."""

    event: Event[dict[str, Any]] | None
    """None: it cannot be decoded."""
    id: str
    """As `platform-events dead-letters` shows it."""
    reason: str
    """Such as `failed`, `rejected` or `undecodable`."""
    message: str
    """What the handler raised, or what it rejected the event with."""
    attempts: int
    """How often it was tried."""
    status: str
    """`dead`, or `parked`: an earlier event of its key stopped it."""


@dataclass(slots=True)
class WorkerRun:
    """What a worker did."""

    handled: list[Event[Any]] = field(default_factory=list)
    """Events that were handled, in the order in which that was done; one may be there twice."""
    attempts: list[Attempt] = field(default_factory=list)
    """All calls of handlers, in the order in which they began."""
    dead_letters: list[DeadLetter] = field(default_factory=list)
    """Those that the subscription has at the end, in the order of their events."""
    processes: int = 0
    """How many processes the worker had, one after the other: 1 without faults."""


class Recorder(Interceptor):
    """Writes down what one process of a worker does.

    Args:
        run: into it.
        process: number of the process.
    """

    def __init__(self, run: WorkerRun, process: int) -> None:
        self._run = run
        self._process = process
        self._running: dict[int, Attempt] = {}
        self.handled = 0
        """Events that this process has handled."""
        self.limit: int | None = None
        self.on_limit: Callable[[], None] = lambda: None
        """Is called when that many were handled."""

    def before(self, events: Sequence[Event[Any]], context: Context) -> None:
        """Take note of an attempt."""
        attempt = Attempt(tuple(events), context.attempt, context.is_redrive, self._process)
        self._running[id(context)] = attempt
        self._run.attempts.append(attempt)

    def after(
        self,
        events: Sequence[Event[Any]],  # noqa: ARG002
        context: Context,
        error: Exception | None,
    ) -> None:
        """Take note of how it ended."""
        attempt = self._running.pop(id(context))
        attempt.error = error
        attempt.is_over = True

    def outcome(
        self,
        events: Sequence[Event[Any]],
        outcome: Outcome,
        error: Exception | None,  # noqa: ARG002
    ) -> None:
        """Take note of what was handled."""
        if outcome != "ok":
            return
        self._run.handled += events
        self.handled += len(events)
        if self.limit is not None and self.handled >= self.limit:
            self.limit = None
            self.on_limit()

    def running(self) -> list[Attempt]:
        """Return the attempts that are not over."""
        return list(self._running.values())
