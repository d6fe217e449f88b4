"""Keeping what a process knows of catalog and topics up to date."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.watch import TopicWatch

_MISSING_INTERVAL = 1.0
"""Seconds between two looks for a catalog that is not there or cannot be read."""
_logger = logging.getLogger("platform_events")


class Follower:
    """Follows a catalog and watches topics, in a thread of its own: a cluster may not answer.

    Args:
        admin: serves both.
        catalog: is followed.
        watch: is asked to look.
        tick: seconds between two looks at the catalog.
        refresh: seconds between two refreshes of the catalog, which also notice one whose topic was
            deleted, or made again; infinite for none. It can be changed. The first one is done at
            once, and while there is no catalog, or it cannot be read, it is looked for each second.
    """

    def __init__(
        self, admin: Admin, catalog: Catalog, watch: TopicWatch, *, tick: float, refresh: float
    ) -> None:
        self._admin = admin
        self._catalog = catalog
        self._watch = watch
        self._tick = tick
        self.refresh = refresh
        self.after_look: Callable[[], None] = lambda: None
        self.failure: PlatformEventsError | None = None
        """What the last refresh failed with; None if it did not."""
        self._refresh_at = -math.inf
        self._last_warning = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="platform-events", daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Stop, and return whether that was done in time (seconds)."""
        self._closed.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closed.wait(self._tick):
            is_due = self.refresh < math.inf and time.monotonic() > self._refresh_at
            try:
                self._catalog.follow()
                self._watch.tick()
                self.after_look()
                self._admin.serve()
                if is_due:
                    # Last, and not again at once: it may take as long as a request may.
                    self._refresh()
                if is_due or self.refresh == math.inf:
                    self._last_warning = ""
            except PlatformEventsError as error:
                # Once while it lasts.
                if error.line != self._last_warning:
                    self._last_warning = error.line
                    _logger.warning("%s", error.line)
            except Exception:
                _logger.exception("following the catalog and the topics failed; it goes on")

    def _refresh(self) -> None:
        try:
            self._catalog.renew()
        except PlatformEventsError as error:
            self.failure = error
            raise
        else:
            self.failure = None
        finally:
            is_known = self.failure is None and self._catalog.is_read
            pause = self.refresh if is_known else min(self.refresh, _MISSING_INTERVAL)
            self._refresh_at = time.monotonic() + pause
