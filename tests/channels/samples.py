"""Definitions that the tests of channels share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from platform_events.bus.bus import EventBus
from tests.channels.checking import Verdict, payload_verdict


def event(name: str, partitions: int = 1) -> str:
    """Return an event that has a number, and a key when it has several partitions."""
    keyed = f"partitions: {partitions}\npartition_key: n\n" if partitions > 1 else ""
    return (
        f"event: {name}\n{keyed}fields:\n  - {{name: n, type: long}}\n"
        "  - {name: text, type: string, optional: true}\n"
    )


def channel(name: str, *members: str, partitions: int = 1) -> str:
    """Return a channel; a member is an event's name, then what else is said of it."""
    lines = [f"channel: {name}", f"partitions: {partitions}", "members:"]
    for member in members:
        event_name, _, rest = member.partition(" ")
        lines.append(f"  - {{event: {event_name}{', ' + rest if rest else ''}}}")
    return "\n".join(lines) + "\n"


def verdict(
    bus: EventBus, name: str, predicate: Callable[[dict[str, Any]], bool | None]
) -> Verdict:
    """Return a verdict on the events of one definition, whose schema does not change."""
    return payload_verdict(bus.catalog.event(name).schema.parsed, predicate)


A, B, KEYED = event("A__e"), event("B__e"), event("Keyed__e", 3)
NAME = "All__chn"
