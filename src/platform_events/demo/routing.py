"""A router beside the tour."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from platform_events.channels.router import Router
from platform_events.channels.status import channel_statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.channels.states import State
    from platform_events.channels.status import ChannelStatus
    from platform_events.settings import Settings

_PATIENCE = 30.0
"""Seconds after which the tour goes on without: its claims then say what is missing."""
_POLL_SECONDS = 0.05


class RoutingThread:
    """A router in a thread of its own. Make it with `running_router`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._live: set[str] = set()
        """The channels that are followed."""
        self._thread = threading.Thread(target=self._run, name="router", daemon=True)

    def start(self) -> None:
        """Begin to route."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way, and end."""
        self._stop.set()
        self._thread.join()

    def await_live(self, channel: str) -> None:
        """Wait until a channel gets what is published at once.

        Raises:
            PlatformEventsError: the router ended.
        """
        self._wait(lambda: channel in self._live)

    def await_filled(self, bus: EventBus, channel: str) -> ChannelStatus:
        """Wait until a channel has everything that its members have now.

        Raises:
            PlatformEventsError: the router ended, or the cluster cannot be asked.
        """
        self.await_live(channel)
        self._wait(lambda: _is_filled(_status(bus, channel)))
        return _status(bus, channel)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition() and time.monotonic() < deadline:
            if self._failure is not None:
                raise self._failure
            time.sleep(_POLL_SECONDS)

    def _note(self, channel: str, _: int, state: State, __: str) -> None:
        if state == "live":
            self._live.add(channel)

    def _run(self) -> None:
        try:
            Router(self._settings, self._note).run(self._stop)
        except Exception as failure:  # noqa: BLE001 - raised again by _wait()
            self._failure = failure


@contextmanager
def running_router(settings: Settings) -> Iterator[RoutingThread]:
    """Run a router for the length of a `with`."""
    routing = RoutingThread(settings)
    routing.start()
    try:
        yield routing
    finally:
        routing.stop()


def _status(bus: EventBus, channel: str) -> ChannelStatus:
    entries = [entry for entry in bus.catalog.entries() if entry.name == channel]
    assert entries
    assert entries[0].feeding is not None
    names = (channel, *(feed.event for feed in entries[0].feeding.feeds))
    partitions = {bus.settings.namespace.topic(name): 1 for name in names}
    return channel_statuses(bus.settings, bus.admin, entries, partitions)[channel]


def _is_filled(status: ChannelStatus) -> bool:
    return all(
        member.lag == 0 and member.definition == status.definition for member in status.members
    )
