"""`python -m benchmarks.race`: everything in one run, against one broker, on one machine."""

from __future__ import annotations

import json
import shlex
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.budgets import Inspection, summarize
from benchmarks.channels.parts import CHANNEL_PARTS, ChannelScale, measure_channels
from benchmarks.deployment import deployed, running_broker
from benchmarks.events import FLIGHT, PARTITIONS, SIZES, YEAR_OF_FLIGHTS
from benchmarks.first import measure_first
from benchmarks.goals import judge
from benchmarks.heats import HEAT_PARTS, plan_heats, run_heats
from benchmarks.latency import measure_delays, measure_single_calls
from benchmarks.live import measure_live
from benchmarks.machine import describe_machine, package_versions
from benchmarks.payloads import measure_payloads
from benchmarks.rivals.table import RIVALS
from benchmarks.runner import ROOT, MeasurementError
from benchmarks.scaling import Series, measure_scaling
from benchmarks.service.parts import ServiceScale, measure_service
from benchmarks.sharing import measure_sharing
from benchmarks.tables import print_tables
from benchmarks.workers.parts import WorkerScale, measure_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_OUTPUT = ROOT / "benchmarks" / "results" / "latest.json"
_CHANNELS = "channels"
_PARTS = (
    *HEAT_PARTS,
    "payloads",
    "first",
    "live",
    "sharing",
    "latency",
    "budgets",
    "scaling",
    _CHANNELS,
    "workers",
    "service",
)
_STARTED = time.monotonic()


class Scale:
    """How much of what has no scale of its own: the full run or the quick one."""

    def __init__(self, quick: bool) -> None:
        self.firsts = 1 if quick else 9
        """Processes of each contender that publish, and that read, their first event."""
        self.live = (2, 1, 100) if quick else (10, 5, 400)
        """Bursts of a process, rounds, events whose delay is taken in each."""
        self.sharing = (10, 5) if quick else (100, 10)
        """Tenants of one process, live subscriptions of each."""
        self.calls = 200 if quick else 1_000
        """Single publish calls of each contender."""
        self.delays = (100, 1) if quick else (400, 2)
        """Events whose delay is taken, per round, and rounds."""
        self.year = 20_000 if quick else YEAR_OF_FLIGHTS
        """Events of the memory budgets."""
        self.series = (
            Series((SIZES[0], SIZES[2]), (PARTITIONS[0], PARTITIONS[2]), 5_000, 1)
            if quick
            else Series()
        )


@click.command()
@click.option("--bootstrap-servers", help="Use this broker instead of an embedded one.")
@click.option(
    "--flights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of flights, plain or .gz, with nycflights13's columns. Default: made-up flights, and "
    "for year the demo's week again and again.",
)
@click.option("--quick", is_flag=True, help="About seven minutes: fewer events, one repetition.")
@click.option(
    "--part",
    "parts",
    type=click.Choice([*_PARTS, *CHANNEL_PARTS]),
    multiple=True,
    help=f"Only this part; {', '.join(CHANNEL_PARTS)} are parts of {_CHANNELS}.",
)
@click.option("--rival", "names", type=click.Choice(list(RIVALS)), multiple=True, help="Only this.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_OUTPUT,
    help="Where the results go, as JSON.",
)
def main(
    bootstrap_servers: str | None,
    flights: Path | None,
    quick: bool,
    parts: tuple[str, ...],
    names: tuple[str, ...],
    output: Path,
) -> None:
    """Race the SDK against the other ways to use Kafka from Python.

    Exit status 1 means that something could not be measured. A missed bar is a result.
    """
    chosen = parts or _PARTS
    of_channels = CHANNEL_PARTS if _CHANNELS in chosen else tuple({*chosen} & {*CHANNEL_PARTS})
    results: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.race", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": describe_machine(),
        "versions": package_versions(),
    }
    with running_broker(bootstrap_servers) as servers:

        def race(part: str) -> dict[str, Any]:
            return {part: run_heats(servers, plan_heats(part, quick), flights, names, _progress)}

        measurements: dict[str, Callable[[], dict[str, Any]]] = {
            **{part: partial(race, part) for part in HEAT_PARTS},
            "payloads": lambda: {"payloads": _payloads(quick)},
            "first": lambda: {"first": measure_first(servers, Scale(quick).firsts, _progress)},
            "live": lambda: {"live": measure_live(servers, *Scale(quick).live, _progress)},
            "sharing": lambda: {
                "sharing": measure_sharing(servers, *Scale(quick).sharing, _progress)
            },
            "latency": lambda: _latency(servers, Scale(quick), flights),
            "budgets": lambda: {
                "budgets": summarize(
                    Inspection(servers, flights, Scale(quick).year, _progress).run()
                )
            },
            "scaling": lambda: {
                "scaling": measure_scaling(servers, Scale(quick).series, _progress)
            },
            _CHANNELS: lambda: {
                "channels": measure_channels(
                    servers, of_channels, ChannelScale(quick), flights, _progress
                )
            },
            "workers": lambda: {"workers": measure_workers(servers, WorkerScale(quick), _progress)},
            "service": lambda: {
                "service": measure_service(servers, ServiceScale(quick), _progress)
            },
        }
        failures: list[str] = []
        for part in _PARTS:
            if part not in chosen and not (part == _CHANNELS and of_channels):
                continue
            try:
                results |= measurements[part]()
            except (MeasurementError, RuntimeError) as error:
                failures.append(f"{part}: {error}")
    failures += _failures(results)
    results["failures"] = failures
    results["goals"] = [goal.to_json() for goal in judge(results)]
    results["seconds"] = round(time.monotonic() - _STARTED)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_tables(results)
    for failure in failures:
        click.echo(f"failed: {failure}", err=True)
    click.echo(f"{results['seconds']} s; results in {output}", err=True)
    if failures:
        sys.exit(1)


def _payloads(quick: bool) -> list[dict[str, Any]]:
    _progress("payloads of every type")
    return [row.to_json() for row in measure_payloads(quick=quick)]


def _latency(servers: str, scale: Scale, flights: Path | None) -> dict[str, Any]:
    with deployed(servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        _progress("single publish calls")
        calls = measure_single_calls(target, scale.calls, flights)
        delays = measure_delays(target, *scale.delays, flights, _progress)
    return {"single_call": calls, "delay": delays}


def _failures(results: Any, place: str = "") -> Iterator[str]:
    """Yield what failed, wherever it is in the results."""
    if isinstance(results, dict):
        yield from (f"{place}: {reason}" for reason in results.get("failures", ()))
        for name, part in results.items():
            yield from _failures(part, f"{place} {name}".lstrip())
    elif isinstance(results, list):
        for part in results:
            yield from _failures(part, place)


def _progress(line: str) -> None:
    click.echo(f"{time.monotonic() - _STARTED:4.0f} s  {line}", err=True)


if __name__ == "__main__":
    main()
