"""`python -m benchmarks.profile`: where the SDK's own time goes, by function.

cProfile slows Python code and not C code, so the shares mislead a little: use this to find what to
look at, and the race to see whether a change helped.
"""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.deployment import deployed, running_broker
from benchmarks.events import FLIGHT
from benchmarks.rivals.sdk import consume, publish

if TYPE_CHECKING:
    from collections.abc import Callable

_LINES = 25


@click.command()
@click.option("--bootstrap-servers", help="Use this broker instead of an embedded one.")
@click.option("--flights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--events", default=50_000, show_default=True)
@click.option("--save", type=click.Path(file_okay=False, path_type=Path), help="Keep .prof files.")
def main(
    bootstrap_servers: str | None, flights: Path | None, events: int, save: Path | None
) -> None:
    """Profile publishing and consuming flights."""
    payloads = list(FLIGHT.payloads(events, flights))
    with (
        running_broker(bootstrap_servers) as servers,
        deployed(servers, [FLIGHT]) as targets,
    ):
        target = targets[FLIGHT.event]
        warmup = payloads[: events // 10]
        _profile("publish", save, lambda: publish(target, warmup, payloads[len(warmup) :]))
        _profile("consume", save, lambda: consume(target, events))


def _profile(name: str, save: Path | None, run: Callable[[], object]) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(run)
    click.echo(f"\n{name}")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(_LINES)
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        profiler.dump_stats(save / f"{name}.prof")


if __name__ == "__main__":
    main()
