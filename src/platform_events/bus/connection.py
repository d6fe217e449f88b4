"""One connection to a cluster, and the buses that use it."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from platform_events.bus import lifetime
from platform_events.catalog.follower import Follower
from platform_events.errors import ClosedError, ForkedError
from platform_events.kafka.clients import Clients
from platform_events.metrics import expose_metrics

if TYPE_CHECKING:
    from platform_events.settings import Settings

_TICK = 0.5
"""Seconds between two looks at the catalogs."""
_READING_THREADS = 8


class User(Protocol):
    """Who uses a connection and ends with it."""

    def stop(self) -> object:
        """Begin nothing more; doing so again does nothing."""


class Connection:
    """The clients of a cluster, one thread that follows what changes there, and who uses both.

    Nothing is connected before the first use. A connection that was used does not survive a fork.
    One that was never closed is closed at exit. Thread-safe.

    Raises:
        ConfigurationError: the package for the setting `metrics` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """Those of the clients; which tenant they name means nothing here."""
        if settings.metrics:
            expose_metrics()
        self.starting = threading.Lock()
        """Held by who makes a part of a bus."""
        self.is_forked = False
        """Whether this is a child, and the clients are its parent's."""
        self._closed = threading.Event()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self.clients = Clients(settings)
        self.reading_threads = ThreadPoolExecutor(
            _READING_THREADS, thread_name_prefix="platform-events-subscriptions"
        )
        """Read and decode for all subscriptions of asyncio. Those that follow live wait without
        one; others hold one for a moment at a time, and longer where a cluster does not answer."""
        self._follower: Follower | None = None
        lifetime.register(self)

    def check_usable(self) -> None:
        """Raise if nobody can use this any more.

        Raises:
            ClosedError: it was closed.
            ForkedError: it was used before a fork, and this is the child.
        """
        if self.is_forked:
            raise ForkedError(
                "this EventBus or Cluster was used before the fork and cannot be here; fork before "
                "it is used, or start processes by spawn"
            )
        if self._closed.is_set():
            raise ClosedError("the connection is closed; make a new EventBus or Cluster")

    def join(self, user: User) -> None:
        """Have somebody stopped before the clients are closed; raises as `check_usable`."""
        with self.starting:
            self.check_usable()
            self._users.add(user)

    def follower(self) -> Follower:
        """Return what follows the catalogs of all buses; the caller holds `starting`."""
        if self._follower is None:
            clients = self.clients
            self._follower = Follower(
                clients.admin, clients.watch, lambda: clients.tail, tick=_TICK
            )
        return self._follower

    def close(self) -> None:
        """Stop all users, wait up to `close_timeout` for events on their way, end all clients.

        While the cluster does not answer a question about catalogs or topics, the client that has
        asked is ended later, in a thread. Closing again does nothing.
        """
        if self.is_forked:
            return
        with self.starting:
            if self._closed.is_set():
                return
            self._closed.set()
            users = list(self._users)
        for user in users:
            user.stop()
        self.reading_threads.shutdown(wait=False)
        self.clients.flush(self.settings.close_timeout)
        follower = self._follower
        if follower is None or follower.close(self.settings.close_timeout):
            self.clients.close()
        else:
            # It waits for the cluster's answer, and needs the admin client for that.
            self.clients.close_tail()
            threading.Thread(
                target=self._close_late,
                args=(follower,),
                name="platform-events-closing",
                daemon=True,
            ).start()

    def _close_late(self, follower: Follower) -> None:
        follower.close(None)
        self.clients.close()

    def abandon(self) -> None:
        """Note that this process is a fork, in which the clients that it has cannot be used."""
        self.is_forked = self._follower is not None or self.starting.locked()
