"""Whether a long-running process lives, and whether it does its work.

The two are asked apart, as Kubernetes does. A process whose loop has stopped is restarted. One that
waits for something is not: a restart would not bring it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogCorruptError,
    PlatformEventsError,
    ServiceError,
)

if TYPE_CHECKING:
    import asyncio

BEATS_WITHIN = 20.0
"""Seconds within which the loop of a process that lives comes round."""
REFUSED_FOR = 30.0
"""Seconds after which a refusal ends a process: an operator's ACLs may come late."""
_ASK_AFTER = 1.0
"""Seconds between two questions to a loop."""
_REFUSALS = (
    AuthenticationError,
    AuthorizationError,
    CatalogCorruptError,
    ServiceError,
)
"""What only a person can end; everything else is waited for."""


class ProcessHealth:
    """What one process says about itself. Its loop writes, anybody reads."""

    def __init__(self) -> None:
        self.obstacle = "it is starting"
        """Why it does not do its work, in words; empty if it does."""
        self._beat = time.monotonic()
        self._refused_since: float | None = None

    def beat(self, age: float = 0.0) -> None:
        """Note that the loop comes round, or came round `age` seconds ago."""
        self._beat = time.monotonic() - age

    @property
    def loop_age(self) -> float:
        """Seconds since the loop last came round."""
        return time.monotonic() - self._beat

    @property
    def is_alive(self) -> bool:
        """Whether the loop comes round."""
        return self.loop_age < BEATS_WITHIN

    def raise_if_refused(self, error: PlatformEventsError | None) -> None:
        """Take what is in the way now; None: nothing is.

        Raises:
            PlatformEventsError: this one, if only a person can end it and nobody did for 30 s.
        """
        if not isinstance(error, _REFUSALS):
            self._refused_since = None
            return
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since >= REFUSED_FOR:
            raise error


class Pulse:
    """Lets a process live for as long as one of its threads and the loop beside it come round.

    Args:
        health: of the process.
        loop: is asked now and then; a handler may block it.
    """

    def __init__(self, health: ProcessHealth, loop: asyncio.AbstractEventLoop) -> None:
        self._health = health
        self._loop = loop
        self._ask_at = 0.0
        self._answered = time.monotonic()

    def beat(self) -> None:
        """Note that the thread comes round, which calls this, and since when the loop does not."""
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + _ASK_AFTER
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:
                # It is closed: nobody asks whether it lives any more.
                self._answer()
        self._health.beat(max(now - self._answered, 0.0))

    def _answer(self) -> None:
        self._answered = time.monotonic()
