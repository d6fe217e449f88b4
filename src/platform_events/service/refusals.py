"""How long those wait who are refused again and again; pure."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_FIRST = 1.0
_LONGEST = 10.0
_FORGOTTEN_AFTER = 60.0
"""Seconds after which the next refusal is the first."""
_MOST = 10_000
"""Of whom refusals are remembered."""


class Refusals:
    """Delays refusals, longer with each that follows another: some clients ask again at once.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._delays: dict[Hashable, tuple[float, float]] = {}
        """The last delay of each, and when it was over; the oldest first."""

    def delay(self, who: Hashable) -> float:
        """Return for how many seconds the refusal of somebody is to be held back."""
        now = self._clock()
        last, over = self._delays.pop(who, (0.0, -math.inf))
        is_repeated = now - over < _FORGOTTEN_AFTER
        delay = min(max(2 * last, _FIRST), _LONGEST) if is_repeated else 0.0
        if len(self._delays) >= _MOST:
            del self._delays[next(iter(self._delays))]
        self._delays[who] = delay, now + delay
        return delay
