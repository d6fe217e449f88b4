"""What one router process takes for few and many channels, idle and with a trickle of events."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.channels.routers import RouterProcess
from benchmarks.channels.stage import staged
from benchmarks.deployment import describe_target, run_cli, write_definitions
from benchmarks.events import FLIGHT
from benchmarks.latency import WARMUP
from benchmarks.processes import find_broker, read_cpu
from benchmarks.runner import MeasurementError, started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.channels.stage import Stage

TRICKLE = 20
"""Events a second on the member that all channels have."""
_LIVE_TIME_LIMIT = 120.0
_LEAD_SECONDS = 2
"""Publishing goes on for so long before and after what is measured."""
_ARRIVAL_TIME_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Windows:
    """How long is measured."""

    idle: float
    """Seconds without an event."""
    trickle: float
    """Seconds with events."""


def measure_many_channels(
    bootstrap_servers: str,
    counts: Sequence[int],
    windows: Windows,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Return what a router with so many channels takes, and the share of a core of each idle one.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    rows = [_measure(bootstrap_servers, count, windows, progress) for count in counts]
    few, many = rows[0], rows[-1]
    return {
        "rows": rows,
        "idle_channel": (many["idle"]["router"] - few["idle"]["router"])
        / (many["channels"] - few["channels"]),
    }


def _measure(
    bootstrap_servers: str, count: int, windows: Windows, progress: Callable[[str], None]
) -> dict[str, Any]:
    channels = [f"Channel_{number}__chn" for number in range(count)]
    with staged(bootstrap_servers, lambda folder: write_definitions(folder, [FLIGHT])) as stage:
        progress(f"{count} channels: applying")
        stage.set_channels({channel: {FLIGHT.event: ""} for channel in channels})
        progress(f"{count} channels: starting a router")
        with RouterProcess(stage.environment) as router:
            seconds = router.await_live(channels, _LIVE_TIME_LIMIT) - router.began
            router.await_quiet()
            progress(f"{count} channels: idle")
            idle = _watch(router, windows.idle)
            progress(f"{count} channels: {TRICKLE} events/s")
            trickle, lag = _trickle(stage, router, windows.trickle)
            vitals = router.vitals()
    return {
        "channels": count,
        "live_after": seconds,
        "idle": idle,
        "trickle": trickle,
        "lag": lag,
        "resident": vitals.resident,
        "threads": vitals.threads,
        "descriptors": vitals.descriptors,
    }


def _watch(router: RouterProcess, seconds: float) -> dict[str, float | None]:
    """Return the share of a core in percent that router and embedded broker take."""
    broker = find_broker()
    start = time.monotonic()
    before = router.vitals().cpu, read_cpu(broker) if broker else 0.0
    time.sleep(seconds)
    after = router.vitals().cpu, read_cpu(broker) if broker else 0.0
    took = time.monotonic() - start
    shares = [(end - begin) / took * 100 for begin, end in zip(before, after, strict=True)]
    return {"router": shares[0], "broker": shares[1] if broker else None}


def _trickle(
    stage: Stage, router: RouterProcess, seconds: float
) -> tuple[dict[str, float | None], int]:
    """Return shares as `_watch` does while events come, and the channels' largest lag then."""
    target = describe_target(FLIGHT, stage.bootstrap_servers, stage.tenant)
    job = {
        "target": asdict(target),
        "contender": "sdk",
        "count": int((seconds + 2 * _LEAD_SECONDS) * TRICKLE),
        "flights": None,
        "rate": TRICKLE,
    }
    with started("benchmarks.latency:publish_steadily", job) as publisher:
        publisher.hear()
        time.sleep(_LEAD_SECONDS)
        shares = _watch(router, seconds)
        lag = max(member["lag_events"] or 0 for member in _members(stage))
        published = len(publisher.result()) + WARMUP
    _await_passed(stage, published)
    return shares, lag


def _await_passed(stage: Stage, count: int) -> None:
    """Wait until each channel has got so many events.

    Raises:
        MeasurementError: one has not in time, or has more.
    """
    deadline = time.monotonic() + _ARRIVAL_TIME_LIMIT
    while (passed := {member["passed"] for member in _members(stage)}) != {count}:
        if max(passed) > count or time.monotonic() > deadline:
            raise MeasurementError(f"{count} events published, channels have {sorted(passed)}")


def _members(stage: Stage) -> list[dict[str, Any]]:
    streams = json.loads(run_cli(["streams", "--json"], stage.environment))
    return [member for stream in streams for member in stream.get("members", ())]
