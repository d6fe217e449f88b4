"""A fair semaphore for what is dear."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SLICE = 0.2


class FairSemaphore:
    """Lets a few threads at a time do something; who waits longest is next. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @property
    def is_contended(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    @contextmanager
    def acquired(self, check: Callable[[], None]) -> Iterator[None]:
        """Have the semaphore for the length of a `with`.

        Args:
            check: is called while waiting; what it raises ends that.
        """
        self._acquire(check)
        try:
            yield
        finally:
            with self._lock:
                self._release()

    def _acquire(self, check: Callable[[], None]) -> None:
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            while not turn.wait(_SLICE):
                check()
        except BaseException:
            with self._lock:
                if turn.is_set():
                    self._release()
                else:
                    self._waiting.remove(turn)
            raise

    def _release(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
