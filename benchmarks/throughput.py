"""Events per second: publishing and consuming, every rival in turn, every event accounted for."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.audit import AuditError, audit_layout, audit_log, end_offsets
from benchmarks.events import CASES, Digest, digest
from benchmarks.rivals.base import Target
from benchmarks.rivals.table import DIRECTIONS, RIVALS, VERBS, Direction, Rival
from benchmarks.runner import MeasurementError, Turns, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.rivals.base import Elapsed

WARMUP = 1_000
"""Events published before the clock starts; not more than a tenth of the events."""
_ORDER: tuple[Direction, ...] = ("consume", "batches", "publish")
"""Publishing adds to the stream."""


def publish(
    target: dict[str, Any], rival: str, count: int, flights: str | None, parts: list[int]
) -> dict[str, Any]:
    """Publish `count` events, a few of them as a warm-up (runs in a worker).

    `parts` asks for the digests of the first so many event IDs.
    """
    aim = Target(**target)
    publisher = RIVALS[rival].publisher()
    payloads = _payloads(aim.event, count, Path(flights) if flights else None)
    warmup = min(WARMUP, count // 10)
    forget_harness()
    done = publisher(aim, payloads[:warmup], payloads[warmup:])
    return {
        **_rates(done.events, done.took),
        "digest": asdict(digest(done.ids)),
        "parts": [asdict(digest(done.ids[:part])) for part in parts],
    }


def consume(target: dict[str, Any], rival: str, count: int, direction: Direction) -> dict[str, Any]:
    """Consume `count` events from the beginning of the stream (runs in a worker)."""
    aim = Target(**target)
    consumer = RIVALS[rival].consumer(direction)
    forget_harness()
    done = consumer(aim, count)
    return {
        **_rates(len(done.ids), done.took),
        "digest": asdict(digest(done.ids[:count])),
        "last": _texts(done.last),
    }


def _rates(events: int, took: Elapsed) -> dict[str, float]:
    return {"rate": events / took.seconds, "cpu": took.cpu / events * 1e6}


@lru_cache(maxsize=4)
def _payloads(event: str, count: int, flights: Path | None) -> list[dict[str, Any]]:
    return list(CASES[event].payloads(count, flights))


def _texts(payload: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in payload.items()}


def forget_harness() -> None:
    """Leave what was prepared to no garbage collection: no rival's should walk it."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True, slots=True)
class Course:
    """One case to be raced on."""

    target: Target
    """Where to publish to and consume from. Its stream must be empty at first."""
    rivals: Sequence[Rival]
    """Who takes part, in the order of their turns."""
    events: int
    """Events that a rival publishes or consumes in one turn, times its share."""
    rounds: int
    """Turns of each rival."""
    flights: Path | None
    """A file of flights; None: made-up flights."""
    progress: Callable[[str], None]
    """Called with a line about what comes next."""
    directions: Sequence[Direction] = DIRECTIONS
    """What is raced. Only rivals that take a direction take part in it."""

    def count(self, rival: Rival) -> int:
        """Events of one turn of that rival."""
        return int(self.events * rival.share)

    def run(self) -> dict[Direction, dict[str, Turns]]:
        """Fill the stream once, let everybody consume that, then let everybody publish.

        All consume the very same records, written by the hand-written publisher. Figures are
        events per second, processor time is in seconds per million events.
        """
        expected = self._fill()
        wanted = [direction for direction in _ORDER if direction in self.directions]
        found = {direction: self._race(direction, expected) for direction in wanted}
        return {direction: found[direction] for direction in self.directions}

    def _race(self, direction: Direction, expected: dict[int, Digest]) -> dict[str, Turns]:
        rivals = [rival for rival in self.rivals if rival.takes(direction)]
        turns = {rival.name: Turns() for rival in rivals}
        for turn in range(self.rounds):
            for rival in rivals:
                self._announce(direction, turn, rival)
                turns[rival.name].record(lambda: self._measure(direction, rival, expected))  # noqa: B023
        return turns

    def _measure(
        self, direction: Direction, rival: Rival, expected: dict[int, Digest]
    ) -> tuple[float, float]:
        if direction == "publish":
            result = self._publish(rival, self.count(rival), [])
        else:
            result = self._consume(direction, rival, expected)
        return result["rate"], result["cpu"]

    def _announce(self, direction: Direction, turn: int, rival: Rival) -> None:
        verb = VERBS[direction].lower()
        self.progress(f"{self.target.event}: {verb} {turn + 1}/{self.rounds}, {rival.label}")

    def _fill(self) -> dict[int, Digest]:
        self.progress(f"{self.target.event}: filling")
        parts = sorted({self.count(rival) for rival in self.rivals} | {self.events})
        result = self._publish(RIVALS["bare"], self.events, parts)
        audit_layout(self.target)
        return {part: Digest(**found) for part, found in zip(parts, result["parts"], strict=True)}

    def _publish(self, rival: Rival, count: int, parts: list[int]) -> dict[str, Any]:
        before = end_offsets(self.target)
        result = run(
            "benchmarks.throughput:publish",
            self._job(rival, count)
            | {"parts": parts, "flights": None if self.flights is None else str(self.flights)},
        )
        last = self._payloads(count)[-1]
        try:
            found = audit_log(self.target, before, last)
        except AuditError as error:
            raise MeasurementError(f"{rival.name}: {error}") from error
        _compare(Digest(**result["digest"]), found, count)
        return dict(result)

    def _consume(
        self, direction: Direction, rival: Rival, expected: dict[int, Digest]
    ) -> dict[str, Any]:
        count = self.count(rival)
        result = run(
            "benchmarks.throughput:consume", self._job(rival, count) | {"direction": direction}
        )
        _compare(Digest(**result["digest"]), expected[count], count)
        # With several partitions the last event received need not be the last one published.
        given = self._payloads(count)
        candidates = given[-1:] if self.target.partitions == 1 else given
        if not any(result["last"].items() >= _texts(payload).items() for payload in candidates):
            raise MeasurementError(f"{rival.name}: the last payload is {result['last']}")
        return dict(result)

    def _payloads(self, count: int) -> list[dict[str, Any]]:
        return _payloads(self.target.event, count, self.flights)

    def _job(self, rival: Rival, count: int) -> dict[str, Any]:
        return {"target": asdict(self.target), "rival": rival.name, "count": count}


def _compare(claimed: Digest, found: Digest, count: int) -> None:
    """Check that `count` different events were seen, and that both sides mean the same ones."""
    if claimed != found or claimed.count != count or claimed.distinct != count:
        raise MeasurementError(f"{count} events expected, {claimed} claimed, {found} found")
