"""A router beside the tour, and waiting for what it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_events.channels.router import Router
from platform_events.channels.status import channel_statuses
from platform_events.channels.thread import RouterThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.bus import EventBus
    from platform_events.channels.states import State
    from platform_events.channels.status import ChannelStatus
    from platform_events.settings import Settings

_PATIENCE = 30.0
"""Seconds after which the tour goes on without: its claims then say what is missing."""
_POLL_SECONDS = 0.05


class TourRouter(RouterThread):
    """A router for the length of a `with`, and what it says of its channels."""

    def __init__(self, settings: Settings) -> None:
        self._live: set[str] = set()
        """The channels that are followed."""
        super().__init__(Router(settings, self._note))

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

    def _note(self, channel: str, _: int, state: State, __: str) -> None:
        if state == "live":
            self._live.add(channel)

    def _wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition() and time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)


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
