"""The results as SVG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.rivals.table import DIRECTIONS, RIVALS, Direction

if TYPE_CHECKING:
    from pathlib import Path

# Files of equal results are equal, so that a change in them means a change in the figures.
mpl.rcParams["svg.hashsalt"] = "platform-events"
_METADATA = {"Date": None}
_OURS = "#1b6ca8"
_THEIRS = "#9aa5b1"


def plot_race(case: dict[str, Any], path: Path) -> None:
    """Draw events per second of every rival: medians, with lines from lowest to highest."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, direction in zip(figure.subplots(1, 2), DIRECTIONS, strict=True):
        rows = {
            RIVALS[name].label: (name, samples)
            for name, samples in reversed(case["rates"][direction].items())
            if samples["median"] is not None
        }
        medians = [samples["median"] / 1000 for _, samples in rows.values()]
        below = [
            middle - min(samples["values"]) / 1000
            for middle, (_, samples) in zip(medians, rows.values(), strict=True)
        ]
        above = [
            max(samples["values"]) / 1000 - middle
            for middle, (_, samples) in zip(medians, rows.values(), strict=True)
        ]
        colours = [_OURS if name == "sdk" else _THEIRS for name, _ in rows.values()]
        axes.barh(list(rows), medians, xerr=(below, above), color=colours, height=0.65)
        axes.set_title(f"{direction}, {case['label']}", fontsize=10)
        axes.set_xlabel("thousand events/s", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata=_METADATA)


def plot_scaling(points: list[dict[str, Any]], kind: str, path: Path) -> None:
    """Draw microseconds per event against size (both axes logarithmic) or partitions."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, direction in zip(figure.subplots(1, 2), DIRECTIONS, strict=True):
        for name, colour in (("bare", _THEIRS), ("sdk", _OURS)):
            known = [point for point in points if _median(point, name, direction) is not None]
            axes.plot(
                [point["x"] for point in known],
                [1e6 / (_median(point, name, direction) or 1.0) for point in known],
                marker="o",
                color=colour,
                label=RIVALS[name].label,
            )
        axes.set_title(direction, fontsize=10)
        axes.set_xscale("log")
        if kind == "payload size":
            axes.set_yscale("log")
            axes.set_ylim(1, 1000)
        else:
            axes.set_ylim(bottom=0)
        axes.set_xticks([point["x"] for point in points], [point["label"] for point in points])
        axes.minorticks_off()
        axes.set_xlabel(kind, fontsize=8)
        axes.set_ylabel("µs per event", fontsize=8)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.tick_params(labelsize=8)
        axes.grid(visible=True, color="#e5e8eb")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata=_METADATA)


def _median(point: dict[str, Any], name: str, direction: Direction) -> float | None:
    found: float | None = point["rates"][name][direction]["median"]
    return found
