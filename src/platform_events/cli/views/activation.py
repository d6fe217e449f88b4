"""From which position on a channel's new definition holds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_events.bus.starts import find_stream
from platform_events.catalog.apply import read_catalog
from platform_events.channels.status import await_definition, channel_statuses
from platform_events.kafka.admin import Admin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.catalog.plan import Plan
    from platform_events.catalog.state import Entry
    from platform_events.settings import Settings

_SECONDS = 10.0
"""How long routers that run are waited for, all channels together."""
_JOIN_SECONDS = 2.0
"""How long a router takes at most to notice its first channel."""
_LOOK_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Activation:
    """A channel's definition, and where it begins to hold."""

    channel: str
    definition: int
    """Its number."""
    replay_id: str | None
    """Events of the channel after this one are judged by it; None: no router has come to it."""
    obstacle: str = ""
    """Why not, in words."""

    def line(self) -> str:
        """Return it in words."""
        if self.replay_id is None:
            return f"{self.channel}: definition {self.definition} is pending: {self.obstacle}"
        return f"{self.channel}: definition {self.definition} holds after {self.replay_id}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"definition": self.definition, "holds_after": self.replay_id}


def find_activations(settings: Settings, plan: Plan) -> Iterator[Activation]:
    """Yield where each channel's new definition holds, waiting up to 10 s for routers.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    names = [change.name for change in plan.effective if change.renumbers]
    if not names:
        return
    with Admin(settings) as admin:
        seconds = _SECONDS if _are_there_routers(settings, admin) else 0.0
        deadline = time.monotonic() + seconds
        entries = read_catalog(settings, admin).entries
        for name in names:
            entry = entries[name]
            if entry.active is None or entry.feeding is None:
                # Another apply deleted it meanwhile.
                continue
            stream = find_stream(entry, settings.namespace.topic(name), admin)
            left = max(deadline - time.monotonic(), 0)
            at = await_definition(settings, entry, stream.topic.partitions, left)
            yield Activation(
                name,
                entry.feeding.number,
                None if at is None else str(stream.identity.position_id(at)),
                _find_obstacle(settings, admin, entry) if at is None else "",
            )


def _are_there_routers(settings: Settings, admin: Admin) -> bool:
    """Return whether a router runs; one that had no channel so far joins the others only now."""
    deadline = time.monotonic() + _JOIN_SECONDS
    while not (members := admin.members(settings.namespace.routers)):
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_EVERY)
    return bool(members)


def _find_obstacle(settings: Settings, admin: Admin, entry: Entry) -> str:
    topic = settings.namespace.topic(entry.name)
    described = admin.describe_one(topic)
    partitions = {topic: described.partitions} if described else {}
    status = channel_statuses(settings, admin, [entry], partitions)[entry.name]
    states = [part for part in status.partitions if part.state != "live"]
    return (
        "; ".join(sorted({part.detail or part.state for part in states}))
        or "its router has not come to it yet"
    )
