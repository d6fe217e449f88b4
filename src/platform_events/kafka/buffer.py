"""Who may have how much under way through one producer; pure."""

from __future__ import annotations

import threading


class Share:
    """One sender's part of a producer's buffer, in bytes.

    Whoever sends adds to `sent_cost`, whoever serves deliveries to `settled_cost`, one at a time
    each, so neither needs a lock here.
    """

    def __init__(self) -> None:
        self.sent_cost = 0
        """Cost of all records that were sent."""
        self.settled_cost = 0
        """Cost of all records with an outcome."""
        self.limit = 0
        """What may be under way until the buffer is asked again."""
        self.is_closed = False
        """Whether nothing more is sent."""

    @property
    def under_way(self) -> int:
        """What is sent and has no outcome yet."""
        return self.sent_cost - self.settled_cost


class Buffer:
    """Divides the bytes that may be under way among those who send. Thread-safe.

    Of n senders each may always have 1/n of it under way. Beyond that a sender has what is free,
    up to an equal part for each that has something under way: alone at it, all. So no sender
    waits for what others do not get rid of, and together they have less than twice the size.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._shares: list[Share] = []

    def join(self, share: Share) -> None:
        """Take one more sender in."""
        with self._lock:
            self._shares = [*self._living(), share]
            self._begin_again()

    def leave(self, share: Share) -> None:
        """Let a sender go. What it has under way counts until it has its outcome."""
        with self._lock:
            share.is_closed = True
            self._shares = self._living()
            self._begin_again()

    def grant(self, share: Share) -> None:
        """Set a sender's limit to what it may have now, and take back what others have too much."""
        with self._lock:
            others = [one for one in self._shares if one is not share and one.under_way]
            assured = self._assured()
            even = self._size // (len(others) + 1)
            free = self._size - sum(one.under_way for one in others)
            share.limit = max(assured, min(even, free))
            for one in self._shares:
                if one is not share:
                    # Those with nothing under way ask again before they have more than assured.
                    most = max(assured, even) if one.under_way else assured
                    one.limit = min(one.limit, most)

    @property
    def is_of_one(self) -> bool:
        """Whether there is one sender, or none."""
        return len(self._shares) <= 1

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return not any(one.under_way for one in self._shares)

    def _living(self) -> list[Share]:
        return [one for one in self._shares if not one.is_closed or one.under_way]

    def _assured(self) -> int:
        return self._size // max(1, sum(not one.is_closed for one in self._shares))

    def _begin_again(self) -> None:
        assured = self._assured()
        for one in self._shares:
            one.limit = assured
