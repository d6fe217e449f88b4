"""How long a channel stalls when the router that feeds it is killed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.channels.logs import read_log
from benchmarks.channels.routers import RouterProcess
from benchmarks.channels.stage import staged
from benchmarks.deployment import describe_target, run_cli, write_definitions
from benchmarks.events import CASES, digest
from benchmarks.latency import RATE, WARMUP
from benchmarks.runner import MeasurementError, Samples, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.channels.stage import Stage
    from benchmarks.runner import Worker

_CASE = CASES["Partitions_4__e"]
_SINGLE = "Single__chn"
_PARTITIONS = {_SINGLE: 1, "Spread__chn": _CASE.partitions}
"""The channels, both with all events, and how many partitions each has."""
_SHARE_TIME_LIMIT = 60.0
_LEAD_SECONDS = 3
"""How long events flow before the kill."""
_FLOW_SECONDS = 10
"""How long they flow after it: as long as a channel may stall."""
_ARRIVED_SECONDS = 1.0
"""Events older than that have arrived when routers are live."""
_Place = tuple[str, int]
"""A channel and one of its partitions."""


@dataclass(frozen=True, slots=True)
class _Kill:
    """When a router was killed, on the monotonic clock in nanoseconds."""

    begin: int
    """Just before the signal."""
    end: int
    """Just after the process was gone."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What one kill did."""

    gap: float
    """Seconds from the kill until all partitions that the dead router fed go on."""
    delay: float
    """The longest delay of an event meanwhile in partitions of the router that lives, seconds."""


def measure_takeovers(
    bootstrap_servers: str, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return for each of so many kills how long the dead router's partitions stalled.

    Two routers share two channels, of one and of four partitions, while one process publishes 100
    events/s with the SDK and two subscribe to the channels. The router that feeds the channel of
    one partition is killed with SIGKILL. Its partitions go on when their first event that was
    published after the kill has arrived at the subscriber; the slowest partition counts. In the
    end both channels must have each event once.

    Raises:
        RuntimeError: the definitions were refused, or the broker failed.
    """
    gaps, delays = Samples(), Samples()

    def take_gap() -> float:
        takeover = _measure(bootstrap_servers)
        delays.values.append(takeover.delay)
        return takeover.gap

    for turn in range(rounds):
        progress(f"takeover {turn + 1}/{rounds}: {RATE} events/s, one of two routers is killed")
        gaps.record(take_gap)
    return {"gap": gaps.to_json(), "delay": delays.to_json()}


def _measure(bootstrap_servers: str) -> Takeover:
    with (
        staged(bootstrap_servers, lambda folder: write_definitions(folder, [_CASE])) as stage,
        RouterProcess(stage.environment) as one,
        RouterProcess(stage.environment) as other,
    ):
        stage.set_channels({name: {_CASE.event: ""} for name in _PARTITIONS}, _PARTITIONS)
        routers = _await_shared(stage, {one.name, other.name})
        doomed = one if one.name == routers[_SINGLE, 0] else other
        target = asdict(describe_target(_CASE, bootstrap_servers, stage.tenant))
        seconds = _LEAD_SECONDS + _FLOW_SECONDS
        job: dict[str, Any] = {"target": target, "contender": "sdk", "count": seconds * RATE}
        single, spread = (job | {"target": target | {"event": name}} for name in _PARTITIONS)
        receive = "benchmarks.latency:receive"
        with started(receive, single) as first, started(receive, spread) as second:
            receivers = dict(zip(_PARTITIONS, (first, second), strict=True))
            _await_ready(receivers.values())
            publish = "benchmarks.latency:publish_steadily"
            with started(publish, job | {"flights": None}) as publisher:
                publisher.hear()
                time.sleep(_LEAD_SECONDS)
                kill = _kill(doomed)
                starts: dict[str, int] = publisher.result()
            arrivals = {name: receiver.result() for name, receiver in receivers.items()}
        events = _check_channels(stage, starts)
    gaps, delays = [], []
    for place, ids in events.items():
        arrived: dict[str, int] = arrivals[place[0]]
        after = _choose_later(place, ids, kill, starts, arrived)
        if routers[place] == doomed.name:
            gaps.append(min(arrived[key] for key in after) - kill.begin)
        else:
            delays.append(max(arrived[key] - starts[key] for key in after))
    return Takeover(max(gaps) / 1e9, max(delays) / 1e9)


def _kill(router: RouterProcess) -> _Kill:
    begin = time.monotonic_ns()
    router.kill()
    return _Kill(begin, time.monotonic_ns())


def _choose_later(
    place: _Place, ids: Iterable[str], kill: _Kill, starts: dict[str, int], arrived: dict[str, int]
) -> list[str]:
    """Return those events of a partition that were published when the router was dead.

    Raises:
        MeasurementError: the partition did not have events at all times, or was not live.
    """
    # The first few events, of which no start is known, are older than all others.
    old = [key for key in ids if starts.get(key, 0) < kill.begin - _ARRIVED_SECONDS * 1e9]
    after = [key for key in ids if starts.get(key, 0) > kill.end]
    if not old or not after or any(arrived[key] > kill.begin for key in old):
        raise MeasurementError(f"{place[0]}[{place[1]}] was not live when a router was killed")
    return after


def _await_ready(receivers: Iterable[Worker]) -> None:
    for receiver in receivers:
        if receiver.hear() != "ready":
            raise MeasurementError("a receiver did not become ready")


def _await_shared(stage: Stage, routers: set[str]) -> dict[_Place, str]:
    """Wait until all partitions are live and each router feeds some; return which feeds which.

    Raises:
        MeasurementError: that does not come in time.
    """
    deadline = time.monotonic() + _SHARE_TIME_LIMIT
    while True:
        streams = json.loads(run_cli(["streams", "--json"], stage.environment))
        parts = {
            (stream["name"], part["partition"]): part
            for stream in streams
            for part in stream.get("routing", ())
        }
        leaders = {place: part["router"] for place, part in parts.items()}
        are_live = all(part["state"] == "live" for part in parts.values())
        if len(parts) == sum(_PARTITIONS.values()) and are_live and {*leaders.values()} == routers:
            return leaders
        if time.monotonic() > deadline:
            raise MeasurementError(f"two routers do not share the channels: {leaders}")


def _check_channels(stage: Stage, starts: dict[str, int]) -> dict[_Place, list[str]]:
    """Return the event IDs in each partition of the channels.

    Raises:
        MeasurementError: a channel lacks an event of the member or has one twice.
    """
    member = [
        key for number in range(_CASE.partitions) for key in _read_ids(stage, _CASE.event, number)
    ]
    if len(member) != len(starts) + WARMUP or starts.keys() - {*member}:
        raise MeasurementError(f"{len(starts)} events published, the member has {len(member)}")
    expected = digest(member)
    found: dict[_Place, list[str]] = {}
    for name, partitions in _PARTITIONS.items():
        ids = {(name, number): _read_ids(stage, name, number) for number in range(partitions)}
        in_channel = digest(key for part in ids.values() for key in part)
        if in_channel != expected:
            raise MeasurementError(f"{expected} should be in {name}, found {in_channel}")
        found |= ids
    return found


def _read_ids(stage: Stage, name: str, partition: int) -> list[str]:
    return [
        dict(message.headers())["ce_id"].decode()
        for message in read_log(stage.bootstrap_servers, stage.topic(name), partition)
    ]
