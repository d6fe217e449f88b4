"""What the first event of a schema costs a connected process: looking up, parsing, compiling.

Each figure is of a fresh process. It has published, or read, an event of another schema before, so
the client library is loaded and connections stand. Then the clock starts, and stops with the
acknowledgement of one event, or with one event decoded. Both ways make a consumer for the stream.
"""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_reader

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import CASES, FLIGHT, KILOBYTE, NESTED, WIDE
from benchmarks.rivals import bare, sdk
from benchmarks.rivals.base import Elapsed, Stopwatch, Target
from benchmarks.rivals.table import DIRECTIONS, RIVALS
from benchmarks.rows import Rows
from benchmarks.runner import Turns, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.shapes import Payload

_KNOWN = KILOBYTE
"""Whose event comes before."""
_NEW = (FLIGHT, WIDE, NESTED)
_CONTENDERS = ("sdk", "bare")
_TITLES = {"publish": "to the first result", "consume": "to the first event"}


def measure_once(
    known: dict[str, Any], new: dict[str, Any], contender: str, direction: str
) -> dict[str, float]:
    """Return what the first event of `new` takes (runs in a worker)."""
    return asdict(_MEASURES[contender, direction](Target(**known), Target(**new)))


def _payload(target: Target) -> Payload:
    (payload,) = CASES[target.event].payloads(1, None)
    return payload


def _publish_sdk(known: Target, new: Target) -> Elapsed:
    before, payload = _payload(known), _payload(new)
    with sdk.open_bus(known) as bus:
        bus.publish(known.event, before)
        watch = Stopwatch()
        bus.publish(new.event, payload)
        return watch.read()


def _publish_bare(known: Target, new: Target) -> Elapsed:
    before, payload = _payload(known), _payload(new)
    publisher = bare.BarePublisher(known)
    publisher.send_all([before])
    watch = Stopwatch()
    bare.BarePublisher(new, publisher.producer).send_all([payload])
    return watch.read()


def _consume_sdk(known: Target, new: Target) -> Elapsed:
    with sdk.open_bus(known) as bus:
        watch = Stopwatch()
        for target in (known, new):
            watch.start()
            with sdk.subscribe(bus, target) as subscription:
                assert next(subscription).payload
                took = watch.read()
    return took


def _consume_bare(known: Target, new: Target) -> Elapsed:
    watch = Stopwatch()
    for target in (known, new):
        watch.start()
        schema = parse_schema(target.schema)
        with bare.reading(target) as consumer:
            ((message,),) = bare.fetch(consumer, 1)
            assert schemaless_reader(io.BytesIO(message.value()), schema, None)
            took = watch.read()
    return took


_MEASURES: dict[tuple[str, str], Callable[[Target, Target], Elapsed]] = {
    ("sdk", "publish"): _publish_sdk,
    ("bare", "publish"): _publish_bare,
    ("sdk", "consume"): _consume_sdk,
    ("bare", "consume"): _consume_bare,
}


def measure_first(
    bootstrap_servers: str, rounds: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return milliseconds and milliseconds of processor time, by event, direction and contender."""
    with deployed(bootstrap_servers, [_KNOWN, *_NEW]) as targets:
        known = targets[_KNOWN.event]
        for target in targets.values():
            # Every stream has an event before anybody reads.
            bare.BarePublisher(target).send_all([_payload(target)])
            audit_layout(target)
        return {
            case.event: {
                "label": case.label,
                **_race(known, targets[case.event], rounds, progress),
            }
            for case in _NEW
        }


def _race(
    known: Target, new: Target, rounds: int, progress: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    found = {direction: {name: Turns() for name in _CONTENDERS} for direction in DIRECTIONS}
    for turn in range(rounds):
        progress(f"{new.event}: first event {turn + 1}/{rounds}")
        for direction, rows in found.items():
            for name, turns in rows.items():
                turns.record(lambda: _measure(known, new, name, direction))  # noqa: B023
    return {
        direction: {
            name: {"time": turns.figure.to_json(), "cpu": turns.cpu.to_json()}
            for name, turns in rows.items()
        }
        for direction, rows in found.items()
    }


def _measure(known: Target, new: Target, contender: str, direction: str) -> tuple[float, float]:
    job = {
        "known": asdict(known),
        "new": asdict(new),
        "contender": contender,
        "direction": direction,
    }
    took = run("benchmarks.first:measure_once", job)
    return took["seconds"] * 1e3, took["cpu"] * 1e3


def first_rows(first: dict[str, Any]) -> Rows:
    """Return what the first event takes."""
    return Rows(
        "The first event of a schema, in a connected process",
        ("what", "times", "median", "lowest to highest", "processor time"),
        list(_body(first)),
    )


def _body(first: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for case in first.values():
        for direction in DIRECTIONS:
            for name, found in case[direction].items():
                values = found["time"]["values"]
                is_whole = found["time"]["median"] is not None
                yield (
                    f"{case['label']}, {_TITLES[direction]}: {RIVALS[name].label}",
                    str(len(values)),
                    f"{found['time']['median']:.1f} ms" if is_whole else "failed",
                    f"{min(values):.1f} to {max(values):.1f}" if values else "",
                    f"{found['cpu']['median']:.1f} ms" if is_whole else "",
                )
