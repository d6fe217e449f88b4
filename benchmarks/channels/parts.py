"""The parts of the race that are about channels, and how much of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.channels.hop import measure_hop
from benchmarks.channels.many_channels import Windows, measure_many_channels
from benchmarks.channels.routing import Routing
from benchmarks.channels.takeover import measure_takeovers
from benchmarks.channels.year import YEAR, measure_year
from benchmarks.runner import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CHANNEL_PARTS = ("routing", "hop", "year", "many_channels", "takeover")


class ChannelScale:
    """How much of everything: the full run or the quick one."""

    def __init__(self, quick: bool) -> None:
        self.per_member = 5_000 if quick else 50_000
        """Events of each of three members that are routed in a turn."""
        self.rounds = 1 if quick else 5
        """Turns of each way to route."""
        self.seconds = 3 if quick else 25
        """How long single events are sent through a channel."""
        self.year = 20_000 if quick else YEAR
        """Events that a channel catches up with."""
        self.channel_counts = (1, 10) if quick else (1, 10, 100)
        """Channels of one router."""
        self.kills = 1 if quick else 5
        """Routers that are killed while another one runs."""
        self.windows = Windows(2, 2) if quick else Windows(30, 15)


def measure_channels(
    bootstrap_servers: str,
    parts: Sequence[str],
    scale: ChannelScale,
    flights: Path | None,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Return the results of some of `CHANNEL_PARTS`; one that fails does not end the others."""
    measurements: dict[str, Callable[[], dict[str, Any]]] = {
        "routing": lambda: Routing(
            bootstrap_servers, scale.per_member, scale.rounds, progress
        ).run(),
        "hop": lambda: measure_hop(bootstrap_servers, scale.seconds, flights, progress),
        "year": lambda: measure_year(bootstrap_servers, flights, scale.year, progress),
        "many_channels": lambda: measure_many_channels(
            bootstrap_servers, scale.channel_counts, scale.windows, progress
        ),
        "takeover": lambda: measure_takeovers(bootstrap_servers, scale.kills, progress),
    }
    results: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    for part in CHANNEL_PARTS:
        if part in parts:
            try:
                results[part] = measurements[part]()
            except (MeasurementError, RuntimeError) as error:
                results[part] = {"failures": [str(error)]}
    return results
