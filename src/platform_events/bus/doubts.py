"""Stored events whose results have to be asked for, and the thread that asks."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.pending import SubmittedEvent

_logger = logging.getLogger("platform_events")


class Doubts:
    """Events of one publisher, resolved in a thread that lives while there are any. Thread-safe.

    The cluster may take a request time-out to answer, for which nobody else is to wait.

    Args:
        resolve: gives an event's future its result.
    """

    def __init__(self, resolve: Callable[[SubmittedEvent], None]) -> None:
        self._resolve = resolve
        self._events: deque[SubmittedEvent] = deque()
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, event: SubmittedEvent) -> None:
        """Have an event resolved."""
        with self._changing:
            self._events.append(event)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="platform-events-doubts", daemon=True
                )
                self._thread.start()

    def wait(self) -> None:
        """Wait until all are resolved; a callback of one of their futures does not wait."""
        with self._changing:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changing:
                if not self._events:
                    self._thread = None
                    return
                event = self._events.popleft()
            try:
                self._resolve(event)
            except Exception as error:
                _logger.exception("the outcome of an event could not be found out")
                event.future.set_exception(error)
