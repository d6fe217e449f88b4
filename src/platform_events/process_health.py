"""Whether a long-running process lives, and whether it does its work.

The two are asked apart, as Kubernetes does. A process whose loop has stopped is restarted. One that
waits for something is not: a restart would not bring it.
"""

from __future__ import annotations

import time

from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogCorruptError,
    PlatformEventsError,
    ServiceError,
)

BEATS_WITHIN = 20.0
"""Seconds within which the loop of a process that lives comes round."""
REFUSED_FOR = 30.0
"""Seconds after which a refusal ends a process: an operator's ACLs may come late."""
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
