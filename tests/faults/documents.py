"""Members and channels that tests of faults share, and what has to be true of them in the end."""

from __future__ import annotations

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, check_channel, everything
from tests.channels.routing import await_caught_up
from tests.channels.samples import KEYED, A, B, channel, verdict
from tests.faults.processes import GENEROUS

NAMES = ("A__e", "B__e", "Keyed__e")
ALL, WIDE = "All__chn", "Wide__chn"
CHANNELS = (
    channel(ALL, 'A__e filter: "n >= 100"', "B__e", "Keyed__e"),
    channel(WIDE, "Keyed__e", partitions=3),
)
DOCUMENTS = (A, B, KEYED, *CHANNELS)


def assert_exactly_once(settings: Settings, bus: EventBus, seconds: float = GENEROUS) -> int:
    """Wait until everything is routed, then check both channels; return how many events it is."""
    await_caught_up(settings, ALL, WIDE, seconds=seconds)
    above = verdict(bus, "A__e", lambda payload: payload["n"] >= 100)
    stays = [
        Stay("A__e", [Period(1, above)]),
        *everything("B__e", "Keyed__e"),
    ]
    findings = check_channel(settings, ALL, stays)
    findings.assert_none()
    check_channel(settings, WIDE, stays[2:]).assert_none()
    return findings.checked
