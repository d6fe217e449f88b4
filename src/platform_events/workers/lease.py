"""How long a process may take what it has as its own; pure.

A process that was stopped for a while, and goes on, may have been taken for dead: others have its
partitions, and have handled what it was about to begin.
"""

from __future__ import annotations

_GAP = 3.0
"""Seconds without a round after which nothing is begun: half of a group's patience."""
_DOUBT = 1.0
"""Seconds of rounds after which a process that was stopped has heard what became of it."""


class Lease:
    """Is renewed with each round of the thread that talks to Kafka.

    Args:
        now: the time, by `time.monotonic()`.
    """

    def __init__(self, now: float) -> None:
        self._renewed_at = now
        self._in_doubt_until = now

    def renew(self, now: float) -> float:
        """Return until when partitions are this process's own; 0: it is in doubt.

        Args:
            now: the time.
        """
        if now - self._renewed_at > _GAP:
            self._in_doubt_until = now + _DOUBT
        self._renewed_at = now
        return now + _GAP if now >= self._in_doubt_until else 0.0
