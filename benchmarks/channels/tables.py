"""The results about channels as rows of text. What failed is a row that says so."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.channels.routing import LOOPS, ROUTER
from benchmarks.goals import ROUTING_AT_LEAST, routing_ratio
from benchmarks.rows import Rows, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WAYS = {ROUTER: "platform-events route"} | {
    name: f"confluent-kafka by hand, {size:,} records a transaction" for name, size in LOOPS.items()
}
_DELAYS = {
    "stream": "publish to receive, on the event's stream",
    "channel": "publish to receive, in a channel",
    "added": "what the channel adds",
}
_TAKEOVERS = {
    "gap": "partitions of the killed router: from the kill to the first event published after it",
    "delay": "partitions of the other one: longest delay of an event published after the kill",
}


def channel_rows(channels: dict[str, Any]) -> Iterator[Rows]:
    """Yield every table about channels that the results have."""
    tables: dict[str, Callable[[dict[str, Any]], Rows]] = {
        "routing": routing_rows,
        "hop": hop_rows,
        "year": year_rows,
        "many_channels": many_channels_rows,
        "takeover": takeover_rows,
    }
    for part, rows in tables.items():
        if part in channels:
            yield rows(channels[part])


def routing_rows(routing: dict[str, Any]) -> Rows:
    """Return events per second and processor time of router and loops."""
    body = []
    for case in routing.get("cases", ()):
        for way, turns in case["turns"].items():
            rate, values = turns["rate"]["median"], turns["rate"]["values"]
            found = routing_ratio(case) if way == ROUTER else None
            bar = ROUTING_AT_LEAST[case["label"]]
            body.append(
                (
                    f"{case['label']}: {_WAYS[way]}",
                    f"{case['events']:,}",
                    f"{case['passing']:,}",
                    "failed" if rate is None else f"{rate:,.0f}",
                    f"{min(values):,.0f} to {max(values):,.0f}" if values else "",
                    f"{turns['cpu']['median']:.1f}" if values else "",
                    f"{found:.2f}" if found else "",
                    f">= {bar:g}" if way == ROUTER else "",
                    verdict(found is not None and found >= bar, found) if way == ROUTER else "",
                )
            )
    head = (
        "way", "events", "passing", "events/s (median)", "lowest to highest", "CPU (µs/event)",
        "over the better loop", "bar", "",
    )  # fmt: skip
    return Rows("Routing", head, body or _failed(head))


def hop_rows(hop: dict[str, Any]) -> Rows:
    """Return the delays with and without a channel."""
    body = [
        (
            label,
            f"{hop[name]['count']:,}",
            f"{hop[name]['median']:.2f} ms",
            f"{hop[name]['p99']:.2f} ms",
        )
        for name, label in _DELAYS.items()
        if name in hop
    ]
    head = ("what", "events", "median", "p99")
    return Rows("Delay in a channel, 100 events/s", head, body or _failed(head))


def year_rows(year: dict[str, Any]) -> Rows:
    """Return how a router caught up with flights, and which they were."""
    head = ("flights", "events", "seconds", "events/s", "CPU (µs/event)", "idle", "peak memory")
    if "rate" not in year:
        return Rows("Catching up", head, _failed(head))
    row = (
        year["label"],
        f"{year['events']:,}",
        f"{year['seconds']:.1f}",
        f"{year['rate']:,.0f}",
        f"{year['cpu']:.1f}",
        f"{year['idle']:.0f} MB",
        f"{year['peak']:.0f} MB",
    )
    return Rows("Catching up", head, [row])


def many_channels_rows(results: dict[str, Any]) -> Rows:
    """Return what a router takes by its number of channels."""
    body = [
        (
            str(row["channels"]),
            f"{row['live_after']:.1f} s",
            _share(row["idle"]["router"]),
            _share(row["idle"]["broker"]),
            _share(row["trickle"]["router"]),
            _share(row["trickle"]["broker"]),
            str(row["lag"]),
            f"{row['resident']:.0f} MB",
            str(row["threads"]),
            str(row["descriptors"]),
        )
        for row in results.get("rows", ())
    ]
    head = (
        "channels", "all live after", "idle", "idle: broker", "trickle", "trickle: broker",
        "lag", "memory", "threads", "descriptors",
    )  # fmt: skip
    return Rows("One router", head, body or _failed(head))


def takeover_rows(takeover: dict[str, Any]) -> Rows:
    """Return how long channels stalled after a router was killed."""
    body = []
    for name, label in _TAKEOVERS.items():
        values = takeover.get(name, {}).get("values")
        if values:
            body.append(
                (
                    label,
                    str(len(values)),
                    f"{statistics.median(values):.2f} s",
                    f"{max(values):.2f} s",
                )
            )
    if takeover.get("gap", {}).get("median") is None:
        body = []
    head = ("what", "kills", "median", "longest")
    return Rows("Taking over", head, body or _failed(head))


def _share(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.1f} %"


def _failed(head: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [("failed", *("" for _ in head[1:]))]
