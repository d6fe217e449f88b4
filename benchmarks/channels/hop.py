"""How much later an event arrives through a channel than on its own stream."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.channels.routers import RouterProcess
from benchmarks.channels.stage import staged
from benchmarks.deployment import describe_target, write_definitions
from benchmarks.events import FLIGHT
from benchmarks.latency import RATE, WARMUP, summarize
from benchmarks.runner import MeasurementError, run, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHANNEL = "Hop__chn"
_LIVE_TIME_LIMIT = 60.0
_WARMUP_SECONDS = 5
"""A broker that has just started takes ten times as long for its first hundreds of transactions."""


def measure_hop(
    bootstrap_servers: str, seconds: int, flights: Path | None, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return what a channel adds, and both delays from the publishing call, in milliseconds.

    One process publishes with the SDK at 100 events/s, one subscribes to the member's stream, one
    to the channel, and a router feeds the channel. All see one clock. Before that events are
    published that do not count, until the broker's Java code has been compiled.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    progress(f"hop: {seconds} s at {RATE} events/s")
    with (
        staged(bootstrap_servers, lambda folder: write_definitions(folder, [FLIGHT])) as stage,
        RouterProcess(stage.environment) as router,
    ):
        stage.set_channels({_CHANNEL: {FLIGHT.event: ""}})
        router.await_live([_CHANNEL], _LIVE_TIME_LIMIT)
        target = asdict(describe_target(FLIGHT, bootstrap_servers, stage.tenant))
        job: dict[str, Any] = {"target": target, "contender": "sdk", "count": seconds * RATE}
        publish = "benchmarks.latency:publish_steadily"
        payloads = {"flights": flights and str(flights)}
        run(publish, job | payloads | {"count": _WARMUP_SECONDS * RATE})
        receive = "benchmarks.latency:receive"
        with (
            started(receive, job) as on_stream,
            started(receive, job | {"target": target | {"event": _CHANNEL}}) as in_channel,
        ):
            for receiver in (on_stream, in_channel):
                if receiver.hear() != "ready":
                    raise MeasurementError("a receiver did not become ready")
            published: dict[str, int] = run(publish, job | payloads)
            streamed: dict[str, int] = on_stream.result()
            routed: dict[str, int] = in_channel.result()
    for arrivals in (streamed, routed):
        if len(arrivals) != len(published) + WARMUP or published.keys() - arrivals.keys():
            raise MeasurementError(f"{len(published)} events published, {len(arrivals)} arrived")
    return {
        "added": summarize([(routed[key] - streamed[key]) / 1e6 for key in published]),
        "stream": summarize([(streamed[key] - start) / 1e6 for key, start in published.items()]),
        "channel": summarize([(routed[key] - start) / 1e6 for key, start in published.items()]),
    }
