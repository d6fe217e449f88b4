"""`python -m benchmarks.pairs OLD_CHECKOUT`: this checkout's SDK beside another one's.

A machine's speed drifts by tens of percent within minutes, more than most changes are worth. So
both run in turn, each in processes of a second or two, against one broker; neighbours are
compared, and the median of those ratios is told, with its quartiles. OLD_CHECKOUT is a directory
with `src/platform_events`, such as one that `git worktree add` made; it runs in this virtual
environment and with this checkout's benchmarks, which use what both versions have.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from rich.console import Console

import platform_events
from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed, running_broker
from benchmarks.events import FLIGHT, KILOBYTE, Case
from benchmarks.latency import WARMUP
from benchmarks.rivals import sdk
from benchmarks.rivals.base import Elapsed, Stopwatch, Target
from benchmarks.rivals.table import VERBS
from benchmarks.rows import Rows
from benchmarks.runner import ROOT, MeasurementError, run
from benchmarks.throughput import consume, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.rivals.table import Direction

_CALLS: Final = "calls"


@dataclass(frozen=True, slots=True)
class Contest:
    """One thing that both versions do."""

    direction: Direction | Literal["calls"]
    """A direction of the race, or single publish calls."""
    case: Case
    events: int
    """Events of one process."""
    wall: list[tuple[float, float]] = field(default_factory=list)
    """Microseconds per event, old and new, one pair a round."""
    cpu: list[tuple[float, float]] = field(default_factory=list)
    """The same in processor time of the process."""

    @property
    def title(self) -> str:
        """What is told of it."""
        verb = "One publish call" if self.direction == _CALLS else VERBS[self.direction]
        return f"{verb}, {self.case.label}"


def _contests() -> list[Contest]:
    return [
        Contest("publish", FLIGHT, 50_000),
        Contest("consume", FLIGHT, 80_000),
        Contest("batches", FLIGHT, 80_000),
        Contest("publish", KILOBYTE, 40_000),
        Contest("consume", KILOBYTE, 60_000),
        Contest(_CALLS, FLIGHT, 1_000),
    ]


def measure(
    target: dict[str, Any], direction: Direction | Literal["calls"], count: int, source: str
) -> dict[str, float]:
    """Return seconds and processor seconds of one event (runs in a worker).

    Raises:
        MeasurementError: the SDK is not the one in `source`, or events are missing.
    """
    if not Path(platform_events.__file__).is_relative_to(source):
        raise MeasurementError(f"{platform_events.__file__} was imported, which is not in {source}")
    if direction == _CALLS:
        took = _publish_singly(Target(**target), count)
        return {"wall": took.seconds / count, "cpu": took.cpu / count}
    if direction == "publish":
        found = publish(target, "sdk", count, None, [])
    else:
        found = consume(target, "sdk", count, direction)
    if found["digest"]["distinct"] != count:
        raise MeasurementError(f"{count} events expected, {found['digest']} seen")
    return {"wall": 1 / found["rate"], "cpu": found["cpu"] / 1e6}


def _publish_singly(target: Target, count: int) -> Elapsed:
    payloads = list(FLIGHT.payloads(WARMUP + count, None))
    with sdk.single_publisher(target) as publish_one:
        for payload in payloads[:WARMUP]:
            publish_one(payload)
        watch = Stopwatch()
        for payload in payloads[WARMUP:]:
            publish_one(payload)
        return watch.read()


@click.command()
@click.argument(
    "old_checkout", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
)
@click.option("--rounds", type=click.IntRange(min=2), default=8, show_default=True)
def main(old_checkout: Path, rounds: int) -> None:
    """Compare the SDK in OLD_CHECKOUT with this one, on a broker of their own."""
    sources = [old_checkout / "src", ROOT / "src"]
    if not (sources[0] / "platform_events").is_dir():
        raise click.UsageError(f"there is no platform_events in {sources[0]}")
    contests = _contests()
    with (
        running_broker(None) as servers,
        deployed(servers, [FLIGHT, KILOBYTE]) as full,
        deployed(servers, [FLIGHT, KILOBYTE]) as sink,
    ):
        for case in (FLIGHT, KILOBYTE):
            count = max(one.events for one in contests if one.case is case)
            _fill(full[case.event], count)
        # One round more: the first one compiles, here and in the broker, and does not count.
        for turn in range(rounds + 1):
            for contest in contests:
                is_reading = contest.direction in ("consume", "batches")
                target = (full if is_reading else sink)[contest.case.event]
                _note(f"{turn}/{rounds}", contest)
                pair = _run_pair(contest, target, sources, is_reversed=turn % 2 == 1)
                if turn:
                    contest.wall.append((pair[0]["wall"] * 1e6, pair[1]["wall"] * 1e6))
                    contest.cpu.append((pair[0]["cpu"] * 1e6, pair[1]["cpu"] * 1e6))
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(pair_rows(contests).to_rich())


def _note(turn: str, contest: Contest) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {turn}  {contest.title}", err=True)


def _fill(target: Target, count: int) -> None:
    job = {"target": asdict(target), "rival": "bare", "count": count}
    run("benchmarks.throughput:publish", job | {"flights": None, "parts": []})
    audit_layout(target)


def _run_pair(
    contest: Contest, target: Target, sources: list[Path], *, is_reversed: bool
) -> list[dict[str, float]]:
    """Return what the old one took and what the new one; they run in this order or the other."""

    def once(source: Path) -> dict[str, float]:
        job = {"target": asdict(target), "direction": contest.direction, "count": contest.events}
        found: dict[str, float] = run(
            "benchmarks.pairs:measure",
            job | {"source": str(source)},
            env=os.environ | {"PYTHONPATH": str(source)},
        )
        return found

    old, new = sources
    if is_reversed:
        second, first = once(new), once(old)
        return [first, second]
    return [once(old), once(new)]


def pair_rows(contests: list[Contest]) -> Rows:
    """Return microseconds of both versions and how the new one's compare."""
    body = [
        (
            contest.title,
            *_compared(contest.wall),
            *_compared(contest.cpu),
        )
        for contest in contests
    ]
    head = (
        "what", "old (µs)", "new (µs)", "new/old", "quartiles",
        "CPU: old (µs)", "CPU: new (µs)", "new/old", "quartiles",
    )  # fmt: skip
    return Rows("Time of an event, medians; below 1 the new one is faster", head, body)


def _compared(pairs: list[tuple[float, float]]) -> Iterator[str]:
    for figures in zip(*pairs, strict=True):
        yield f"{statistics.median(figures):,.2f}"
    low, middle, high = statistics.quantiles(
        (new / old for old, new in pairs), n=4, method="inclusive"
    )
    yield f"{middle:.3f}"
    yield f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
