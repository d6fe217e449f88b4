"""Who may read with a client of its own; pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

PLACES = 16
"""Readers with a client of their own at a time: each has five threads and a queue."""
_LENGTH = 2.0
"""Seconds after which one gives way, if others wait."""


class Turns:
    """A number of places that many want, and have one after the other.

    Args:
        places: how many may have one at a time.
        clock: the time in seconds.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._holders: dict[Hashable, float] = {}
        """Since when they have a place."""
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    @property
    def is_full(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def has(self, who: Hashable) -> bool:
        """Whether somebody has a place."""
        return who in self._holders

    def ask(self, who: Hashable, begin: Callable[[], None]) -> None:
        """Call `begin` as soon as there is a place: now, or while another one leaves."""
        if not self.take(who):
            self._waiting[who] = begin
            return
        begin()

    def take(self, who: Hashable) -> bool:
        """Have a place if one is free; return whether it is had."""
        if who not in self._holders and len(self._holders) < self._places:
            self._holders[who] = self._clock()
        return who in self._holders

    def is_over(self, who: Hashable) -> bool:
        """Whether somebody has had a place for long, and others wait."""
        since = self._holders.get(who)
        return since is not None and self.is_full and self._clock() - since >= _LENGTH

    def leave(self, who: Hashable) -> None:
        """Give a place back, or want none any more; doing so again does nothing."""
        self._waiting.pop(who, None)
        if self._holders.pop(who, None) is not None and self._waiting:
            following = next(iter(self._waiting))
            begin = self._waiting.pop(following)
            self._holders[following] = self._clock()
            begin()
