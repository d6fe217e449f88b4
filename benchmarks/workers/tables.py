"""The results about workers as rows of text. What failed is a row that says so."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.rows import Rows
from benchmarks.workers.figures import handling_ratio
from benchmarks.workers.ways import HANDLERS, OWN, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workers.ways import Handler


def worker_rows(workers: dict[str, Any]) -> Iterator[Rows]:
    """Yield every table about workers."""
    for handler in HANDLERS:
        yield handling_rows(workers["handling"], handler)
    yield delay_rows(workers["delay"])
    yield upkeep_rows(workers)


def handling_rows(handling: dict[str, Any], handler: Handler) -> Rows:
    """Return events per second and processor time of each way, for one of the handlers."""
    body = []
    for case in handling.get("cases", ()):
        if case["handler"] != handler:
            continue
        for name, way in case["ways"].items():
            rate, values = way["rate"]["median"], way["rate"]["values"]
            found = handling_ratio(case, name)
            body.append(
                (
                    f"{case['label']}: {WAYS[name].label}",
                    f"{way['events']:,}",
                    "failed" if rate is None else f"{rate:,.0f}",
                    f"{min(values):,.0f} to {max(values):,.0f}" if values else "",
                    f"{way['cpu']['median']:.1f}" if values else "",
                    f"{found:.2f}" if found and name != OWN else "",
                )
            )
    head = (
        "way", "events", "events/s (median)", "lowest to highest", "CPU (s per million)",
        "Worker over it",
    )  # fmt: skip
    return Rows(f"Handling, {HANDLERS[handler]}", head, body or _failed(head))


def delay_rows(delays: dict[str, Any]) -> Rows:
    """Return what each way adds to a delay, and the delays."""
    body: list[tuple[str, ...]] = []
    for name, way in WAYS.items():
        found = delays.get(name)
        if found is None:
            continue
        if "added" not in found:
            body.append((way.label, "failed", *[""] * 6))
            continue
        figures = (found[kind] for kind in ("added", "delay", "bare"))
        body.append(
            (
                way.label,
                f"{found['added']['count']:,}",
                *(f"{each[one]:.2f} ms" for each in figures for one in ("median", "p99")),
            )
        )
    head = (
        "way", "events", "adds, median", "p99", "delay, median", "p99",
        "subscriber beside it, median", "p99",
    )  # fmt: skip
    return Rows("Handling live, 100 events/s", head, body or _failed(head))


def upkeep_rows(workers: dict[str, Any]) -> Rows:
    """Return what one process takes, and how long partitions stand still when it is killed."""
    memory, idle = workers["memory"], workers["idle"]
    takeover = workers["takeover"].get("gap", {"median": None})
    body = [
        (f"resident size after {one['events']:,} events", f"{one['size']:.1f} MB")
        for one in memory.get("sizes", ())
    ] or [("resident size", "failed")]
    shown = "failed" if "worker" not in idle else f"{idle['worker']:.2f} % of a core"
    body.append(("idle, processor time", shown))
    if idle.get("broker") is not None:
        body.append(("its broker meanwhile", f"{idle['broker']:.2f} % of a core"))
    if takeover["median"] is None:
        body.append(("from the kill until all partitions are handled", "failed"))
    else:
        values, again = takeover["values"], workers["takeover"]["again"]["values"]
        body += [
            (f"kills: {len(values)}; partitions handled again after, median",
             f"{statistics.median(values):.2f} s"),
            ("longest", f"{max(values):.2f} s"),
            ("events handled twice by a kill, most", f"{max(again):.0f}"),
        ]  # fmt: skip
    return Rows("One worker process", ("what", "measured"), body)


def _failed(head: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [("failed", *("" for _ in head[1:]))]
