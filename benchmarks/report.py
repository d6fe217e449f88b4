"""`python -m benchmarks.report`: the results file into `docs/benchmarks.md` and its plots.

The words are in `report.md.template`; only tables, plots and facts come from the results.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

import click

from benchmarks.channels.parts import CHANNEL_PARTS
from benchmarks.channels.tables import (
    hop_rows,
    many_channels_rows,
    routing_rows,
    takeover_rows,
    year_rows,
)
from benchmarks.events import FLIGHT, KILOBYTE, NESTED, SMALL, SPREAD, WIDE
from benchmarks.first import first_rows
from benchmarks.heats import HEAT_PARTS
from benchmarks.live import live_rows
from benchmarks.payloads import payload_rows
from benchmarks.plots import plot_race, plot_scaling
from benchmarks.race import DEFAULT_OUTPUT
from benchmarks.runner import ROOT
from benchmarks.service.tables import (
    publishing_rows,
    reading_rows,
    replay_rows,
    service_delay_rows,
    service_upkeep_rows,
)
from benchmarks.sharing import sharing_rows
from benchmarks.tables import budget_rows, goal_rows, latency_rows, race_rows, scaling_rows
from benchmarks.workers.tables import delay_rows, handling_rows, upkeep_rows

_TEMPLATE = Path(__file__).with_name("report.md.template")
_CASES = (
    ("race", FLIGHT, "flights"),
    ("race", KILOBYTE, "kilobyte"),
    ("batches", FLIGHT, "flights"),
    ("batches", KILOBYTE, "kilobyte"),
    ("shapes", SMALL, "small"),
    ("shapes", WIDE, "wide"),
    ("shapes", NESTED, "nested"),
    ("partitions", SPREAD, "spread"),
)
"""Part, case, and what the tables of its directions are called in the template."""


@click.command()
@click.argument(
    "results_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=DEFAULT_OUTPUT,
)
@click.option(
    "--docs",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "docs",
    help="Where benchmarks.md and the folder benchmarks/ with the plots go.",
)
def main(results_file: Path, docs: Path) -> None:
    """Write the benchmark page from the results of a full run."""
    results = json.loads(results_file.read_text(encoding="utf-8"))
    missing = {
        *HEAT_PARTS,
        "payloads",
        "first",
        "live",
        "sharing",
        "single_call",
        "budgets",
        "scaling",
        "workers",
        "service",
    } - results.keys()
    missing |= {*CHANNEL_PARTS} - results.get("channels", {}).keys()
    if missing or results["quick"]:
        raise click.UsageError(
            f"{results_file} is not of a full run; run `python -m benchmarks.race` without "
            "--quick and --part"
        )
    plots = docs / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    plot_race(results["race"][FLIGHT.event], plots / "flights.svg")
    plot_race(results["race"][KILOBYTE.event], plots / "kilobyte.svg")
    plot_scaling(results["scaling"]["size"], "payload size", plots / "size.svg")
    plot_scaling(results["scaling"]["partitions"], "partitions", plots / "partitions.svg")
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(_parts(results))
    (docs / "benchmarks.md").write_text(page, encoding="utf-8")


def _parts(results: dict[str, Any]) -> dict[str, str]:
    return {
        "command": results["command"],
        "started": results["started"],
        "race_started": results.get("race_started", results["started"]),
        "minutes": f"{results['seconds'] / 60:.0f}",
        "machine": _listed(results["machine"]),
        "versions": _listed(results["versions"]),
        "goals": goal_rows(results["goals"]).to_markdown(),
        "missed": _missed(results["goals"], results["budgets"]),
        **{
            f"{direction}_{name}": race_rows(results[part][case.event], direction).to_markdown()
            for part, case, name in _CASES
            for direction in results[part][case.event]["rates"]
        },
        "payloads": payload_rows(results["payloads"]).to_markdown(),
        "first": first_rows(results["first"]).to_markdown(),
        "live": live_rows(results["live"]).to_markdown(),
        "sharing": sharing_rows(results["sharing"]).to_markdown(),
        "latency": latency_rows(results).to_markdown(),
        "budgets": budget_rows(results["budgets"]).to_markdown(),
        "sizes": scaling_rows(results["scaling"], "size").to_markdown(),
        "partitions": scaling_rows(results["scaling"], "partitions").to_markdown(),
        "channels_started": results["channels"]["started"],
        "routing": routing_rows(results["channels"]["routing"]).to_markdown(),
        "hop": hop_rows(results["channels"]["hop"]).to_markdown(),
        "year_source": results["channels"]["year"].get("label", "failed"),
        "year": year_rows(results["channels"]["year"]).to_markdown(),
        "many_channels": many_channels_rows(results["channels"]["many_channels"]).to_markdown(),
        "takeover": takeover_rows(results["channels"]["takeover"]).to_markdown(),
        "workers_started": results["workers"]["started"],
        "handling_noop": handling_rows(results["workers"]["handling"], "noop").to_markdown(),
        "handling_wait": handling_rows(results["workers"]["handling"], "wait").to_markdown(),
        "handling_delay": delay_rows(results["workers"]["delay"]).to_markdown(),
        "worker_upkeep": upkeep_rows(results["workers"]).to_markdown(),
        **_service_parts(results["service"]),
    }


def _service_parts(service: dict[str, Any]) -> dict[str, str]:
    loads = service["load"].values()
    return {
        "service_started": service["started"],
        "service_load": f"{min(loads):g} to {max(loads):g}" if loads else "not known",
        "service_reading": reading_rows(service["subscribing"]).to_markdown(),
        "service_replays": replay_rows(service["replays"]).to_markdown(),
        "service_publishing": publishing_rows(service["publishing"]).to_markdown(),
        "service_delay": service_delay_rows(service["delay"], service["refusals"]).to_markdown(),
        "service_upkeep": service_upkeep_rows(service).to_markdown(),
    }


def _listed(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def _missed(goals: list[dict[str, Any]], budgets: list[dict[str, Any]]) -> str:
    names = [entry["what"] for entry in (*goals, *budgets) if not entry["met"]]
    if not names:
        return "All bars and budgets were met in this run."
    return "Missed in this run: " + "; ".join(names) + "."


if __name__ == "__main__":
    main()
