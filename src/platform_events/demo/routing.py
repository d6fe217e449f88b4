"""A router beside the tour, and waiting for what it does."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from platform_events.channels.router import Router
from platform_events.channels.status import channel_statuses
from platform_events.channels.thread import RouterThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.channels.states import State
    from platform_events.channels.status import ChannelStatus
    from platform_events.settings import Settings

_PATIENCE = 30.0
"""Seconds after which the tour goes on without: its claims then say what is missing."""
_POLL_SECONDS = 0.05


class TourRouter:
    """The tour's view of its router. Make it with `running_router`."""

    def __init__(self) -> None:
        self._live: set[str] = set()
        """The channels that are followed."""
        self.check: Callable[[], None] = lambda: None
        """Raises what ended the router."""

    def note(self, channel: str, _: int, state: State, __: str) -> None:
        """Take in what the router says of a channel."""
        if state == "live":
            self._live.add(channel)

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
            self.check()
            time.sleep(_POLL_SECONDS)


@contextmanager
def running_router(settings: Settings) -> Iterator[TourRouter]:
    """Run a router for the length of a `with`."""
    view = TourRouter()
    with RouterThread(Router(settings, view.note)) as thread:
        view.check = thread.check
        yield view


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
