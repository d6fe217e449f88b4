"""The parts of the race about throughput: who runs, on which events, in which directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT, KILOBYTE, NESTED, SMALL, SPREAD, WIDE, Case
from benchmarks.rivals.table import DIRECTIONS, RIVALS, Direction
from benchmarks.throughput import Course

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.runner import Turns

HEAT_PARTS = ("race", "batches", "shapes", "partitions")
_ALL = tuple(RIVALS)
_PAIR = ("sdk", "bare")
_EVERY_WAY: tuple[Direction, ...] = (*DIRECTIONS, "batches")


@dataclass(frozen=True, slots=True)
class Heat:
    """One case of a part."""

    case: Case
    events: int
    """Events of each rival in one turn, times its share."""
    rounds: int
    """Turns of each rival."""
    names: Sequence[str] = _ALL
    """Who takes part."""
    directions: tuple[Direction, ...] = DIRECTIONS


def plan_heats(part: str, quick: bool) -> list[Heat]:
    """Return the cases of one of `HEAT_PARTS`."""
    full = {
        "race": [Heat(FLIGHT, 100_000, 5), Heat(KILOBYTE, 30_000, 3)],
        "batches": [
            Heat(FLIGHT, 100_000, 5, directions=("batches",)),
            Heat(KILOBYTE, 30_000, 5, directions=("batches",)),
        ],
        "shapes": [
            Heat(SMALL, 100_000, 5, _PAIR, _EVERY_WAY),
            Heat(WIDE, 30_000, 5, _PAIR),
            Heat(NESTED, 50_000, 5, _PAIR),
        ],
        "partitions": [Heat(SPREAD, 100_000, 5, _PAIR, _EVERY_WAY)],
    }[part]
    if not quick:
        return full
    scale = {100_000: 20_000, 50_000: 10_000, 30_000: 10_000}
    return [Heat(one.case, scale[one.events], 1, one.names, one.directions) for one in full]


def run_heats(
    bootstrap_servers: str,
    heats: Sequence[Heat],
    flights: Path | None,
    only: Sequence[str],
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Race each case on a stream of its own; return the results by event.

    Args:
        bootstrap_servers: a running broker.
        heats: the cases.
        flights: a file of flights; None: made-up flights.
        only: rivals that take part; empty: all that the case names.
        progress: called with a line about what comes next.
    """
    raced: dict[str, Any] = {}
    for heat in heats:
        rivals = [RIVALS[name] for name in heat.names if not only or name in only]
        with deployed(bootstrap_servers, [heat.case]) as targets:
            target = targets[heat.case.event]
            course = Course(
                target, rivals, heat.events, heat.rounds, flights, progress, heat.directions
            )
            found = course.run()
        raced[heat.case.event] = {
            "event": heat.case.event,
            "label": heat.case.label,
            "events": {rival.name: course.count(rival) for rival in rivals},
            "rates": _samples(found, lambda turns: turns.figure.to_json()),
            "cpu": _samples(found, lambda turns: turns.cpu.to_json()),
        }
    return raced


def _samples(
    found: dict[Direction, dict[str, Turns]], pick: Callable[[Turns], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    return {
        direction: {name: pick(turns) for name, turns in rows.items()}
        for direction, rows in found.items()
    }
