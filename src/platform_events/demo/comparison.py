"""What was published against what was received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.event import Event
    from platform_events.bus.values import PublishResult
    from platform_events.demo.flights import FlightEvent
    from platform_events.demo.narration import Narrator


class Sent(NamedTuple):
    """An event that was published."""

    event: FlightEvent
    result: PublishResult


def compare(
    narrator: Narrator,
    received: Sequence[Event[dict[str, Any]]],
    expected: Sequence[Sent],
    order: str = "in the order of publishing",
) -> None:
    """Claim that exactly these events were received, each once and in this order.

    Args:
        narrator: hears the claim.
        received: the events.
        expected: what they should be.
        order: the order of `expected` in words, which "not" can come before.
    """
    got = [event.event_id for event in received]
    wanted = [sent.result.event_id for sent in expected]
    lost, repeated = len(set(wanted) - set(got)), len(got) - len(set(got))
    narrator.claim(
        got == wanted,
        f"{len(wanted):,} events expected, {len(got):,} received: {lost:,} lost, "
        f"{repeated:,} repeated, {'' if got == wanted else 'not '}{order}",
    )


def name_only(events: Sequence[Event[dict[str, Any]]]) -> str:
    """Name the flight of a list's one event, if it has one."""
    return name_flight(events[0].payload) if events else "no flight"


def name_flight(payload: Mapping[str, Any]) -> str:
    """Return such as `UA1545 from EWR to IAH`."""
    return f"{payload['flight']} from {payload['origin']} to {payload['destination']}"
