"""The tour: publish a week of flights, read it in several ways, and check every claim."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus, Start
from platform_events.catalog.apply import apply, plan_options
from platform_events.definitions.durations import format_duration
from platform_events.demo.channels import LONG_DELAYS, ChannelTour
from platform_events.demo.comparison import Sent, compare, name_flight, name_only
from platform_events.demo.flights import (
    ARRIVED,
    CANCELLED,
    DEPARTED,
    SCHEMAS,
    STORM,
    WEEK,
    FlightEvent,
    flight_events,
    read_flights,
)
from platform_events.demo.routing import TourRouter
from platform_events.files.loader import load_definitions
from platform_events.names import stream_path
from platform_events.replay import ReplayExpiredError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from platform_events.bus.values import PublishResult
    from platform_events.demo.narration import Narrator
    from platform_events.settings import Settings

_MILLISECONDS = 0.005
_BEFORE_EXPIRY = 100
"""The number of the event, from the oldest, whose replay ID expires."""


def give_tour(settings: Settings, narrator: Narrator) -> None:
    """Run through everything against an empty tenant; the narrator counts claims that fail.

    Raises:
        PlatformEventsError: something did not work at all.
    """
    tour = _Tour(settings, narrator)
    tour.define()
    with EventBus(settings) as bus:
        with TourRouter(settings) as routing:
            routing.await_live(LONG_DELAYS)
            moment = tour.publish(bus)
            if narrator.broken:
                return
            tour.stop_and_resume(bus)
            tour.replay_since(bus, moment)
            tour.read_channels(bus, routing)
        tour.expire(bus)


class _Tour:
    def __init__(self, settings: Settings, narrator: Narrator) -> None:
        self._settings = settings
        self._narrator = narrator
        self._sent: dict[str, list[Sent]] = defaultdict(list)
        """What was published, by event and in order."""
        self._definitions = load_definitions(SCHEMAS)

    def define(self) -> None:
        """Make streams of the definitions."""
        narrator = self._narrator
        narrator.begin_chapter("Event definitions become streams")
        definitions = self._definitions
        first = {LONG_DELAYS: definitions.channels[LONG_DELAYS]}
        apply(self._settings, replace(definitions, channels=first), plan_options(self._settings))
        narrator.show_table(
            ["Stream", "Fields", "Kept for", "Schema ID"],
            [
                (
                    stream_path(name),
                    str(len(definition.schema.parsed["fields"])),
                    format_duration(definition.retention_ms),
                    definition.schema.id,
                )
                for name, definition in definitions.events.items()
            ],
        )
        narrator.say(
            f"{stream_path(LONG_DELAYS)} is a channel. It gets the events of these three that pass "
            "a filter: a router, which begins now, copies each of them exactly once."
        )

    def publish(self, bus: EventBus) -> datetime:
        """Publish all events in order of time; return the moment before the storm's."""
        events = list(flight_events(read_flights(WEEK)))
        calm = [event for event in events if event.time < STORM]
        narrator = self._narrator
        narrator.begin_chapter("Publish, in the order in which it happened")
        narrator.say(
            "Flights that were to leave New York from 5 to 11 February 2013, with a blizzard on "
            f"the 8th: {len(events):,} events."
        )
        first = calm[0]
        result = bus.publish(first.event, first.payload)
        self._sent[first.event].append(Sent(first, result))
        narrator.say(
            f"The first, {first.event} of {name_flight(first.payload)}, is stored; its replay "
            f"ID is {result.replay_id}. With the others:"
        )
        begin = time.monotonic()
        self._send(bus, calm[1:], "publishing 5 to 7 February")
        seconds = time.monotonic() - begin
        # Kafka's clock has whole milliseconds: make sure that nothing shares this one.
        time.sleep(_MILLISECONDS)
        moment = datetime.now(UTC)
        time.sleep(_MILLISECONDS)
        begin = time.monotonic()
        self._send(bus, events[len(calm) :], "publishing 8 to 11 February")
        self._show_rates(seconds + time.monotonic() - begin)
        self._check_stored(bus, Counter(event.event for event in events))
        return moment

    def _send(self, bus: EventBus, events: Sequence[FlightEvent], doing: str) -> None:
        on_their_way: list[tuple[FlightEvent, Future[PublishResult]]] = [
            (event, bus.submit(event.event, event.payload))
            for event in self._narrator.follow(events, len(events), doing)
        ]
        for event, future in on_their_way:
            self._sent[event.event].append(Sent(event, future.result()))

    def _show_rates(self, seconds: float) -> None:
        counts = {stream_path(name): len(sent) for name, sent in sorted(self._sent.items())}
        counts["all"] = sum(counts.values())
        self._narrator.show_table(
            ["Stream", "Events", "Per second"],
            [(name, f"{count:,}", f"{count / seconds:,.0f}") for name, count in counts.items()],
        )

    def _check_stored(self, bus: EventBus, expected: Counter[str]) -> None:
        results = [sent.result for each in self._sent.values() for sent in each]
        persisted = [each for each in results if each.status is PublishStatus.PERSISTED]
        self._narrator.claim(
            len(persisted) == len(results) == expected.total(),
            f"{len(persisted):,} of {expected.total():,} results are PERSISTED",
        )
        topics = {self._settings.namespace.topic(name): name for name in expected}
        marks = bus.admin.watermarks(dict.fromkeys(topics, 1))
        stored = Counter(
            {name: marks[topic][0][1] - marks[topic][0][0] for topic, name in topics.items()}
        )
        self._narrator.claim(
            stored == expected, f"Kafka stores {stored.total():,} events, in each stream its own"
        )

    def stop_and_resume(self, bus: EventBus) -> None:
        """Read half a stream, save the position, and go on from it in another bus."""
        narrator, sent = self._narrator, self._sent[DEPARTED]
        narrator.begin_chapter("A subscriber stops in the middle and goes on")
        with bus.subscribe(DEPARTED, Start.EARLIEST, follow=False) as subscription:
            before = list(islice(subscription, len(sent) // 2))
            saved = str(subscription.position)
        narrator.say(
            f"It read {len(before):,} events of {stream_path(DEPARTED)}, saved the replay ID "
            f"{saved} of the last one, {name_only(before[-1:])}, and stopped."
        )
        with (
            EventBus(self._settings) as other_bus,
            other_bus.subscribe(DEPARTED, saved, follow=False) as subscription,
        ):
            rest = list(subscription)
        narrator.say(
            f"A new one started after that ID and read {len(rest):,} more, beginning with "
            f"{name_only(rest[:1])}."
        )
        compare(narrator, before + rest, sent)

    def replay_since(self, bus: EventBus, moment: datetime) -> None:
        """Read what was published since a time."""
        narrator = self._narrator
        narrator.begin_chapter("Replay since a time")
        narrator.say(
            f"It was {moment.isoformat(timespec='milliseconds')} when everything up to 7 February "
            "was published and nothing of the blizzard."
        )
        with bus.subscribe(CANCELLED, moment, follow=False) as subscription:
            received = list(subscription)
        narrator.say(
            f"{stream_path(CANCELLED)} since then: {len(received):,} cancelled flights, beginning "
            f"with {name_only(received[:1])}."
        )
        compare(
            narrator, received, [sent for sent in self._sent[CANCELLED] if sent.event.time >= STORM]
        )

    def read_channels(self, bus: EventBus, routing: TourRouter) -> None:
        """Read a channel that was filled live, and one that is made now."""
        channels = ChannelTour(bus, self._narrator, routing, self._sent)
        channels.read_live()
        channels.back_fill(self._definitions)

    def expire(self, bus: EventBus) -> None:
        """Remove the older half of a stream, then use a replay ID from it."""
        narrator, sent = self._narrator, self._sent[ARRIVED]
        kept = len(sent) // 2
        replay_id = sent[_BEFORE_EXPIRY - 1].result.replay_id
        narrator.begin_chapter("What an expired replay ID answers")
        bus.admin.delete_records(self._settings.namespace.topic(ARRIVED), [kept])
        narrator.say(
            f"The oldest {kept:,} events of {stream_path(ARRIVED)} were removed, as retention does "
            f"in time. Subscribing after event {_BEFORE_EXPIRY} answers:"
        )
        try:
            bus.subscribe(ARRIVED, replay_id, follow=False).close()
        except ReplayExpiredError as error:
            narrator.say(f"{error.code}: {error}")
            lost, gone = error.lost, kept - _BEFORE_EXPIRY
            narrator.claim(lost == gone, f"it says how many events are missed: {lost:,}")
        else:
            narrator.claim(False, "it says that the replay ID is EXPIRED")
        with bus.subscribe(ARRIVED, replay_id, follow=False, on_expired="earliest") as subscription:
            received = list(subscription)
        narrator.say(
            f'With on_expired="earliest" it goes on with the oldest event still there, '
            f"{name_only(received[:1])}."
        )
        compare(narrator, received, sent[kept:])
