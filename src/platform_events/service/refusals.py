"""How long those wait who are refused again and again; pure."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

Failure = TypeVar("Failure")

_FIRST = 1.0
_LONGEST = 10.0
_FORGOTTEN_AFTER = 60.0
"""Seconds after which the next refusal is the first."""
_MOST = 10_000
"""Of whom refusals are remembered."""
MOST_HELD = 10
"""Refusals of the same request that are held back at a time."""


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


class HeldRefusals(Generic[Failure]):
    """The refusals that are held back now: enough of one answer whoever asks the same meanwhile.

    A client that does not wait for its answers would else have thousands of calls wait, and each
    of them judged.
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[int, Failure]] = {}
        """How many of each request, and how it fails."""

    @contextmanager
    def holding(self, request: Hashable, failure: Failure) -> Iterator[None]:
        """Count one more for the length of a `with`.

        Args:
            request: who asks for what.
            failure: how that fails.
        """
        count, _ = self._held.get(request, (0, failure))
        self._held[request] = count + 1, failure
        try:
            yield
        finally:
            count, failure = self._held.pop(request)
            if count > 1:
                self._held[request] = count - 1, failure

    def answer(self, request: Hashable) -> Failure | None:
        """Return how a request fails if so many of the same are held back that no more need be."""
        count, failure = self._held.get(request, (0, None))
        return failure if count >= MOST_HELD else None
