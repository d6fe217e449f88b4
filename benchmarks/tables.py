"""The results as rows of text, for the terminal and for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.channels.tables import channel_rows
from benchmarks.first import first_rows
from benchmarks.goals import AT_LEAST, ratio
from benchmarks.heats import HEAT_PARTS
from benchmarks.live import live_rows
from benchmarks.payloads import payload_rows
from benchmarks.rivals.table import DIRECTIONS, RIVALS, VERBS, Direction
from benchmarks.rows import Rows, verdict
from benchmarks.service.tables import service_rows
from benchmarks.sharing import sharing_rows
from benchmarks.workers.tables import worker_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WIDTH = 140
"""Columns when the output is no terminal."""
_TABLES: dict[str, Callable[[Any], Rows]] = {
    "payloads": payload_rows,
    "first": first_rows,
    "live": live_rows,
    "sharing": sharing_rows,
}
"""The parts with one table."""


def print_tables(results: dict[str, Any]) -> None:
    """Print every table that the results have."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    for rows in all_rows(results):
        console.print(rows.to_rich())


def all_rows(results: dict[str, Any]) -> Iterator[Rows]:
    """Yield every table that the results have."""
    for part in HEAT_PARTS:
        for case in results.get(part, {}).values():
            for direction in case["rates"]:
                yield race_rows(case, direction)
    yield from (rows(results[part]) for part, rows in _TABLES.items() if part in results)
    if "single_call" in results:
        yield latency_rows(results)
    if "budgets" in results:
        yield budget_rows(results["budgets"])
    for kind in results.get("scaling", {}):
        yield scaling_rows(results["scaling"], kind)
    yield from channel_rows(results.get("channels", {}))
    if "workers" in results:
        yield from worker_rows(results["workers"])
    if "service" in results:
        yield from service_rows(results["service"])
    if results["goals"]:
        yield goal_rows(results["goals"])


def race_rows(case: dict[str, Any], direction: Direction) -> Rows:
    """Return events per second and processor time of each rival."""
    rows, cpu = case["rates"][direction], case["cpu"][direction]
    bars = AT_LEAST[case["event"]].get(direction, {})
    body = []
    for name, samples in rows.items():
        found = ratio(rows, name)
        bar = bars.get(name)
        values = samples["values"]
        body.append(
            (
                RIVALS[name].label,
                f"{case['events'][name]:,}",
                "failed" if samples["median"] is None else f"{samples['median']:,.0f}",
                f"{min(values):,.0f} to {max(values):,.0f}" if values else "",
                "" if samples["median"] is None else f"{cpu[name]['median']:.1f}",
                "" if found is None else f"{found:.2f}",
                "" if bar is None else f">= {bar:g}",
                "" if bar is None else verdict(found is not None and found >= bar, found),
            )
        )
    head = (
        "way", "events", "events/s (median)", "lowest to highest", "CPU (s per million)",
        "SDK over it", "bar", "",
    )  # fmt: skip
    return Rows(f"{VERBS[direction]}, {case['label']}", head, body)


def latency_rows(results: dict[str, Any]) -> Rows:
    """Return the times of single events."""
    body = []
    for title, part, unit in (
        ("one publish call", "single_call", "µs"),
        ("publish to receive, 100 events/s", "delay", "ms"),
    ):
        for name, figures in results[part].items():
            body.append(
                (
                    f"{title}: {RIVALS[name].label}",
                    f"{figures['count']:,}",
                    f"{figures['median']:,.2f} {unit}",
                    f"{figures['p99']:,.2f} {unit}",
                )
            )
    return Rows("Single events", ("what", "events", "median", "p99"), body)


def budget_rows(budgets: list[dict[str, Any]]) -> Rows:
    """Return the budgets."""
    body = [
        (
            budget["what"],
            f"<= {budget['limit']:g} {budget['unit']}",
            "failed" if budget["value"] is None else f"{budget['value']:.2f} {budget['unit']}",
            verdict(budget["met"], budget["value"]),
            budget["note"],
        )
        for budget in budgets
    ]
    return Rows("Budgets", ("what", "budget", "measured", "", "note"), body)


def scaling_rows(scaling: dict[str, Any], kind: str) -> Rows:
    """Return microseconds per event by size or by partitions."""
    columns = [(name, direction) for direction in DIRECTIONS for name in ("sdk", "bare")]
    body = []
    for point in scaling[kind]:
        medians = [point["rates"][name][direction]["median"] for name, direction in columns]
        body.append(
            (
                point["label"],
                *("failed" if median is None else f"{1e6 / median:,.1f}" for median in medians),
            )
        )
    head = (kind, *(f"{direction}, {name} (µs)" for name, direction in columns))
    return Rows(f"Cost of an event by {kind}", head, body)


def goal_rows(goals: list[dict[str, Any]]) -> Rows:
    """Return every bar and whether it was met."""
    body = [
        (
            goal["what"],
            f"{goal['sense']} {goal['bar']:g} {goal['unit']}".rstrip(),
            f"{_figure(goal['value'])} {goal['unit']}".rstrip(),
            verdict(goal["met"], goal["value"]),
        )
        for goal in goals
    ]
    return Rows("Bars", ("what", "bar", "measured", ""), body)


def _figure(value: float | None) -> str:
    if value is None:
        return "failed"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
