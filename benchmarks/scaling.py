"""How the cost of an event grows with its size and with the number of partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.deployment import deployed
from benchmarks.events import CASES, PARTITIONS, SIZES, Case
from benchmarks.rivals.table import DIRECTIONS, RIVALS
from benchmarks.throughput import Course

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.rivals.base import Target

_CONTENDERS = ("sdk", "bare")
_MOST_BYTES = 30_000_000
_FEWEST_EVENTS = 300


@dataclass(frozen=True, slots=True)
class Series:
    """What to vary, and how thoroughly."""

    sizes: Sequence[Case] = SIZES
    """Payload sizes, each on one partition."""
    partitions: Sequence[Case] = PARTITIONS
    """Numbers of partitions, each with small payloads and a partition key."""
    events: int = 20_000
    """Events per turn; fewer for large ones, so that no turn moves more than 30 MB."""
    rounds: int = 3
    """Turns of each contender per point."""


def measure_scaling(
    bootstrap_servers: str, series: Series, progress: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Return one point per case: `{"x", "label", "rates": {contender: {direction: samples}}}`."""

    def point(target: Target, x: int) -> dict[str, Any]:
        case = CASES[target.event]
        events = max(_FEWEST_EVENTS, min(series.events, _MOST_BYTES // (case.shape.size or 1)))
        rivals = [RIVALS[name] for name in _CONTENDERS]
        found = Course(target, rivals, events, series.rounds, None, progress).run()
        return {
            "x": x,
            "label": case.label,
            "rates": {
                name: {
                    direction: found[direction][name].figure.to_json() for direction in DIRECTIONS
                }
                for name in _CONTENDERS
            },
        }

    with deployed(bootstrap_servers, [*series.sizes, *series.partitions]) as targets:
        return {
            "size": [point(targets[case.event], case.shape.size) for case in series.sizes],
            "partitions": [
                point(targets[case.event], case.partitions) for case in series.partitions
            ],
        }
