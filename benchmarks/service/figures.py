"""Figures out of the results about the service, for tables and bars."""

from __future__ import annotations

import statistics
from typing import Any


def _over(found: dict[str, Any], ours: str, theirs: str) -> float | None:
    """Return one median over another, or None when one failed."""
    rates = found.get("rates", {})
    one, other = (rates.get(name, {}).get("median") for name in (ours, theirs))
    return one / other if one and other else None


def _median(samples: dict[str, Any] | None) -> float | None:
    return None if samples is None else samples["median"]


def service_figures(service: dict[str, Any]) -> dict[str, float | None]:
    """Return what has a bar, by name; None: it was not measured."""
    subscribing, replays = service["subscribing"], service["replays"]
    refusals, idle = service["refusals"], service["idle"]
    delay = service["delay"].get("service", {})
    peaks = replays.get("peaks", {}).get("service")
    delays = refusals.get("delays")
    hot = subscribing.get("rates", {}).get("hot", {}).get("median")
    return {
        "subscribe": _over(subscribing, "client", "bare"),
        "hot": _over(subscribing, "hot", "least"),
        # A turn that failed has no share, and makes the rest no median.
        "core": _median(subscribing["share"]["hot"]) if hot else None,
        "publish": _over(service["publishing"], "service", "bare"),
        "lean": _over(service["publishing"], "service", "lean"),
        "median": delay.get("median"),
        "p99": delay.get("p99"),
        "shared": idle.get("shared"),
        "secure": idle.get("secure"),
        "share": idle.get("share"),
        "unread": service["unread"].get("each"),
        "replays": _over(replays, "service", "alone"),
        "peak": statistics.median(peaks) if peaks else None,
        "drain": _median(service["drain"].get("process")),
        "streams": _median(service["drain"].get("streams")),
        "refusals_delay": delays and delays["beside"]["median"] / delays["alone"]["median"],
        "refusals_rate": _over(refusals, "beside", "alone"),
    }
