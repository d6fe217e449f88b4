"""Events per second that handlers get: every way in turn, every event accounted for."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import KEYED, Digest, digest
from benchmarks.rivals.base import Target
from benchmarks.runner import MeasurementError, Turns, run
from benchmarks.workers.ways import HANDLERS, WAYS, Tally, Way

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workers.ways import Handler


@dataclass(frozen=True, slots=True)
class Amount:
    """How many events are handled, and how often."""

    events: dict[Handler, int]
    """Of a turn of whoever is fast, by handler. Handlers that wait one by one get a twentieth."""
    rounds: dict[Handler, int]
    """Turns of each way, by handler."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream that was filled once."""

    target: Target
    digest: Digest


def handle(target: dict[str, Any], way: str, count: int, waits: bool) -> dict[str, Any]:
    """Handle all events of a stream (runs in a worker)."""
    handle_all = WAYS[way].handle()
    tally = Tally(count)
    gc.collect()
    handle_all(Target(**target), tally, waits)
    return {
        "rate": count / tally.took.seconds,
        "cpu": tally.took.cpu / count * 1e6,
        "digest": asdict(digest(tally.ids)),
    }


def measure_handling(
    bootstrap_servers: str, amount: Amount, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return events per second and processor seconds per million events, by keys and handler.

    All ways read streams that were filled once, with as many events as a turn has.

    Raises:
        MeasurementError, RuntimeError: the streams could not be filled.
    """
    cases = []
    for keys in KEYED:
        counts = {
            (handler, name): _count(amount, handler, keys, way)
            for handler in HANDLERS
            for name, way in WAYS.items()
        }
        with ExitStack() as stack:
            progress(f"handling, {KEYED[keys].label}: filling")
            streams = {
                count: _fill(stack, bootstrap_servers, keys, count) for count in {*counts.values()}
            }
            for handler in HANDLERS:
                turns = {name: Turns() for name in WAYS}
                for turn in range(amount.rounds[handler]):
                    for name, way in WAYS.items():
                        progress(
                            f"handling, {KEYED[keys].label}, {HANDLERS[handler]} "
                            f"{turn + 1}/{amount.rounds[handler]}, {way.label}"
                        )
                        stream = streams[counts[handler, name]]
                        turns[name].record(lambda: _measure(stream, name, handler))  # noqa: B023
                cases.append(
                    {
                        "keys": keys,
                        "label": KEYED[keys].label,
                        "handler": handler,
                        "ways": {
                            name: {
                                "events": counts[handler, name],
                                "rate": each.figure.to_json(),
                                "cpu": each.cpu.to_json(),
                            }
                            for name, each in turns.items()
                        },
                    }
                )
    return cases


def _count(amount: Amount, handler: Handler, keys: int, way: Way) -> int:
    events = amount.events[handler]
    if handler == "noop":
        return int(events * way.share)
    return events if way.is_concurrent and keys > 1 else events // 20


def _fill(stack: ExitStack, bootstrap_servers: str, keys: int, count: int) -> _Stream:
    case = KEYED[keys]
    target = stack.enter_context(deployed(bootstrap_servers, [case]))[case.event]
    job = {"target": asdict(target), "rival": "bare", "count": count, "flights": None, "parts": []}
    filled = run("benchmarks.throughput:publish", job)
    audit_layout(target)
    return _Stream(target, Digest(**filled["digest"]))


def _measure(stream: _Stream, way: str, handler: Handler) -> tuple[float, float]:
    expected = stream.digest
    job = {"target": asdict(stream.target), "way": way, "count": expected.count}
    found = run("benchmarks.workers.handling:handle", job | {"waits": handler == "wait"})
    if found["digest"] != asdict(expected) or expected.distinct != expected.count:
        raise MeasurementError(f"{way}: {expected} published, {found['digest']} handled")
    return found["rate"], found["cpu"]
