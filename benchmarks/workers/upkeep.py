"""What one worker process takes: memory while it handles a million events, and a core when idle."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import KEYED
from benchmarks.processes import find_broker, read_cpu
from benchmarks.runner import MeasurementError, run, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rivals.base import Target
    from benchmarks.runner import Worker

_CASE = KEYED[100]
_CHUNK = 100_000
_TIME_LIMIT = 300.0
_QUIET_SECONDS = 3.0
"""So long after its first events a worker has nothing more to do."""
_START_TIME_LIMIT = 30.0
SUBSCRIPTION = "bench"


def measure_memory(
    bootstrap_servers: str, few: int, many: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return the resident size of a worker after few events and after many, MB (10**6 bytes).

    It catches up with more than that, and is looked at meanwhile both times. Its handler keeps
    nothing.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    total = many + few // 5
    with deployed(bootstrap_servers, [_CASE]) as targets:
        target = targets[_CASE.event]
        progress(f"worker's memory: publishing {total:,} events")
        checksum = _fill(target, total)
        audit_layout(target)
        progress(f"worker's memory: handling {total:,} events")
        job = {"target": asdict(target), "marks": [few, many], "count": total}
        found = run("benchmarks.workers.own:watch_memory", job, _TIME_LIMIT)
    if found["count"] != total or found["checksum"] != checksum:
        raise MeasurementError(f"{total} events published, {found['count']} handled, or others")
    at_few, at_many = found["sizes"]
    return {
        "sizes": [{"events": few, "size": at_few}, {"events": many, "size": at_many}],
        "growth": at_many - at_few,
    }


def _fill(target: Target, total: int) -> str:
    """Publish so many events, not all at a time; return the sum of their IDs."""
    job = {"target": asdict(target), "rival": "bare", "flights": None, "parts": []}
    checksum = 0
    for begin in range(0, total, _CHUNK):
        count = min(_CHUNK, total - begin)
        filled = run("benchmarks.throughput:publish", job | {"count": count})
        checksum += int(filled["digest"]["checksum"], 16)
    return f"{checksum % 2**128:032x}"


def measure_idle(
    bootstrap_servers: str, seconds: float, progress: Callable[[str], None]
) -> dict[str, float | None]:
    """Return the share of a core in percent that an idle worker takes, and its embedded broker.

    Raises:
        MeasurementError, RuntimeError: it could not be measured.
    """
    progress(f"an idle worker: {seconds:g} s")
    with deployed(bootstrap_servers, [_CASE]) as targets, tempfile.TemporaryDirectory() as folder:
        target = targets[_CASE.event]
        job = {"target": asdict(target), "rival": "bare", "count": 100}
        run("benchmarks.throughput:publish", job | {"flights": None, "parts": []})
        path = Path(folder) / "handled"
        with working(target, path) as worker:
            await_lines(path, 100)
            time.sleep(_QUIET_SECONDS)
            pids = [worker.pid, find_broker()]
            start = time.monotonic()
            before = [pid and read_cpu(pid) for pid in pids]
            time.sleep(seconds)
            after = [pid and read_cpu(pid) for pid in pids]
            took = time.monotonic() - start
            worker.tell("stop")
            worker.result()
    shares = [
        None if begin is None or end is None else (end - begin) / took * 100
        for begin, end in zip(before, after, strict=True)
    ]
    return {"worker": shares[0], "broker": shares[1]}


@contextmanager
def working(target: Target, path: Path) -> Iterator[Worker]:
    """Give a worker process that writes a line for each event that it has handled."""
    job = {"target": asdict(target), "subscription": SUBSCRIPTION, "path": str(path)}
    with started("benchmarks.workers.own:run_noting", job) as worker:
        yield worker


def await_lines(path: Path, count: int) -> None:
    """Wait until a worker has handled so many events.

    Raises:
        MeasurementError: it has not in time.
    """
    deadline = time.monotonic() + _START_TIME_LIMIT
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        if time.monotonic() > deadline:
            raise MeasurementError(f"a worker did not handle {count} events in time")
        time.sleep(0.1)
