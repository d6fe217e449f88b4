"""How long it takes until the partitions of a worker that was killed are handled again."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.deployment import deployed, environment, run_cli
from benchmarks.events import KEYED
from benchmarks.latency import RATE, WARMUP
from benchmarks.runner import MeasurementError, Samples, started
from benchmarks.workers.upkeep import SUBSCRIPTION, working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.rivals.base import Target

_CASE = KEYED[100]
_SHARE_TIME_LIMIT = 60.0
_LOOK_AGAIN = 0.5
_LEAD_SECONDS = 3
"""How long events flow before the kill."""
_FLOW_SECONDS = 12
"""How long they flow after it: longer than a partition may stand still."""
_DRAIN_SECONDS = 2.0


class _Handling(NamedTuple):
    """One event that was handled."""

    event_id: str
    partition: int
    at: int
    """On the monotonic clock, in nanoseconds."""


def measure_takeovers(
    bootstrap_servers: str, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return for each of so many kills how long the dead worker's partitions stood still, seconds.

    Two workers share four partitions, with 100 events/s of 100 keys. One is killed with SIGKILL.
    The time runs from the signal until the other one has handled an event in each of the
    partitions that the dead one had; the slowest counts. In the end every event must have been
    handled by one of them.

    Raises:
        RuntimeError: the definition was refused, or the broker failed.
    """
    gaps, again = Samples(), Samples()

    def take_gap() -> float:
        gap, repeated = _measure(bootstrap_servers)
        again.values.append(repeated)
        return gap

    for turn in range(rounds):
        progress(f"worker's takeover {turn + 1}/{rounds}: {RATE} events/s, one of two is killed")
        gaps.record(take_gap)
    return {"gap": gaps.to_json(), "again": again.to_json()}


def _measure(bootstrap_servers: str) -> tuple[float, int]:
    """Return the seconds, and how many events were handled twice."""
    with ExitStack() as stack:
        target = stack.enter_context(deployed(bootstrap_servers, [_CASE]))[_CASE.event]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = [folder / "doomed", folder / "other"]
        doomed, other = (stack.enter_context(working(target, path)) for path in paths)
        shares = _await_shared(target, {doomed.pid, other.pid})
        job = {
            "target": asdict(target),
            "contender": "sdk",
            "count": (_LEAD_SECONDS + _FLOW_SECONDS) * RATE,
            "flights": None,
        }
        with started("benchmarks.latency:publish_steadily", job) as publisher:
            publisher.hear()
            time.sleep(_LEAD_SECONDS)
            killed = time.monotonic_ns()
            doomed.stop()
            starts: dict[str, int] = publisher.result()
        time.sleep(_DRAIN_SECONDS)
        other.tell("stop")
        other.result()
        before, after = (_read(path) for path in paths)
    _check(starts, before + after)
    return _gap(shares[doomed.pid], killed, before, after), len(before + after) - len(
        {one.event_id for one in before + after}
    )


def _await_shared(target: Target, pids: set[int]) -> dict[int, set[int]]:
    """Wait until each worker has half of the partitions; return which.

    Raises:
        MeasurementError: that does not come in time.
    """
    env = environment(target.bootstrap_servers, target.tenant)
    deadline = time.monotonic() + _SHARE_TIME_LIMIT
    while time.monotonic() < deadline:
        try:
            shown = json.loads(run_cli(["subscriptions", "show", SUBSCRIPTION, "--json"], env))
        except RuntimeError:
            # It is not made yet.
            continue
        shares = {
            int(member["client_id"].rpartition(":")[2]): set(member["partitions"])
            for member in shown["members"]
        }
        if shares.keys() == pids and all(
            len(share) == target.partitions // 2 for share in shares.values()
        ):
            return shares
        time.sleep(_LOOK_AGAIN)
    raise MeasurementError("two workers do not share the partitions")


def _read(path: Path) -> list[_Handling]:
    # Of a process that was killed, the last line may be cut off.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    fields = (line.split() for line in lines)
    return [_Handling(event_id, int(number), int(at)) for event_id, number, at in fields]


def _check(starts: dict[str, int], handlings: Iterable[_Handling]) -> None:
    handled = {one.event_id for one in handlings}
    if len(handled) != len(starts) + WARMUP or starts.keys() - handled:
        raise MeasurementError(f"{len(starts) + WARMUP} published, {len(handled)} handled")


def _gap(
    share: set[int], killed: int, before: Iterable[_Handling], after: Iterable[_Handling]
) -> float:
    """Return the seconds until the last of some partitions went on.

    Raises:
        MeasurementError: one of them had no events before, or others than the dead worker's.
    """
    if {one.partition for one in before} != share:
        raise MeasurementError("the worker that was killed did not handle all of its partitions")
    first: dict[int, int] = {}
    for one in after:
        if one.partition in share:
            first.setdefault(one.partition, one.at)
    if first.keys() != share or min(first.values()) < killed:
        raise MeasurementError("the other worker had partitions before, or did not get them all")
    return (max(first.values()) - killed) / 1e9
