"""What changes between two versions of an event's schema, whom that breaks, and how to say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from platform_events.wording import one_of

Compatibility: TypeAlias = Literal["full", "backward", "forward", "none"]
"""Which readers an event's new version must not break."""
COMPATIBILITIES: tuple[Compatibility, ...] = get_args(Compatibility)
"""The default first."""

Events: TypeAlias = Literal["new events", "old events"]
"""What code reads that was written for the other version."""

PROTECTED: dict[Compatibility, frozenset[Events]] = {
    "full": frozenset({"new events", "old events"}),
    "backward": frozenset({"old events"}),
    "forward": frozenset({"new events"}),
    "none": frozenset(),
}
"""Readers of which events a mode protects. Backward, in Avro's words, is the new version as reader
of old events."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference between two versions of a schema."""

    path: str
    """The field, such as `lines[].price` for a part of a list's items; empty for the whole."""
    before: str = ""
    """What it was, in words; empty if it was not there."""
    after: str = ""
    """What it is; empty if it is not there any more."""
    breaks: frozenset[Events] = frozenset()
    """Readers of which events it breaks."""
    note: str = ""
    """What is more to say of it."""
    field: tuple[str, str] = ("", "")
    """Full name of the record that has the field in the new version, and the field's name; empty
    for one that is not there any more."""

    def __str__(self) -> str:
        match self.before, self.after:
            case "", "":
                said = ""
            case "", after:
                said = f"added, {after}"
            case before, "":
                said = f"removed, was {before}"
            case before, after if before == after:
                said = f"{after} changed"
            case before, after:
                said = f"retyped from {before} to {after}"
        texts = ": ".join(filter(None, (self.path, said)))
        return "; ".join(filter(None, (texts, self.note)))


def explain_refusal(change: SchemaChange, event: str, place: str) -> str:
    """Say what is refused, where, whom it would break, and each way out."""
    match change.before, change.after:
        case "", _:
            first = "make it optional"
        case _, "":
            first = "keep it"
        case _:
            first = "add an optional field beside it"
    # The strictest that allows it.
    mode = next(mode for mode in COMPATIBILITIES if not PROTECTED[mode] & change.breaks)
    ways = (
        first,
        "give the event a new name",
        f"write compatibility: {mode}",
        f"begin the stream again with apply --replace {event}",
    )
    return f"{change}{_at(place)}: breaks readers of {_victims(change)}; {one_of(ways)}"


def explain_reinterpretation(change: SchemaChange, place: str) -> str:
    """Say that stored events would read as other values, and the only way out."""
    return (
        f"{change}{_at(place)}: the schema ID ignores logical types, so events that were stored "
        "under it would be read as other values; give the field or the event a new name"
    )


def explain_acceptance(change: SchemaChange, mode: Compatibility | None) -> str:
    """Say whom a change breaks and what accepts it: a mode, or that the event is replaced."""
    reason = f"compatibility: {mode} allows it" if mode else "it is replaced"
    return f": breaks readers of {_victims(change)}; {reason}"


def _victims(change: SchemaChange) -> str:
    return " and ".join(sorted(change.breaks))


def _at(place: str) -> str:
    return f" ({place})" if place else ""
