"""Figures out of the results about workers, for tables and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.workers.ways import BARE, OWN

if TYPE_CHECKING:
    from benchmarks.workers.ways import Handler

_FASTSTREAM = ("faststream", "faststream-first")
_KEYS = 100


def handling_ratio(case: dict[str, Any], rival: str) -> float | None:
    """Return the worker's median rate over a rival's, or None when one failed."""
    ours, theirs = (case["ways"][name]["rate"]["median"] for name in (OWN, rival))
    return ours / theirs if ours and theirs else None


def _find_ratio(workers: dict[str, Any], handler: Handler, *rivals: str) -> float | None:
    """Return the worker's median rate with many keys over that of the fastest of some rivals."""
    for case in workers["handling"].get("cases", ()):
        if case["handler"] == handler and case["keys"] == _KEYS:
            found = [handling_ratio(case, rival) for rival in rivals]
            return None if None in found else min(one for one in found if one is not None)
    return None


def worker_figures(workers: dict[str, Any]) -> dict[str, float | None]:
    """Return what has a bar, by name; None: it was not measured."""
    gap = workers["takeover"].get("gap", {"median": None})
    return {
        "bare": _find_ratio(workers, "noop", BARE),
        "faststream": _find_ratio(workers, "noop", *_FASTSTREAM),
        "serial": _find_ratio(workers, "wait", BARE),
        "delay": workers["delay"].get(OWN, {}).get("added", {}).get("median"),
        "growth": workers["memory"].get("growth"),
        "idle": workers["idle"].get("worker"),
        "takeover": None if gap["median"] is None else max(gap["values"]),
    }
