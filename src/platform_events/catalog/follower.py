"""Keeping what a process knows of catalogs and topics up to date."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from platform_events.errors import BrokerError, PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.catalog.live import Catalog
    from platform_events.kafka.admin import Admin, Topic
    from platform_events.kafka.tail import Tail
    from platform_events.kafka.watch import TopicWatch

_MISSING_INTERVAL = 1.0
"""Seconds between two looks for a catalog that is not there or cannot be read."""
_logger = logging.getLogger("platform_events")


class Followed:
    """A catalog that is followed, and how it goes."""

    def __init__(self, catalog: Catalog, refresh: float) -> None:
        self.catalog = catalog
        self.refresh = refresh
        """Seconds between two refreshes, which also notice a topic that was deleted, or made again;
        infinite for none. It can be changed. The first one is done at once, and while there is no
        catalog, or it cannot be read, it is looked for each second."""
        self.after_look: Callable[[], None] = lambda: None
        """Is called after each look at the catalogs and topics."""
        self.let_go: Callable[[], bool] = lambda: True
        """Is called once this is left, again and again until it returns True: whatever uses the
        catalog has ended."""
        self.failure: PlatformEventsError | None = None
        """What the last refresh failed with; None if it did not."""
        self.is_left = False
        """Whether nobody uses it any longer; then it is let go, and closed."""
        self.warning = ""
        """What was logged as wrong last; empty since all is well."""
        self.keeps_up = True
        """Whether what has arrived could be taken, at the last look."""
        self.hook_warning = ""
        """What was logged as wrong with `after_look`; empty since that is well."""
        self._refreshed_at = -math.inf

    @property
    def is_due(self) -> bool:
        """Whether it is to be refreshed now."""
        is_adrift = self.catalog.is_adrift
        if self.refresh == math.inf and not is_adrift:
            return False
        is_known = self.failure is None and self.catalog.is_read and not is_adrift
        pause = self.refresh if is_known else min(self.refresh, _MISSING_INTERVAL)
        return time.monotonic() > self._refreshed_at + pause

    def leave(self) -> None:
        """Have it let go soon; any thread may call this, whatever it holds."""
        self.is_left = True

    def settle(self, failure: Exception | None) -> None:
        """Note how a refresh went."""
        if failure is not None and not isinstance(failure, PlatformEventsError):
            failure = PlatformEventsError(f"following the catalog failed: {failure!r}")
        self.failure = failure
        self._refreshed_at = time.monotonic()


class Follower:
    """Follows catalogs and watches topics, in a thread of its own: a cluster may not answer.

    Args:
        admin: serves all.
        watch: is asked to look.
        tail: is asked for what the catalogs are followed through, once one was read.
        tick: seconds between two looks at the catalogs.
    """

    def __init__(
        self, admin: Admin, watch: TopicWatch, tail: Callable[[], Tail], *, tick: float
    ) -> None:
        self._admin = admin
        self._watch = watch
        self._tail = tail
        self._tick = tick
        self._followed: tuple[Followed, ...] = ()
        self._changing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="platform-events", daemon=True)
        self._thread.start()

    def follow(self, catalog: Catalog, *, refresh: float = math.inf) -> Followed:
        """Begin to follow one more catalog, and refresh it every `refresh` seconds."""
        followed = Followed(catalog, refresh)
        with self._changing:
            self._followed = (*self._followed, followed)
        return followed

    def close(self, timeout: float | None) -> bool:
        """Stop, and return whether that was done in time; if so, catalogs are closed.

        Args:
            timeout: seconds; None waits until it is done.
        """
        self._closed.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        for followed in self._followed:
            followed.catalog.close()
        return True

    def _run(self) -> None:
        while not self._closed.wait(self._tick):
            try:
                self._look()
            except Exception:
                _logger.exception("following the catalogs and the topics failed; it goes on")

    def _look(self) -> None:
        self._close_left()
        due = [one for one in self._followed if one.is_due]
        for one in self._followed:
            self._keep_up(one)
        self._watch.tick()
        for one in self._followed:
            self._call_hook(one)
        self._admin.serve()
        if due:
            # Last, and not again at once: it may take as long as a request may.
            self._refresh(due)

    def _keep_up(self, one: Followed) -> None:
        """Whatever fails, it is no other catalog's failure."""
        try:
            one.catalog.keep_up(self._tail)
        except Exception as error:  # noqa: BLE001
            one.keeps_up = False
            self._warn([one], error)
        else:
            one.keeps_up = True
            if one.refresh == math.inf and one.failure is None:
                one.warning = ""

    def _call_hook(self, one: Followed) -> None:
        try:
            one.after_look()
        except Exception as error:  # noqa: BLE001
            line = _line(error)
            if line != one.hook_warning:
                _log(error)
            one.hook_warning = line
        else:
            one.hook_warning = ""

    def _refresh(self, due: Sequence[Followed]) -> None:
        """Ask for all at once, so that many catalogs are few requests."""
        asked_at = time.monotonic()
        try:
            topics = self._admin.describe_each(
                {one.catalog.topic for one in due},
                expected={one.catalog.topic for one in due if one.catalog.topic_id},
            )
            there = {name: topic for name, topic in topics.items() if topic is not None}
            ends = self._admin.stable_ends(
                name for name, topic in there.items() if not isinstance(topic, PlatformEventsError)
            )
        except Exception as error:  # noqa: BLE001
            for one in due:
                one.settle(error)
            self._warn(due, error)
            return
        for one in due:
            name = one.catalog.topic
            try:
                _learn(one.catalog, asked_at, topics[name], ends.get(name, 0))
            except Exception as error:  # noqa: BLE001
                one.settle(error)
                self._warn([one], error)
            else:
                one.settle(None)
                if one.keeps_up:
                    one.warning = ""

    def _warn(self, failing: Sequence[Followed], error: Exception) -> None:
        """Log what goes wrong, once while it lasts, and once for all that it concerns."""
        line = _line(error)
        is_news = all(one.warning != line for one in self._followed)
        for one in failing:
            one.warning = line
        # What fails because all is being closed is no news.
        if is_news and not self._closed.is_set():
            _log(error)

    def _close_left(self) -> None:
        for one in [one for one in self._followed if one.is_left]:
            try:
                if not one.let_go():
                    continue
                one.catalog.close()
            except Exception as error:  # noqa: BLE001
                _log(error)
            with self._changing:
                self._followed = tuple(other for other in self._followed if other is not one)


def _learn(
    catalog: Catalog, asked_at: float, topic: Topic | BrokerError | None, end: int | BrokerError
) -> None:
    if isinstance(topic, BrokerError):
        raise topic
    if isinstance(end, BrokerError):
        raise end
    catalog.learn(asked_at, topic, end)


def _line(error: Exception) -> str:
    return error.line if isinstance(error, PlatformEventsError) else repr(error)


def _log(error: Exception) -> None:
    if isinstance(error, PlatformEventsError):
        _logger.warning("%s", error.line)
    else:
        _logger.error(
            "following the catalogs and the topics failed: %r; it goes on", error, exc_info=error
        )
