"""The chapters about channels: one that is filled live, and one that is made later."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from platform_events.bus.event import EPOCH
from platform_events.bus.values import Start
from platform_events.catalog.apply import apply, plan_options
from platform_events.demo.comparison import compare, name_only
from platform_events.demo.flights import ARRIVED, CANCELLED, DEPARTED, STORM
from platform_events.names import stream_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.bus.event import Event
    from platform_events.channels.status import ChannelStatus
    from platform_events.definitions.model import Definitions
    from platform_events.demo.comparison import Sent
    from platform_events.demo.narration import Narrator
    from platform_events.demo.routing import TourRouter

LONG_DELAYS = "Long_Delays__chn"
BLIZZARD = "Blizzard__chn"
_HOUR = 60
"""Minutes."""
_LASTED = timedelta(days=2)
_STORMY_AIRPORT = "JFK"


class ChannelTour:
    """Compares channels with what was published.

    Args:
        bus: to read with.
        narrator: hears the claims.
        routing: fills the channels.
        sent: what was published, by event and in order.
    """

    def __init__(
        self,
        bus: EventBus,
        narrator: Narrator,
        routing: TourRouter,
        sent: Mapping[str, Sequence[Sent]],
    ) -> None:
        self._bus = bus
        self._narrator = narrator
        self._routing = routing
        self._sent = sent

    def read_live(self) -> None:
        """Read the channel that was filled while its members were published."""
        narrator = self._narrator
        narrator.begin_chapter("A channel: several events as one stream")
        status = self._routing.await_filled(self._bus, LONG_DELAYS)
        narrator.say(
            f"While the week was published, the router filled {stream_path(LONG_DELAYS)} with the "
            "events that pass the filters of its definition:"
        )
        self._show_members(status)
        diverted = sum(sent.event.payload["delay_minutes"] is None for sent in self._sent[ARRIVED])
        narrator.say(
            f"{diverted} arrivals have no delay on record (null), since the flights were diverted. "
            f"Null is not >= {_HOUR}, so they are not in it."
        )
        with self._bus.subscribe(LONG_DELAYS, Start.EARLIEST, follow=False) as subscription:
            received = list(subscription)
        expected = [*self._late(ARRIVED), *self._sent[CANCELLED], *self._late(DEPARTED)]
        compare(
            narrator,
            sorted(received, key=lambda event: event.type),
            expected,
            "in the order of publishing of each member",
        )
        self._check_origins(received, expected)
        self._resume(received)

    def back_fill(self, definitions: Definitions) -> None:
        """Make a channel of what was published before."""
        narrator = self._narrator
        narrator.begin_chapter("A channel made later has what came before")
        apply(self._bus.settings, definitions, plan_options(self._bus.settings))
        status = self._routing.await_filled(self._bus, BLIZZARD)
        narrator.say(
            f"{stream_path(BLIZZARD)} is new: what left {_STORMY_AIRPORT} on 8 and 9 February, and "
            "what was cancelled. The router read both streams from their beginning:"
        )
        self._show_members(status)
        with self._bus.subscribe(BLIZZARD, Start.EARLIEST, follow=False) as subscription:
            received = list(subscription)
        appended = self._append_times()
        stormy = [*self._stormy(CANCELLED), *self._stormy(DEPARTED)]
        expected = sorted(stormy, key=lambda sent: appended.get(sent.result.event_id, EPOCH))
        compare(narrator, received, expected, "in the order in which Kafka stored them")

    def _show_members(self, status: ChannelStatus) -> None:
        self._narrator.show_table(
            ["Member", "Events", "In the channel", "Filtered out"],
            [
                (
                    member.event,
                    f"{len(self._sent[member.event]):,}",
                    f"{member.passed:,}",
                    f"{member.filtered:,}",
                )
                for member in status.members
            ],
        )

    def _check_origins(
        self, received: Sequence[Event[dict[str, Any]]], expected: Sequence[Sent]
    ) -> None:
        """Claim that events are unchanged, and name where they were first stored."""
        published = {sent.result.event_id: sent for sent in expected}
        faithful = [
            event
            for event in received
            if event.event_id in published and _is_of(event, published[event.event_id])
        ]
        self._narrator.claim(
            len(faithful) == len(received),
            f"{len(faithful):,} of {len(received):,} are unchanged and name their origin: the "
            "stream and replay ID that publishing returned",
        )

    def _resume(self, whole: Sequence[Event[dict[str, Any]]]) -> None:
        """Read the channel again, with a stop in the middle."""
        half = len(whole) // 2
        with self._bus.subscribe(LONG_DELAYS, Start.EARLIEST, follow=False) as subscription:
            before = list(islice(subscription, half))
            saved = str(subscription.position)
        with self._bus.subscribe(LONG_DELAYS, saved, follow=False) as subscription:
            rest = list(subscription)
        again = [event.event_id for event in before + rest]
        self._narrator.claim(
            again == [event.event_id for event in whole],
            f"a second subscriber, stopped after event {half:,} and resumed with {saved} at "
            f"{name_only(rest[:1])}, reads the same in the same order",
        )

    def _append_times(self) -> dict[str, datetime]:
        """Return when each event was stored, as its own stream tells."""
        times = {}
        for name in (CANCELLED, DEPARTED):
            with self._bus.subscribe(name, Start.EARLIEST, follow=False) as subscription:
                times.update({event.event_id: event.published_at for event in subscription})
        return times

    def _late(self, name: str) -> list[Sent]:
        delays = [(sent.event.payload["delay_minutes"], sent) for sent in self._sent[name]]
        return [sent for delay, sent in delays if delay is not None and delay >= _HOUR]

    def _stormy(self, name: str) -> list[Sent]:
        return [
            sent
            for sent in self._sent[name]
            if sent.event.payload["origin"] == _STORMY_AIRPORT
            and STORM <= sent.event.time < STORM + _LASTED
        ]


def _is_of(event: Event[dict[str, Any]], sent: Sent) -> bool:
    """Whether an event of a channel is what was published, and says where that is."""
    origin = event.origin
    return (
        origin is not None
        and event.type == sent.event.event
        and origin.stream == stream_path(sent.event.event)
        # A result rarely has none: when the broker had the event already from an attempt before.
        and sent.result.replay_id in (origin.replay_id, None)
        and sent.event.payload.items() <= event.payload.items()
    )
