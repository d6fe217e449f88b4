"""Whether a router does its work, and if not, what is in its way; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Situation:
    """What a router knows when it looks around."""

    failure: str
    """Why Kafka or the group does not answer or refuses, by what happened last; empty if not."""
    is_asked: bool
    """Whether the catalog was ever looked for with success."""
    is_read: bool
    """Whether there is a catalog, and it was read."""
    is_followed: bool
    """Whether the channels are those that it says."""
    has_channels: bool
    is_member: bool
    """Whether this process takes part in sharing the channels."""
    complaints: Sequence[str]
    """Why single channels are not fed: what only a person can mend."""


def find_obstacle(now: Situation, tenant: str) -> str:
    """Return what is in the way, in words; empty if nothing is."""
    if now.failure:
        return now.failure
    if not now.is_asked:
        return "it is reading the catalog"
    if not now.is_read:
        return f"tenant {tenant!r} has no definitions yet; platform-events apply writes them"
    if now.complaints:
        return "; ".join(now.complaints)
    if not now.is_followed or (now.has_channels and not now.is_member):
        return "it is joining the routers"
    return ""
