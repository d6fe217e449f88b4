"""Failed logins of one name from one address: each costs more time than the one before."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Key: TypeAlias = "tuple[str, str]"
FREE = 3
"""Failures that cost nothing: people mistype."""
_LONGEST_DELAY = 16.0
_LONGEST_WAIT = 30.0
"""Seconds for which an attempt is held at most; those that would wait longer are refused."""
_FORGOTTEN_AFTER = 900.0
_MOST = 10_000
"""Names and addresses that are remembered."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_at: float = 0.0
    free_at: float = 0.0
    """When the next attempt may begin."""


class Slowdown:
    """Says how long attempts to log in wait. For any thread.

    Whoever knows a name cannot lock it out from another address.

    Args:
        clock: seconds of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[Key, _Failures] = OrderedDict()

    def begin(self, key: Key) -> float | None:
        """Return the seconds that an attempt has to wait; None: too many wait already.

        Args:
            key: name and address.
        """
        with self._lock:
            now = self._clock()
            failures = self._find(key, now)
            if failures is None or failures.count < FREE:
                return 0.0
            begin = max(now, failures.free_at)
            if begin - now > _LONGEST_WAIT:
                return None
            failures.free_at = begin + _delay(failures.count)
            return begin - now

    def fail(self, key: Key) -> None:
        """Note that an attempt has failed."""
        with self._lock:
            now = self._clock()
            failures = self._find(key, now) or _Failures()
            failures.count += 1
            failures.last_at = now
            failures.free_at = max(failures.free_at, now + _delay(failures.count))
            self._failures[key] = failures
            self._failures.move_to_end(key)
            if len(self._failures) > _MOST:
                self._failures.popitem(last=False)

    def succeed(self, key: Key) -> None:
        """Forget the failures."""
        with self._lock:
            self._failures.pop(key, None)

    def _find(self, key: Key, now: float) -> _Failures | None:
        failures = self._failures.get(key)
        if failures is not None and now - failures.last_at > _FORGOTTEN_AFTER:
            del self._failures[key]
            return None
        return failures


def _delay(count: int) -> float:
    """Return the seconds from one attempt to the next after so many failures."""
    return min(2.0 ** min(count - FREE, 10), _LONGEST_DELAY) if count >= FREE else 0.0
